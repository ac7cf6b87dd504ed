/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * option.c - parse and range-check one option value against its declaration
 *
 * Every number is accumulated with overflow checks, so a value is either exact or refused. Error texts have one form:
 * what was written, what is wrong with it, what was expected. The value is quoted in them with control characters
 * replaced and cut to a readable length; that of a secret is never quoted.
 */
#include <bsd/string.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <streamz/option.h>

#define US     INT64_C(1000)
#define MS     (US * 1000)
#define SEC    (MS * 1000)
#define MINUTE (SEC * 60)
#define HOUR   (MINUTE * 60)
#define DAY    (HOUR * 24)

struct unit {
	const char *suffix;
	int64_t factor;
};

/* Largest first: formatting takes the first that divides the number. */
static const struct unit size_units[] = {
	{ "G", INT64_C(1) << 30 },
	{ "M", INT64_C(1) << 20 },
	{ "K", INT64_C(1) << 10 },
	{ "", 1 },
	{ NULL, 0 },
};

static const struct unit time_units[] = {
	{ "d", DAY }, { "h", HOUR }, { "m", MINUTE }, { "s", SEC },
	{ "ms", MS }, { "us", US },  { "ns", 1 },     { NULL, 0 },
};

static const struct unit rate_units[] = {
	{ "/s", 1 },
	{ "/m", 60 },
	{ "/h", 3600 },
	{ NULL, 0 },
};

struct parser {
	const struct sz_option *opt;
	const char *text;
	size_t len;
	char quoted[80];
	char *error;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct parser *p, int err,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->error, SZ_VALUE_ERROR_SIZE, format, args);
	va_end(args);
	return err;
}

/* Quote a value for a message: at most 48 bytes, cut between characters, control characters as '?'. */
static void quote(struct parser *p)
{
	size_t n = p->len, i;
	char *to = p->quoted;

	if (n > 48) {
		n = 48;
		while (n > 0 && ((unsigned char)p->text[n] & 0xc0) == 0x80)
			n--;
	}
	*to++ = '"';
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p->text[i];

		*to++ = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	if (n < p->len) {
		memcpy(to, "...", 3);
		to += 3;
	}
	*to++ = '"';
	*to = '\0';
}

const char *sz_option_type_name(enum sz_option_type type)
{
	switch (type) {
	case SZ_OPT_STRING: return "a text";
	case SZ_OPT_PATH: return "a file name";
	case SZ_OPT_BOOL: return "true or false";
	case SZ_OPT_INT: return "a whole number such as 10";
	case SZ_OPT_SIZE: return "a size such as 64K or 4M";
	case SZ_OPT_TIME: return "a time such as 5ms or 10s";
	case SZ_OPT_PERCENT: return "a percentage such as 80%";
	case SZ_OPT_RATE: return "a rate such as 1000/s or 60/m";
	case SZ_OPT_ENUM: return "one of its words";
	case SZ_OPT_REGEX: return "a regular expression";
	case SZ_OPT_LIMIT: return "a limit such as 10000 (records), 64M (bytes) or 10000,64M";
	case SZ_OPT_BACKOFF: return "two times such as 100ms..30s";
	case SZ_OPT_COUNT_PER_TIME: return "a count per time such as 5/10s";
	}
	return "a value";
}

char *sz_format_size(uint64_t bytes, char *buf, size_t size)
{
	const struct unit *u = size_units;

	while (bytes % (uint64_t)u->factor != 0 || (bytes == 0 && u->factor != 1))
		u++;
	snprintf(buf, size, "%" PRIu64 "%s", bytes / (uint64_t)u->factor, u->suffix);
	return buf;
}

char *sz_format_time(uint64_t ns, char *buf, size_t size)
{
	const struct unit *u = time_units;

	if (ns == 0) {
		strlcpy(buf, "0", size);
		return buf;
	}
	while (ns % (uint64_t)u->factor != 0)
		u++;
	snprintf(buf, size, "%" PRIu64 "%s", ns / (uint64_t)u->factor, u->suffix);
	return buf;
}

