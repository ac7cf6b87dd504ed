/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "catalogue.h"

static const struct {
	const char *words[20];
	const char *expected; /* the model, or the start of the diagnostics */
} rows[] = {
	{ { "file", "path=in", "!", "filter", "match=x y", "!", "file", "path=out" },
	  "pipeline cmd-42\nsource file file path=in\nstage filter filter match='x y'\n"
	  "sink file-2 file path=out\nfile -> filter\nfilter -> file-2\n" },
	{ { "stdin", "!", "stdout" },
	  "pipeline cmd-42\nsource stdin stdin\nsink stdout stdout\nstdin -> stdout\n" },
	{ { "stdin", "!", "filter", "!", "filter", "!", "filter", "!", "null" },
	  "pipeline cmd-42\nsource stdin stdin\nstage filter filter\nstage filter-2 filter\n"
	  "stage filter-3 filter\nsink null null\nstdin -> filter\nfilter -> filter-2\n"
	  "filter-2 -> filter-3\nfilter-3 -> null\n" },
	/* Values are raw: the shell has done its work. */
	{ { "stdin", "!", "filter", "match='${A}\" a=b # c", "!", "null" },
	  "pipeline cmd-42\nsource stdin stdin\nstage filter filter match='''${A}\" a=b # c'\n"
	  "sink null null\nstdin -> filter\nfilter -> null\n" },
	{ { "stdin", "!", "map", "command=a\nb\tc", "!", "null" },
	  "pipeline cmd-42\nsource stdin stdin\nstage map map command=\"a\\nb\\tc\"\n"
	  "sink null null\nstdin -> map\nmap -> null\n" },
	{ { "stdin", "!", "filter", "match=", "!", "null" },
	  "pipeline cmd-42\nsource stdin stdin\nstage filter filter match=''\n"
	  "sink null null\nstdin -> filter\nfilter -> null\n" },
	/* A plug-in is named after its file. */
	{ { "stdin", "!", "./lib/my.plug_in.so", "!", "/x/9-lives", "!", "/x/--", "!", "null" },
	  "pipeline cmd-42\nsource stdin stdin\nstage my ./lib/my.plug_in.so\nstage lives "
	  "/x/9-lives\n"
	  "stage x /x/--\nsink null null\nstdin -> my\nmy -> lives\nlives -> x\nx -> null\n" },
	{ { "stdin", "!", "./source", "!", "./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", "!",
	    "./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", "!", "null" },
	  "pipeline cmd-42\nsource stdin stdin\nstage x ./source\n"
	  "stage abcdefghijklmnopqrstuvwxyzABCDEF ./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN\n"
	  "stage abcdefghijklmnopqrstuvwxyzABCD-2 ./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN\n" },
	/* A single word is text. */
	{ { "file path=in ! filter match='x y' ! file path=${OUT:-out}" },
	  "pipeline cmd-42\nsource file file path=in\nstage filter filter match='x y'\n"
	  "sink file-2 file path=out\nfile -> filter\nfilter -> file-2\n" },
	{ { "stdin !\nfilter match=x # comment\n! null" },
	  "pipeline cmd-42\nsource stdin stdin\nstage filter filter match=x\nsink null null\n"
	  "stdin -> filter\nfilter -> null\n" },
	/* Mistakes. */
	{ { "fil", "path=in", "!", "null" },
	  "command line:1:1: error: unknown type \"fil\": did you mean \"file\"?\n"
	  "fil path=in ! null\n^~~\n" },
	{ { "stdin", "!", "filter", "mach=x y", "!", "null" },
	  "command line:1:16: error: stage \"filter\" (filter) has no option \"mach\": did you "
	  "mean "
	  "\"match\"?\nstdin ! filter mach=x y ! null\n               ^~~~\n" },
	{ { "stdin ! fliter ! null" },
	  "command line:1:9: error: unknown type \"fliter\": did you mean \"filter\"?\n" },
	{ { "filter", "!", "stdin" },
	  "command line:1:1: error: type \"filter\" is a stage, not a source" },
	{ { "stdin" },
	  "command line:1:6: error: one stage alone: expected a source, then \" ! \"" },
	{ { "" }, "command line:1:1: error: an empty command line" },
	{ { "", "" }, "command line:1:1: error: " },
	{ { "!" }, "command line:1:1: error: no stage before \"!\"" },
	{ { "stdin", "!", "!", "null" }, "command line:1:9: error: no stage after \"!\"" },
	{ { "stdin", "!" }, "command line:1:8: error: no stage after \"!\"" },
	{ { "!", "null" }, "command line:1:1: error: no stage before \"!\"" },
	{ { "path=in", "!", "null" }, "command line:1:1: error: expected the type of the source" },
	{ { "file", "in", "!", "null" },
	  "command line:1:6: error: \"in\" is not an option: expected KEY=VALUE\n" },
	{ { "stdin", "!", "map", "command=\x01", "!", "null" },
	  "command line:1:21: error: control character 0x01: expected text\n" },
	{ { "stdin", "!", "map", "command=x\ny", "password=hunter2", "!", "null" },
	  "command line:1:34: error: password: a secret does not stand in the graph: expected "
	  "where to "
	  "find it, file:PATH or env:NAME\nstdin ! map command=x?y password=*** ! null\n" },
	{ { "stdin ! filter match='x ! null" },
	  "command line:1:22: error: ' without its end: expected a closing '" },
};

