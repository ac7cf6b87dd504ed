/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.c - stages and edges in their order, record sizes, the shape
 */
#include "plan.h"
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "launch.h"
#include "log.h"

#define QUARANTINE_TYPE "file"
#define FAILED_PORT     "failed"

struct plan_chunk {
	struct plan_chunk *next;
	max_align_t bytes[];
};

void *plan_alloc(struct plan *p, size_t size)
{
	struct plan_chunk *c = calloc(1, sizeof(*c) + size);

	if (!c) {
		log_error("out of memory while planning");
		exit(EXIT_SYSTEM);
	}
	c->next = p->chunks;
	p->chunks = c;
	return c->bytes;
}

char *plan_text(struct plan *p, const char *text, size_t len)
{
	char *copy = plan_alloc(p, len + 1);

	memcpy(copy, text, len);
	return copy;
}

void plan_free(struct plan *p)
{
	struct plan_chunk *c, *next;

	if (!p)
		return;
	for (c = p->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	free(p);
}

uint32_t plan_failed_max(const struct plan_stage *s)
{
	uint64_t longest = s->max_in > s->max_out ? s->max_in : s->max_out;
	uint64_t max = longest * 4 / 3 + 4096; /* base64 and the envelope's other fields */

	return max < SZ_RECORD_LEN_MAX ? (uint32_t)max : SZ_RECORD_LEN_MAX;
}

uint64_t plan_total_bytes(const struct plan *p)
{
	return p->shared_bytes + p->n_workers * PLAN_PROCESS_BYTES;
}

char *plan_edge_name(const struct plan *p, uint32_t edge, char buf[PLAN_EDGE_NAME_SIZE])
{
	const struct plan_edge *e = &p->edges[edge];

	snprintf(buf, PLAN_EDGE_NAME_SIZE, "%s%s%s -> %s", p->stages[e->from].name,
		 *e->port ? "." : "", e->port, p->stages[e->to].name);
	return buf;
}

/* Stages */

static uint64_t option_num(const struct graph_opts *opts, const char *key, uint64_t unset)
{
	const struct sz_value *v = graph_option(opts, key);

	return v && v->text ? (uint64_t)v->num : unset;
}

static void set_policy(struct plan_stage *s, const struct graph_opts *opts)
{
	const struct sz_value *limit = graph_option(opts, "restart_limit");
	const struct sz_value *backoff = graph_option(opts, "restart_backoff");

	s->restart = (enum plan_restart)option_num(opts, "restart", RESTART_ALWAYS);
	if (limit && limit->text) {
		s->restart_limit = limit->num > UINT32_MAX ? UINT32_MAX : (uint32_t)limit->num;
		s->restart_period_ns = (uint64_t)limit->num2;
	}
	if (backoff && backoff->text) {
		s->backoff_first_ns = (uint64_t)backoff->num;
		s->backoff_longest_ns = (uint64_t)backoff->num2;
	}
	s->shutdown_ns = option_num(opts, "shutdown", s->shutdown_ns);
}

static const struct plan_stage default_policy = {
	.restart_limit = 5,
	.restart_period_ns = 10 * NS_PER_S,
	.backoff_first_ns = 10 * NS_PER_MS,
	.backoff_longest_ns = 30 * NS_PER_S,
	.shutdown_ns = 5 * NS_PER_S,
};

/* Options that the stage program is told: those of the type itself; what every stage has is the launcher's. */
static void copy_options(struct plan *p, struct plan_stage *s, const struct graph_opts *opts)
{
	s->options = plan_alloc(p, (opts->given + 1) * sizeof(*s->options));
	for (size_t i = 0; i < opts->count; i++) {
		const struct graph_opt *o = &opts->items[i];

		if (!o->value.given || !o->value.text ||
		    sz_option_find(s->type->options, o->key) != o->decl)
			continue;
		s->options[s->option_count++] =
			(struct plan_option){ o->key, o->value.text, o->value.len };
	}
}

static void add_stage(struct plan *p, const struct catalog *catalog, const struct graph_stage *g)
{
	struct plan_stage *s = &p->stages[p->n_stages++];

	*s = default_policy;
	s->name = g->name;
	s->type_name = g->type_name;
	s->type = g->type;
	s->role = g->role;
	s->origin = g;
	s->program = catalog_program(catalog, g->type);
	s->n_workers = 1;
	set_policy(s, &g->opts);
	copy_options(p, s, &g->opts);
}

/*
 * Kahn's algorithm; among the stages that are ready, and where a cycle leaves none ready, the least name goes first.
 * Return: an array that maps ranks to indices of the graph.
 */
static size_t *topological_order(struct plan *p, const struct graph *g)
{
	size_t *order = plan_alloc(p, (g->stage_count + 1) * sizeof(*order));
	size_t *waiting_for = plan_alloc(p, (g->stage_count + 1) * sizeof(*waiting_for));
	bool *done = plan_alloc(p, g->stage_count + 1);

	for (size_t i = 0; i < g->edge_count; i++)
		waiting_for[g->edges[i].to]++;
	for (size_t n = 0; n < g->stage_count; n++) {
		size_t best = g->stage_count;

		for (size_t i = 0; i < g->stage_count; i++) {
			if (done[i])
				continue;
			if (best == g->stage_count ||
			    (waiting_for[i] == 0) > (waiting_for[best] == 0) ||
			    ((waiting_for[i] == 0) == (waiting_for[best] == 0) &&
			     strcmp(g->stages[i].name, g->stages[best].name) < 0))
				best = i;
		}
		done[best] = true;
		order[n] = best;
		for (size_t i = 0; i < g->edge_count; i++)
			if (g->edges[i].from == best)
				waiting_for[g->edges[i].to]--;
	}
	return order;
}

/* Edges */

static bool has_failed_port(const struct plan_stage *s)
{
	for (const struct sz_port *port = s->type->ports; port->name; port++)
		if (strcmp(port->name, FAILED_PORT) == 0)
			return true;
	return false;
}

static bool is_wired(const struct plan *p, uint32_t stage, const char *port)
{
	for (uint32_t i = 0; i < p->n_edges; i++)
		if (p->edges[i].from == stage && strcmp(p->edges[i].port, port) == 0)
			return true;
	return false;
}

static void add_edge(struct plan *p, const struct graph_edge *g, uint32_t from, uint32_t to)
{
	struct plan_edge *e = &p->edges[p->n_edges++];

	*e = (struct plan_edge){
		.from = from,
		.to = to,
		.port = g ? (g->port ? g->port : "") : FAILED_PORT,
		.origin = g,
		.overflow = g ? (enum sz_overflow)option_num(&g->opts, "overflow", 0) : 0,
	};
}

static bool name_is_taken(const struct plan *p, const char *name)
{
	for (uint32_t i = 0; i < p->n_stages; i++)
		if (strcmp(p->stages[i].name, name) == 0)
			return true;
	return false;
}

/* A sink for all failed ports that nobody wired. */
static void add_quarantine(struct plan *p, const struct catalog *catalog)
{
	static const struct plan_option fixed[] = {
		{ "mode", "append", 6 },
		{ "create", "record", 6 },
		{ "max_size", "64M", 3 },
	};
	const size_t n_fixed = sizeof(fixed) / sizeof(fixed[0]);
	struct plan_stage *s = &p->stages[p->n_stages];
	char name[SZ_NAME_MAX + 1] = "quarantine", path[128];
	const char *error = NULL;
	uint32_t before = p->n_edges;

	for (uint32_t i = 0; i < p->n_stages; i++)
		if (has_failed_port(&p->stages[i]) && !is_wired(p, i, FAILED_PORT))
			add_edge(p, NULL, i, p->n_stages);
	if (p->n_edges == before)
		return;
	for (unsigned n = 2; name_is_taken(p, name); n++)
		snprintf(name, sizeof(name), "quarantine-%u", n);
	*s = default_policy;
	s->shutdown_ns = 0; /* the time that the graph gives its own stages */
	s->type = catalog_resolve((void *)(uintptr_t)catalog, QUARANTINE_TYPE, SZ_SINK, &error);
	if (!s->type || s->type->role != SZ_SINK) {
		graph_report(
			p->graph, GRAPH_ERROR, p->stages[p->edges[before].from].origin->loc,
			"the port \"failed\" of \"%s\" is not wired, and there is no sink of type "
			"\"" QUARANTINE_TYPE "\" for a quarantine: wire it to a sink",
			p->stages[p->edges[before].from].name);
		p->n_edges = before;
		return;
	}
	s->name = plan_text(p, name, strlen(name));
	s->type_name = QUARANTINE_TYPE;
	s->role = SZ_SINK;
	s->program = catalog_program(catalog, s->type);
	s->n_workers = 1;
	s->options = plan_alloc(p, (n_fixed + 1) * sizeof(*s->options));
	snprintf(path, sizeof(path), "%s.failed.ndjson", p->name);
	s->options[0] =
		(struct plan_option){ "path", plan_text(p, path, strlen(path)), strlen(path) };
	for (size_t i = 0; i < n_fixed; i++)
		s->options[i + 1] = fixed[i];
	s->option_count = (uint32_t)n_fixed + 1;
	p->n_stages++;
}

static int by_ends(const void *a, const void *b)
{
	const struct plan_edge *x = a, *y = b;

	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (strcmp(x->port, y->port) != 0)
		return strcmp(x->port, y->port);
	return x->to < y->to ? -1 : x->to > y->to;
}

static void plan_topology(struct plan *p, const struct catalog *catalog)
{
	const struct graph *g = p->graph;
	size_t *order = topological_order(p, g);
	uint32_t *rank = plan_alloc(p, (g->stage_count + 1) * sizeof(*rank));

	p->stages = plan_alloc(p, (g->stage_count + 1) * sizeof(*p->stages));
	p->edges = plan_alloc(p, (g->edge_count + g->stage_count + 1) * sizeof(*p->edges));
	for (size_t i = 0; i < g->stage_count; i++) {
		rank[order[i]] = (uint32_t)i;
		add_stage(p, catalog, &g->stages[order[i]]);
	}
	for (size_t i = 0; i < g->edge_count; i++)
		add_edge(p, &g->edges[i], rank[g->edges[i].from], rank[g->edges[i].to]);
	add_quarantine(p, catalog);
	qsort(p->edges, p->n_edges, sizeof(*p->edges), by_ends);
	for (uint32_t i = p->n_edges; i-- > 0;) {
		p->stages[p->edges[i].from].first_edge = i;
		p->stages[p->edges[i].from].n_edges++;
	}
}

/* Record sizes: each stage is asked after those before it, so that it knows what it may get. */

static void plan_record_sizes(struct plan *p)
{
	uint64_t pipeline_max = option_num(&p->graph->opts, "max_record", 64 << 10);

	for (uint32_t i = 0; i < p->n_stages; i++) {
		struct plan_stage *s = &p->stages[i];
		uint64_t said;

		for (uint32_t e = 0; e < p->n_edges; e++)
			if (p->edges[e].to == i && p->edges[e].max_record > s->max_in)
				s->max_in = p->edges[e].max_record;
		said = s->origin ? option_num(&s->origin->opts, "max_record", 0) : 0;
		s->max_out = (uint32_t)(said ? said : s->max_in ? s->max_in : pipeline_max);
		/* A source, and in a cycle of edges the stage that is asked before what it gets is known. */
		if (s->max_in == 0)
			s->max_in = s->max_out;
		plan_ask(p, s);
		if (said)
			s->max_out = (uint32_t)said;
		for (uint32_t e = s->first_edge; e < s->first_edge + s->n_edges; e++)
			p->edges[e].max_record = strcmp(p->edges[e].port, FAILED_PORT) == 0
							 ? plan_failed_max(s)
							 : s->max_out;
	}
	for (uint32_t e = 0; e < p->n_edges; e++) {
		const struct plan_stage *to = &p->stages[p->edges[e].to];

		if (p->edges[e].max_record > to->max_in && p->edges[e].origin)
			graph_report(
				p->graph, GRAPH_ERROR, p->edges[e].origin->loc,
				"records of up to %u bytes come back to \"%s\", which was planned "
				"for %u: give \"%s\" a max_record= of %u",
				p->edges[e].max_record, to->name, to->max_in,
				p->stages[p->edges[e].from].name, to->max_in);
	}
}

/* Shape */

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
static void hash_text(uint64_t *hash, const char *text)
{
	do {
		*hash = (*hash ^ (uint8_t)*text) * 0x100000001b3ull;
	} while (*text++);
}

/* What a resume must find unchanged: names, types, roles, edges with their ports, the number of workers. */
static void plan_shape(struct plan *p)
{
	char n_workers[16];

	p->shape = 0xcbf29ce484222325ull;
	for (uint32_t i = 0; i < p->n_stages; i++) {
		snprintf(n_workers, sizeof(n_workers), "%u", p->stages[i].n_workers);
		hash_text(&p->shape, p->stages[i].name);
		hash_text(&p->shape, p->stages[i].type->name);
		hash_text(&p->shape, sz_role_name(p->stages[i].role));
		hash_text(&p->shape, n_workers);
	}
	for (uint32_t i = 0; i < p->n_edges; i++) {
		hash_text(&p->shape, p->stages[p->edges[i].from].name);
		hash_text(&p->shape, p->edges[i].port);
		hash_text(&p->shape, p->stages[p->edges[i].to].name);
	}
}

void plan_wire_stage(const struct plan *p, const struct plan_stage *s, struct sz_wire_builder *b)
{
	uint32_t pipeline = sz_wire_string(b, p->name, strlen(p->name));
	uint32_t stage = sz_wire_string(b, s->name, strlen(s->name));
	uint32_t type = sz_wire_string(b, s->type->name, strlen(s->type->name));
	struct sz_wire_option *options = calloc(s->option_count + 1, sizeof(*options));
	uint32_t options_at = 0;
	struct sz_wiring *w;

	for (uint32_t i = 0; options && i < s->option_count; i++) {
		const struct plan_option *o = &s->options[i];

		options[i].key = sz_wire_string(b, o->key, strlen(o->key));
		options[i].value = sz_wire_string(b, o->value, o->len);
		options[i].value_len = (uint32_t)o->len;
	}
	/* Without memory: more than a wiring takes makes the builder fail as well. */
	options_at = options ? sz_wire_put(b, options, s->option_count * sizeof(*options))
			     : sz_wire_put(b, "", SIZE_MAX);
	free(options);
	w = sz_wire_head(b);
	w->pipeline = pipeline;
	w->stage = stage;
	w->type = type;
	w->role = s->role;
	w->max_in = s->max_in;
	w->max_out = s->max_out;
	w->n_options = s->option_count;
	w->options_at = w->in_at = w->out_at = w->edges_at = options_at; /* no lanes yet */
	w->ctl_fd = w->page_fd = w->stats_fd = w->bell_fd = w->ring_fd = -1;
}

struct plan *plan_make(struct graph *graph, const struct catalog *catalog, const char *file,
		       bool one_line, bool resuming)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->graph = graph;
	p->name = graph->name;
	p->file = file;
	p->one_line = one_line;
	p->resuming = resuming;
	plan_topology(p, catalog);
	plan_record_sizes(p);
	plan_compare_claims(p);
	if (graph->error_count)
		return p;
	plan_layout(p);
	plan_shape(p);
	if (!graph->error_count)
		plan_check_memory(p);
	return p;
}
