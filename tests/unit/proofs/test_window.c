/* SPDX-License-Identifier: BSD-2-Clause */
/* A keyed window with a timer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "mortal.h"
#include "proofs.h"

#define MS 1000000ull

static void test_counts_per_key_and_second(void **state)
{
	static const struct mortal_step steps[] = {
		{ .text = "a 1", .and_next = true },
		{ .text = "b 2" },
		{ .text = "a 3", .and_next = true },
		{ .text = "c", .advance_ns = 400 * MS },
		{ .text = "d", .and_next = true },
		{ .text = "e" },
		{ .text = "f", .advance_ns = 600 * MS },
		/* six keys: two calls of tick, more with so little room; g waits and is in the next window */
		{ .text = "g x", .hold_output = true },
		{ .text = "a", .advance_ns = 900 * MS },
		{ .text = "0123456789012345678901234567890123456789012345678" },
		{ .text = "g" },
		{ .text = "h", .advance_ns = 200 * MS },
		{ .end = true },
	};
	const struct mortal_script script = {
		.config = { .ops = &proof_window,
			    .inputs = 1,
			    .arena_bytes = 8192,
			    .edges = { { .port = "", .limit_records = 4 } } },
		.steps = steps,
		.n_steps = sizeof(steps) / sizeof(steps[0]),
	};
	struct mortal_script with_failed = script;
	const char *out;

	with_failed.config.edges[1].port = "failed";
	out = mortal_play(&with_failed);
	assert_non_null(strstr(out, "a 2"));
	assert_non_null(strstr(out, "c 1"));
	assert_non_null(strstr(out, "g 2"));
	assert_non_null(strstr(out, "h 1"));
	assert_non_null(strstr(out, "the key is longer than 48 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_counts_per_key_and_second) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
