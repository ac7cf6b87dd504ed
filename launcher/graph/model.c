/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.c - from statements to the finished graph
 */
#include <stdlib.h>
#include <string.h>
#include "impl.h"

/* Stages */

static size_t bucket_of(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h % HASH_BUCKETS;
}

struct decl *decl_find(struct parser *p, const char *name)
{
	size_t i = p->buckets[bucket_of(name)];

	while (i != NO_INDEX && strcmp(p->decls[i].stage.name, name) != 0)
		i = p->decls[i].hash_next;
	return i == NO_INDEX ? NULL : p->decls + i;
}

struct decl *decl_new(struct parser *p, struct scope *scope, const char *name, enum sz_role role,
		      struct graph_loc loc)
{
	char *full = arena_printf(p->impl, "%s%s", scope->prefix, name);
	const struct decl *old = decl_find(p, full);
	struct decl *d;
	size_t *bucket = &p->buckets[bucket_of(full)];

	if (p->decl_count == GRAPH_STAGES_MAX) {
		error_at(p->impl, loc, "more than %u stages: expected fewer", GRAPH_STAGES_MAX);
		p->stop = p->names_lost = p->edges_lost = true;
		return NULL;
	}
	if (strlen(full) > SZ_NAME_MAX) {
		error_at(p->impl, loc,
			 "\"%s\" is too long with its prefix: expected at most %d characters", full,
			 SZ_NAME_MAX);
		note_at(p->impl, loc.file->included_at, "included here");
		p->names_lost = true;
	}
	if (old) {
		error_at(p->impl, loc, "a second stage \"%s\": expected another name", full);
		note_at(p->impl, old->stage.loc, "the first is here");
	}
	p->decls = arena_grow(p->impl, p->decls, p->decl_count, &p->decl_cap, sizeof(*p->decls));
	d = p->decls + p->decl_count;
	*d = (struct decl){ .stage = { .name = full, .role = role, .loc = loc },
			    .scope = scope,
			    .repeated = old != NULL,
			    .first_edge = NO_INDEX,
			    .hash_next = NO_INDEX };
	if (!old) {
		d->hash_next = *bucket;
		*bucket = p->decl_count;
	}
	p->decl_count++;
	return d;
}

/* Types */

const char *role_phrase(enum sz_role role)
{
	static const char *const phrases[] = { "a source", "a stage", "a sink" };

	return phrases[role];
}

static const struct sz_type *list_type(struct parser *p, size_t i)
{
	return p->in->list_type ? p->in->list_type(p->in->ctx, i) : NULL;
}

static void unknown_type(struct parser *p, const char *name, enum sz_role role,
			 struct graph_loc loc)
{
	char hint[HINT_SIZE], list[256] = "";
	const struct sz_type *t;
	struct nearest n, any;
	size_t i;

	nearest_init(&n, name);
	nearest_init(&any, name);
	for (i = 0; (t = list_type(p, i)); i++) {
		nearest_try(&any, t->name);
		if (t->role != role)
			continue;
		nearest_try(&n, t->name);
		list_add(list, sizeof(list), t->name);
	}
	/* A type of another role may be nearer: the declaration has two mistakes then. */
	if (!n.found[0])
		n = any;
	if (n.found[0])
		error_at(p->impl, loc, "unknown type \"%.64s\"%s", name,
			 nearest_hint(&n, hint, sizeof(hint)));
	else if (list[0])
		error_at(p->impl, loc, "unknown type \"%.64s\": %s can be one of %s", name,
			 role_phrase(role), list);
	else
		error_at(p->impl, loc, "unknown type \"%.64s\"", name);
}

static void wrong_role(struct parser *p, const char *name, const struct sz_type *type,
		       enum sz_role role, struct graph_loc loc)
{
	bool roles[3] = { false, false, false };
	const struct sz_type *t;
	char is[64] = "", use[64] = "";
	size_t i;
	int r;

	roles[type->role] = true;
	for (i = 0; (t = list_type(p, i)); i++)
		if (strcmp(t->name, name) == 0)
			roles[t->role] = true;
	for (r = 0; r < 3; r++) {
		size_t n = strlen(is), m = strlen(use);

		if (!roles[r])
			continue;
		snprintf(is + n, sizeof(is) - n, "%s%s", n ? " or " : "",
			 role_phrase((enum sz_role)r));
		snprintf(use + m, sizeof(use) - m, "%s\"%s\"", m ? " or " : "",
			 sz_role_name((enum sz_role)r));
	}
	error_at(p->impl, loc, "type \"%.64s\" is %s, not %s: expected it to be declared with %s",
		 name, is, role_phrase(role), use);
}

const struct sz_type *find_type(struct parser *p, const struct graph_file *file, const char *name,
				enum sz_role role, struct graph_loc loc, const char **resolved)
{
	bool is_path = strchr(name, '/') != NULL;
	const struct sz_type *type;
	const char *error = NULL;

	*resolved = is_path ? path_from(p->impl, file, name) : name;
	type = p->in->resolve_type(p->in->ctx, *resolved, role, &error);
	if (type && type->role == role)
		return type;
	if (type)
		wrong_role(p, is_path ? *resolved : name, type, role, loc);
	else if (error)
		error_at(p->impl, loc, "type \"%.128s\": %s", *resolved, error);
	else if (is_path)
		error_at(p->impl, loc, "cannot use \"%.128s\": expected a plug-in or an executable",
			 *resolved);
	else
		unknown_type(p, name, role, loc);
	return NULL;
}

void resolve_decl_type(struct parser *p, const struct graph_file *file, const char *type_name,
		       struct graph_loc loc, struct decl *decl)
{
	struct graph_stage *s = &decl->stage;

