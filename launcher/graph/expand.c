/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expand.c - what a word, or a part of one, stands for
 *
 * Bare text and "..." expand ${X} and ${X:-default}; a default may hold further ${}. '...' and """...""" are raw, as
 * are the words of the command line. The result of an expansion is never split, quoted or expanded again.
 */
#include <string.h>
#include "impl.h"

struct expansion {
	struct parser *p;
	const struct scope *scope;
	const struct graph_file *file;
	struct graph_loc whole;
	bool failed;
};

bool holds_control(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
			return true;
	}
	return false;
}

static void put(struct expansion *x, const char *s, size_t len)
{
	struct parser *p = x->p;

	if (x->failed || len == 0)
		return;
	if (p->buf_len + len > GRAPH_VALUE_MAX ||
	    p->expansion_total + p->buf_len + len > GRAPH_EXPANSION_MAX) {
		error_at(p->impl, x->whole, "a value of more than %u bytes: expected a shorter one",
			 GRAPH_VALUE_MAX);
		x->failed = true;
		return;
	}
	if (p->buf_len + len > p->buf_cap) {
		size_t cap = p->buf_cap ? p->buf_cap : 256;
		char *buf;

		while (cap < p->buf_len + len)
			cap *= 2;
		buf = arena_alloc(p->impl, cap);
		if (p->buf_len)
			memcpy(buf, p->buf, p->buf_len);
		p->buf = buf;
		p->buf_cap = cap;
	}
	memcpy(p->buf + p->buf_len, s, len);
	p->buf_len += len;
}

static void put_single(struct expansion *x, uint32_t from, uint32_t to)
{
	const char *text = x->file->text;

	while (from < to) {
		const char *quote = memchr(text + from, '\'', to - from);
		uint32_t end = quote ? (uint32_t)(quote - text) + 1 : to;

		put(x, text + from, end - from);
		from = quote ? end + 1 : to; /* '' is one ' */
	}
}

static bool only_blanks(const char *s, size_t len)
{
	while (len > 0 && (*s == ' ' || *s == '\t' || *s == '\r')) {
		s++;
		len--;
	}
	return len == 0;
}

static size_t line_len(const char *s, const char *end)
{
	const char *newline = memchr(s, '\n', (size_t)(end - s));

	return (size_t)((newline ? newline : end) - s);
}

/* The longest run of blanks that all lines but the blank ones begin with. */
static size_t common_indent(const char *s, const char *end)
{
	const char *first = NULL;
	size_t common = 0, len, i;

	for (; s < end; s += len + 1) {
		len = line_len(s, end);
		if (only_blanks(s, len))
			continue;
		if (!first) {
			first = s;
			while (common < len && (s[common] == ' ' || s[common] == '\t'))
				common++;
			continue;
		}
		for (i = 0; i < common && s[i] == first[i]; i++)
			;
		common = i;
	}
	return common;
}

/*
 * Raw, but: a line break right after the opening quotes and one right before the closing ones do not count, the
 * indentation common to all lines goes, and CR LF becomes LF. What stands on the line of the opening quotes keeps its
 * place and says nothing about indentation.
 */
static void put_triple(struct expansion *x, uint32_t from, uint32_t to)
{
	const char *s = x->file->text + from, *end = x->file->text + to, *last;
	size_t len = line_len(s, end), indent;

	if (s + len == end) {
		put(x, s, len);
		return;
	}
	if (!only_blanks(s, len)) {
		put(x, s, len - (s[len - 1] == '\r'));
		put(x, "\n", 1);
	}
	s += len + 1;
	for (last = end; last > s && last[-1] != '\n'; last--)
		;
	/* The line of the closing quotes, unless there is text on it. */
	if (only_blanks(last, (size_t)(end - last)))
		end = last > s ? last - 1 : s;
	indent = common_indent(s, end);
	while (s <= end) {
		size_t skip = indent;

		len = line_len(s, end);
		if (only_blanks(s, len))
			skip = len;
		put(x, s + skip, len - skip - (len > skip && s[len - 1] == '\r'));
		if (s + len >= end)
			break;
		put(x, "\n", 1);
		s += len + 1;
	}
}

static void put_escape(struct expansion *x, char c)
{
	static const char names[] = "ntr0\\\"$", values[] = "\n\t\r\0\\\"$";
	const char *name = strchr(names, c);

	/* lex.c let nothing else pass. */
	if (name && *name)
		put(x, values + (name - names), 1);
}

static bool is_variable_char(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_')
		return true;
	return !first && ((c >= '0' && c <= '9') || c == '-');
}

static void put_text(struct expansion *x, uint32_t from, uint32_t to, bool quoted, unsigned depth);

