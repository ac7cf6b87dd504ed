/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - what is said of a pipeline: the line while it runs, the summary at its end
 */
#ifndef LAUNCHER_REPORT_H
#define LAUNCHER_REPORT_H

#include <streamz/view.h>
#include "pipeline.h"

/**
 * struct report - what it takes to say how this run went
 * @view:	NULL if the pipeline could not be looked at
 * @start_ns:	CLOCK_MONOTONIC
 * @base_in, @base_out: counters each worker began this run with
 */
struct report {
	const struct pipeline *p;
	struct sz_view *view;
	uint64_t start_ns;
	uint64_t *base_in, *base_out;
	uint64_t last_records, last_ns;
	double rate;
	unsigned still; /* progress lines in a row that said nothing new */
};

struct report_audit {
	bool done;
	uint32_t checks, failures;
};

void report_open(struct report *r, const struct pipeline *p);
void report_close(struct report *r);

/* Show where things stand. Return: ns until it is worth doing again. */
uint64_t report_progress(struct report *r);

/* Check the books of a pipeline at rest; each line that does not hold is said. */
struct report_audit report_audit(struct report *r);

/* Records that went to a failed port. */
uint64_t report_failed(const struct report *r);

void report_text(const struct report *r, const struct report_audit *audit);
/* One line of JSON on stderr, schema streamz.report/1. */
void report_json(const struct report *r, const struct report_audit *audit, const char *state,
		 int exit_status);

#endif
