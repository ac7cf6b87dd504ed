/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * catalog.c - the text form in which a stage program describes its types
 *
 *	type	NAME	ROLE	FLAGS	SUMMARY
 *	port	NAME	HELP						(any number)
 *	option	NAME	TYPE	FLAGS	DEFAULT	MIN	MAX	CHOICES	HELP	(any number)
 *	end
 *
 * One line each, fields separated by one tab. In a field \t \n \r \\ stand for these characters and a field \N for a
 * NULL. FLAGS is a hexadecimal number. The text may come from a plug-in, so nothing in it is trusted: names are
 * checked, everything is limited, and a default that its own declaration refuses makes the type malformed.
 */
#include <bsd/string.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <streamz/catalog.h>

#define LINE_MAX_BYTES (64 * 1024)
#define FIELDS_MAX     9
#define OPTIONS_MAX    256

static const char *const role_words[] = { "source", "stage", "sink" };

static const char *const type_words[] = {
	[SZ_OPT_STRING] = "string",
	[SZ_OPT_PATH] = "path",
	[SZ_OPT_BOOL] = "bool",
	[SZ_OPT_INT] = "int",
	[SZ_OPT_SIZE] = "size",
	[SZ_OPT_TIME] = "time",
	[SZ_OPT_PERCENT] = "percent",
	[SZ_OPT_RATE] = "rate",
	[SZ_OPT_ENUM] = "enum",
	[SZ_OPT_REGEX] = "regex",
	[SZ_OPT_LIMIT] = "limit",
	[SZ_OPT_BACKOFF] = "backoff",
	[SZ_OPT_COUNT_PER_TIME] = "count_per_time",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *sz_role_name(enum sz_role role)
{
	return (size_t)role < COUNT(role_words) ? role_words[role] : "?";
}

/* Writing */

static void write_field(FILE *to, const char *s)
{
	putc('\t', to);
	if (!s) {
		fputs("\\N", to);
		return;
	}
	for (; *s; s++) {
		switch (*s) {
		case '\t': fputs("\\t", to); break;
		case '\n': fputs("\\n", to); break;
		case '\r': fputs("\\r", to); break;
		case '\\': fputs("\\\\", to); break;
		default: putc(*s, to);
		}
	}
}

int sz_type_write(FILE *to, const struct sz_type *type)
{
	const struct sz_option *o;
	const struct sz_port *p;

	fputs("type", to);
	write_field(to, type->name);
	write_field(to, sz_role_name(type->role));
	fprintf(to, "\t%x", type->flags);
	write_field(to, type->summary);
	putc('\n', to);
	for (p = type->ports; p->name; p++) {
		fputs("port", to);
		write_field(to, p->name);
		write_field(to, p->help);
		putc('\n', to);
	}
	for (o = type->options; o->name; o++) {
		fputs("option", to);
		write_field(to, o->name);
		write_field(to, type_words[o->type]);
		fprintf(to, "\t%x", o->flags);
		write_field(to, o->def);
		fprintf(to, "\t%" PRId64 "\t%" PRId64, o->min, o->max);
		write_field(to, o->choices);
		write_field(to, o->help);
		putc('\n', to);
	}
	fputs("end\n", to);
	return ferror(to) ? -EIO : 0;
}

/* Reading */

struct reader {
	FILE *from;
	char *line;
	size_t size;
	char *fields[FIELDS_MAX];
	int field_count;
};

/* What sz_type_read() allocates: the public struct is its first member. */
struct read_type {
	struct sz_type type;
	struct sz_port *ports;
	struct sz_option *options;
	size_t port_count, option_count;
};

/* Undo the escapes in place. Return: the text, NULL for \N; *bad is set if an escape is unknown. */
static char *unescape(char *field, int *bad)
{
	char *from = field, *to = field;

	if (strcmp(field, "\\N") == 0)
		return NULL;
	for (; *from; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case 't': *to++ = '\t'; break;
		case 'n': *to++ = '\n'; break;
		case 'r': *to++ = '\r'; break;
		case '\\': *to++ = '\\'; break;
		default: *bad = 1; return field;
		}
	}
	*to = '\0';
	return field;
}

