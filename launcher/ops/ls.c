/* SPDX-License-Identifier: BSD-2-Clause */
/* ls.c - streamz ls: the pipelines of this user */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "ops.h"

static json_t *pipeline_json(const char *name, const struct sz_view *v)
{
	if (!v)
		return json_pack("{s:s, s:s}", "pipeline", name, "state", "broken");
	return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:s}", "pipeline", name, "state",
			 sz_view_state_name(v), "launcher_pid", v->live ? v->ctl->launcher_pid : 0,
			 "stages", json_u64(v->ctl->n_stages), "workers",
			 json_u64(v->ctl->n_workers), "since_ns", json_u64(v->ctl->start_ns),
			 "held", json_u64(sz_view_records_held(v)), "unfinished_sources",
			 json_u64(sz_view_unfinished_sources(v)), "graph", v->ctl->graph);
}

static void pipeline_row(struct table *t, const char *name, const struct sz_view *v)
{
	char since[32];

	table_word(t, name);
	if (!v) {
		table_word(t, "broken");
		for (int i = 0; i < 5; i++)
			table_word(t, "-");
		return;
	}
	table_word(t, sz_view_state_name(v));
	if (v->live)
		table_cell(t, "%d", v->ctl->launcher_pid);
	else
		table_word(t, "-");
	table_cell(t, "%u", v->ctl->n_stages);
	table_word(t, human_time(v->ctl->start_ns, since, sizeof(since)));
	table_cell(t, "%" PRIu64, sz_view_records_held(v));
	table_word(t, v->ctl->graph);
}

/* The view of a listed pipeline; NULL: broken. Return: false: it has gone meanwhile. */
static bool look(const char *name, struct sz_view **v)
{
	*v = NULL;
	return sz_view_open(name, getuid(), v) != -ENOENT;
}

static int print_json(const struct names *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++) {
		struct sz_view *v;

		if (look(list->name[i], &v))
			json_array_append_new(array, pipeline_json(list->name[i], v));
		sz_view_close(v);
	}
	return json_print(json_pack("{s:s, s:o}", "schema", "streamz.ls/1", "pipelines", array));
}

static int print_text(const struct names *list)
{
	static const char *const heads[] = { "PIPELINE", "STATE", "LAUNCHER", "STAGES",
					     "SINCE",    "HELD",  "GRAPH" };
	struct table t;

	table_begin(&t, 7);
	for (size_t i = 0; i < 7; i++)
		table_word(&t, heads[i]);
	for (size_t i = 0; i < list->count; i++) {
		struct sz_view *v;

		if (look(list->name[i], &v))
			pipeline_row(&t, list->name[i], v);
		sz_view_close(v);
	}
	table_print(&t, "llrrlrl", 0);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct names list;
	bool json = false;
	int c, rc;

	while ((c = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		if (c != 'j')
			return usage(&verb_ls);
		json = true;
	}
	if (optind != argc)
		return usage(&verb_ls);
	rc = pipelines(&list);
	if (rc) {
		say("cannot read /dev/shm: %s", strerror(-rc));
		return EXIT_SYSTEM;
	}
	if (list.count == 0 && !json)
		say("there is no pipeline");
	else
		rc = json ? print_json(&list) : print_text(&list);
	names_free(&list);
	return rc;
}

const struct verb verb_ls = {
	.name = "ls",
	.synopsis = "[--json]",
	.summary = "list the pipelines, alive and dead",
	.help = "  -j, --json   JSON, schema streamz.ls/1\n",
	.run = run,
};
