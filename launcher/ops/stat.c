/* SPDX-License-Identifier: BSD-2-Clause */
/* stat.c - streamz stat: every counter of a pipeline, alive or dead */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "ops.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Values of a worker that stand beside its name in the JSON, not in values{}. */
static const enum sz_counter top_level[] = {
	SZ_C_RECORDS_IN, SZ_C_RECORDS_OUT, SZ_C_BYTES_IN, SZ_C_BYTES_OUT, SZ_C_FAILED, SZ_C_HELD,
};

struct drops {
	uint64_t newest, detached;
};

static struct drops worker_drops(const struct sz_view *v, uint32_t w)
{
	struct drops d = { 0, 0 };

	for (uint32_t k = 0; k < v->workers[w].n_edges; k++) {
		d.newest += sz_view_edge_counter(v, w, k, SZ_E_DROPPED_NEWEST);
		d.detached += sz_view_edge_counter(v, w, k, SZ_E_DROPPED_DETACHED);
	}
	return d;
}

/* JSON */

static void set(json_t *j, const char *key, uint64_t n)
{
	json_object_set_new(j, key, json_u64(n));
}

static json_t *drops_json(struct drops d)
{
	return json_pack("{s:o, s:o}", "newest", json_u64(d.newest), "detached",
			 json_u64(d.detached));
}

static bool is_top_level(uint32_t value)
{
	for (size_t i = 0; i < COUNT(top_level); i++)
		if (value == (uint32_t)top_level[i])
			return true;
	return false;
}

static json_t *worker_json(const struct sz_view *v, uint32_t i)
{
	const struct sz_ctl_worker *c = &SZ_CTL_WORKERS(v->ctl)[i];
	const struct sz_ctl_stage *s = &SZ_CTL_STAGES(v->ctl)[c->stage];
	const struct sz_view_worker *w = &v->workers[i];
	json_t *j = json_object(), *values = json_object();

	json_object_set_new(j, "stage", json_string(s->name));
	json_object_set_new(j, "role", json_string(sz_role_name((enum sz_role)s->role)));
	json_object_set_new(j, "type", json_string(s->type));
	set(j, "worker", c->number);
	set(j, "pid", (uint64_t)worker_pid(v, i));
	json_object_set_new(j, "state", json_string(worker_state(v, i)));
	set(j, "generation", c->generation);
	set(j, "restarts", c->restarts);
	for (size_t k = 0; k < COUNT(top_level); k++)
		set(j, w->desc[top_level[k]].name, w->values[top_level[k]]);
	json_object_set_new(j, "dropped", drops_json(worker_drops(v, i)));
	for (uint32_t k = 0; k < w->n_values; k++)
		if (!is_top_level(k))
			set(values, w->desc[k].name, w->values[k]);
	json_object_set_new(j, "values", values);
	return j;
}

static json_t *amount_json(uint64_t bytes, uint64_t records)
{
	return json_pack("{s:o, s:o}", "bytes", json_u64(bytes), "records",
			 records == UINT64_MAX ? json_null() : json_u64(records));
}

static void ends_json(json_t *j, const struct sz_view *v, uint32_t edge)
{
	const struct sz_ctl_edge *e = &SZ_CTL_EDGES(v->ctl)[edge];
	const struct sz_ctl_stage *s = SZ_CTL_STAGES(v->ctl);

	json_object_set_new(j, "from", json_string(s[e->from_stage].name));
	json_object_set_new(j, "port", json_string(e->port));
	json_object_set_new(j, "to", json_string(s[e->to_stage].name));
}

static json_t *edge_json(const struct sz_view *v, uint32_t i)
{
	const struct sz_view_edge *e = &v->edges[i];
	json_t *j = json_object();

	ends_json(j, v, i);
	json_object_set_new(j, "overflow",
			    json_string(sz_overflow_name(SZ_CTL_EDGES(v->ctl)[i].overflow)));
	set(j, "offered", e->offered);
	set(j, "published", e->published);
	json_object_set_new(j, "dropped",
			    drops_json((struct drops){ e->dropped_newest, e->dropped_detached }));
	set(j, "outbox", e->outbox);
	json_object_set_new(j, "fill", amount_json(e->fill_bytes, e->fill_records));
	json_object_set_new(j, "capacity", amount_json(e->cap_bytes, e->cap_records));
	return j;
}

static json_t *lane_json(const struct sz_view *v, uint32_t i)
{
	const struct sz_ctl_lane *c = &SZ_CTL_LANES(v->ctl)[i];
	const struct sz_view_lane *l = &v->lanes[i];
	json_t *j = json_object();

	ends_json(j, v, c->edge);
	set(j, "producer", SZ_CTL_WORKERS(v->ctl)[c->producer].number);
	set(j, "consumer", SZ_CTL_WORKERS(v->ctl)[c->consumer].number);
	set(j, "published", l->published);
	set(j, "consumed", l->consumed);
	json_object_set_new(j, "fill", amount_json(l->fill_bytes, l->fill_records));
	json_object_set_new(j, "capacity", amount_json(l->cap_bytes, l->cap_records));
	return j;
}

