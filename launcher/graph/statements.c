/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * statements.c - words to statements
 *
 * The first word of a statement says what it is. Every parser below reports the first mistake in each part of a
 * statement that can be judged alone and keeps what was understood: a stage whose TYPE is wrong is still declared.
 */
#include <string.h>
#include "impl.h"

static void parse_pipeline(struct parser *p, const struct scope *scope, struct lexer *lx)
{
	struct graph *g = &p->impl->graph;
	struct text name;
	struct graph_loc loc;

	if (lx->file->included_at.file) {
		error_at(p->impl, word_loc(lx, lx->words),
			 "a pipeline line in an included file: expected it in the graph itself");
		note_at(p->impl, lx->file->included_at, "included here");
		return;
	}
	if (p->has_pipeline) {
		error_at(p->impl, word_loc(lx, lx->words), "a second pipeline line: expected one");
		if (g->name_loc.file)
			note_at(p->impl, g->name_loc, "the first is here");
		return;
	}
	p->has_pipeline = true;
	g->name_loc = word_loc(lx, lx->words);
	if (!need_word(p, scope, lx, 1, "the name of the pipeline", &name))
		return;
	loc = word_loc(lx, lx->words + 1);
	g->name_loc = loc;
	if (check_name(p, name, loc, "pipeline"))
		g->name = name.s;
	parse_opts(p, scope, lx, 2, "KEY=VALUE", &p->pipeline_raw);
}

void parse_type_and_opts(struct parser *p, struct scope *scope, struct lexer *lx, size_t next,
			 size_t end, struct decl *decl)
{
	static const char *const expected[] = { "the type of the source", "the type of the stage",
						"the type of the sink" };
	size_t all = lx->word_count;
	struct text type;

	decl->poisoned = true;
	lx->word_count = end;
	if (need_word(p, scope, lx, next, expected[decl->stage.role], &type)) {
		decl->stage.type_loc = word_loc(lx, lx->words + next);
		if (memchr(type.s, '\0', type.len))
			error_at(p->impl, decl->stage.type_loc,
				 "a NUL byte in a type: expected its name");
		else
			resolve_decl_type(p, lx->file, type.s, decl->stage.type_loc, decl);
		parse_opts(p, scope, lx, next + 1, "KEY=VALUE", &decl->raw);
	} else if (next < end) {
		parse_opts(p, scope, lx, is_opt(lx, next) ? next : next + 1, "KEY=VALUE",
			   &decl->raw);
	}
	lx->word_count = all;
}

static void parse_stage(struct parser *p, struct scope *scope, struct lexer *lx, enum sz_role role)
{
	static const char *const expected[] = { "the name of the source", "the name of the stage",
						"the name of the sink" };
	struct decl *decl;
	struct graph_loc loc;
	struct text name;

	if (has_arrow(lx, 1)) {
		error_at(p->impl, word_loc(lx, lx->words),
			 "\"%s\" before an arrow: expected the arrow alone, as in a -> b",
			 sz_role_name(role));
		p->names_lost = p->edges_lost = true;
		return;
	}
	if (!need_word(p, scope, lx, 1, expected[role], &name)) {
		p->names_lost = true;
		return;
	}
	loc = word_loc(lx, lx->words + 1);
	if (!check_name(p, name, loc, sz_role_name(role))) {
		p->names_lost = true;
		return;
	}
	decl = decl_new(p, scope, name.s, role, loc);
	if (decl)
		parse_type_and_opts(p, scope, lx, 2, lx->word_count, decl);
}

