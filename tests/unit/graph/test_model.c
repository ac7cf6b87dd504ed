/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_model.c - the model as the planner reads it, limits, and diagnostics added later
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "catalogue.h"

static struct test_world world;

static struct graph *parse(const char *text)
{
	struct graph_input in = test_input(&world, "dir/test.conf", text);
	struct graph *g = graph_parse(&in);

	assert_non_null(g);
	return g;
}

static void expect_error(struct graph *g, const char *expected)
{
	char *text = test_render(g);

	if (!strstr(text, expected))
		print_error("no \"%s\" in\n%s", expected, text);
	assert_non_null(strstr(text, expected));
	assert_int_equal(g->error_count, 1);
	free(text);
	graph_free(g);
}

static const char web[] = "pipeline web memory=1G\n"
			  "defaults sink keep=9\n"
			  "source a file path=in\n"
			  "stage m map command=c env.A=1 env.B=2 shutdown=9s\n"
			  "sink z file path=out rotate=4M\n"
			  "a -> m buffer=10,4K\n"
			  "m -> z\n"
			  "m.failed -> z overflow=drop_newest\n"
			  "defaults sink file keep=8\n"
			  "defaults stage restart=never shutdown=1s\n";

/* Without the line that is a mistake: keep= is not an option of every sink. */
static struct graph *parse_web(void)
{
	char *text = strdup(web), *line = strstr(text, "defaults sink keep");
	struct graph *g;

	memset(line, ' ', strlen("defaults sink keep=9"));
	g = parse(text);
	free(text);
	assert_int_equal(g->error_count, 0);
	return g;
}

static void test_structure(void **state)
{
	struct graph *g = parse_web();
	unsigned line, column;

	assert_string_equal(g->name, "web");
	assert_int_equal(g->stage_count, 3);
	assert_int_equal(g->edge_count, 3);
	assert_string_equal(g->stages[0].name, "a");
	assert_int_equal(g->stages[0].role, SZ_SOURCE);
	assert_string_equal(g->stages[0].type_name, "file");
	assert_ptr_equal(g->stages[0].type, &test_types[0]);
	assert_ptr_equal(g->stages[2].type, &test_types[1]);
	assert_int_equal(g->edges[0].from, 0);
	assert_int_equal(g->edges[0].to, 1);
	assert_null(g->edges[0].port);
	assert_string_equal(g->edges[2].port, "failed");
	assert_int_equal(graph_stage_index(g, "m"), 1);
	assert_int_equal(graph_stage_index(g, "nope"), 3);
	assert_string_equal(graph_loc_position(g->stages[1].loc, &line, &column), "dir/test.conf");
	assert_int_equal(line, 4);
	assert_int_equal(column, 7);
	graph_loc_position(g->stages[1].type_loc, &line, &column);
	assert_int_equal(column, 9);
	graph_loc_position(g->edges[2].loc, &line, &column);
	assert_int_equal(line, 8);
	assert_null(graph_loc_position((struct graph_loc){ 0 }, &line, &column));
	graph_free(g);
}

static void test_options(void **state)
{
	struct graph *g = parse_web();
	const struct graph_opts *m = &g->stages[1].opts, *z = &g->stages[2].opts;
	const struct sz_value *v;
	const struct graph_opt *o;
	unsigned line, column;

	v = graph_option(&g->opts, "memory");
	assert_int_equal(v->num, INT64_C(1) << 30);
	assert_int_equal(v->given, 1);
	v = graph_option(&g->opts, "max_record");
	assert_int_equal(v->num, 65536);
	assert_string_equal(v->text, "64K");
	assert_int_equal(v->given, 0);

	/* own before inherited before the table; further tables with their defaults */
	assert_int_equal(m->given, 5);
	assert_string_equal(graph_option(m, "env.B")->text, "2");
	assert_null(graph_option(m, "env.C"));
	assert_null(graph_option(m, "nope"));
	assert_int_equal(graph_option(m, "shutdown")->num, INT64_C(9000000000));
	assert_int_equal(graph_opt_find(m, "shutdown")->inherited, 0);
	o = graph_opt_find(m, "restart");
	assert_int_equal(o->value.num, 2);
	assert_int_equal(o->inherited, 1);
	assert_string_equal(graph_loc_position(o->loc, &line, &column), "dir/test.conf");
	assert_int_equal(line, 10);
	assert_int_equal(graph_option(m, "mode")->num, 0);
	assert_int_equal(graph_option(m, "mode")->given, 0);
	assert_null(graph_option(m, "password")->text);
	assert_null(graph_option(m, "max_record")->text);
	assert_int_equal(graph_option(m, "restart_limit")->num, 5);
	assert_int_equal(graph_option(m, "restart_limit")->num2, INT64_C(10000000000));
	assert_int_equal(graph_option(m, "restart_backoff")->num, 10000000);
	assert_int_equal(graph_option(z, "keep")->num, 8);
	assert_int_equal(graph_option(z, "rotate")->num, 4 << 20);

	v = graph_option(&g->edges[0].opts, "buffer");
	assert_int_equal(v->records, 10);
	assert_int_equal(v->num2, 4096);
	assert_null(graph_option(&g->edges[1].opts, "buffer")->text);
	assert_int_equal(graph_option(&g->edges[1].opts, "overflow")->num, 0);
	assert_int_equal(graph_option(&g->edges[2].opts, "overflow")->num, 1);
	graph_free(g);
}

