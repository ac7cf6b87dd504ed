/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lex.c - text to statements, statements to words
 *
 * A statement is a line and the lines indented deeper than it; blank and comment lines end nothing. It is a list of
 * words separated by blanks, and a word a list of pieces: bare text, '...', "...", or """...""". What a word means,
 * and whether "," "=" and "->" in it mean anything, is the parser's business; what a piece stands for is expand.c's.
 *
 * Mistakes found here: quotes that do not end, unknown escapes, control characters, limits. Each marks its word as
 * bad, and the statement goes on.
 */
#include <string.h>
#include "impl.h"

void lex_init(struct lexer *lx, struct impl *impl, const struct graph_file *file)
{
	memset(lx, 0, sizeof(*lx));
	lx->impl = impl;
	lx->file = file;
	/* Never NULL: a bad word may have no piece at all. */
	lx->pieces = arena_grow(impl, NULL, 0, &lx->piece_cap, sizeof(*lx->pieces));
}

static struct graph_loc at(const struct lexer *lx, uint32_t from, uint32_t to)
{
	return loc_of(lx->file, from, to);
}

/* The character at @pos; '\n' for a CR that belongs to a line's end, and at the end of the text. */
static char peek(const struct lexer *lx, uint32_t pos)
{
	const struct graph_file *f = lx->file;

	if (pos >= f->len)
		return '\n';
	if (f->text[pos] == '\r' && (pos + 1 == f->len || f->text[pos + 1] == '\n'))
		return '\n';
	return f->text[pos];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool starts_with(const struct lexer *lx, uint32_t pos, const char *s)
{
	size_t n = strlen(s);

	return lx->file->len - pos >= n && memcmp(lx->file->text + pos, s, n) == 0;
}

static void skip_line(struct lexer *lx)
{
	const struct graph_file *f = lx->file;

	while (lx->pos < f->len && f->text[lx->pos] != '\n')
		lx->pos++;
	if (lx->pos < f->len)
		lx->pos++;
}

/*
 * Skip blank and comment lines. Return: the indentation of the line that follows, lx->pos at its first character;
 * -1 at the end of the text.
 */
static long skip_to_line(struct lexer *lx)
{
	for (;;) {
		long indent = 0;

		while (lx->pos < lx->file->len && is_blank(lx->file->text[lx->pos])) {
			indent =
				lx->file->text[lx->pos] == '\t' ? (indent / 8 + 1) * 8 : indent + 1;
			lx->pos++;
		}
		if (lx->pos >= lx->file->len)
			return -1;
		if (peek(lx, lx->pos) != '\n' && lx->file->text[lx->pos] != '#')
			return indent;
		skip_line(lx);
	}
}

static void add_piece(struct lexer *lx, struct word *w, enum piece_kind kind, uint32_t from,
		      uint32_t to)
{
	lx->pieces = arena_grow(lx->impl, lx->pieces, lx->piece_count, &lx->piece_cap,
				sizeof(*lx->pieces));
	lx->pieces[lx->piece_count++] = (struct piece){ kind, from, to };
	w->piece_count++;
}

/* A character that may not stand in a graph, inside quotes or outside. Return: whether @c is one. */
static bool refuse_control(struct lexer *lx, struct word *w, char c, bool newline_ok)
{
	unsigned char u = (unsigned char)c;

	if ((u >= 0x20 && u != 0x7f) || c == '\t' || (newline_ok && c == '\n'))
		return false;
	if (c == '\0' || c == '\r') {
		/* Not the kind of file that the rest could be understood of. */
		error_at(lx->impl, at(lx, lx->pos, lx->pos + 1), "%s",
			 c ? "carriage return within a line: expected a line to end in LF or CR LF"
			   : "NUL byte: expected a text file; in \"...\" write \\0");
		w->bad = lx->truncated = lx->lost = true;
		lx->pos = (uint32_t)lx->file->len;
		return true;
	}
	if (!w->bad)
		error_at(lx->impl, at(lx, lx->pos, lx->pos + 1),
			 "control character 0x%02x: expected text; in \"...\" write \\t, \\n, \\r "
			 "or \\0",
			 u);
	w->bad = true;
	return true;
}

static void unterminated(struct lexer *lx, struct word *w, uint32_t from, uint32_t to,
			 const char *quote)
{
	error_at(lx->impl, at(lx, from, to),
		 "%s without its end: expected a closing %s on the same line; a text of several "
		 "lines goes between \"\"\" and \"\"\"",
		 quote, quote);
	w->bad = lx->truncated = true;
}

static void lex_single(struct lexer *lx, struct word *w)
{
	uint32_t start = lx->pos++;

	for (;; lx->pos++) {
		char c = peek(lx, lx->pos);

		if (c == '\n') {
			unterminated(lx, w, start, start + 1, "'");
			return;
		}
		if (refuse_control(lx, w, c, false) && lx->lost)
			return;
		if (c != '\'')
			continue;
		if (peek(lx, lx->pos + 1) != '\'')
			break;
		lx->pos++;
	}
	add_piece(lx, w, PIECE_SINGLE, start + 1, lx->pos);
	lx->pos++;
}

static void check_escape(struct lexer *lx, struct word *w)
{
	uint32_t end = lx->pos + 2;
	char c = peek(lx, lx->pos + 1);

	if (c && c != '\n' && strchr("ntr0\\\"$", c))
		return;
	if (c == '\n' || c == '\0')
		return; /* said by the caller */
	while (end < lx->file->len && ((unsigned char)lx->file->text[end] & 0xc0) == 0x80)
		end++;
	error_at(
		lx->impl, at(lx, lx->pos, end),
		"unknown escape %.*s: \"...\" knows \\n \\t \\r \\0 \\\\ \\\" \\$; write a regular "
		"expression in '...', where \\ is itself",
		(int)(end - lx->pos), lx->file->text + lx->pos);
	w->bad = true;
}

static void lex_double(struct lexer *lx, struct word *w)
{
	uint32_t start = lx->pos++;

	for (;; lx->pos++) {
		char c = peek(lx, lx->pos);

		if (c == '\n') {
			unterminated(lx, w, start, start + 1, "\"");
			return;
		}
		if (refuse_control(lx, w, c, false) && lx->lost)
			return;
		if (c == '"')
			break;
		if (c == '\\') {
			check_escape(lx, w);
			c = peek(lx, lx->pos + 1);
			if (c != '\n' && c != '\0')
				lx->pos++;
		}
	}
	add_piece(lx, w, PIECE_DOUBLE, start + 1, lx->pos);
	lx->pos++;
}

static void lex_triple(struct lexer *lx, struct word *w)
{
	uint32_t start = lx->pos;

	for (lx->pos += 3; !starts_with(lx, lx->pos, "\"\"\""); lx->pos++) {
		if (lx->pos >= lx->file->len) {
			error_at(lx->impl, at(lx, start, start + 3),
				 "\"\"\" without its end: expected a closing \"\"\" further down");
			w->bad = lx->truncated = lx->lost = true;
			return;
		}
		if (refuse_control(lx, w, peek(lx, lx->pos), true) && lx->lost)
			return;
	}
	/* Quotes at the end belong to the text: """say "hi"""" */
	while (starts_with(lx, lx->pos + 1, "\"\"\""))
		lx->pos++;
	add_piece(lx, w, PIECE_TRIPLE, start + 3, lx->pos);
	lx->pos += 3;
}

uint32_t lex_variable_end(const char *text, uint32_t pos, uint32_t end)
{
	unsigned depth = 0;

	for (; pos < end; pos++) {
		if (text[pos] == '$' && pos + 1 < end && text[pos + 1] == '{') {
			depth++;
			pos++;
		} else if (text[pos] == '}' && --depth == 0) {
			return pos + 1;
		}
	}
	return end;
}

static uint32_t line_end(const struct lexer *lx, uint32_t pos)
{
	while (peek(lx, pos) != '\n')
		pos++;
	return pos;
}

static void lex_bare(struct lexer *lx, struct word *w)
{
	uint32_t start = lx->pos;

	for (;;) {
		char c = peek(lx, lx->pos);

		if (c == '\n' || is_blank(c) || c == '\'' || c == '"')
			break;
		if (refuse_control(lx, w, c, false) && lx->lost)
			return;
		if (starts_with(lx, lx->pos, "${")) {
			uint32_t eol = line_end(lx, lx->pos);
			uint32_t end = lex_variable_end(lx->file->text, lx->pos, eol);

			/* If it is not closed, expand.c says so. */
			lx->pos = end == eol && lx->file->text[end - 1] != '}' ? lx->pos + 2 : end;
		} else {
			lx->pos++;
		}
	}
	add_piece(lx, w, PIECE_BARE, start, lx->pos);
}

static void lex_word(struct lexer *lx, bool starts_line)
{
	struct word w = { .from = lx->pos,
			  .first_piece = (uint32_t)lx->piece_count,
			  .starts_line = starts_line };

	for (;;) {
		char c = peek(lx, lx->pos);

		if (c == '\n' || is_blank(c))
			break;
		if (c == '\'')
			lex_single(lx, &w);
		else if (starts_with(lx, lx->pos, "\"\"\""))
			lex_triple(lx, &w);
		else if (c == '"')
			lex_double(lx, &w);
		else
			lex_bare(lx, &w);
	}
	w.to = lx->pos;
	if (lx->word_count == GRAPH_WORDS_MAX) {
		if (!lx->truncated)
			error_at(lx->impl, at(lx, w.from, w.to),
				 "a statement of more than %u words: expected fewer",
				 GRAPH_WORDS_MAX);
		lx->truncated = true;
		return;
	}
	lx->words =
		arena_grow(lx->impl, lx->words, lx->word_count, &lx->word_cap, sizeof(*lx->words));
	lx->words[lx->word_count++] = w;
}

bool lex_statement(struct lexer *lx)
{
	long indent = skip_to_line(lx);
	bool starts_line = false;

	lx->word_count = lx->piece_count = 0;
	lx->truncated = false;
	if (indent < 0)
		return false;
	for (;;) {
		char c = peek(lx, lx->pos);
		uint32_t line;

		if (is_blank(c)) {
			lx->pos++;
			continue;
		}
		/* Here a '#' stands at the start of a line or after a blank. */
		if (c != '\n' && c != '#') {
			lex_word(lx, starts_line);
			starts_line = false;
			continue;
		}
		skip_line(lx);
		line = lx->pos;
		if (skip_to_line(lx) <= indent && !(lx->single && lx->pos < lx->file->len)) {
			/* Back to the start of its line, so that its indentation is seen again. */
			while (lx->pos > line && lx->file->text[lx->pos - 1] != '\n')
				lx->pos--;
			return true;
		}
		starts_line = true;
	}
}

uint32_t lex_equals(const struct lexer *lx, const struct word *word)
{
	const char *text = lx->file->text;
	const struct piece *piece = lx->pieces + word->first_piece;
	uint32_t i;

	/* The key is never quoted, so only the first piece counts. */
	if (word->piece_count == 0 || (piece->kind != PIECE_BARE && piece->kind != PIECE_RAW))
		return word->to;
	for (i = piece->from; i < piece->to; i++) {
		if (text[i] == '=')
			return i;
		if (piece->kind == PIECE_BARE && text[i] == '$' && i + 1 < piece->to &&
		    text[i + 1] == '{')
			i = lex_variable_end(text, i, piece->to) - 1;
	}
	return word->to;
}

bool is_opt(const struct lexer *lx, size_t i)
{
	const struct word *w = lx->words + i;

	return lex_equals(lx, w) != w->to;
}
