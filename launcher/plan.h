/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.h - from a graph to processes, lanes and bytes
 *
 *	plan.c		stages and edges in their order, record sizes, the shape
 *	layout.c	workers, lanes, and the bytes of every object
 *	ask.c		what each stage says of itself when asked with --check
 *	limits.c	the sum, and what it is held against
 *	show.c		--check
 *
 * Stages stand in topological order, equals by name, and edges by their ends: moving the lines of a graph about gives
 * the same plan, so a dead run can be resumed after it.
 */
#ifndef LAUNCHER_PLAN_H
#define LAUNCHER_PLAN_H

#include <stdbool.h>
#include <stdio.h>
#include <streamz/contract.h>
#include "catalog.h"
#include "graph/graph.h"

/* What a process needs beside its lanes; docs promise it. */
#define PLAN_PROCESS_BYTES (4ull << 20)

struct plan_option {
	const char *key, *value;
	size_t len;
};

/* A thing that one stage may have alone; of a regular file that exists also which one it is, for it may have several names. */
struct plan_claim {
	const char *name;
	bool write, is_file;
	uint64_t dev, ino;
	struct plan_claim *next;
};

enum plan_restart { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

/**
 * struct plan_stage
 * @origin:	the stage of the graph; NULL: added by the planner
 * @options:	given ones of its type, for the stage program
 * @max_in:	longest record it can get; a source: what it should keep its records to
 * @max_out:	longest record it may emit
 * @size:	a source: how much there is to read, 0: unknown
 * @own:	counters of its own
 */
struct plan_stage {
	const char *name, *type_name;
	const struct sz_type *type;
	enum sz_role role;
	const struct program *program;
	const struct graph_stage *origin;
	struct plan_option *options;
	uint32_t option_count;
	uint32_t first_worker, n_workers;
	uint32_t first_edge, n_edges; /* leaving it */
	uint32_t max_in, max_out;
	uint64_t state_bytes, journal_bytes, arena_bytes, size;
	uint32_t ring_entries;
	uint32_t room; /* records that one call may emit, 0: one */
	struct sz_stat_desc *own;
	uint32_t n_own;
	struct plan_claim *claims;
	enum plan_restart restart;
	uint32_t restart_limit;
	uint64_t restart_period_ns, backoff_first_ns, backoff_longest_ns, shutdown_ns;
};

struct plan_edge {
	uint32_t from, to;
	const char *port; /* "": the default one */
	const struct graph_edge *origin;
	enum sz_overflow overflow;
	uint32_t first_lane, n_lanes;
	uint32_t max_record;
	uint64_t cap_bytes, limit_bytes, limit_records; /* of each lane */
};

struct plan_worker {
	uint32_t stage, number;
	uint32_t n_in, n_out;
	struct sz_page_plan page;
	uint64_t page_bytes, stats_bytes;
};

struct plan_lane {
	uint32_t edge, producer, consumer;
	uint32_t producer_out, consumer_in, producer_edge;
};

struct plan {
	const char *name, *file;
	struct graph *graph;
	bool one_line;
	bool resuming; /* a dead run of that name is there: stages are asked what they need to go on */
	struct plan_stage *stages;
	struct plan_edge *edges;
	struct plan_worker *workers;
	struct plan_lane *lanes;
	uint32_t n_stages, n_edges, n_workers, n_lanes;
	uint64_t shape;
	struct sz_ctl ctl;     /* counts and offsets */
	uint64_t shared_bytes; /* all objects */
	const char **notes;
	uint32_t n_notes;
	struct plan_chunk *chunks;
};

/**
 * plan_make() - plan a graph that parsed without errors
 * @graph:	mistakes found while planning are reported to it; must outlive the plan
 * @file:	its name, for people
 * @one_line:	it comes from -e
 * @resuming:	the plan is for taking up a dead run
 *
 * Return: the plan, which counts only if graph->error_count is 0.
 */
struct plan *plan_make(struct graph *graph, const struct catalog *catalog, const char *file,
		       bool one_line, bool resuming);
void plan_free(struct plan *p);

/* Zeroed memory that lives as long as the plan. Ends the program if there is none: nothing has been started yet. */
void *plan_alloc(struct plan *p, size_t size);
char *plan_text(struct plan *p, const char *text, size_t len);

/* The longest envelope in which a stage's failed records travel. */
uint32_t plan_failed_max(const struct plan_stage *s);

/* Bytes of all objects and processes together. */
uint64_t plan_total_bytes(const struct plan *p);

/* "a.failed -> b". Return: @buf. */
#define PLAN_EDGE_NAME_SIZE 128
char *plan_edge_name(const struct plan *p, uint32_t edge, char buf[PLAN_EDGE_NAME_SIZE]);

/* Put what --check and the worker itself are told alike into a wiring. */
void plan_wire_stage(const struct plan *p, const struct plan_stage *s, struct sz_wire_builder *b);

/* layout.c: number workers and lanes, size all objects. */
void plan_layout(struct plan *p);

/* ask.c: Ask a stage what it needs; its refusals become diagnostics of the graph. */
void plan_ask(struct plan *p, struct plan_stage *s);
/* ask.c: Two stages that claim one thing: diagnostics. */
void plan_compare_claims(struct plan *p);

/**
 * plan_refused() - hold the plan against what the system has; limits.c
 *
 * Return: 0, or the exit status, after saying why.
 */
int plan_refused(const struct plan *p);
/* limits.c: hold it against the pipeline's memory=; a diagnostic. */
void plan_check_memory(struct plan *p);

/* limits.c: systemd-logind may take the shared memory away; say so where it would. */
void plan_warn_ipc(void);

/* show.c: print the plan, as --check does. */
void plan_show(const struct plan *p, FILE *to);

#endif