static char *format_rate(int64_t per_1000s, char *buf, size_t size)
{
	const struct unit *u = rate_units;

	/* Rounded at parsing for /m and /h, so the last unit may be inexact. */
	while (u[1].suffix && per_1000s * u->factor % 1000 != 0)
		u++;
	snprintf(buf, size, "%" PRId64 "%s", (per_1000s * u->factor + 500) / 1000, u->suffix);
	return buf;
}

static char *format_percent(int64_t thousandths, char *buf, size_t size)
{
	int64_t whole = thousandths / 1000, rest = thousandths % 1000;

	if (rest == 0)
		snprintf(buf, size, "%" PRId64 "%%", whole);
	else if (rest % 100 == 0)
		snprintf(buf, size, "%" PRId64 ".%" PRId64 "%%", whole, rest / 100);
	else
		snprintf(buf, size, "%" PRId64 ".%03" PRId64 "%%", whole, rest);
	return buf;
}

/* A bound of @opt's range, as a user would write it. */
static char *format_bound(enum sz_option_type type, int64_t n, char *buf, size_t size)
{
	if (n >= 0) {
		switch (type) {
		case SZ_OPT_SIZE: return sz_format_size((uint64_t)n, buf, size);
		case SZ_OPT_TIME:
		case SZ_OPT_BACKOFF: return sz_format_time((uint64_t)n, buf, size);
		case SZ_OPT_PERCENT: return format_percent(n, buf, size);
		case SZ_OPT_RATE:
			if (n <= INT64_MAX / 3600)
				return format_rate(n, buf, size);
			break;
		default: break;
		}
	}
	snprintf(buf, size, "%" PRId64, n);
	return buf;
}

static bool has_range(const struct sz_option *opt)
{
	return opt->min != 0 || opt->max != 0;
}

static int out_of_range(const struct parser *p)
{
	const struct sz_option *opt = p->opt;
	char lo[32], hi[32];

	/* A number stands without the quotes. */
	return fail(p, -ERANGE, "%.*s is out of range: expected %s to %s",
		    (int)strlen(p->quoted) - 2, p->quoted + 1,
		    format_bound(opt->type, opt->min, lo, sizeof(lo)),
		    format_bound(opt->type, opt->max, hi, sizeof(hi)));
}

static int check_range(const struct parser *p, int64_t n)
{
	const struct sz_option *opt = p->opt;
	char lo[32];

	if (!has_range(opt) || (n >= opt->min && n <= opt->max))
		return 0;
	if (opt->max != INT64_MAX)
		return out_of_range(p);
	return fail(p, -ERANGE, "%.*s is out of range: expected at least %s",
		    (int)strlen(p->quoted) - 2, p->quoted + 1,
		    format_bound(opt->type, opt->min, lo, sizeof(lo)));
}

/*
 * Read decimal digits at *pos. Return: the number of digits; 0 if there are none; -ERANGE if the number does not fit.
 * *pos moves past all digits.
 */
static int read_digits(const struct parser *p, size_t *pos, size_t end, int64_t *n)
{
	int64_t v = 0;
	int digits = 0, overflow = 0;

	while (*pos < end && p->text[*pos] >= '0' && p->text[*pos] <= '9') {
		overflow |= __builtin_mul_overflow(v, 10, &v);
		overflow |= __builtin_add_overflow(v, p->text[*pos] - '0', &v);
		++*pos;
		if (digits < 1000)
			digits++;
	}
	if (overflow)
		return -ERANGE;
	*n = v;
	return digits;
}

/* Read "NUMBER UNIT" that fills text[from, end). Return: 0, -EINVAL, -ERANGE; no error text is written. */
static int read_scaled(const struct parser *p, size_t from, size_t end, const struct unit *units,
		       int64_t *out)
{
	const struct unit *u;
	int64_t n = 0;
	int digits = read_digits(p, &from, end, &n);

	if (digits == 0)
		return -EINVAL;
	for (u = units; u->suffix; u++)
		if (strlen(u->suffix) == end - from &&
		    memcmp(u->suffix, p->text + from, end - from) == 0)
			break;
	if (!u->suffix) {
		/* The one time without a unit. */
		if (units != time_units || from != end || digits < 0 || n != 0)
			return -EINVAL;
		*out = 0;
		return 0;
	}
	if (digits < 0 || __builtin_mul_overflow(n, u->factor, out))
		return -ERANGE;
	return 0;
}

