/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "catalogue.h"

struct row {
	const char *what;
	struct test_file files[5]; /* the first is the graph */
	const char *
		expected; /* the model, or lines that the diagnostics must hold, joined by newlines */
	size_t errors;
};

#define ENDS "pipeline p\nsource a stdin\nsink z null\n"

static const struct row rows[] = {
	{ "merged",
	  { { "g", ENDS "include x\na -> f -> z\n" }, { "x", "stage f filter\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage f filter\na -> f\nf -> z\n",
	  0 },
	{ "prefixed twice",
	  { { "g", ENDS "include x as p\ninclude x as q\na -> p-f\np-f -> q-f -> z\n" },
	    { "x", "stage f filter\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage p-f filter\nstage q-f filter\n"
	  "a -> p-f\np-f -> q-f\nq-f -> z\n",
	  0 },
	{ "prefixes add up, folders too",
	  { { "d/g", ENDS "include sub/x as p\na -> p-q-f -> z\n" },
	    { "d/sub/x", "include ../y as q\n" },
	    { "d/sub/../y", "stage f ./p.so match=${HERE}\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage p-q-f d/sub/../p.so match=d/sub/..\n"
	  "a -> p-q-f\np-q-f -> z\n",
	  0 },
	{ "an absolute path stays",
	  { { "d/g", ENDS "include /x\na -> f -> z\n" },
	    { "/x", "stage f /p.so match=${HERE}\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage f /p.so match=/\na -> f\nf -> z\n",
	  0 },
	{ "arguments before lets, lets of the file before those of the graph",
	  { { "g", "let A=1 B=2 C=3\n" ENDS "include x as p A=arg\na -> p-f -> z\n" },
	    { "x", "let A=x B=y\nstage f filter match=${A},${B},${C}\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage p-f filter match=arg,y,3\na -> p-f\n"
	  "p-f -> z\n",
	  0 },
	{ "lets of a plain include are seen after it",
	  { { "g", ENDS "include x\nstage f filter match=${A}\na -> f -> z\n" },
	    { "x", "let A=x\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage f filter match=x\na -> f\nf -> z\n",
	  0 },
	{ "lets of a prefixed include are not",
	  { { "g", ENDS "include x as p\nstage f filter match=${A}\na -> f -> z\n" },
	    { "x", "let A=x\n" } },
	  "g:5:22: error: ${A} is not set",
	  1 },
	{ "the file's own defaults come before those of the graph",
	  { { "g",
	      ENDS "defaults stage shutdown=1s restart=never\ninclude x as p\na -> p-f -> z\n" },
	    { "x", "defaults stage shutdown=2s\nstage f filter\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage p-f filter shutdown=2s restart=never\n"
	  "a -> p-f\np-f -> z\n",
	  0 },
	{ "edges inside, and from outside",
	  { { "g", ENDS "include x as p\na -> p-f\np-g -> z\n" },
	    { "x", "stage f filter\nstage g filter\nf -> g\n" } },
	  "pipeline p\nsource a stdin\nsink z null\nstage p-f filter\nstage p-g filter\np-f -> "
	  "p-g\n"
	  "a -> p-f\np-g -> z\n",
	  0 },
	{ "an included file does not see the names around it",
	  { { "g", ENDS "include x as p\na -> p-f\n" }, { "x", "stage f filter\nf -> z\n" } },
	  "x:2:6: error: unknown stage \"z\"",
	  1 },
	{ "includes itself",
	  { { "g", ENDS "a -> z\ninclude ./g\n" } },
	  "g:5:9: error: this file includes itself",
	  1 },
	{ "cycle",
	  { { "g", ENDS "a -> z\ninclude x as p\n" },
	    { "x", "include y\n" },
	    { "y", "include x\n" } },
	  "y:1:9: error: include cycle: \"x\" is being read already\nx:1:9: note: included here\n"
	  "g:5:9: note: included here",
	  1 },
	{ "missing",
	  { { "g", ENDS "a -> z -> b\ninclude x\n" } },
	  "g:5:9: error: cannot read \"x\": No such file or directory",
	  2 },
	{ "the same place twice",
	  { { "g", ENDS "include x\ninclude ./x\na -> f -> z\n" },
	    { "x", "stage f filter\n" },
	    { "./x", "stage f filter\n" } },
	  "g:5:9: error: \"./x\" is included already\ng:4:9: note: included here before",
	  1 },
	{ "a name from both",
	  { { "g", ENDS "include x\na -> z\n" }, { "x", "stage a filter\n" } },
	  "x:1:7: error: a second stage \"a\"\ng:2:8: note: the first is here",
	  1 },
	{ "an argument nobody uses",
	  { { "g", ENDS "include x as p OOPS=1\na -> p-f -> z\n" }, { "x", "stage f filter\n" } },
	  "g:4:16: warning: the included file has no ${OOPS}",
	  0 },
};

static void test_rows(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = rows + i;
		struct test_world world = { .files = r->files + 1 };
		struct graph_input in = test_input(&world, r->files[0].name, r->files[0].text);
		struct graph *g = graph_parse(&in);
		char *text = test_render(g), *lines, *line, *rest;

		if (g->error_count != r->errors)
			print_error("%s:\n%s", r->what, text);
		assert_int_equal(g->error_count, r->errors);
		if (strncmp(r->expected, "pipeline", 8) == 0) {
			assert_string_equal(text, r->expected);
		} else {
			rest = lines = strdup(r->expected);
			while ((line = strsep(&rest, "\n"))) {
				if (!strstr(text, line))
					print_error("%s: no \"%s\" in\n%s", r->what, line, text);
				assert_non_null(strstr(text, line));
			}
			free(lines);
		}
		free(text);
		graph_free(g);
	}
}

/* Files named by a number, each of which includes the next one. */
static int read_chain(void *ctx, const char *path, char **text, size_t *len)
{
	int n = asprintf(text, "include %d\n", atoi(path) + 1);

	*len = (size_t)n;
	return 0;
}

/* Each of which includes two others. */
static int read_tree(void *ctx, const char *path, char **text, size_t *len)
{
	int n = asprintf(text, "include x%s\ninclude y%s\n", path, path);

	*len = (size_t)n;
	return 0;
}

static int read_large(void *ctx, const char *path, char **text, size_t *len)
{
	*len = GRAPH_FILE_MAX + 1;
	*text = malloc(*len);
	memset(*text, '#', *len);
	return 0;
}

static void limit(int (*read_file)(void *, const char *, char **, size_t *), const char *expected)
{
	struct test_world world = { 0 };
	struct graph_input in = test_input(&world, "g", ENDS "a -> z\ninclude 1\n");
	struct graph *g;
	char *text;

	in.read_file = read_file;
	g = graph_parse(&in);
	text = test_render(g);
	assert_true(g->error_count >= 1);
	if (!strstr(text, expected))
		print_error("%s", text);
	assert_non_null(strstr(text, expected));
	free(text);
	graph_free(g);
}

static void test_limits(void **state)
{
	limit(read_chain, "error: includes more than 16 deep");
	limit(read_tree, "error: more than 256 includes");
	limit(read_large, "error: \"1\" is too large: expected at most 1024K in a file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
