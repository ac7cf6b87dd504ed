/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oneline.c - the one-line form: TYPE KEY=VALUE ... ! TYPE ... ! TYPE ...
 *
 * The words of the command line are joined with blanks into a text of their own, which diagnostics refer to. Each word
 * stays one token; a single word is a quoted command line and is lexed like a file.
 */
#include <bsd/string.h>
#include <string.h>
#include "impl.h"

static const char name_of_text[] = "command line";

static struct graph_file *join(struct parser *p, const char *const *words, size_t count)
{
	struct graph_file *file;
	size_t len = 0, i;
	char *text, *to;

	for (i = 0; i < count; i++)
		len += strlen(words[i]) + 1;
	if (len > GRAPH_FILE_MAX || count > GRAPH_WORDS_MAX) {
		file = file_new(p, name_of_text, "", 0);
		file->one_line = true;
		error_at(p->impl, loc_of(file, 0, 0),
			 "the command line is too long: expected at most %uK and %u words",
			 GRAPH_FILE_MAX / 1024, GRAPH_WORDS_MAX);
		return NULL;
	}
	to = text = arena_alloc(p->impl, len + 1);
	for (i = 0; i < count; i++) {
		to = stpcpy(to, words[i]);
		*to++ = ' ';
	}
	file = file_new(p, name_of_text, text, len ? len - 1 : 0);
	file->one_line = true;
	return file;
}

/* Make each word of the command line a word of the statement. */
static void take_words(struct parser *p, struct lexer *lx, const char *const *words, size_t count)
{
	uint32_t pos = 0;
	size_t i, k;

	lx->words = arena_alloc(p->impl, (count + 1) * sizeof(*lx->words));
	lx->pieces = arena_alloc(p->impl, (count + 1) * sizeof(*lx->pieces));
	for (i = 0; i < count; i++) {
		uint32_t len = (uint32_t)strlen(words[i]);

		lx->words[i] = (struct word){
			.from = pos, .to = pos + len, .first_piece = (uint32_t)i, .piece_count = 1
		};
		lx->pieces[i] = (struct piece){ PIECE_RAW, pos, pos + len };
		for (k = 0; k < len; k++) {
			if (holds_control(words[i] + k, 1)) {
				error_at(p->impl,
					 loc_of(lx->file, pos + (uint32_t)k, pos + (uint32_t)k + 1),
					 "control character 0x%02x: expected text",
					 (unsigned char)words[i][k]);
				lx->words[i].bad = true;
				break;
			}
		}
		pos += len + 1;
	}
	lx->word_count = lx->word_cap = count;
	lx->piece_count = lx->piece_cap = count;
}

/* A NAME made from a type or the file name of a plug-in. */
static void name_stage(struct parser *p, const char *type, char name[SZ_NAME_MAX + 1])
{
	const char *slash = strrchr(type, '/'), *c;
	size_t len = 0, base;
	unsigned n;

	for (c = slash ? slash + 1 : type; *c && *c != '.' && len < SZ_NAME_MAX; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');

		if (letter || (len && ((*c >= '0' && *c <= '9') || *c == '_' || *c == '-')))
			name[len++] = *c;
	}
	while (len && name[len - 1] == '-')
		len--;
	name[len] = '\0';
	if (len == 0 || is_keyword(name))
		len = strlcpy(name, "x", SZ_NAME_MAX + 1);
	base = len;
	for (n = 2; decl_find(p, name); n++) {
		char suffix[12];
		size_t suffix_len = (size_t)snprintf(suffix, sizeof(suffix), "-%u", n);

		if (base + suffix_len > SZ_NAME_MAX)
			base = SZ_NAME_MAX - suffix_len;
		memcpy(name + base, suffix, suffix_len + 1);
	}
}

static bool is_separator(const struct lexer *lx, size_t i)
{
	const struct word *w = lx->words + i;

	return w->to - w->from == 1 && lx->file->text[w->from] == '!';
}

