/* SPDX-License-Identifier: BSD-2-Clause */
#include "report.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "log.h"

#define PROGRESS_NS       (NS_PER_S / 2)
#define PROGRESS_STILL_NS (5 * NS_PER_S)
#define STILL_AFTER       4

/* A stage's numbers, summed over its workers. */
struct sums {
	uint64_t records_in, records_out, bytes_in, bytes_out, dropped_newest, dropped_detached;
	uint64_t failed, held, restarts, records_now;
};

void report_open(struct report *r, const struct pipeline *p)
{
	uint32_t n = p->plan->n_workers;

	memset(r, 0, sizeof(*r));
	r->p = p;
	r->start_ns = r->last_ns = sz_clock_ns(CLOCK_MONOTONIC);
	r->base_in = calloc(n + 1, sizeof(*r->base_in));
	r->base_out = calloc(n + 1, sizeof(*r->base_out));
	if (!r->base_in || !r->base_out || sz_view_open(p->plan->name, p->uid, &r->view)) {
		r->view = NULL;
		return;
	}
	for (uint32_t i = 0; i < n && i < r->view->ctl->n_workers; i++) {
		r->base_in[i] = sz_view_counter(r->view, i, SZ_C_RECORDS_IN);
		r->base_out[i] = sz_view_counter(r->view, i, SZ_C_RECORDS_OUT);
	}
}

void report_close(struct report *r)
{
	sz_view_close(r->view);
	free(r->base_in);
	free(r->base_out);
	r->view = NULL;
}

static struct sums add_up(const struct report *r, uint32_t stage)
{
	const struct sz_view *v = r->view;
	const struct sz_ctl_stage *s = &SZ_CTL_STAGES(v->ctl)[stage];
	struct sums sum = { 0 };

	for (uint32_t i = s->first_worker; i < s->first_worker + s->n_workers; i++) {
		uint64_t in = sz_view_counter(v, i, SZ_C_RECORDS_IN);
		uint64_t out = sz_view_counter(v, i, SZ_C_RECORDS_OUT);

		sum.records_in += in;
		sum.records_out += out;
		sum.bytes_in += sz_view_counter(v, i, SZ_C_BYTES_IN);
		sum.bytes_out += sz_view_counter(v, i, SZ_C_BYTES_OUT);
		sum.failed += sz_view_counter(v, i, SZ_C_FAILED);
		sum.held += sz_view_counter(v, i, SZ_C_HELD);
		sum.restarts += SZ_CTL_WORKERS(v->ctl)[i].restarts;
		sum.records_now += s->role == SZ_SOURCE ? out - r->base_out[i] : in - r->base_in[i];
		for (uint32_t e = 0; e < v->workers[i].n_edges; e++) {
			sum.dropped_newest += sz_view_edge_counter(v, i, e, SZ_E_DROPPED_NEWEST);
			sum.dropped_detached +=
				sz_view_edge_counter(v, i, e, SZ_E_DROPPED_DETACHED);
		}
	}
	return sum;
}

static char *human_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	unsigned u = 0;

	for (; n >= 1024 && u < 5; u++)
		n /= 1024;
	snprintf(buf, size, u ? "%.1f %s" : "%.0f %s", n, units[u]);
	return buf;
}

static char *human_duration(double seconds, char *buf, size_t size)
{
	if (seconds < 60)
		snprintf(buf, size, "%.*f s", seconds < 10 ? 3 : 1, seconds);
	else if (seconds < 3600)
		snprintf(buf, size, "%dm%02ds", (int)seconds / 60, (int)seconds % 60);
	else
		snprintf(buf, size, "%dh%02dm", (int)(seconds / 3600), (int)seconds / 60 % 60);
	return buf;
}

static double elapsed(const struct report *r)
{
	double s = (double)(sz_clock_ns(CLOCK_MONOTONIC) - r->start_ns) / (double)NS_PER_S;

	return s > 1e-6 ? s : 1e-6;
}

/* Progress */

struct progress {
	uint64_t records, bytes, done, total;
	bool known; /* every source knows its size */
};

static struct progress look(const struct report *r)
{
	struct progress p = { .known = true };

	for (uint32_t i = 0; i < r->view->ctl->n_workers; i++) {
		const struct sz_ctl_worker *w = &SZ_CTL_WORKERS(r->view->ctl)[i];
		uint64_t total;

		if (SZ_CTL_STAGES(r->view->ctl)[w->stage].role != SZ_SOURCE)
			continue;
		p.records += sz_view_counter(r->view, i, SZ_C_RECORDS_OUT);
		p.bytes += sz_view_counter(r->view, i, SZ_C_BYTES_OUT);
		p.done += sz_view_gauge(r->view, i, SZ_G_PROGRESS);
		total = sz_view_gauge(r->view, i, SZ_G_PROGRESS_TOTAL);
		if (!total)
			total = r->p->workers[i].stage->size;
		p.known &= total > 0;
		p.total += total;
	}
	p.known &= p.total > 0;
	return p;
}