static int too_large(const struct parser *p)
{
	if (!has_range(p->opt))
		return fail(p, -ERANGE, "%s is too large a number", p->quoted);
	return out_of_range(p);
}

static int parse_bool(const struct parser *p, struct sz_value *v)
{
	if (strcmp(p->text, "true") == 0)
		v->num = 1;
	else if (strcmp(p->text, "false") == 0)
		v->num = 0;
	else
		return fail(p, -EINVAL, "%s is not a switch: expected true or false", p->quoted);
	return 0;
}

static int parse_int(const struct parser *p, struct sz_value *v)
{
	int negative = p->text[0] == '-';
	size_t pos = (size_t)negative;
	int digits = read_digits(p, &pos, p->len, &v->num);

	if (digits == 0 || pos != p->len)
		return fail(p, -EINVAL, "%s is not a whole number: expected digits, as in 10",
			    p->quoted);
	if (digits < 0)
		return too_large(p);
	if (negative)
		v->num = -v->num;
	return check_range(p, v->num);
}

static int parse_size(const struct parser *p, struct sz_value *v)
{
	int r = read_scaled(p, 0, p->len, size_units, &v->num);

	if (r == -EINVAL) {
		size_t pos = 0;
		int64_t n;

		if (read_digits(p, &pos, p->len, &n) > 0 && pos + 1 == p->len &&
		    strchr("kmg", p->text[pos]))
			return fail(p, -EINVAL,
				    "%s is not a size: its unit is a capital letter, as in "
				    "%" PRId64 "%c",
				    p->quoted, n, p->text[pos] - 'a' + 'A');
		return fail(p, -EINVAL,
			    "%s is not a size: expected a number with K, M or G, as in 64K",
			    p->quoted);
	}
	return r ? too_large(p) : check_range(p, v->num);
}

static int parse_time(const struct parser *p, struct sz_value *v)
{
	int r = read_scaled(p, 0, p->len, time_units, &v->num);

	if (r == -EINVAL) {
		size_t pos = 0;
		int64_t n;

		if (read_digits(p, &pos, p->len, &n) > 0 && pos == p->len)
			return fail(p, -EINVAL,
				    "%s has no unit: expected us, ms, s, m, h or d, as in "
				    "%" PRId64 "s",
				    p->quoted, n);
		return fail(p, -EINVAL,
			    "%s is not a time: expected a number with us, ms, s, m, h or d, as in "
			    "10s",
			    p->quoted);
	}
	return r ? too_large(p) : check_range(p, v->num);
}

static int parse_percent(const struct parser *p, struct sz_value *v)
{
	static const int scale[] = { 1000, 100, 10, 1 };
	int64_t whole = 0, fraction = 0;
	size_t pos = 0;
	int digits = read_digits(p, &pos, p->len, &whole), decimals = 0;

	if (digits != 0 && pos < p->len && p->text[pos] == '.') {
		pos++;
		decimals = read_digits(p, &pos, p->len, &fraction);
		if (decimals == 0)
			digits = 0;
	}
	if (digits != 0 && pos == p->len)
		return fail(p, -EINVAL, "%s has no %% sign: expected a percentage, as in 80%%",
			    p->quoted);
	if (digits == 0 || pos + 1 != p->len || p->text[pos] != '%')
		return fail(p, -EINVAL,
			    "%s is not a percentage: expected a number with %%, as in 80%%",
			    p->quoted);
	if (decimals < 0 || decimals > 3)
		return fail(p, -EINVAL,
			    "%s is too fine: a percentage has at most three decimals, as in 12.5%%",
			    p->quoted);
	if (digits < 0 || __builtin_mul_overflow(whole, 1000, &v->num) ||
	    __builtin_add_overflow(v->num, fraction * scale[decimals], &v->num))
		return too_large(p);
	return check_range(p, v->num);
}

