/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse.c - the parts of statements: names, options, words that must be there
 */
#include <bsd/string.h>
#include <string.h>
#include "impl.h"

const char *const keywords[KEYWORD_COUNT] = { "pipeline", "source",   "stage",   "sink",
					      "let",      "defaults", "include", "alert" };

bool is_keyword(const char *word)
{
	size_t i;

	for (i = 0; i < KEYWORD_COUNT; i++)
		if (strcmp(keywords[i], word) == 0)
			return true;
	return false;
}

struct graph_loc word_loc(const struct lexer *lx, const struct word *word)
{
	return loc_of(lx->file, word->from, word->to);
}

/* The place just behind a word, where something is missing. */
struct graph_loc after_word(const struct lexer *lx, size_t i)
{
	return loc_of(lx->file, lx->words[i].to, lx->words[i].to);
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool is_name(struct text name)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if (!is_name_char(name.s[i]))
			return false;
	return name.len > 0 && name.len <= SZ_NAME_MAX && is_letter(name.s[0]) &&
	       name.s[name.len - 1] != '-' && !is_keyword(name.s);
}

/* The same with the reason why not. */
bool check_name(struct parser *p, struct text name, struct graph_loc loc, const char *what)
{
	struct impl *impl = p->impl;
	int shown = name.len > 64 ? 64 : (int)name.len;
	size_t i;

	if (name.len == 0) {
		error_at(impl, loc, "an empty name: expected the name of a %s", what);
		return false;
	}
	if (is_wrong_arrow(name.s)) {
		error_at(impl, loc, "\"%s\" is not a name: an arrow is written \"->\"", name.s);
		return false;
	}
	if (!is_letter(name.s[0])) {
		error_at(impl, loc, "\"%.*s\" cannot name a %s: a name begins with a letter", shown,
			 name.s, what);
		return false;
	}
	for (i = 0; i < name.len; i++) {
		const char *c = name.s + i;
		int n = 1;

		if (is_name_char(*c))
			continue;
		while (((unsigned char)c[n] & 0xc0) == 0x80)
			n++;
		error_at(impl, loc,
			 "\"%.*s\" cannot name a %s: \"%.*s\" is none of letters, digits, _ and -",
			 shown, name.s, what, n, c);
		return false;
	}
	if (name.len > SZ_NAME_MAX) {
		error_at(impl, loc,
			 "\"%.*s%s\" is too long to name a %s: expected at most %d characters",
			 shown, name.s, name.len > 64 ? "..." : "", what, SZ_NAME_MAX);
		return false;
	}
	if (name.s[name.len - 1] == '-') {
		error_at(impl, loc,
			 "\"%s\" cannot name a %s: a name does not end in -, which would run into "
			 "an arrow",
			 name.s, what);
		return false;
	}
	if (is_keyword(name.s)) {
		error_at(impl, loc,
			 "\"%s\" cannot name a %s: it is a keyword; expected another name", name.s,
			 what);
		return false;
	}
	return true;
}

struct slice whole(const struct word *w)
{
	return (struct slice){ w, w->from, w->to };
}

/*
 * The common reason for a word too many: a line is indented by accident and so continues the statement before it.
 */
static void note_continuation(struct parser *p, const struct lexer *lx, const struct word *w)
{
	unsigned line = 0, column;

	while (w > lx->words && !w->starts_line)
		w--;
	if (!w->starts_line || lx->single)
		return;
	graph_loc_position(word_loc(lx, lx->words), &line, &column);
	note_at(p->impl, word_loc(lx, w),
		"this line is indented deeper than line %u and so continues it", line);
}

/* Options */

static bool check_key(struct parser *p, const char *key, struct graph_loc loc)
{
	const char *part = key;
	bool ok = strlen(key) <= GRAPH_KEY_MAX;

	while (ok && part) {
		size_t n = strcspn(part, "."), i;

		ok = n > 0 && (is_letter(part[0]) || (part > key && part[0] == '_'));
		for (i = 0; ok && i < n; i++)
			ok = is_name_char(part[i]);
		part = part[n] ? part + n + 1 : NULL;
	}
	if (!ok)
		error_at(p->impl, loc,
			 "\"%.64s\" before \"=\" is not a name: expected a letter, then letters, "
			 "digits, _ and -, in parts joined by \".\"",
			 key);
	return ok;
}