/* Read one line and split it. Return: 1, 0 at the end of the stream, -EBADMSG, -ENOMEM. */
static int read_line(struct reader *r)
{
	int bad = 0, c;
	size_t n = 0;
	char *rest;

	/* Not getline(): the length is limited while it is read. */
	while ((c = getc(r->from)) != EOF && c != '\n') {
		if (n + 1 >= r->size) {
			size_t size = r->size ? r->size * 2 : 256;
			char *line;

			if (size > LINE_MAX_BYTES)
				return -EBADMSG;
			line = realloc(r->line, size);
			if (!line)
				return -ENOMEM;
			r->line = line;
			r->size = size;
		}
		if (c == '\0')
			return -EBADMSG;
		r->line[n++] = (char)c;
	}
	if (c == EOF)
		return n || ferror(r->from) ? -EBADMSG : 0;
	if (n == 0)
		return -EBADMSG;
	r->line[n] = '\0';
	r->field_count = 0;
	for (rest = r->line; rest;) {
		char *field = strsep(&rest, "\t");

		if (r->field_count == FIELDS_MAX)
			return -EBADMSG;
		r->fields[r->field_count++] = unescape(field, &bad);
	}
	return bad ? -EBADMSG : 1;
}

static int is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The NAME of the graph language; with @dots, also KEY. */
static int is_name(const char *s, int dots)
{
	size_t max = dots ? 2 * SZ_NAME_MAX : SZ_NAME_MAX, i;

	if (!s || !is_letter(s[0]))
		return 0;
	for (i = 1; s[i]; i++)
		if (!is_letter(s[i]) && !(s[i] >= '0' && s[i] <= '9') && s[i] != '_' &&
		    s[i] != '-' && !(dots && s[i] == '.'))
			return 0;
	return i <= max && s[i - 1] != '-';
}