static void parse_let(struct parser *p, struct scope *scope, struct lexer *lx)
{
	struct raw_opts vars = { 0 };
	size_t i;

	if (lx->word_count == 1 && !lx->truncated) {
		error_at(p->impl, after_word(lx, 0), "expected NAME=VALUE after \"let\"");
		return;
	}
	/* One at a time: ${X} of the second may be the first. */
	for (i = 1; i < lx->word_count && !p->stop; i++) {
		size_t all = lx->word_count, before = vars.count;
		struct variable *old, *v;
		struct raw_opt *var;
		struct text name;

		if (!is_opt(lx, i) && !lx->words[i].bad) {
			not_an_option(p, lx, i, "NAME=VALUE");
			return;
		}
		lx->word_count = i + 1;
		if (!parse_opts(p, scope, lx, i, "NAME=VALUE", &vars))
			i = all;
		lx->word_count = all;
		if (vars.count == before)
			continue;
		var = vars.items + before;
		name = (struct text){ var->key, strlen(var->key) };
		if (strcmp(name.s, "HERE") == 0) {
			error_at(p->impl, var->key_loc,
				 "HERE is always the folder of the graph: expected another name");
			continue;
		}
		if (!check_name(p, name, var->key_loc, "variable"))
			continue;
		old = scope_own(scope, name);
		if (old) {
			error_at(p->impl, var->key_loc,
				 "\"%s\" is set already: expected one let for it", name.s);
			note_at(p->impl, old->loc, "set here before");
			continue;
		}
		v = variable_new(p, &scope->lets, name, var->value, var->key_loc);
		v->value_loc = var->loc;
		/* A value that is missing by mistake is not missed again where it is used. */
		if (var->bad)
			v->value = (struct text){ "", 0 };
	}
}

static bool defaults_kind(const char *word, enum defaults_kind *kind)
{
	static const char *const kinds[] = { "source", "stage", "sink", "edge" };
	size_t i;

	for (i = 0; i < 4; i++) {
		if (strcmp(word, kinds[i]) == 0) {
			*kind = (enum defaults_kind)i;
			return true;
		}
	}
	return false;
}

static void parse_defaults(struct parser *p, struct scope *scope, struct lexer *lx)
{
	static const char expected[] = "source, stage, sink or edge";
	struct defaults *d = arena_alloc(p->impl, sizeof(*d));
	size_t opts = 2;
	struct text word;

	if (!need_word(p, scope, lx, 1, expected, &word))
		return;
	if (!defaults_kind(word.s, &d->kind)) {
		error_at(p->impl, word_loc(lx, lx->words + 1),
			 "no defaults for \"%.64s\": expected %s", word.s, expected);
		return;
	}
	d->loc = word_loc(lx, lx->words);
	if (lx->word_count > 2 && !is_opt(lx, 2)) {
		struct graph_loc loc = word_loc(lx, lx->words + 2);

		if (!expand(p, scope, lx, whole(lx->words + 2), &word))
			return;
		if (d->kind == DEFAULTS_EDGE) {
			error_at(p->impl, loc, "edges have no type: expected KEY=VALUE");
			return;
		}
		d->type = find_type(p, lx->file, word.s, (enum sz_role)d->kind, loc, &d->type_name);
		if (!d->type)
			return;
		opts = 3;
	}
	if (lx->word_count == opts && !lx->truncated) {
		error_at(p->impl, after_word(lx, opts - 1), "expected KEY=VALUE after the %s",
			 opts == 3 ? "type" : "kind");
		return;
	}
	parse_opts(p, scope, lx, opts, "KEY=VALUE", &d->raw);
	if (++p->defaults_total > GRAPH_DEFAULTS_MAX) {
		error_at(p->impl, d->loc, "more than %u defaults lines: expected fewer",
			 GRAPH_DEFAULTS_MAX);
		p->stop = true;
		return;
	}
	*scope->defaults_end = d;
	scope->defaults_end = &d->next;
}

/* [as NAME]; words[*next] follows it. Return: the prefix, NULL if it was bad. */
static const char *parse_prefix(struct parser *p, const struct scope *scope, struct lexer *lx,
				size_t *next)
{
	const struct word *as = lx->words + *next;
	struct text name;

	if (*next >= lx->word_count || as->to - as->from != 2 ||
	    memcmp(lx->file->text + as->from, "as", 2) != 0)
		return scope->prefix;
	*next += 2;
	if (!need_word(p, scope, lx, *next - 1, "the prefix of its stages", &name) ||
	    !check_name(p, name, word_loc(lx, lx->words + *next - 1), "prefix"))
		return NULL;
	return arena_printf(p->impl, "%s%s-", scope->prefix, name.s);
}