/* Split KEY=VALUE and expand the value. Return: false if no further words make sense. */
static bool parse_opt(struct parser *p, const struct scope *scope, struct lexer *lx, size_t i,
		      struct raw_opt *opt)
{
	const struct word *w = lx->words + i;
	uint32_t equals = lex_equals(lx, w);
	struct graph_loc key_loc = loc_of(lx->file, w->from, equals);
	struct slice value = { w, equals + 1, w->to };
	bool raw = lx->pieces[w->first_piece].kind == PIECE_RAW;

	memset(opt, 0, sizeof(*opt));
	opt->key = arena_text(p->impl, lx->file->text + w->from, equals - w->from);
	opt->key_loc = key_loc;
	opt->loc = loc_of(lx->file, equals + 1, w->to);
	opt->bad = true;
	if (key_loc.len == 0) {
		error_at(p->impl, loc_of(lx->file, w->from, w->from + 1),
			 "nothing before \"=\": expected KEY=VALUE without blanks around \"=\"");
		return false;
	}
	if (!check_key(p, opt->key, key_loc)) {
		opt->key = NULL;
		return true;
	}
	if (value.from == value.to && !raw) {
		error_at(p->impl, loc_of(lx->file, w->from, w->to),
			 "no value after \"%s=\": expected KEY=VALUE without blanks around \"=\"; "
			 "an empty value is ''",
			 opt->key);
		/* What follows may be the value. */
		return i + 1 == lx->word_count || is_opt(lx, i + 1);
	}
	if (expand(p, scope, lx, value, &opt->value))
		opt->bad = false;
	return true;
}

void not_an_option(struct parser *p, const struct lexer *lx, size_t i, const char *form)
{
	const struct word *w = lx->words + i;
	int len = w->to - w->from > 64 ? 64 : (int)(w->to - w->from);
	const char *text = lx->file->text;

	if (i + 1 < lx->word_count && text[w[1].from] == '=')
		error_at(p->impl, loc_of(lx->file, w->to, w[1].from + 1),
			 "blanks before \"=\": expected %s without blanks around \"=\"", form);
	else
		error_at(p->impl, word_loc(lx, w), "\"%.*s\" is not an option: expected %s", len,
			 text + w->from, form);
	note_continuation(p, lx, w);
}

/* Return: false if a mistake hides where the further words belong. */
bool parse_opts(struct parser *p, const struct scope *scope, struct lexer *lx, size_t first,
		const char *form, struct raw_opts *opts)
{
	size_t i;

	opts->truncated |= lx->truncated;
	for (i = first; i < lx->word_count; i++) {
		const struct word *w = lx->words + i;
		struct raw_opt opt;

		if (!is_opt(lx, i)) {
			opts->truncated = true;
			if (w->bad)
				continue;
			not_an_option(p, lx, i, form);
			return false;
		}
		if (opts->count == GRAPH_OPTIONS_MAX) {
			error_at(p->impl, word_loc(lx, w), "more than %u options: expected fewer",
				 GRAPH_OPTIONS_MAX);
			return false;
		}
		if (!parse_opt(p, scope, lx, i, &opt)) {
			opts->truncated = true;
			return false;
		}
		if (!opt.key) {
			opts->truncated = true;
			continue;
		}
		opts->items = arena_grow(p->impl, opts->items, opts->count, &opts->cap,
					 sizeof(*opts->items));
		opts->items[opts->count++] = opt;
	}
	return true;
}

/* A word that is there, is not an option and expands. Reports what is missing. */
bool need_word(struct parser *p, const struct scope *scope, struct lexer *lx, size_t i,
	       const char *expected, struct text *value)
{
	if (i >= lx->word_count) {
		if (!lx->truncated)
			error_at(p->impl, after_word(lx, lx->word_count - 1),
				 "expected %s after \"%.*s\"", expected,
				 (int)(lx->words[i - 1].to - lx->words[i - 1].from),
				 lx->file->text + lx->words[i - 1].from);
		return false;
	}
	if (is_opt(lx, i)) {
		error_at(p->impl, word_loc(lx, lx->words + i), "expected %s before the options",
			 expected);
		return false;
	}
	return expand(p, scope, lx, whole(lx->words + i), value);
}
