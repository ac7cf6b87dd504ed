/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.c - what the edges mean: names, ports, directions, what is unconnected, cycles
 */
#include <string.h>
#include "impl.h"

/* Ends of edges */

static void unknown_stage(struct parser *p, const struct raw_edge *e, const struct raw_end *end)
{
	size_t prefix = strlen(e->scope->prefix), i;
	char hint[HINT_SIZE];
	struct nearest n;
	struct decl *meant;

	if (p->names_lost)
		return;
	meant = prefix ? decl_find(p, end->shown) : NULL;
	if (meant) {
		error_at(p->impl, end->loc,
			 "unknown stage \"%s\": an included file knows only its own stages; "
			 "expected this arrow in the graph that declares \"%s\"",
			 end->shown, end->shown);
		meant->touched = true;
		return;
	}
	nearest_init(&n, end->shown);
	/* Names are suggested as they would be written in this file. */
	for (i = 0; i < p->decl_count; i++)
		if (strncmp(p->decls[i].stage.name, e->scope->prefix, prefix) == 0)
			nearest_try(&n, p->decls[i].stage.name + prefix);
	if (n.found[0])
		error_at(p->impl, end->loc, "unknown stage \"%s\"%s", end->shown,
			 nearest_hint(&n, hint, sizeof(hint)));
	else
		error_at(
			p->impl, end->loc,
			"unknown stage \"%s\": expected a name declared with source, stage or sink",
			end->shown);
	/* What was meant is not unconnected. */
	meant = decl_find(p, arena_printf(p->impl, "%s%s", e->scope->prefix, n.found));
	if (meant)
		meant->touched = true;
}

static void unknown_port(struct parser *p, const struct decl *d, const struct raw_end *end)
{
	const struct sz_port *port;
	char hint[HINT_SIZE], list[256] = "";
	struct nearest n;

	nearest_init(&n, end->port);
	for (port = d->stage.type->ports; port->name; port++) {
		nearest_try(&n, port->name);
		list_add(list, sizeof(list), port->name);
	}
	if (n.found[0])
		error_at(p->impl, end->port_loc, "stage \"%s\" (%s) has no port \"%s\"%s",
			 end->shown, d->stage.type->name, end->port,
			 nearest_hint(&n, hint, sizeof(hint)));
	else if (list[0])
		error_at(p->impl, end->port_loc,
			 "stage \"%s\" (%s) has no port \"%s\": expected one of %s, or no port",
			 end->shown, d->stage.type->name, end->port, list);
	else
		error_at(p->impl, end->port_loc,
			 "stage \"%s\" (%s) has no port \"%s\": expected \"%s\" alone", end->shown,
			 d->stage.type->name, end->port, end->shown);
}

static bool has_port(const struct sz_type *type, const char *name)
{
	const struct sz_port *port;

	if (type->flags & SZ_TYPE_DYNAMIC_PORTS)
		return true;
	for (port = type->ports; port->name; port++)
		if (strcmp(port->name, name) == 0)
			return true;
	return false;
}