static struct decl *add_stage(struct parser *p, struct lexer *lx, size_t from, size_t to,
			      enum sz_role role)
{
	char name[SZ_NAME_MAX + 1], type[128] = "";
	const struct word *w = lx->words + from;
	struct decl *d;

	if (w->to - w->from < sizeof(type))
		memcpy(type, lx->file->text + w->from, w->to - w->from);
	name_stage(p, type, name);
	d = decl_new(p, p->root, arena_text(p->impl, name, strlen(name)), role, word_loc(lx, w));
	if (d)
		parse_type_and_opts(p, p->root, lx, from, to, d);
	return d;
}

static void add_arrow(struct parser *p, const char *from, const char *to, struct graph_loc loc,
		      struct graph_loc to_loc)
{
	struct raw_edge *e;

	p->edges = arena_grow(p->impl, p->edges, p->edge_count, &p->edge_cap, sizeof(*p->edges));
	e = p->edges + p->edge_count++;
	*e = (struct raw_edge){ .from = { .name = from, .shown = from, .loc = loc },
				.to = { .name = to, .shown = to, .loc = to_loc },
				.scope = p->root,
				.raw = arena_alloc(p->impl, sizeof(struct raw_opts)),
				.arrows = 1 };
}

/* An option that follows no type, a "!" that separates nothing. */
static void missing_stage(struct parser *p, const struct lexer *lx, size_t i, const char *where)
{
	struct graph_loc loc = i < lx->word_count ? word_loc(lx, lx->words + i)
						  : loc_of(lx->file, (uint32_t)lx->file->len,
							   (uint32_t)lx->file->len);

	p->names_lost = p->edges_lost = true;
	error_at(p->impl, loc, "no stage %s: expected TYPE KEY=VALUE ... ! TYPE KEY=VALUE ...",
		 where);
}

static void parse_stages(struct parser *p, struct lexer *lx)
{
	size_t from = 0, to, last = 0, i;
	const char *before = NULL;
	struct graph_loc before_loc = { 0 };

	for (i = 0; i < lx->word_count; i++)
		if (is_separator(lx, i))
			last = i + 1;
	if (last == 0) {
		error_at(
			p->impl, loc_of(lx->file, (uint32_t)lx->file->len, (uint32_t)lx->file->len),
			"one stage alone: expected a source, then \" ! \", then a sink, as in file "
			"path=in ! file path=out");
		p->edges_lost = true;
	}
	for (; from <= lx->word_count && !p->stop; from = to + 1) {
		enum sz_role role = from == 0 ? SZ_SOURCE : from == last ? SZ_SINK : SZ_TRANSFORM;
		struct decl *d;

		for (to = from; to < lx->word_count && !is_separator(lx, to); to++)
			;
		if (from == to) {
			missing_stage(p, lx, to, from == 0 ? "before \"!\"" : "after \"!\"");
			before = NULL;
			continue;
		}
		d = add_stage(p, lx, from, to, role);
		if (!d)
			return;
		if (before)
			add_arrow(p, before, d->stage.name, before_loc, d->stage.loc);
		before = d->stage.name;
		before_loc = d->stage.loc;
	}
}

void parse_one_line(struct parser *p, const char *const *words, size_t count)
{
	struct graph_file *file = join(p, words, count);
	struct lexer lx;

	if (!file)
		return;
	lex_init(&lx, p->impl, file);
	lx.single = true;
	if (count == 1) {
		if (!lex_statement(&lx))
			lx.word_count = 0;
	} else {
		take_words(p, &lx, words, count);
	}
	if (lx.word_count == 0) {
		error_at(p->impl, loc_of(file, 0, 0),
			 "an empty command line: expected stages, as in file path=in ! file "
			 "path=out");
		return;
	}
	hide_secrets(p, p->root, &lx);
	if (lx.truncated) {
		/* How many stages follow, and so which is the sink, is not known. */
		p->names_lost = p->edges_lost = true;
		return;
	}
	parse_stages(p, &lx);
}