static void test_names(void **state)
{
	static const char ends[] = "source a stdin\nsink z null\na -> z\n";
	static const struct {
		const char *file, *option, *name; /* NULL: a mistake */
	} rows[] = {
		{ "web.conf", NULL, "web" },   { "/etc/x/web.conf", NULL, "web" },
		{ "web", NULL, "web" },        { "my.web.conf", NULL, NULL },
		{ "01-web.conf", NULL, NULL }, { "01-web.conf", "web", "web" },
		{ "-", NULL, NULL },           { ".conf", NULL, NULL },
		{ "a/", NULL, NULL },          { "web.conf", "1", NULL },
		{ "stage.conf", NULL, NULL },  { "web-.conf", NULL, NULL },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct graph_input in = test_input(&world, rows[i].file, ends);
		struct graph *g;

		in.pipeline_name = rows[i].option;
		g = graph_parse(&in);
		assert_int_equal(g->error_count, rows[i].name ? 0 : 1);
		if (rows[i].name)
			assert_string_equal(g->name, rows[i].name);
		graph_free(g);
	}
}

static void test_plugin_path(void **state)
{
	graph_free(parse("source a stdin\nstage f ./sub/x.so\nsink z null\na -> f -> z\n"));
	assert_string_equal(world.last_type, "null");
	graph_free(parse("source a stdin\nsink z null\nstage f ./sub/x.so\na -> f -> z\n"));
	assert_string_equal(world.last_type, "dir/sub/x.so");
	graph_free(parse("source a stdin\nsink z null\nstage f /abs/x.so\na -> f -> z\n"));
	assert_string_equal(world.last_type, "/abs/x.so");
}

/* Without the optional callbacks. */
static void test_no_callbacks(void **state)
{
	struct graph_input in =
		test_input(&world, "x.conf", "source a stdni\nsink z null\ninclude y\na -> ${E}\n");
	struct graph *g;

	in.read_file = NULL;
	in.list_type = NULL;
	in.get_env = NULL;
	g = graph_parse(&in);
	assert_int_equal(g->error_count, 3);
	graph_free(g);
}

static char *repeat(const char *head, const char *format, int count, const char *tail)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int i;

	fputs(head, f);
	for (i = 0; i < count; i++)
		fprintf(f, format, i, i);
	fputs(tail, f);
	fclose(f);
	return text;
}

