/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * common_options.c - the options of the pipeline, of every stage and of every edge
 */
#include "graph.h"

#define K INT64_C(1024)
#define G (K * K * K)

const struct sz_option graph_pipeline_options[] = {
	{ .name = "memory",
	  .type = SZ_OPT_SIZE,
	  .help = "Most shared memory the pipeline may take; a larger plan is refused" },
	{ .name = "max_record",
	  .type = SZ_OPT_SIZE,
	  .def = "64K",
	  .min = 1,
	  .max = G,
	  .help = "Largest record, unless a stage says otherwise" },
	{ .name = NULL },
};

const struct sz_option graph_stage_options[] = {
	{ .name = "max_record",
	  .type = SZ_OPT_SIZE,
	  .min = 1,
	  .max = G,
	  .help = "Largest record the stage puts out; the pipeline's if unset" },
	{ .name = "restart",
	  .type = SZ_OPT_ENUM,
	  .def = "always",
	  .choices = "always|on_failure|never",
	  .help = "When a worker that ended is started again" },
	{ .name = "restart_limit",
	  .type = SZ_OPT_COUNT_PER_TIME,
	  .def = "5/10s",
	  .help = "Restarts within a period before the stage is given up" },
	{ .name = "restart_backoff",
	  .type = SZ_OPT_BACKOFF,
	  .def = "10ms..30s",
	  .help = "First and longest wait before a restart; the first restart is immediate" },
	{ .name = "shutdown",
	  .type = SZ_OPT_TIME,
	  .def = "5s",
	  .help = "Time to finish when the pipeline stops, before the stage is killed" },
	{ .name = NULL },
};

const struct sz_option graph_edge_options[] = {
	{ .name = "buffer",
	  .type = SZ_OPT_LIMIT,
	  .help = "Room for bursts: records, bytes, or whichever comes first" },
	{ .name = "overflow",
	  .type = SZ_OPT_ENUM,
	  .def = "block",
	  .choices = "block|drop_newest",
	  .flags = SZ_OPT_MAY_LOSE,
	  .help = "What happens to a record that finds the edge full" },
	{ .name = NULL },
};
