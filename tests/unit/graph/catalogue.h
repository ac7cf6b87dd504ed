/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * catalogue.h - stage types, files and an environment for the tests of the graph language, all in memory
 */
#ifndef TESTS_GRAPH_CATALOGUE_H
#define TESTS_GRAPH_CATALOGUE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "graph.h"

static const struct sz_port test_no_ports[] = { { NULL, NULL } };
static const struct sz_port test_failed[] = { { "failed", "refused records" }, { NULL, NULL } };
static const struct sz_port test_rest_failed[] = {
	{ "rest", "records that do not match" },
	{ "failed", "refused records" },
	{ NULL, NULL },
};
static const struct sz_option test_no_options[] = { { .name = NULL } };
static const struct sz_option test_file_source[] = {
	{ .name = "path", .type = SZ_OPT_PATH, .flags = SZ_OPT_REQUIRED },
	{ .name = "follow", .type = SZ_OPT_BOOL, .def = "false" },
	{ .name = NULL },
};
static const struct sz_option test_file_sink[] = {
	{ .name = "path", .type = SZ_OPT_PATH, .flags = SZ_OPT_REQUIRED },
	{ .name = "rotate", .type = SZ_OPT_SIZE, .min = 4096, .max = INT64_C(1) << 40 },
	{ .name = "keep", .type = SZ_OPT_INT, .def = "7", .min = 1, .max = 1000 },
	{ .name = NULL },
};
static const struct sz_option test_generate[] = {
	{ .name = "count", .type = SZ_OPT_INT, .def = "10", .min = 0, .max = INT64_MAX },
	{ .name = "size", .type = SZ_OPT_SIZE, .def = "64", .min = 1, .max = 65536 },
	{ .name = "rate", .type = SZ_OPT_RATE },
	{ .name = NULL },
};
static const struct sz_option test_delay[] = {
	{ .name = "time", .type = SZ_OPT_TIME, .flags = SZ_OPT_REQUIRED },
	{ .name = "ratio", .type = SZ_OPT_PERCENT, .def = "100%", .min = 0, .max = 100000 },
	{ .name = NULL },
};
static const struct sz_option test_filter[] = {
	{ .name = "match", .type = SZ_OPT_STRING },
	{ .name = "regex", .type = SZ_OPT_REGEX },
	{ .name = "invert", .type = SZ_OPT_BOOL, .def = "false" },
	{ .name = NULL },
};
static const struct sz_option test_map[] = {
	{ .name = "command", .type = SZ_OPT_STRING, .flags = SZ_OPT_REQUIRED },
	{ .name = "mode", .type = SZ_OPT_ENUM, .def = "line", .choices = "line|batch|stream" },
	{ .name = "env.", .type = SZ_OPT_STRING, .flags = SZ_OPT_PREFIX },
	{ .name = "password", .type = SZ_OPT_STRING, .flags = SZ_OPT_SECRET },
	{ .name = NULL },
};
static const struct sz_option test_switch[] = {
	{ .name = "case.", .type = SZ_OPT_STRING, .flags = SZ_OPT_PREFIX | SZ_OPT_REQUIRED },
	{ .name = NULL },
};

static const struct sz_type test_types[] = {
	{ "file", SZ_SOURCE, 0, "read a file", test_failed, test_file_source },
	{ "file", SZ_SINK, 0, "write a file", test_failed, test_file_sink },
	{ "stdin", SZ_SOURCE, 0, "read standard input", test_no_ports, test_no_options },
	{ "stdout", SZ_SINK, 0, "write standard output", test_no_ports, test_no_options },
	{ "generate", SZ_SOURCE, 0, "make records", test_no_ports, test_generate },
	{ "null", SZ_SINK, 0, "discard", test_no_ports, test_no_options },
	{ "delay", SZ_TRANSFORM, 0, "wait", test_no_ports, test_delay },
	{ "filter", SZ_TRANSFORM, 0, "keep what matches", test_rest_failed, test_filter },
	{ "map", SZ_TRANSFORM, 0, "change each record", test_failed, test_map },
	{ "switch", SZ_TRANSFORM, SZ_TYPE_DYNAMIC_PORTS, "choose a port", test_failed,
	  test_switch },
};
#define TEST_TYPE_COUNT (sizeof(test_types) / sizeof(test_types[0]))

/* What files there are: name, text, ends with a NULL name. */
struct test_file {
	const char *name, *text;
};

struct test_world {
	const struct test_file *files;
	const char *folder; /* files of this folder can be read, if not NULL */
	char last_type[256];
};

static inline const struct sz_type *test_list_type(void *ctx, size_t index)
{
	return index < TEST_TYPE_COUNT ? test_types + index : NULL;
}

static inline const struct sz_type *test_resolve_type(void *ctx, const char *name,
						      enum sz_role role, const char **error)
{
	struct test_world *w = ctx;
	const struct sz_type *other = NULL;
	size_t i;

	snprintf(w->last_type, sizeof(w->last_type), "%s", name);
	if (strchr(name, '/')) {
		/* Every plug-in is a filter, unless it is missing. */
		if (strstr(name, "missing")) {
			*error = "No such file or directory";
			return NULL;
		}
		return test_types + 7;
	}
	for (i = 0; i < TEST_TYPE_COUNT; i++) {
		if (strcmp(test_types[i].name, name) != 0)
			continue;
		if (test_types[i].role == role)
			return test_types + i;
		other = test_types + i;
	}
	return other;
}

static inline int test_read_folder(const char *folder, const char *path, char **text, size_t *len)
{
	char name[1024];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s", folder, path);
	f = fopen(name, "r");
	if (!f)
		return -errno;
	*text = calloc(1, GRAPH_FILE_MAX + 2);
	*len = *text ? fread(*text, 1, GRAPH_FILE_MAX + 1, f) : 0;
	fclose(f);
	return *text ? 0 : -ENOMEM;
}

static inline int test_read_file(void *ctx, const char *path, char **text, size_t *len)
{
	const struct test_world *w = ctx;
	const struct test_file *f;

	for (f = w->files; f && f->name; f++) {
		if (strcmp(f->name, path) != 0)
			continue;
		*text = strdup(f->text);
		*len = strlen(f->text);
		return *text ? 0 : -ENOMEM;
	}
	return w->folder ? test_read_folder(w->folder, path, text, len) : -ENOENT;
}

static inline const char *test_get_env(void *ctx, const char *name)
{
	if (strcmp(name, "HOME") == 0)
		return "/home/test";
	if (strcmp(name, "BELL") == 0)
		return "ding\a";
	if (strcmp(name, "EMPTY") == 0)
		return "";
	return NULL;
}

static inline struct graph_input test_input(struct test_world *world, const char *name,
					    const char *text)
{
	return (struct graph_input){ .file_name = name,
				     .text = text,
				     .text_len = text ? strlen(text) : 0,
				     .read_file = test_read_file,
				     .resolve_type = test_resolve_type,
				     .list_type = test_list_type,
				     .get_env = test_get_env,
				     .ctx = world };
}

/* The model if there is no mistake, after the warnings. The caller frees it. */
static inline char *test_render(const struct graph *graph)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	graph_print_diags(graph, to);
	if (graph->error_count == 0)
		graph_dump(graph, to);
	fclose(to);
	return text;
}

#endif
