/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * edges.c - arrow lines: a, b.failed -> c -> d, e KEY=VALUE
 *
 * Arrows and commas count in bare text only and need no blanks around them.
 */
#include <string.h>
#include "impl.h"

struct cursor {
	const struct lexer *lx;
	size_t word;
	uint32_t pos;
};

enum token { TOKEN_END, TOKEN_ARROW, TOKEN_COMMA, TOKEN_NAME };

/* One side of an arrow. */
struct group {
	struct raw_end *ends;
	size_t count, cap;
};

bool is_wrong_arrow(const char *s)
{
	static const char *const arrows[] = {
		"-", "--", ">", "=>", "=", "|", "!", "→", "<-", "~>"
	};
	size_t i;

	for (i = 0; i < sizeof(arrows) / sizeof(arrows[0]); i++)
		if (strcmp(s, arrows[i]) == 0)
			return true;
	return false;
}

static bool is_wrong_arrow_word(const struct lexer *lx, size_t i)
{
	const struct word *w = lx->words + i;
	char s[8];

	if (w->to - w->from >= sizeof(s))
		return false;
	memcpy(s, lx->file->text + w->from, w->to - w->from);
	s[w->to - w->from] = '\0';
	return is_wrong_arrow(s);
}

/* The first arrow (or, if @commas, comma) in bare text of [pos, word->to); word->to if there is none. */
static uint32_t find_separator(const struct lexer *lx, const struct word *w, uint32_t pos,
			       bool commas)
{
	const char *text = lx->file->text;
	uint32_t i, k;

	for (k = 0; k < w->piece_count; k++) {
		const struct piece *piece = lx->pieces + w->first_piece + k;

		if (piece->kind != PIECE_BARE || piece->to <= pos)
			continue;
		for (i = piece->from > pos ? piece->from : pos; i < piece->to; i++) {
			if (i + 1 < piece->to && text[i] == '-' && text[i + 1] == '>')
				return i;
			if (commas && text[i] == ',')
				return i;
			if (i + 1 < piece->to && text[i] == '$' && text[i + 1] == '{')
				i = lex_variable_end(text, i, piece->to) - 1;
		}
	}
	return w->to;
}

bool has_arrow(const struct lexer *lx, size_t first)
{
	size_t i;

	for (i = first; i < lx->word_count && !is_opt(lx, i); i++)
		if (find_separator(lx, lx->words + i, lx->words[i].from, false) != lx->words[i].to)
			return true;
	return false;
}

bool is_edges(const struct lexer *lx)
{
	const struct word *w = lx->words;
	const char *text = lx->file->text;
	char first[16] = "";

	if (w->to - w->from < sizeof(first))
		memcpy(first, text + w->from, w->to - w->from);
	if (is_keyword(first))
		return lx->word_count > 1 && text[w[1].from] == '-' && text[w[1].from + 1] == '>';
	if (is_opt(lx, 0))
		return false;
	return has_arrow(lx, 0) || (lx->word_count > 1 && is_wrong_arrow_word(lx, 1));
}

static enum token next_token(struct cursor *c, struct slice *slice)
{
	const struct lexer *lx = c->lx;
	const struct word *w;
	const char *text = lx->file->text;

	while (c->word < lx->word_count && c->pos >= lx->words[c->word].to) {
		c->word++;
		if (c->word < lx->word_count)
			c->pos = lx->words[c->word].from;
	}
	if (c->word >= lx->word_count)
		return TOKEN_END;
	w = lx->words + c->word;
	if (c->pos == w->from && is_opt(lx, c->word) && !is_wrong_arrow_word(lx, c->word))
		return TOKEN_END;
	*slice = (struct slice){ w, c->pos, find_separator(lx, w, c->pos, true) };
	if (slice->to != c->pos) {
		c->pos = slice->to;
		return TOKEN_NAME;
	}
	if (text[c->pos] == ',') {
		slice->to = ++c->pos;
		return TOKEN_COMMA;
	}
	c->pos += 2;
	slice->to = c->pos;
	return TOKEN_ARROW;
}

/* NAME or NAME.PORT. A bad one is kept, without a name, so that its place in the line is not missing. */
static void add_end(struct parser *p, const struct scope *scope, const struct lexer *lx,
		    struct slice slice, struct group *group)
{
	struct raw_end end = { .loc = loc_of(lx->file, slice.from, slice.to) };
	struct text name, port;
	const char *dot;

	group->ends = arena_grow(p->impl, group->ends, group->count, &group->cap, sizeof(end));
	if (!expand(p, scope, lx, slice, &name))
		goto out;
	dot = memchr(name.s, '.', name.len);
	if (dot) {
		size_t before = (size_t)(dot - name.s);

		port = (struct text){ dot + 1, name.len - before - 1 };
		end.port = port.s;
		end.port_loc = end.loc;
		/* Point at the port itself, if the text is as it stands. */
		if (name.len == slice.to - slice.from) {
			end.port_loc.offset += (uint32_t)before + 1;
			end.port_loc.len -= (uint32_t)before + 1;
			end.loc.len = (uint32_t)before;
		}
		name = (struct text){ arena_text(p->impl, name.s, before), before };
		/* A keyword is as good as any other name here. */
		if (!(is_keyword(port.s) && strlen(port.s) == port.len) &&
		    !check_name(p, port, end.port_loc, "port"))
			goto out;
	}
	if (!check_name(p, name, end.loc, "stage"))
		goto out;
	end.shown = name.s;
	end.name = arena_printf(p->impl, "%s%s", scope->prefix, name.s);
out:
	if (!end.name)
		p->edges_lost = true;
	group->ends[group->count++] = end;
}