static int parse_rate(const struct parser *p, struct sz_value *v)
{
	const struct unit *u = rate_units;
	int64_t n = 0, rest;
	size_t pos = 0;
	int digits = read_digits(p, &pos, p->len, &n);

	if (pos < p->len)
		while (u->suffix && strcmp(u->suffix, p->text + pos) != 0)
			u++;
	if (digits == 0 || !u->suffix)
		return fail(p, -EINVAL,
			    "%s is not a rate: expected a number a second, minute or hour, as in "
			    "1000/s, 60/m or 10/h",
			    p->quoted);
	if (digits < 0 || __builtin_mul_overflow(n, 1000, &n))
		return too_large(p);
	rest = n % u->factor;
	v->num = n / u->factor + (rest * 2 >= u->factor);
	if (n > 0 && v->num == 0)
		return fail(p, -ERANGE, "%s is too slow: expected at least 2/h", p->quoted);
	if (v->num == 0 && !has_range(p->opt))
		return fail(p, -ERANGE, "a rate of 0 lets nothing pass: expected 1 or more");
	return check_range(p, v->num);
}

static int parse_enum(const struct parser *p, struct sz_value *v)
{
	const char *choice = p->opt->choices ? p->opt->choices : "", *c;
	char list[160] = "";
	int64_t i;

	for (i = 0; *choice; i++) {
		size_t n = strcspn(choice, "|");

		if (n == p->len && memcmp(choice, p->text, n) == 0) {
			v->num = i;
			return 0;
		}
		choice += n + (choice[n] == '|');
	}
	for (c = p->opt->choices ? p->opt->choices : ""; *c;) {
		size_t n = strcspn(c, "|"), used = strlen(list);
		const char *joint = used == 0 ? "" : c[n] ? ", " : " or ";

		snprintf(list + used, sizeof(list) - used, "%s%.*s", joint, (int)n, c);
		c += n + (c[n] == '|');
	}
	return fail(p, -EINVAL, "%s is not a choice: expected %s", p->quoted, list);
}

static int parse_limit(const struct parser *p, struct sz_value *v)
{
	const char *comma = memchr(p->text, ',', p->len);
	size_t from = 0, end = comma ? (size_t)(comma - p->text) : p->len;
	int parts = 0;

	for (;;) {
		int bytes = end > from && (p->text[end - 1] < '0' || p->text[end - 1] > '9');
		int64_t *to = bytes ? &v->num2 : &v->records;
		int64_t n = 0;
		int r = read_scaled(p, from, end, size_units, &n);

		if (r == -ERANGE)
			return too_large(p);
		if (r || *to || parts == 2)
			return fail(p, -EINVAL,
				    "%s is not a limit: expected records, bytes or both, as in "
				    "10000, 64M or 10000,64M",
				    p->quoted);
		if (n == 0)
			return fail(p, -ERANGE,
				    "%s is out of range: expected at least 1 record or 1K",
				    p->quoted);
		*to = n;
		parts++;
		if (end == p->len)
			return 0;
		from = end + 1;
		end = p->len;
	}
}

static int parse_backoff(const struct parser *p, struct sz_value *v)
{
	const char *dots = strstr(p->text, "..");
	size_t at = dots ? (size_t)(dots - p->text) : 0;
	int first, longest;

	if (!dots)
		return fail(p, -EINVAL,
			    "%s is not a back-off: expected the first and the longest wait, as in "
			    "100ms..30s",
			    p->quoted);
	first = read_scaled(p, 0, at, time_units, &v->num);
	longest = read_scaled(p, at + 2, p->len, time_units, &v->num2);
	if (first == -EINVAL || longest == -EINVAL)
		return fail(p, -EINVAL,
			    "%s is not a back-off: expected two times with their units, as in "
			    "100ms..30s",
			    p->quoted);
	if (first || longest)
		return too_large(p);
	if (v->num > v->num2)
		return fail(p, -EINVAL,
			    "%s is the wrong way round: expected the first wait, then the longest, "
			    "as in 100ms..30s",
			    p->quoted);
	first = check_range(p, v->num);
	return first ? first : check_range(p, v->num2);
}