static bool same_port(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void refuse_repeated(struct parser *p, const struct decl *from, const struct raw_edge *e)
{
	size_t i;

	for (i = from->first_edge; i != NO_INDEX; i = p->edges[i].next_out) {
		const struct raw_edge *old = p->edges + i;

		if (old->to_index != e->to_index || !same_port(old->from.port, e->from.port))
			continue;
		error_at(p->impl, e->from.loc,
			 "the edge %s%s%s -> %s is there already: expected it once",
			 from->stage.name, e->from.port ? "." : "",
			 e->from.port ? e->from.port : "", p->decls[e->to_index].stage.name);
		note_at(p->impl, old->from.loc, "the first is here");
		return;
	}
}

/* Return: whether the direction is right. */
static bool check_from(struct parser *p, struct decl *d, const struct raw_end *end)
{
	if (!end->port) {
		d->has_out = true;
		if (d->stage.role != SZ_SINK)
			return true;
		error_at(p->impl, end->loc,
			 "an arrow out of \"%s\", which is a sink: expected a source or a stage "
			 "left of the arrow",
			 end->shown);
		note_at(p->impl, d->stage.loc, "declared here");
		return false;
	}
	if (d->poisoned)
		return true;
	if (!has_port(d->stage.type, end->port))
		unknown_port(p, d, end);
	else if (strcmp(end->port, "failed") != 0)
		d->has_port = true;
	return true;
}

static bool check_to(struct parser *p, struct decl *d, const struct raw_end *end)
{
	d->has_in = true;
	if (d->stage.role != SZ_SOURCE)
		return true;
	error_at(p->impl, end->loc,
		 "an arrow into \"%s\", which is a source: expected a stage or a sink right of the "
		 "arrow",
		 end->shown);
	note_at(p->impl, d->stage.loc, "declared here");
	return false;
}

void check_edges(struct parser *p)
{
	size_t i;

	for (i = 0; i < p->edge_count; i++) {
		struct raw_edge *e = p->edges + i;
		struct decl *from = decl_find(p, e->from.name), *to = decl_find(p, e->to.name);
		bool ok = true;

		if (from)
			ok &= check_from(p, from, &e->from);
		else
			unknown_stage(p, e, &e->from);
		if (to)
			ok &= check_to(p, to, &e->to);
		else
			unknown_stage(p, e, &e->to);
		if (!from || !to || !ok)
			continue;
		e->from_index = (size_t)(from - p->decls);
		e->to_index = (size_t)(to - p->decls);
		refuse_repeated(p, from, e);
		e->next_out = from->first_edge;
		from->first_edge = i;
	}
}

/* Unconnected stages */

static void check_stage(struct parser *p, const struct decl *d)
{
	const struct graph_stage *s = &d->stage;
	bool in = d->has_in || s->role == SZ_SOURCE;
	bool out = d->has_out || s->role == SZ_SINK ||
		   (d->has_port && (d->poisoned || (s->type->flags & SZ_TYPE_DYNAMIC_PORTS)));

	if (in && out)
		return;
	if (!d->has_in && !d->has_out && !d->has_port) {
		error_at(p->impl, s->loc, "%s \"%s\" is not connected: expected an arrow %s it",
			 sz_role_name(s->role), s->name,
			 s->role == SZ_SINK     ? "into"
			 : s->role == SZ_SOURCE ? "out of"
						: "into and one out of");
	} else if (!in) {
		error_at(p->impl, s->loc, "nothing flows into %s \"%s\": expected an arrow into it",
			 sz_role_name(s->role), s->name);
	} else {
		error_at(p->impl, s->loc,
			 "the output of %s \"%s\" goes nowhere: expected an arrow %s -> ...; to "
			 "discard it, one to a sink of type null",
			 sz_role_name(s->role), s->name, s->name);
	}
}

void check_stages(struct parser *p)
{
	size_t i;

	if (p->edges_lost || p->names_lost)
		return;
	for (i = 0; i < p->decl_count; i++)
		if (!p->decls[i].repeated && !p->decls[i].touched)
			check_stage(p, p->decls + i);
}

/* Cycles */

enum { WHITE, GREY, BLACK };

struct search {
	struct parser *p;
	unsigned char *color;
	bool *reported;      /* lies on a cycle that was reported */
	size_t *path, depth; /* stages from the root of the search */
	size_t *edge;        /* the next edge to follow, for each of them */
};

static void report_cycle(struct search *s, const struct raw_edge *closing)
{
	struct parser *p = s->p;
	char text[512] = "";
	size_t from = s->depth, i;

	while (from > 0 && s->path[from - 1] != closing->to_index)
		from--;
	for (i = from - 1; i < s->depth && s->reported[s->path[i]]; i++)
		;
	if (i == s->depth)
		return;
	for (i = from - 1; i < s->depth; i++) {
		size_t used = strlen(text);
		const char *name = p->decls[s->path[i]].stage.name;

		s->reported[s->path[i]] = true;
		if (used + 2 * SZ_NAME_MAX + 16 < sizeof(text))
			snprintf(text + used, sizeof(text) - used, "%s -> ", name);
		else if (strcmp(text + used - 7, "... -> ") != 0)
			snprintf(text + used, sizeof(text) - used, "... -> ");
	}
	error_at(p->impl, closing->to.loc,
		 "this arrow closes a cycle: %s%s; expected records to flow from sources to sinks",
		 text, p->decls[closing->to_index].stage.name);
}

static void search_from(struct search *s, size_t root)
{
	struct parser *p = s->p;

	s->path[0] = root;
	s->edge[0] = p->decls[root].first_edge;
	s->color[root] = GREY;
	s->depth = 1;
	while (s->depth > 0) {
		size_t i = s->edge[s->depth - 1], to;

		if (i == NO_INDEX) {
			s->color[s->path[--s->depth]] = BLACK;
			continue;
		}
		s->edge[s->depth - 1] = p->edges[i].next_out;
		to = p->edges[i].to_index;
		if (s->color[to] == GREY) {
			report_cycle(s, p->edges + i);
		} else if (s->color[to] == WHITE) {
			s->color[to] = GREY;
			s->path[s->depth] = to;
			s->edge[s->depth++] = p->decls[to].first_edge;
		}
	}
}

void check_cycles(struct parser *p)
{
	struct search s = { .p = p };
	size_t i;

	s.color = arena_alloc(p->impl, p->decl_count + 1);
	s.reported = arena_alloc(p->impl, (p->decl_count + 1) * sizeof(*s.reported));
	s.path = arena_alloc(p->impl, (p->decl_count + 1) * sizeof(*s.path));
	s.edge = arena_alloc(p->impl, (p->decl_count + 1) * sizeof(*s.edge));
	for (i = 0; i < p->decl_count; i++)
		if (s.color[i] == WHITE)
			search_from(&s, i);
}
