/* SPDX-License-Identifier: BSD-2-Clause */
/* The stages of examples/, which docs/STAGES.md shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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
			    .arena_bytes = 4096, .max_record = 512,
			    .edges = { { .port = "" }, { .port = "failed" } } },
		.steps = steps,
		.n_steps = sizeof(steps) / sizeof(steps[0]),
	};
	const char *out = mortal_play(&script);

	assert_int_equal(strncmp(out, "a 2|b 1|a 2|b 1|c 1|a 3|b 1|c 1\n", 32), 0);
	assert_non_null(strstr(out, "more than words=3 different words"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_upper),
					    cmocka_unit_test(test_tally) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