/* Report what stands in the place of a name, an arrow or a comma. */
static void expected_token(struct parser *p, const struct lexer *lx, const struct cursor *c,
			   enum token token, struct slice slice, const char *expected)
{
	const struct word *w = c->word > 0 ? lx->words + c->word - 1 : lx->words;

	p->edges_lost = true;
	if (token != TOKEN_END) {
		error_at(p->impl, loc_of(lx->file, slice.from, slice.to), "\"%.*s\": expected %s",
			 slice.to - slice.from > 64 ? 64 : (int)(slice.to - slice.from),
			 lx->file->text + slice.from, expected);
		w = slice.word;
		if (!w->starts_line)
			return;
		note_at(p->impl, word_loc(lx, w),
			"this line is indented deeper than the line it follows and so continues "
			"it");
		return;
	}
	if (!lx->truncated)
		error_at(p->impl, loc_of(lx->file, w->to, w->to), "expected %s", expected);
}

/* Read name {"," name}. Return: the token that ends it; TOKEN_NAME after a mistake. */
static enum token read_group(struct parser *p, const struct scope *scope, const struct lexer *lx,
			     struct cursor *c, struct group *group)
{
	static const char name[] = "the name of a stage";
	struct slice slice = { 0 };
	enum token token;

	do {
		token = next_token(c, &slice);
		if (token != TOKEN_NAME) {
			expected_token(p, lx, c, token, slice, name);
			return TOKEN_NAME;
		}
		add_end(p, scope, lx, slice, group);
		token = next_token(c, &slice);
	} while (token == TOKEN_COMMA);
	if (token == TOKEN_NAME)
		expected_token(p, lx, c, token, slice,
			       "\"->\" or \",\" between two stages, or KEY=VALUE");
	return token;
}

static void add_edge(struct parser *p, const struct scope *scope, const struct raw_end *from,
		     const struct raw_end *to, struct raw_opts *raw)
{
	struct raw_edge *e;

	if (!from->name || !to->name || p->stop)
		return;
	if (p->edge_count == GRAPH_EDGES_MAX) {
		error_at(p->impl, from->loc, "more than %u edges: expected fewer", GRAPH_EDGES_MAX);
		p->stop = p->names_lost = p->edges_lost = true;
		return;
	}
	p->edges = arena_grow(p->impl, p->edges, p->edge_count, &p->edge_cap, sizeof(*p->edges));
	e = p->edges + p->edge_count++;
	*e = (struct raw_edge){ .from = *from,
				.to = *to,
				.scope = scope,
				.raw = raw,
				.from_index = NO_INDEX,
				.to_index = NO_INDEX };
}

static void connect(struct parser *p, const struct scope *scope, const struct group *from,
		    const struct group *to, struct raw_opts *raw)
{
	size_t i, k;

	for (i = 0; i < from->count; i++)
		for (k = 0; k < to->count; k++)
			add_edge(p, scope, from->ends + i, to->ends + k, raw);
}

/* A port is where records leave: it has no meaning where the line ends. */
static void refuse_ports(struct parser *p, const struct group *group)
{
	size_t i;

	for (i = 0; i < group->count; i++) {
		struct raw_end *end = group->ends + i;

		if (end->port && end->name)
			error_at(p->impl, end->port_loc,
				 "an arrow into port \"%.64s\": records leave through ports; "
				 "expected the stage alone, \"%s\"",
				 end->port, end->shown);
	}
}

void parse_edges(struct parser *p, struct scope *scope, struct lexer *lx)
{
	struct cursor c = { lx, 0, lx->words[0].from };
	struct raw_opts *raw = arena_alloc(p->impl, sizeof(*raw));
	size_t first = p->edge_count, i;
	struct group from = { 0 }, to;
	enum token token = read_group(p, scope, lx, &c, &from);
	unsigned arrows = 0;

	if (token == TOKEN_END) {
		struct slice none = { 0 };

		expected_token(p, lx, &c, token, none, "\"->\" and a stage");
	}
	while (token == TOKEN_ARROW) {
		memset(&to, 0, sizeof(to));
		token = read_group(p, scope, lx, &c, &to);
		connect(p, scope, &from, &to, raw);
		arrows++;
		from = to;
	}
	if (token == TOKEN_NAME)
		return;
	if (arrows)
		refuse_ports(p, &from);
	if (c.word < lx->word_count)
		parse_opts(p, scope, lx, c.word, "KEY=VALUE", raw);
	for (i = first; i < p->edge_count; i++)
		p->edges[i].arrows = arrows;
}
