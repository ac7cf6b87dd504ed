/* SPDX-License-Identifier: BSD-2-Clause */
/* The stages of examples/, which docs/STAGES.md shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "../../../examples/program/tally.h"
#include "mortal.h"

#define S 1000000000ull

static void test_upper(void **state)
{
	static const struct mortal_step steps[] = { { .text = "One two.", .and_next = true },
						    { .text = "\xc3\xa4z{`@" },
						    { .text = "", .end = true } };
	const struct mortal_script script = {
		.config = { .ops = sz_stage_types[0], .inputs = 1, .edges = { { .port = "" } } },
		.steps = steps,
		.n_steps = 3,
	};

	assert_string_equal(mortal_play(&script), "ONE TWO.|\xc3\xa4Z{`@|");
}

static void test_tally(void **state)
{
	static const char *const options[] = { "every=10s", "words=3", NULL };
	static const struct mortal_step steps[] = {
		{ .text = "a 1", .and_next = true },
		{ .text = "b 2", .and_next = true },
		{ .text = "a 3" },
		{ .text = "c", .advance_ns = 10 * S },
		{ .text = "d" },
		{ .text = "a", .advance_ns = 10 * S },
		{ .end = true },
	};
	const struct mortal_script script = {
		.config = { .ops = &tally,
			    .options = options,
			    .inputs = 1,
			    .arena_bytes = 4096,
			    .max_record = 512,
			    .edges = { { .port = "" }, { .port = "failed" } } },
		.steps = steps,
		.n_steps = sizeof(steps) / sizeof(steps[0]),
	};
	const char *out = mortal_play(&script);

	assert_int_equal(strncmp(out, "a 2|b 1|a 2|b 1|c 1|a 3|b 1|c 1\n", 32), 0);
	assert_non_null(strstr(out, "more than words=3 different words"));
}

static char *slurp(const char *name)
{
	static char path[512];
	char *text = calloc(1, 1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", SZ_TOP, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return text;
}

/* Every piece of C in the tutorial stands, to the byte, in a file that is compiled and tested. */
static void test_the_tutorial_shows_what_is_tested(void **state)
{
	static const char *const names[] = {
		"examples/plugin/upper.c",     "examples/program/tally.c",
		"examples/program/main.c",     "tests/unit/proofs/outbox.c",
		"tests/unit/proofs/command.c", "tests/unit/proofs/test_examples.c"
	};
	enum { FILES = sizeof(names) / sizeof(names[0]) };
	char *tutorial = slurp("docs/STAGES.md"), *source[FILES], *at = tutorial;
	int pieces = 0;

	for (int i = 0; i < FILES; i++)
		source[i] = slurp(names[i]);
	while ((at = strstr(at, "```c\n"))) {
		char *end = strstr(at += 5, "```");
		bool found = false;

		assert_non_null(end);
		*end = 0;
		for (int i = 0; i < FILES; i++)
			found |= strstr(source[i], at) != NULL;
		if (!found)
			fail_msg("not in any tested file:\n%s", at);
		at = end + 1;
		pieces++;
	}
	assert_true(pieces > 10);
	for (int i = 0; i < FILES; i++)
		free(source[i]);
	free(tutorial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upper), cmocka_unit_test(test_tally),
		cmocka_unit_test(test_the_tutorial_shows_what_is_tested)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