static void unset(struct expansion *x, struct graph_loc loc, const char *name)
{
	struct nearest n;
	char hint[HINT_SIZE];

	const char *dash = strchr(name, '-');

	nearest_init(&n, name);
	scope_suggest(x->p, x->scope, &n);
	if (dash)
		error_at(x->p->impl, loc, "${%s} is not set: a default is written ${%.*s:-%s}",
			 name, (int)(dash - name), name, dash + 1);
	else if (n.found[0])
		error_at(x->p->impl, loc, "${%s} is not set%s", name,
			 nearest_hint(&n, hint, sizeof(hint)));
	else
		error_at(x->p->impl, loc,
			 "${%s} is not set: expected --set %s=..., a let, an include argument, an "
			 "environment variable, or ${%s:-default}",
			 name, name, name);
	if (loc.file->included_at.file)
		note_at(x->p->impl, loc.file->included_at, "included here");
	x->failed = true;
}

/* "${" at @from, its "}" just before @to. */
static void put_variable(struct expansion *x, uint32_t from, uint32_t to, bool quoted,
			 unsigned depth)
{
	const char *text = x->file->text;
	uint32_t start = from + 2, end = start;
	struct graph_loc loc = loc_of(x->file, from, to);
	const struct variable *v = NULL;
	struct text name, value = { "", 0 };
	bool has_default;

	while (end < to - 1 && is_variable_char(text[end], end == start))
		end++;
	has_default = text[end] == ':' && text[end + 1] == '-';
	if (end == start || end - start > 64 || !(end == to - 1 || has_default)) {
		error_at(
			x->p->impl, loc,
			"not a variable: expected ${NAME} or ${NAME:-default}; to write ${ itself, "
			"put it in '...'");
		x->failed = true;
		return;
	}
	name.s = arena_text(x->p->impl, text + start, end - start);
	name.len = end - start;
	if (strcmp(name.s, "HERE") == 0) {
		value = (struct text){ x->file->dir, strlen(x->file->dir) };
	} else {
		v = scope_lookup(x->p, x->scope, name);
		if (v)
			value = v->value;
	}
	if (value.len == 0 && has_default) {
		put_text(x, end + 2, to - 1, quoted, depth + 1);
		return;
	}
	if (!value.s || (!v && value.len == 0)) {
		unset(x, loc, name.s);
		return;
	}
	if (holds_control(value.s, value.len)) {
		/* A NUL is possible in the value of a let, where it was written as \0. */
		if (!v || !v->loc.file) {
			error_at(x->p->impl, loc,
				 "the value of ${%s} holds a control character: expected text",
				 name.s);
			x->failed = true;
			return;
		}
	}
	put(x, value.s, value.len);
}

/* Text that expands: bare, or quoted with "...". */
static void put_text(struct expansion *x, uint32_t from, uint32_t to, bool quoted, unsigned depth)
{
	const char *text = x->file->text;
	uint32_t pos = from, end;

	if (depth > GRAPH_EXPANSION_DEPTH) {
		error_at(x->p->impl, x->whole,
			 "${} within ${} more than %u deep: expected fewer; use a let",
			 GRAPH_EXPANSION_DEPTH);
		x->failed = true;
	}
	while (pos < to && !x->failed) {
		if (quoted && text[pos] == '\\') {
			put(x, text + from, pos - from);
			put_escape(x, text[pos + 1]);
			from = pos = pos + 2;
			continue;
		}
		if (text[pos] != '$' || pos + 1 >= to || text[pos + 1] != '{') {
			pos++;
			continue;
		}
		put(x, text + from, pos - from);
		end = lex_variable_end(text, pos, to);
		if (text[end - 1] != '}' || end < pos + 3) {
			error_at(
				x->p->impl, loc_of(x->file, pos, pos + 2),
				"${ without its }: expected ${NAME}; to write ${ itself, put it in "
				"'...'");
			x->failed = true;
			return;
		}
		put_variable(x, pos, end, quoted, depth);
		from = pos = end;
	}
	if (from < to)
		put(x, text + from, to - from);
}

bool expand(struct parser *p, const struct scope *scope, const struct lexer *lx, struct slice slice,
	    struct text *value)
{
	struct expansion x = { .p = p,
			       .scope = scope,
			       .file = lx->file,
			       .whole = loc_of(lx->file, slice.from, slice.to) };
	const struct piece *piece = lx->pieces + slice.word->first_piece;
	const struct piece *end = piece + slice.word->piece_count;

	if (slice.word->bad)
		return false;
	p->buf_len = 0;
	for (; piece < end && !x.failed; piece++) {
		uint32_t from = piece->from > slice.from ? piece->from : slice.from;
		uint32_t to = piece->to < slice.to ? piece->to : slice.to;

		if (from > to || (from == to && piece->kind == PIECE_BARE))
			continue;
		switch (piece->kind) {
		case PIECE_BARE: put_text(&x, from, to, false, 0); break;
		case PIECE_SINGLE: put_single(&x, from, to); break;
		case PIECE_DOUBLE: put_text(&x, from, to, true, 0); break;
		case PIECE_TRIPLE: put_triple(&x, from, to); break;
		case PIECE_RAW: put(&x, x.file->text + from, to - from); break;
		}
	}
	if (x.failed)
		return false;
	p->expansion_total += p->buf_len;
	value->s = arena_text(p->impl, p->buf ? p->buf : "", p->buf_len);
	value->len = p->buf_len;
	return true;
}