static int print_json(const struct sz_view *v)
{
	json_t *stages = json_array(), *edges = json_array(), *lanes = json_array();

	for (uint32_t i = 0; i < v->ctl->n_workers; i++)
		json_array_append_new(stages, worker_json(v, i));
	for (uint32_t i = 0; i < v->ctl->n_edges; i++)
		json_array_append_new(edges, edge_json(v, i));
	for (uint32_t i = 0; i < v->ctl->n_lanes; i++)
		json_array_append_new(lanes, lane_json(v, i));
	return json_print(
		json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "schema", "streamz.stat/1",
			  "pipeline", v->ctl->pipeline, "state", sz_view_state_name(v),
			  "launcher_pid", v->live ? v->ctl->launcher_pid : 0, "time_ns",
			  json_u64(v->time_ns), "stages", stages, "edges", edges, "lanes", lanes));
}

/* Text */

static void heads(struct table *t, const char *const *names, size_t count)
{
	table_begin(t, count);
	for (size_t i = 0; i < count; i++)
		table_word(t, names[i]);
}

static void count_cell(struct table *t, uint64_t n)
{
	table_cell(t, "%" PRIu64, n);
}

static void bytes_cell(struct table *t, uint64_t n)
{
	char buf[32];

	table_word(t, human_bytes(n, buf, sizeof(buf)));
}

/* "SIGKILL 15:04:05", "status 125 15:04:05", "" */
static void death_cell(struct table *t, const struct sz_ctl_worker *w)
{
	char when[32];
	const char *name;

	if (w->death_time_ns == 0) {
		table_word(t, "");
		return;
	}
	human_time(w->death_time_ns, when, sizeof(when));
	if (WIFSIGNALED(w->death_status)) {
		name = sigabbrev_np(WTERMSIG(w->death_status));
		table_cell(t, "SIG%s %s", name ? name : "?", when);
	} else {
		table_cell(t, "exit %d %s", WEXITSTATUS(w->death_status), when);
	}
}

static void print_stages(const struct sz_view *v)
{
	static const char *const names[] = { "STAGE",  "TYPE", "STATE",     "PID",       "RESTARTS",
					     "IN",     "OUT",  "BYTES IN",  "BYTES OUT", "DROPPED",
					     "FAILED", "HELD", "LAST DEATH" };
	char name[SZ_VIEW_NAME_MAX];
	struct table t;

	heads(&t, names, COUNT(names));
	for (uint32_t i = 0; i < v->ctl->n_workers; i++) {
		const struct sz_ctl_worker *w = &SZ_CTL_WORKERS(v->ctl)[i];
		struct drops d = worker_drops(v, i);
		int pid = worker_pid(v, i);

		table_word(&t, sz_view_worker_name(v, i, name));
		table_word(&t, SZ_CTL_STAGES(v->ctl)[w->stage].type);
		table_word(&t, worker_state(v, i));
		if (pid)
			table_cell(&t, "%d", pid);
		else
			table_word(&t, "-");
		count_cell(&t, w->restarts);
		count_cell(&t, sz_view_counter(v, i, SZ_C_RECORDS_IN));
		count_cell(&t, sz_view_counter(v, i, SZ_C_RECORDS_OUT));
		bytes_cell(&t, sz_view_counter(v, i, SZ_C_BYTES_IN));
		bytes_cell(&t, sz_view_counter(v, i, SZ_C_BYTES_OUT));
		count_cell(&t, d.newest + d.detached);
		count_cell(&t, sz_view_counter(v, i, SZ_C_FAILED));
		count_cell(&t, sz_view_counter(v, i, SZ_C_HELD));
		death_cell(&t, w);
	}
	table_print(&t, "lllrrrrrrrrrl", 0);
}

/* The fuller of bytes and records, in per cent: 100 is full. */
static unsigned fill_percent(uint64_t bytes, uint64_t cap_bytes, uint64_t records,
			     uint64_t cap_records)
{
	double b = cap_bytes ? (double)bytes / (double)cap_bytes : 0;
	double r = cap_records && cap_records != UINT64_MAX ? (double)records / (double)cap_records
							    : 0;

	return (unsigned)(100 * (b > r ? b : r) + 0.5);
}

static void amount_cells(struct table *t, uint64_t bytes, uint64_t cap_bytes, uint64_t records,
			 uint64_t cap_records)
{
	count_cell(t, records);
	bytes_cell(t, bytes);
	bytes_cell(t, cap_bytes);
	table_cell(t, "%u%%", fill_percent(bytes, cap_bytes, records, cap_records));
}