static int parse_count_per_time(const struct parser *p, struct sz_value *v)
{
	size_t pos = 0;
	int digits = read_digits(p, &pos, p->len, &v->num), r = -EINVAL;

	if (digits != 0 && pos < p->len && p->text[pos] == '/')
		r = read_scaled(p, pos + 1, p->len, time_units, &v->num2);
	if (r == -EINVAL)
		return fail(p, -EINVAL,
			    "%s is not a count per time: expected a number, / and a time, as in "
			    "5/10s",
			    p->quoted);
	if (r || digits < 0)
		return too_large(p);
	if (v->num2 == 0)
		return fail(p, -ERANGE, "%s has a period of 0: expected a time such as 10s",
			    p->quoted);
	if (v->num == 0 && !has_range(p->opt))
		return fail(p, -ERANGE, "%s counts to 0: expected 1 or more", p->quoted);
	return check_range(p, v->num);
}

/* Only the form is checked here: the launcher neither opens the file nor reads the variable. */
static int parse_secret(const struct parser *p)
{
	static const char initial[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	static const char further[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	if (strncmp(p->text, "file:", 5) == 0) {
		if (p->len == 5)
			return fail(p, -EINVAL, "the file name after file: is missing");
		return 0;
	}
	if (strncmp(p->text, "env:", 4) == 0) {
		const char *name = p->text + 4;

		if (strspn(name, initial) == 0 || name[strspn(name, further)] != '\0')
			return fail(p, -EINVAL,
				    "env: takes the name of an environment variable, as in "
				    "env:API_KEY");
		return 0;
	}
	return fail(p, -EINVAL,
		    "a secret does not stand in the graph: expected where to find it, file:PATH or "
		    "env:NAME");
}

static int parse_by_type(const struct parser *p, struct sz_value *v)
{
	if (p->opt->flags & SZ_OPT_SECRET)
		return parse_secret(p);
	switch (p->opt->type) {
	case SZ_OPT_STRING:
	case SZ_OPT_REGEX: return 0;
	case SZ_OPT_PATH: return p->len ? 0 : fail(p, -EINVAL, "the file name is empty");
	case SZ_OPT_BOOL: return parse_bool(p, v);
	case SZ_OPT_INT: return parse_int(p, v);
	case SZ_OPT_SIZE: return parse_size(p, v);
	case SZ_OPT_TIME: return parse_time(p, v);
	case SZ_OPT_PERCENT: return parse_percent(p, v);
	case SZ_OPT_RATE: return parse_rate(p, v);
	case SZ_OPT_ENUM: return parse_enum(p, v);
	case SZ_OPT_LIMIT: return parse_limit(p, v);
	case SZ_OPT_BACKOFF: return parse_backoff(p, v);
	case SZ_OPT_COUNT_PER_TIME: return parse_count_per_time(p, v);
	}
	return fail(p, -EINVAL, "the option's type is unknown");
}

int sz_value_parse(const struct sz_option *opt, const char *text, size_t len, struct sz_value *out,
		   char error[SZ_VALUE_ERROR_SIZE])
{
	struct parser p = { .opt = opt, .text = text, .len = len, .error = error };
	struct sz_value v = { .text = text, .len = len, .given = 1 };
	int r;

	error[0] = '\0';
	quote(&p);
	/* With this, the functions above may use string functions on the text. */
	if (memchr(text, '\0', len) && (opt->type != SZ_OPT_STRING || opt->flags & SZ_OPT_SECRET))
		return fail(&p, -EINVAL, "the value holds a NUL byte: expected %s",
			    sz_option_type_name(opt->type));
	r = parse_by_type(&p, &v);
	if (r == 0)
		*out = v;
	return r;
}

const struct sz_option *sz_option_find(const struct sz_option *table, const char *key)
{
	const struct sz_option *o, *prefix = NULL;

	for (o = table; o && o->name; o++) {
		size_t n = strlen(o->name);

		if (!(o->flags & SZ_OPT_PREFIX)) {
			if (strcmp(o->name, key) == 0)
				return o;
			continue;
		}
		/* Declared as "case" or "case."; something must follow the dot. */
		if (n > 0 && o->name[n - 1] == '.')
			n--;
		if (strncmp(o->name, key, n) == 0 && key[n] == '.' && key[n + 1] != '\0')
			prefix = o;
	}
	return prefix;
}