static int find_word(const char *const *words, size_t count, const char *word)
{
	size_t i;

	for (i = 0; word && i < count; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -1;
}

static int read_flags(const char *field, unsigned *flags)
{
	unsigned long n;
	char *end;

	if (!field || !field[0] || !strchr("0123456789abcdef", field[0]) || strlen(field) > 8)
		return -EBADMSG;
	n = strtoul(field, &end, 16);
	if (*end || n > UINT32_MAX)
		return -EBADMSG;
	*flags = (unsigned)n;
	return 0;
}

static int read_int64(const char *field, int64_t *n)
{
	char *end;

	if (!field || !field[0] || !strchr("-0123456789", field[0]))
		return -EBADMSG;
	errno = 0;
	*n = strtoll(field, &end, 10);
	return errno || *end || end == field ? -EBADMSG : 0;
}

/* NULL stays NULL. Return: 0 or -ENOMEM. */
static int copy(const char *s, const char **to)
{
	*to = s ? strdup(s) : NULL;
	return s && !*to ? -ENOMEM : 0;
}

static int add_port(struct read_type *t, const struct reader *r)
{
	struct sz_port *ports, *p;
	size_t i;

	if (r->field_count != 3 || !is_name(r->fields[1], 0) || t->port_count + 1 >= SZ_PORTS_MAX)
		return -EBADMSG;
	for (i = 0; i < t->port_count; i++)
		/* not NULL while port_count: NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		if (strcmp(t->ports[i].name, r->fields[1]) == 0)
			return -EBADMSG;
	ports = reallocarray(t->ports, t->port_count + 2, sizeof(*ports));
	if (!ports)
		return -ENOMEM;
	t->type.ports = t->ports = ports;
	memset(ports + t->port_count, 0, 2 * sizeof(*ports));
	p = ports + t->port_count++;
	if (copy(r->fields[1], &p->name) || copy(r->fields[2], &p->help))
		return -ENOMEM;
	return 0;
}

/* The declaration must be one that the parser can work with. */
static int check_option(const struct sz_option *o)
{
	char error[SZ_VALUE_ERROR_SIZE];
	struct sz_value v;

	if (!is_name(o->name, 0) && !((o->flags & SZ_OPT_PREFIX) && is_name(o->name, 1)))
		return -EBADMSG;
	if (o->min > o->max || (o->type == SZ_OPT_ENUM) != (o->choices && *o->choices))
		return -EBADMSG;
	if (o->def && sz_value_parse(o, o->def, strlen(o->def), &v, error))
		return -EBADMSG;
	return 0;
}

static int add_option(struct read_type *t, const struct reader *r)
{
	struct sz_option parsed = { 0 }, *options, *o;
	int type;
	size_t i;

	if (r->field_count != 9 || t->option_count == OPTIONS_MAX)
		return -EBADMSG;
	type = find_word(type_words, COUNT(type_words), r->fields[2]);
	if (type < 0 || read_flags(r->fields[3], &parsed.flags) ||
	    read_int64(r->fields[5], &parsed.min) || read_int64(r->fields[6], &parsed.max))
		return -EBADMSG;
	parsed.type = (enum sz_option_type)type;
	parsed.name = r->fields[1];
	parsed.def = r->fields[4];
	parsed.choices = r->fields[7];
	if (check_option(&parsed))
		return -EBADMSG;
	for (i = 0; i < t->option_count; i++)
		if (strcmp(t->options[i].name, parsed.name) == 0)
			return -EBADMSG;
	options = reallocarray(t->options, t->option_count + 2, sizeof(*options));
	if (!options)
		return -ENOMEM;
	t->type.options = t->options = options;
	memset(options + t->option_count, 0, 2 * sizeof(*options));
	o = options + t->option_count++;
	*o = parsed;
	o->name = o->def = o->choices = NULL;
	if (copy(parsed.name, &o->name) || copy(parsed.def, &o->def) ||
	    copy(parsed.choices, &o->choices) || copy(r->fields[8], &o->help))
		return -ENOMEM;
	return 0;
}

static int read_head(struct read_type *t, const struct reader *r)
{
	int role =
		r->field_count == 5 ? find_word(role_words, COUNT(role_words), r->fields[2]) : -1;

	if (role < 0 || !r->fields[0] || strcmp(r->fields[0], "type") != 0 ||
	    !is_name(r->fields[1], 0) || read_flags(r->fields[3], &t->type.flags))
		return -EBADMSG;
	t->type.role = (enum sz_role)role;
	if (copy(r->fields[1], &t->type.name) || copy(r->fields[4], &t->type.summary))
		return -ENOMEM;
	return 0;
}

/* Read the lines after the head, up to "end". */
static int read_body(struct read_type *t, struct reader *r)
{
	for (;;) {
		int n = read_line(r);
		const char *word;

		if (n <= 0)
			return n ? n : -EBADMSG;
		word = r->fields[0] ? r->fields[0] : "";
		if (strcmp(word, "end") == 0)
			return r->field_count == 1 ? 0 : -EBADMSG;
		if (strcmp(word, "port") == 0)
			n = add_port(t, r);
		else if (strcmp(word, "option") == 0)
			n = add_option(t, r);
		else
			n = -EBADMSG;
		if (n)
			return n;
	}
}

int sz_type_read(FILE *from, struct sz_type **type)
{
	static const struct sz_port no_ports[1];
	static const struct sz_option no_options[1];
	struct reader r = { .from = from };
	struct read_type *t = NULL;
	int n = read_line(&r);

	if (n <= 0)
		goto out;
	t = calloc(1, sizeof(*t));
	if (!t) {
		n = -ENOMEM;
		goto out;
	}
	t->type.ports = no_ports;
	t->type.options = no_options;
	n = read_head(t, &r);
	if (n == 0)
		n = read_body(t, &r);
	if (n == 0) {
		*type = &t->type;
		t = NULL;
		n = 1;
	}
out:
	sz_type_free(t ? &t->type : NULL);
	free(r.line);
	return n;
}

/* The texts are const for readers only; they were allocated here. */
static void release(const char *s)
{
	free((void *)(uintptr_t)s);
}

void sz_type_free(struct sz_type *type)
{
	struct read_type *t = (struct read_type *)type;
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->port_count; i++) {
		release(t->ports[i].name);
		release(t->ports[i].help);
	}
	for (i = 0; i < t->option_count; i++) {
		release(t->options[i].name);
		release(t->options[i].def);
		release(t->options[i].choices);
		release(t->options[i].help);
	}
	free(t->ports);
	free(t->options);
	release(type->name);
	release(type->summary);
	free(t);
}