static void test_limits(void **state)
{
	static const char ends[] = "source a stdin\nsink z null\na -> z\n";
	struct graph_input in;
	char *text;

	text = repeat("source a stdin\n", "sink z%d null\na -> z%d\n", GRAPH_STAGES_MAX - 1, "");
	{
		struct graph *g = parse(text);

		assert_int_equal(g->error_count, 0);
		assert_int_equal(g->stage_count, GRAPH_STAGES_MAX);
		graph_free(g);
	}
	free(text);
	text = repeat("source a stdin\n", "sink z%d null\na -> z%d\n", GRAPH_STAGES_MAX, "");
	expect_error(parse(text), "error: more than 1000 stages: expected fewer");
	free(text);
	text = repeat("", "source a%d stdin\nsink z%d null\n", 101, "");
	text = realloc(text, strlen(text) + 4000);
	{
		int i;

		for (i = 0; i < 101; i++)
			sprintf(text + strlen(text), "%sa%d", i ? "," : "", i);
		strcat(text, " -> ");
		for (i = 0; i < 101; i++)
			sprintf(text + strlen(text), "%sz%d", i ? "," : "", i);
	}
	expect_error(parse(text), "error: more than 10000 edges: expected fewer");
	free(text);
	text = repeat(ends, "let V%d=%d\n", GRAPH_VARIABLES_MAX + 1, "");
	expect_error(parse(text), "error: more than 2000 variables: expected fewer");
	free(text);
	text = repeat("source a stdin\nsink z null\na -> z", " o%d=%d", GRAPH_OPTIONS_MAX + 1, "");
	{
		struct graph *g = parse(text);

		/* Mistakes beyond the limit are not printed, but the count is right up to it. */
		assert_int_equal(g->error_count, GRAPH_ERRORS_MAX);
		graph_free(g);
	}
	free(text);

	text = calloc(1, GRAPH_FILE_MAX + 2);
	memset(text, '#', GRAPH_FILE_MAX + 1);
	in = test_input(&world, "x.conf", text);
	expect_error(graph_parse(&in), "error: the file is too large: expected at most 1024K");
	memset(text, 'x', GRAPH_FILE_MAX);
	memcpy(text, ends, strlen(ends));
	in = test_input(&world, "x.conf", text);
	in.text_len = GRAPH_FILE_MAX;
	{
		struct graph *g = graph_parse(&in);
		char *shown = test_render(g);

		/* A line of a megabyte is not printed in full. */
		assert_int_equal(g->error_count, 1);
		assert_true(strlen(shown) < 1000);
		free(shown);
		graph_free(g);
	}
	free(text);
}

static void test_many_statements(void **state)
{
	char *text = repeat("source a stdin\nsink z null\na -> z\n",
			    "defaults edge buffer=%d\n#%d\n", GRAPH_STATEMENTS_MAX, "");
	struct graph *g = parse(text);

	/* A mistake in each of very many lines is neither slow nor large. */
	assert_int_equal(g->error_count, GRAPH_ERRORS_MAX);
	graph_free(g);
	free(text);
}

static void test_report(void **state)
{
	struct graph *g = parse_web();
	struct graph_loc nowhere = { 0 };
	char *text;

	assert_int_equal(graph_report(g, GRAPH_ERROR, g->stages[2].loc, "too %s", "large"), 0);
	assert_int_equal(graph_report(g, GRAPH_NOTE, g->edges[0].loc, "the edge"), 0);
	assert_int_equal(graph_report(g, GRAPH_WARNING, nowhere, "everywhere"), 0);
	/* Once is enough, with its note. */
	assert_int_equal(graph_report(g, GRAPH_ERROR, g->stages[2].loc, "too large"), 0);
	assert_int_equal(graph_report(g, GRAPH_NOTE, g->edges[0].loc, "the edge"), 0);
	assert_int_equal(g->error_count, 1);
	assert_int_equal(g->warning_count, 1);
	text = test_render(g);
	assert_string_equal(text, "streamz-launch: warning: everywhere\n"
				  "dir/test.conf:5:6: error: too large\n"
				  "sink z file path=out rotate=4M\n"
				  "     ^\n"
				  "dir/test.conf:6:1: note: the edge\n"
				  "a -> m buffer=10,4K\n"
				  "^\n");
	free(text);
	graph_free(g);
}

/* Of a long line the part around the caret is shown; secrets in it stay hidden, wherever it is cut. */
static void test_long_line(void **state)
{
	char *text = repeat("source a stdin\nsink z null\na -> m -> z\nstage m map command=x",
			    " env.A%d=%d password=hunter2hunter2", 100, "\n");
	struct graph *g = parse(text);
	char *shown = test_render(g), *line, *rest = shown;

	assert_true(g->error_count > 90);
	assert_null(strstr(shown, "hunter"));
	assert_non_null(strstr(shown, "..."));
	while ((line = strsep(&rest, "\n")))
		assert_true(strlen(line) < 200);
	free(shown);
	graph_free(g);
	free(text);
}

static void test_free_nothing(void **state)
{
	graph_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_structure),       cmocka_unit_test(test_options),
		cmocka_unit_test(test_names),           cmocka_unit_test(test_plugin_path),
		cmocka_unit_test(test_no_callbacks),    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many_statements), cmocka_unit_test(test_report),
		cmocka_unit_test(test_free_nothing),    cmocka_unit_test(test_long_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