static void print_edges(const struct sz_view *v)
{
	static const char *const names[] = { "EDGE",     "OVERFLOW", "OFFERED", "PUBLISHED",
					     "DROPPED",  "OUTBOX",   "WAITING", "BYTES",
					     "CAPACITY", "FILL" };
	char name[SZ_VIEW_NAME_MAX];
	struct table t;

	heads(&t, names, COUNT(names));
	for (uint32_t i = 0; i < v->ctl->n_edges; i++) {
		const struct sz_view_edge *e = &v->edges[i];

		table_word(&t, sz_view_edge_name(v, i, name));
		table_word(&t, sz_overflow_name(SZ_CTL_EDGES(v->ctl)[i].overflow));
		count_cell(&t, e->offered);
		count_cell(&t, e->published);
		count_cell(&t, e->dropped_newest + e->dropped_detached);
		count_cell(&t, e->outbox);
		amount_cells(&t, e->fill_bytes, e->cap_bytes, e->fill_records, e->cap_records);
	}
	table_print(&t, "llrrrrrrrr", 0);
}

static void print_lanes(const struct sz_view *v)
{
	static const char *const names[] = { "LANE",      "FROM",     "TO",
					     "PUBLISHED", "CONSUMED", "WAITING",
					     "BYTES",     "CAPACITY", "FILL" };
	char name[SZ_VIEW_NAME_MAX];
	struct table t;

	heads(&t, names, COUNT(names));
	for (uint32_t i = 0; i < v->ctl->n_lanes; i++) {
		const struct sz_ctl_lane *c = &SZ_CTL_LANES(v->ctl)[i];
		const struct sz_view_lane *l = &v->lanes[i];

		table_cell(&t, "%u", i);
		table_word(&t, sz_view_worker_name(v, c->producer, name));
		table_word(&t, sz_view_worker_name(v, c->consumer, name));
		count_cell(&t, l->published);
		count_cell(&t, l->consumed);
		amount_cells(&t, l->fill_bytes, l->cap_bytes, l->fill_records, l->cap_records);
	}
	table_print(&t, "rllrrrrrr", 0);
}

static void print_values(const struct sz_view *v)
{
	char name[SZ_VIEW_NAME_MAX];
	struct table t;

	table_begin(&t, 5);
	for (uint32_t i = 0; i < v->ctl->n_workers; i++) {
		const struct sz_view_worker *w = &v->workers[i];

		for (uint32_t k = 0; k < w->n_values; k++) {
			table_word(&t, k ? "" : sz_view_worker_name(v, i, name));
			table_word(&t, w->desc[k].name);
			count_cell(&t, w->values[k]);
			table_word(&t, w->desc[k].unit);
			table_word(&t, w->desc[k].help);
		}
	}
	table_print(&t, "llrll", 0);
}

static int print_text(const struct sz_view *v, bool all)
{
	char since[32];

	printf("pipeline %s: %s", v->ctl->pipeline, sz_view_state_name(v));
	if (v->live)
		printf(", launcher %d", v->ctl->launcher_pid);
	printf(", since %s", human_time(v->ctl->start_ns, since, sizeof(since)));
	if (v->ctl->runs > 1)
		printf(", resumed %u time%s", v->ctl->runs - 1, v->ctl->runs > 2 ? "s" : "");
	if (v->ctl->graph[0])
		printf(", %s", v->ctl->graph);
	printf("\n\n");
	print_stages(v);
	if (v->ctl->n_edges) {
		putchar('\n');
		print_edges(v);
	}
	if (all) {
		putchar('\n');
		print_lanes(v);
		putchar('\n');
		print_values(v);
	}
	return EXIT_OK;
}

static void complain(const char *what, uint32_t index, int error)
{
	say("%s %u: %s", what, index,
	    error == -ENOENT    ? "missing"
	    : error == -EBADMSG ? "broken"
				: strerror(-error));
}

static void complain_all(const struct sz_view *v)
{
	for (uint32_t i = 0; i < v->ctl->n_workers; i++) {
		if (v->workers[i].stats_error)
			complain("statistics of worker", i, v->workers[i].stats_error);
		if (v->workers[i].page_error)
			complain("stage page of worker", i, v->workers[i].page_error);
	}
	for (uint32_t i = 0; i < v->ctl->n_lanes; i++)
		if (v->lanes[i].error)
			complain("lane", i, v->lanes[i].error);
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false, all = false;
	struct sz_view *v;
	int c, rc;

	while ((c = getopt_long(argc, argv, "jv", options, NULL)) != -1) {
		switch (c) {
		case 'j': json = true; break;
		case 'v': all = true; break;
		default: return usage(&verb_stat);
		}
	}
	if (argc - optind > 1)
		return usage(&verb_stat);
	rc = open_view(argv[optind], &v);
	if (rc)
		return rc;
	complain_all(v);
	rc = json ? print_json(v) : print_text(v, all);
	sz_view_close(v);
	return rc;
}

const struct verb verb_stat = {
	.name = "stat",
	.synopsis = "[-v] [--json] [PIPELINE]",
	.summary = "show the counters of a pipeline, alive or dead",
	.help = "  -v, --verbose   lanes and every value of every worker as well\n"
		"  -j, --json      JSON with everything, schema streamz.stat/1\n",
	.run = run,
};