static void test_rows(void **state)
{
	size_t i, count;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct test_world world = { 0 };
		struct graph_input in = test_input(&world, NULL, NULL);
		struct graph *g;
		char *text;

		for (count = 0; rows[i].words[count]; count++)
			;
		g = graph_parse_words(&in, rows[i].words, count, 42);
		assert_non_null(g);
		text = test_render(g);
		if (strncmp(text, rows[i].expected, strlen(rows[i].expected)) != 0)
			print_error("row %zu: expected\n%s\nbut it gives\n%s", i, rows[i].expected,
				    text);
		assert_int_equal(strncmp(text, rows[i].expected, strlen(rows[i].expected)), 0);
		free(text);
		graph_free(g);
	}
}

static void test_name(void **state)
{
	static const char *const words[] = { "stdin", "!", "null" };
	struct test_world world = { 0 };
	struct graph_input in = test_input(&world, NULL, NULL);
	struct graph *g;

	in.pipeline_name = "mine";
	g = graph_parse_words(&in, words, 3, 42);
	assert_int_equal(g->error_count, 0);
	assert_string_equal(g->name, "mine");
	graph_free(g);
	in.pipeline_name = "not a name";
	g = graph_parse_words(&in, words, 3, 42);
	assert_int_equal(g->error_count, 1);
	graph_free(g);
}

static void test_nothing(void **state)
{
	struct test_world world = { 0 };
	struct graph_input in = test_input(&world, NULL, NULL);
	struct graph *g = graph_parse_words(&in, NULL, 0, 1);

	assert_non_null(g);
	assert_int_equal(g->error_count, 1);
	graph_free(g);
}

static void test_limits(void **state)
{
	struct test_world world = { 0 };
	struct graph_input in = test_input(&world, NULL, NULL);
	size_t count = 2 * (GRAPH_STAGES_MAX + 10) + 1, i;
	const char **words = calloc(count, sizeof(*words));
	struct graph *g;
	char *text;

	for (i = 0; i < count; i++)
		words[i] = i == 0 ? "stdin" : i + 1 == count ? "null" : i % 2 ? "!" : "filter";
	g = graph_parse_words(&in, words, count, 1);
	text = test_render(g);
	assert_int_equal(g->error_count, 1);
	assert_non_null(strstr(text, "more than 1000 stages"));
	free(text);
	graph_free(g);
	free(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