uint64_t report_progress(struct report *r)
{
	char line[256], bytes[32], left[32];
	uint64_t now = sz_clock_ns(CLOCK_MONOTONIC);
	struct progress p;
	int n;

	if (!r->view || sz_view_refresh(r->view))
		return PROGRESS_STILL_NS;
	p = look(r);
	if (p.records == r->last_records && r->still < STILL_AFTER) {
		r->still++;
	} else if (p.records != r->last_records) {
		double now_rate = (double)(p.records - r->last_records) * 1e9 /
				  (double)(now - r->last_ns + 1);

		r->rate = r->rate > 0 ? r->rate * 0.7 + now_rate * 0.3 : now_rate;
		r->still = 0;
	}
	if (r->still) {
		r->last_ns = now;
		r->rate = 0;
	}
	r->last_records = p.records;
	r->last_ns = now;
	n = snprintf(line, sizeof(line), "%s: %" PRIu64 " records, %s, %.0f records/s",
		     r->p->plan->name, p.records, human_bytes(p.bytes, bytes, sizeof(bytes)),
		     r->rate);
	if (p.known && p.done <= p.total && p.done > 0)
		snprintf(line + n, sizeof(line) - (size_t)n, ", %.1f%%, %s left",
			 100.0 * (double)p.done / (double)p.total,
			 human_duration(elapsed(r) * (double)(p.total - p.done) / (double)p.done,
					left, sizeof(left)));
	log_status(line);
	return r->still >= STILL_AFTER ? PROGRESS_STILL_NS : PROGRESS_NS;
}

/* The end */

static void say_failed_check(void *ctx, const struct sz_audit_check *c)
{
	(void)ctx;
	if (!c->holds)
		log_error("audit: %s: %s: %s is %" PRIu64 ", the other side %" PRIu64 "%s%s",
			  c->name, c->what, c->left_name ? c->left_name : "left", c->left, c->right,
			  c->why[0] ? ": " : "", c->why);
}

struct report_audit report_audit(struct report *r)
{
	struct report_audit a = { 0 };
	struct sz_audit_result result = { 0 };
	int rc = r->view ? sz_audit(r->view, say_failed_check, NULL, &result) : -ENOENT;

	if (rc) {
		log_warn("audit: %s: the books were not checked", strerror(-rc));
		return a;
	}
	a.done = true;
	a.checks = result.checks;
	a.failures = result.failures;
	return a;
}

uint64_t report_failed(const struct report *r)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; r->view && i < r->view->ctl->n_workers; i++)
		sum += sz_view_counter(r->view, i, SZ_C_FAILED);
	return sum;
}

static void text_row(const struct report *r, uint32_t stage, int width)
{
	const struct sz_ctl_stage *s = &SZ_CTL_STAGES(r->view->ctl)[stage];
	struct sums sum = add_up(r, stage);
	char in[32], out[32];

	log_plain("%-*s %12" PRIu64 " %10s %12" PRIu64 " %10s %9" PRIu64 " %8" PRIu64 " %8" PRIu64
		  " %11.0f",
		  width, s->name, sum.records_in, human_bytes(sum.bytes_in, in, sizeof(in)),
		  sum.records_out, human_bytes(sum.bytes_out, out, sizeof(out)),
		  sum.dropped_newest + sum.dropped_detached, sum.failed, sum.restarts,
		  (double)sum.records_now / elapsed(r));
}

void report_text(const struct report *r, const struct report_audit *audit)
{
	int width = 5;
	char time[32];

	if (!r->view)
		return;
	for (uint32_t i = 0; i < r->view->ctl->n_stages; i++) {
		int n = (int)strlen(SZ_CTL_STAGES(r->view->ctl)[i].name);

		width = n > width ? n : width;
	}
	log_plain("%-*s %12s %10s %12s %10s %9s %8s %8s %11s", width, "stage", "records in",
		  "bytes in", "records out", "bytes out", "dropped", "failed", "restarts",
		  "records/s");
	for (uint32_t i = 0; i < r->view->ctl->n_stages; i++)
		text_row(r, i, width);
	human_duration(elapsed(r), time, sizeof(time));
	if (!audit->done)
		log_plain("elapsed %s; audit: not made", time);
	else if (audit->failures)
		log_plain("elapsed %s; audit: %u of %u checks do not hold", time, audit->failures,
			  audit->checks);
	else
		log_plain("elapsed %s; audit: clean, %u checks", time, audit->checks);
}

static json_t *json_row(const struct report *r, uint32_t stage)
{
	const struct sz_ctl_stage *s = &SZ_CTL_STAGES(r->view->ctl)[stage];
	struct sums sum = add_up(r, stage);

	return json_pack("{ss ss ss sb sI sI sI sI s{sI sI} sI sI sI sf}", "stage", s->name, "role",
			 sz_role_name((enum sz_role)s->role), "type", s->type, "implicit",
			 (int)s->implicit, "records_in", (json_int_t)sum.records_in, "records_out",
			 (json_int_t)sum.records_out, "bytes_in", (json_int_t)sum.bytes_in,
			 "bytes_out", (json_int_t)sum.bytes_out, "dropped", "newest",
			 (json_int_t)sum.dropped_newest, "detached",
			 (json_int_t)sum.dropped_detached, "failed", (json_int_t)sum.failed, "held",
			 (json_int_t)sum.held, "restarts", (json_int_t)sum.restarts,
			 "records_per_second", (double)sum.records_now / elapsed(r));
}

void report_json(const struct report *r, const struct report_audit *audit, const char *state,
		 int exit_status)
{
	json_t *stages = json_array(), *root;
	char *text;

	for (uint32_t i = 0; r->view && i < r->view->ctl->n_stages; i++)
		json_array_append_new(stages, json_row(r, i));
	root = json_pack("{ss ss ss si sf so s{sb sI sI}}", "schema", "streamz.report/1",
			 "pipeline", r->p->plan->name, "state", state, "exit", exit_status,
			 "elapsed_seconds", elapsed(r), "stages", stages, "audit", "made",
			 (int)audit->done, "checks", (json_int_t)audit->checks, "failures",
			 (json_int_t)audit->failures);
	text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	log_status(NULL);
	if (text)
		fprintf(stderr, "%s\n", text);
	free(text);
	json_decref(root);
}
