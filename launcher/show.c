/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * show.c - the plan as --check prints it
 */
#include <bsd/string.h>
#include <inttypes.h>
#include <streamz/view.h>
#include "plan.h"

/* Widths of the first column, so that the table stands in order whatever the names are. */
static int stage_width(const struct plan *p)
{
	size_t width = 5;

	for (uint32_t i = 0; i < p->n_stages; i++)
		if (strlen(p->stages[i].name) > width)
			width = strlen(p->stages[i].name);
	return (int)width;
}

static int edge_width(const struct plan *p)
{
	char name[PLAN_EDGE_NAME_SIZE];
	size_t width = 4;

	for (uint32_t i = 0; i < p->n_edges; i++) {
		size_t n = strlen(plan_edge_name(p, i, name));

		width = n > width ? n : width;
	}
	return (int)width;
}

static void show_stages(const struct plan *p, FILE *to)
{
	int width = stage_width(p);

	fprintf(to, "%-*s  %-6s  %-12s  %9s  %10s  %10s  %8s\n", width, "stage", "role", "type",
		"processes", "record in", "record out", "page");
	for (uint32_t i = 0; i < p->n_stages; i++) {
		const struct plan_stage *s = &p->stages[i];
		const struct plan_worker *w = &p->workers[s->first_worker];
		char in[32] = "-", out[32] = "-", page[32];

		if (s->role != SZ_SOURCE)
			sz_format_size(s->max_in, in, sizeof(in));
		if (s->n_edges)
			sz_format_size(s->max_out, out, sizeof(out));
		sz_format_size((w->page_bytes + w->stats_bytes) * s->n_workers, page, sizeof(page));
		fprintf(to, "%-*s  %-6s  %-12s  %9u  %10s  %10s  %8s%s\n", width, s->name,
			sz_role_name(s->role), s->type_name, s->n_workers, in, out, page,
			s->origin ? "" : "  (added)");
	}
}

static void show_edges(const struct plan *p, FILE *to)
{
	int width = edge_width(p);

	if (!p->n_edges)
		return;
	fprintf(to, "\n%-*s  %-11s  %5s  %8s  %8s  %8s\n", width, "edge", "overflow", "lanes",
		"bytes", "records", "record");
	for (uint32_t i = 0; i < p->n_edges; i++) {
		const struct plan_edge *e = &p->edges[i];
		char name[PLAN_EDGE_NAME_SIZE], bytes[32], max[32], records[32] = "-";

		if (e->limit_records != UINT64_MAX)
			snprintf(records, sizeof(records), "%" PRIu64, e->limit_records);
		fprintf(to, "%-*s  %-11s  %5u  %8s  %8s  %8s\n", width, plan_edge_name(p, i, name),
			sz_overflow_name(e->overflow), e->n_lanes,
			sz_format_size(e->limit_bytes, bytes, sizeof(bytes)), records,
			sz_format_size(e->max_record, max, sizeof(max)));
	}
}

void plan_show(const struct plan *p, FILE *to)
{
	graph_dump(p->graph, to);
	fprintf(to, "\n");
	show_stages(p, to);
	show_edges(p, to);
	fprintf(to,
		"\n%u processes of 4 MiB, %u lanes, %.1f MiB of shared memory: %.1f MiB in all\n",
		p->n_workers, p->n_lanes, (double)p->shared_bytes / (1 << 20),
		(double)plan_total_bytes(p) / (1 << 20));
	for (uint32_t i = 0; i < p->n_notes; i++)
		fprintf(to, "note: %s\n", p->notes[i]);
}
