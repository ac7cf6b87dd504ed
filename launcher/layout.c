/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.c - workers, lanes, and the bytes of every object
 */
#include <inttypes.h>
#include <string.h>
#include "plan.h"

/* Edges to the quarantine are rarely used: the least lane is enough. */
#define QUARANTINE_WANT_BYTES 1
/* What a lane gets when nothing is asked for, see sz_lane_plan_bytes(). */
#define DEFAULT_WANT_BYTES (1u << 20)

/* Records that the lane has to hold at once: two, or what one call of its producer may emit. */
static uint64_t least_records(const struct plan *p, const struct plan_edge *e)
{
	uint32_t room = p->stages[e->from].room;

	return e->overflow == SZ_OVERFLOW_BLOCK && strcmp(e->port, "failed") != 0 && room > 2 ? room
											      : 2;
}

static void plan_buffer(struct plan *p, struct plan_edge *e)
{
	const struct graph_opt *o = e->origin ? graph_opt_find(&e->origin->opts, "buffer") : NULL;
	uint64_t want = e->origin ? 0 : QUARANTINE_WANT_BYTES;
	uint64_t records = least_records(p, e);
	uint64_t least = records * sz_record_space(e->max_record);
	char size[32];

	e->limit_records = UINT64_MAX;
	if (o && o->value.text) {
		want = (uint64_t)o->value.num2 / e->n_lanes;
		if (o->value.records)
			e->limit_records = (uint64_t)o->value.records / e->n_lanes;
		if (e->limit_records == 0)
			e->limit_records = 1;
		if (records > 2 && e->limit_records < records)
			graph_report(p->graph, GRAPH_ERROR, o->loc,
				     "\"%s\" may emit %" PRIu64
				     " records at once: expected room for as many, %" PRIu64
				     " or more",
				     p->stages[e->from].name, records, records * e->n_lanes);
		e->limit_bytes = want & ~7ull;
		if (want && e->limit_bytes < least)
			graph_report(
				p->graph, GRAPH_ERROR, o->loc,
				"records larger than half a lane: this edge carries records of "
				"up to %u bytes: expected room for %" PRIu64
				" of them, %s or more, or a smaller max_record=",
				e->max_record, records,
				sz_format_size(least * e->n_lanes, size, sizeof(size)));
	}
	if (records > 2 && want < least)
		want = least > DEFAULT_WANT_BYTES ? least : 0;
	e->cap_bytes = sz_lane_plan_bytes(want, e->max_record);
	if (e->cap_bytes == 0)
		graph_report(p->graph, GRAPH_ERROR,
			     o && o->value.text ? o->loc
			     : e->origin        ? e->origin->loc
						: (struct graph_loc){ 0 },
			     "a lane of %" PRIu64
			     " bytes is too large: expected at most %llu: make buffer= or "
			     "max_record= smaller",
			     want > least ? want : least, SZ_LANE_CAP_MAX);
	if (e->limit_bytes == 0)
		e->limit_bytes = e->cap_bytes;
}

static void plan_lanes(struct plan *p)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < p->n_edges; i++) {
		struct plan_edge *e = &p->edges[i];

		e->first_lane = count;
		e->n_lanes = p->stages[e->from].n_workers * p->stages[e->to].n_workers;
		count += e->n_lanes;
		plan_buffer(p, e);
	}
	p->lanes = plan_alloc(p, (count + 1) * sizeof(*p->lanes));
	for (uint32_t i = 0; i < p->n_edges; i++) {
		const struct plan_stage *from = &p->stages[p->edges[i].from];
		const struct plan_stage *to = &p->stages[p->edges[i].to];

		for (uint32_t a = 0; a < from->n_workers; a++)
			for (uint32_t b = 0; b < to->n_workers; b++) {
				uint32_t producer = from->first_worker + a;
				uint32_t consumer = to->first_worker + b;

				p->lanes[p->n_lanes++] = (struct plan_lane){
					.edge = i,
					.producer = producer,
					.consumer = consumer,
					.producer_out = p->workers[producer].n_out++,
					.consumer_in = p->workers[consumer].n_in++,
					.producer_edge = i - from->first_edge,
				};
			}
	}
}

static void plan_workers(struct plan *p)
{
	for (uint32_t i = 0; i < p->n_stages; i++) {
		p->stages[i].first_worker = p->n_workers;
		p->n_workers += p->stages[i].n_workers;
	}
	p->workers = plan_alloc(p, (p->n_workers + 1) * sizeof(*p->workers));
	for (uint32_t i = 0; i < p->n_stages; i++)
		for (uint32_t n = 0; n < p->stages[i].n_workers; n++) {
			struct plan_worker *w = &p->workers[p->stages[i].first_worker + n];

			w->stage = i;
			w->number = n;
		}
}

/* Sizes */

static void report_stage(struct plan *p, const struct plan_stage *s, const char *text)
{
	graph_report(p->graph, GRAPH_ERROR, s->origin ? s->origin->loc : (struct graph_loc){ 0 },
		     "stage \"%s\": %s", s->name, text);
}

static void size_worker(struct plan *p, uint32_t index)
{
	struct plan_worker *w = &p->workers[index];
	const struct plan_stage *s = &p->stages[w->stage];

	if (w->n_in > SZ_LANES_MAX || w->n_out > SZ_LANES_MAX) {
		report_stage(p, s,
			     "more than 127 lanes in or out of one process: put a stage between");
		return;
	}
	w->page = (struct sz_page_plan){
		.worker_index = index,
		.n_in = w->n_in,
		.n_out = w->n_out,
		.n_counters = sz_counter_count(s->n_edges, s->n_own),
		.state_bytes = (uint32_t)s->state_bytes,
		.journal_bytes = s->journal_bytes,
		.arena_bytes = s->arena_bytes,
	};
	w->page_bytes = sz_page_plan_bytes(&w->page);
	w->stats_bytes = sz_stats_plan_bytes(w->page.n_counters + SZ_G_FIXED);
	if (!w->page_bytes || !w->stats_bytes)
		report_stage(p, s, "asks for more state, journal or counters than a page can hold");
	p->shared_bytes += w->page_bytes + w->stats_bytes;
}

static void plan_sizes(struct plan *p)
{
	for (uint32_t i = 0; i < p->n_workers; i++)
		size_worker(p, i);
	for (uint32_t i = 0; i < p->n_lanes; i++)
		p->shared_bytes += SZ_LANE_DATA_AT + p->edges[p->lanes[i].edge].cap_bytes;
	p->ctl.n_stages = p->n_stages;
	p->ctl.n_workers = p->n_workers;
	p->ctl.n_edges = p->n_edges;
	p->ctl.n_lanes = p->n_lanes;
	p->shared_bytes += sz_ctl_layout(&p->ctl);
	if (p->n_stages > SZ_STAGES_MAX || p->n_workers > SZ_WORKERS_MAX ||
	    p->n_edges > SZ_EDGES_MAX || p->n_lanes > SZ_LANES_TOTAL_MAX)
		graph_report(
			p->graph, GRAPH_ERROR, p->graph->name_loc,
			"%u stages, %u processes, %u edges and %u lanes: expected at most %u, %u, "
			"%u and %u: split the pipeline",
			p->n_stages, p->n_workers, p->n_edges, p->n_lanes, SZ_STAGES_MAX,
			SZ_WORKERS_MAX, SZ_EDGES_MAX, SZ_LANES_TOTAL_MAX);
}

void plan_layout(struct plan *p)
{
	plan_workers(p);
	plan_lanes(p);
	plan_sizes(p);
}