static void parse_include(struct parser *p, struct scope *scope, struct lexer *lx,
			  const struct open_file *open)
{
	struct raw_opts args = { 0 };
	struct scope *inner = scope;
	const char *prefix;
	struct text path;
	size_t next = 2, i;
	struct graph_loc loc;

	if (!need_word(p, scope, lx, 1, "a file name", &path)) {
		p->names_lost = p->edges_lost = true;
		return;
	}
	loc = word_loc(lx, lx->words + 1);
	prefix = parse_prefix(p, scope, lx, &next);
	if (path.len == 0 || memchr(path.s, '\0', path.len)) {
		error_at(p->impl, loc, "expected a file name");
		prefix = NULL;
	}
	if (!prefix) {
		p->names_lost = p->edges_lost = true;
		return;
	}
	if (next < lx->word_count)
		parse_opts(p, scope, lx, next, "NAME=VALUE", &args);
	if (strcmp(prefix, scope->prefix) != 0 || args.count)
		inner = scope_new(p, scope, prefix);
	for (i = 0; i < args.count; i++) {
		struct text name = { args.items[i].key, strlen(args.items[i].key) };

		if (check_name(p, name, args.items[i].key_loc, "variable"))
			variable_new(p, &inner->args, name, args.items[i].value,
				     args.items[i].key_loc);
	}
	include_file(p, inner, open, path_from(p->impl, lx->file, path.s), loc);
}

/* A statement that begins with no keyword and holds no arrow. */
static const char *unknown_statement(struct parser *p, struct lexer *lx, const char *word)
{
	struct nearest n;
	char hint[HINT_SIZE];
	size_t i;

	nearest_init(&n, word);
	for (i = 0; i < KEYWORD_COUNT; i++)
		nearest_try(&n, keywords[i]);
	if (n.found[0])
		error_at(p->impl, word_loc(lx, lx->words), "unknown statement \"%.64s\"%s", word,
			 nearest_hint(&n, hint, sizeof(hint)));
	else
		error_at(
			p->impl, word_loc(lx, lx->words),
			"unknown statement \"%.64s\": expected pipeline, source, stage, sink, let, "
			"defaults, include, or an arrow as in a -> b",
			word);
	/* Go on with what was probably meant. */
	for (i = 0; i < KEYWORD_COUNT; i++)
		if (strcmp(keywords[i], n.found) == 0)
			return keywords[i];
	/* It may have been meant to declare a name. */
	p->names_lost |= lx->word_count > 2;
	p->edges_lost = true;
	return NULL;
}

static void parse_statement(struct parser *p, struct scope *scope, struct lexer *lx,
			    const struct open_file *open)
{
	const struct word *w = lx->words;
	const char *word = arena_text(p->impl, lx->file->text + w->from, w->to - w->from);

	if (is_edges(lx)) {
		parse_edges(p, scope, lx);
		return;
	}
	if (w->bad) {
		p->names_lost = p->edges_lost = true;
		return;
	}
	if (!is_keyword(word)) {
		word = unknown_statement(p, lx, word);
		if (!word)
			return;
	}
	if (strcmp(word, "pipeline") == 0)
		parse_pipeline(p, scope, lx);
	else if (strcmp(word, "source") == 0)
		parse_stage(p, scope, lx, SZ_SOURCE);
	else if (strcmp(word, "stage") == 0)
		parse_stage(p, scope, lx, SZ_TRANSFORM);
	else if (strcmp(word, "sink") == 0)
		parse_stage(p, scope, lx, SZ_SINK);
	else if (strcmp(word, "let") == 0)
		parse_let(p, scope, lx);
	else if (strcmp(word, "defaults") == 0)
		parse_defaults(p, scope, lx);
	else if (strcmp(word, "include") == 0)
		parse_include(p, scope, lx, open);
	else
		error_at(p->impl, word_loc(lx, w),
			 "alert is not supported by this version: expected no alert line");
}

void parse_file(struct parser *p, struct scope *scope, const struct open_file *open)
{
	struct lexer lx;

	lex_init(&lx, p->impl, open->file);
	while (!p->stop && !p->impl->too_many && lex_statement(&lx)) {
		if (++p->statement_total > GRAPH_STATEMENTS_MAX) {
			error_at(p->impl, word_loc(&lx, lx.words),
				 "more than %u statements: expected fewer", GRAPH_STATEMENTS_MAX);
			p->stop = true;
			break;
		}
		if (lx.lost)
			p->names_lost = p->edges_lost = true;
		hide_secrets(p, scope, &lx);
		parse_statement(p, scope, &lx, open);
	}
	if (p->stop || p->impl->too_many)
		p->names_lost = p->edges_lost = true;
}