	s->type = find_type(p, file, type_name, s->role, loc, &s->type_name);
	decl->poisoned = !s->type;
}

/* The finished graph */

size_t graph_stage_index(const struct graph *graph, const char *name)
{
	size_t i;

	for (i = 0; i < graph->stage_count; i++)
		if (strcmp(graph->stages[i].name, name) == 0)
			break;
	return i;
}

/* The file's name without folder and ending, if there is no pipeline line. */
static void name_after_file(struct parser *p, const struct graph_file *file)
{
	const char *base = strrchr(file->name, '/');
	struct graph_loc start = { file, 0, 0 };
	struct text name;
	const char *dot;

	base = base ? base + 1 : file->name;
	dot = strrchr(base, '.');
	name.len = dot && dot > base ? (size_t)(dot - base) : strlen(base);
	name.s = arena_text(p->impl, base, name.len);
	p->impl->graph.name = name.s;
	if (!is_name(name))
		error_at(p->impl, start,
			 "the pipeline has no name, and that of the file, \"%.64s\", cannot be its "
			 "name: expected a line \"pipeline NAME\", or --name",
			 name.s);
}

static void name_pipeline(struct parser *p, const struct graph_file *file, long pid)
{
	struct graph *g = &p->impl->graph;
	struct graph_loc nowhere = { 0 };
	struct text name;

	if (p->in->pipeline_name) {
		name = (struct text){ arena_text(p->impl, p->in->pipeline_name,
						 strlen(p->in->pipeline_name)),
				      strlen(p->in->pipeline_name) };
		if (check_name(p, name, nowhere, "pipeline (--name)"))
			g->name = name.s;
	} else if (file->one_line) {
		g->name = arena_printf(p->impl, "cmd-%ld", pid);
	} else if (!p->has_pipeline && !p->names_lost) {
		name_after_file(p, file);
	}
}

static void fill_graph(struct parser *p)
{
	struct graph *g = &p->impl->graph;
	size_t i;

	if (g->error_count)
		return;
	g->stages = arena_alloc(p->impl, (p->decl_count + 1) * sizeof(*g->stages));
	g->edges = arena_alloc(p->impl, (p->edge_count + 1) * sizeof(*g->edges));
	for (i = 0; i < p->decl_count; i++)
		g->stages[g->stage_count++] = p->decls[i].stage;
	for (i = 0; i < p->edge_count; i++) {
		const struct raw_edge *e = p->edges + i;

		g->edges[g->edge_count++] = (struct graph_edge){ .from = e->from_index,
								 .to = e->to_index,
								 .port = e->from.port,
								 .opts = *e->opts,
								 .loc = e->from.loc };
	}
}

static void check_all(struct parser *p)
{
	struct graph_loc nowhere = { 0 };

	options_check(p);
	check_edges(p);
	check_stages(p);
	check_cycles(p);
	scope_warn_unused(p);
	if (p->decl_count == 0 && p->impl->graph.error_count == 0)
		error_at(p->impl,
			 p->impl->files ? (struct graph_loc){ p->impl->files, 0, 0 } : nowhere,
			 "a graph without stages: expected at least a source, a sink and an arrow "
			 "between them");
}

static struct impl *impl_new(void)
{
	struct impl *impl = calloc(1, sizeof(*impl));

	if (impl) {
		impl->files_end = &impl->files;
		impl->diags_end = &impl->diags;
	}
	return impl;
}

static void parse(struct impl *impl, const struct graph_input *in, const char *const *words,
		  size_t word_count, long pid)
{
	struct parser *p = arena_alloc(impl, sizeof(*p));
	struct open_file open = { .depth = 0 };
	size_t i;

	p->impl = impl;
	p->in = in;
	for (i = 0; i < HASH_BUCKETS; i++)
		p->buckets[i] = NO_INDEX;
	p->root = scope_new(p, NULL, "");
	find_secret_names(p);
	read_sets(p);
	if (words) {
		parse_one_line(p, words, word_count);
	} else if (in->text_len > GRAPH_FILE_MAX) {
		file_new(p, in->file_name, "", 0);
		error_at(impl, (struct graph_loc){ impl->files, 0, 0 },
			 "the file is too large: expected at most %uK", GRAPH_FILE_MAX / 1024);
	} else {
		open.file = file_new(p, in->file_name, in->text, in->text_len);
		parse_file(p, p->root, &open);
	}
	name_pipeline(p, impl->files, pid);
	check_all(p);
	fill_graph(p);
}

/* Not inlined: what lives across setjmp() is only what is passed in. */
__attribute__((noinline)) static struct graph *guard(struct impl *impl,
						     const struct graph_input *in,
						     const char *const *words, size_t word_count,
						     long pid)
{
	jmp_buf oom;

	if (setjmp(oom)) {
		graph_free(&impl->graph);
		return NULL;
	}
	impl->oom = &oom;
	parse(impl, in, words, word_count, pid);
	impl->oom = NULL;
	return &impl->graph;
}

static struct graph *run(const struct graph_input *in, const char *const *words, size_t word_count,
			 long pid)
{
	struct impl *impl = impl_new();

	return impl ? guard(impl, in, words, word_count, pid) : NULL;
}

struct graph *graph_parse(const struct graph_input *in)
{
	return run(in, NULL, 0, 0);
}

struct graph *graph_parse_words(const struct graph_input *in, const char *const *words,
				size_t word_count, long pid)
{
	static const char *const none[1];

	return run(in, words ? words : none, words ? word_count : 0, pid);
}

void graph_free(struct graph *graph)
{
	struct impl *impl = (struct impl *)graph;

	if (!impl)
		return;
	arena_free(impl);
	free(impl->loaned);
	free(impl);
}
