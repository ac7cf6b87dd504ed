/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_golden.c - every tests/golden/graph/NAME.conf gives exactly NAME.expected
 *
 * The expected text is the diagnostics, followed by the model if there is no mistake. A model is parsed again and must
 * give itself. Included files have names that end in .inc. UPDATE_GOLDEN=1 in the environment rewrites what is
 * expected; read the difference before committing it. Run from the top of the tree, or set GOLDEN_DIR.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include "catalogue.h"

static const char *const sets[] = { "SIZE=4M", "WHO=world" };

static char *slurp(const char *path, size_t *len)
{
	char *text = NULL;
	FILE *f = fopen(path, "r");

	*len = 0;
	if (!f)
		return NULL;
	text = calloc(1, GRAPH_FILE_MAX + 2);
	if (text)
		*len = fread(text, 1, GRAPH_FILE_MAX + 1, f);
	fclose(f);
	return text;
}

static char *render_file(const char *folder, const char *name, const char *text, size_t len,
			 size_t *errors)
{
	struct test_world world = { .folder = folder };
	struct graph_input in = test_input(&world, name, text);
	struct graph *graph;
	char *out;

	in.text_len = len;
	if (strncmp(name, "set-", 4) == 0) {
		in.sets = sets;
		in.set_count = 2;
	}
	graph = graph_parse(&in);
	assert_non_null(graph);
	*errors = graph->error_count;
	out = test_render(graph);
	graph_free(graph);
	return out;
}

/* The model of the model is the model; where a warning precedes it or a secret is hidden, it cannot be. */
static int dump_is_stable(const char *name, const char *dump)
{
	struct test_world world = { 0 };
	struct graph_input in = test_input(&world, name, dump);
	struct graph *graph;
	char *again;
	int same;

	if (strncmp(dump, "pipeline ", 9) != 0 || strstr(dump, "***"))
		return 1;
	graph = graph_parse(&in);
	again = test_render(graph);
	same = strcmp(dump, again) == 0;
	if (!same)
		print_error("%s: the model parsed again is another:\n%s", name, again);
	free(again);
	graph_free(graph);
	return same;
}

static int check_file(const char *folder, const char *path, int *wrong)
{
	char expected_path[1024];
	const char *name = strrchr(path, '/') + 1;
	size_t len, expected_len, errors;
	char *text = slurp(path, &len), *expected, *actual;
	int ok;
	FILE *f;

	snprintf(expected_path, sizeof(expected_path), "%.*s.expected",
		 (int)(strlen(path) - strlen(".conf")), path);
	actual = render_file(folder, name, text, len, &errors);
	*wrong += errors > 0;
	if (getenv("UPDATE_GOLDEN")) {
		f = fopen(expected_path, "w");
		assert_non_null(f);
		fputs(actual, f);
		fclose(f);
	}
	expected = slurp(expected_path, &expected_len);
	ok = expected && strcmp(expected, actual) == 0;
	if (!ok)
		print_error("%s: expected\n%s--- but it gives\n%s---\n", path,
			    expected ? expected : "(no such file)\n", actual);
	if (errors == 0)
		ok &= dump_is_stable(name, actual);
	free(text);
	free(expected);
	free(actual);
	return ok;
}

static void test_golden_files(void **state)
{
	const char *folder = getenv("GOLDEN_DIR");
	char pattern[1024];
	int failed = 0, wrong = 0;
	glob_t found;
	size_t i;

	if (!folder)
		folder = "tests/golden/graph";
	snprintf(pattern, sizeof(pattern), "%s/*.conf", folder);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (i = 0; i < found.gl_pathc; i++)
		failed += !check_file(folder, found.gl_pathv[i], &wrong);
	print_message("%zu graphs, %d of them wrong\n", found.gl_pathc, wrong);
	/* A glob that finds nothing must not pass. */
	assert_true(wrong >= 40);
	assert_true(found.gl_pathc - (size_t)wrong >= 10);
	globfree(&found);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden_files) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
