/* SPDX-License-Identifier: BSD-2-Clause */
/* A command a batch. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* after the above */
#include <cmocka.h>

#include "mortal.h"
#include "proofs.h"

#define MS 1000000ull

static void test_batches_by_number_and_time(void **state)
{
	/* Says its number of lines, and then the lines backwards. */
	static const char *const options[] = { "command=sort -r > /dev/null; echo end", "records=3",
					       "time=5ms", NULL };
	static const char *const sorted[] = { "command=sort -r; echo .", "records=3", "time=5ms",
					      NULL };
	static const struct mortal_step steps[] = {
		{ .text = "a", .and_next = true },
		{ .text = "c" },
		{ .text = "b" },
		{ .text = "d" },
		{ .advance_ns = 6 * MS },
		{ .text = "f" },
		{ .text = "e", .end = true },
	};
	static const struct mortal_step burst[] = {
		{ .text = "a", .and_next = true },
		{ .text = "c", .and_next = true },
		{ .text = "b", .and_next = true },
		{ .text = "d", .and_next = true },
		{ .text = "f", .and_next = true },
		{ .text = "e", .and_next = true },
		{ .end = true },
	};
	struct mortal_script script = {
		.config = { .ops = &proof_command,
			    .options = sorted,
			    .inputs = 1,
			    .arena_bytes = 81920,
			    .edges = { { .port = "", .limit_records = 3 }, { .port = "failed" } } },
		.steps = steps,
		.n_steps = sizeof(steps) / sizeof(steps[0]),
		.last_rites = proof_command_bury,
		.turns_need_luck = true,
	};

	assert_string_equal(mortal_play(&script), "c|b|a|.|d|.|f|e|.\n");
	/* The next batch is waiting when the first one's output goes out. */
	script.config.edges[0].limit_records = 0;
	script.steps = burst;
	assert_string_equal(mortal_play(&script), "c|b|a|.|f|e|d|.\n");
	script.config.options = options;
	script.steps = steps;
	assert_string_equal(mortal_play(&script), "end|end|end\n");
}

static void test_a_failed_batch_goes_to_failed(void **state)
{
	static const char *const options[] = { "command=cat; grep -q x && exit 3; exit 7",
					       "records=2", NULL };
	static const struct mortal_step steps[] = { { .text = "a", .and_next = true },
						    { .text = "b", .and_next = true },
						    { .text = "c", .end = true } };
	struct mortal_script script = {
		.config = { .ops = &proof_command,
			    .options = options,
			    .inputs = 1,
			    .arena_bytes = 81920,
			    .edges = { { .port = "" }, { .port = "failed" } } },
		.steps = steps,
		.n_steps = 3,
		.last_rites = proof_command_bury,
		.turns_need_luck = true,
	};
	const char *out = mortal_play(&script);

	assert_int_equal(out[0], '\n');
	assert_non_null(
		strstr(out, "exit status 7\",\"errno\":5,\"attempts\":1,\"record\":\"a\"}"));
	assert_non_null(strstr(out, "\"record\":\"b\"}"));
	assert_non_null(strstr(out, "\"record\":\"c\"}"));
}

/* More than a pipe holds in both directions at once; a command that reads nothing; one that says too much. */
static void test_pipes_never_block_the_stage(void **state)
{
	static const char *const cat[] = { "command=sleep 0.05; cat", "records=14", NULL };
	static const char *const deaf[] = { "command=exec <&-; sleep 0.05; echo deaf", "records=14",
					    NULL };
	static const char *const loud[] = { "command=cat >/dev/null; yes | head -c 200000",
					    "records=14", NULL };
	const char *const *const all[] = { cat, deaf, loud };
	static char line[1001];

	alarm(60);
	memset(line, 'x', 1000);
	for (size_t k = 0; k < 3; k++) {
		struct rig r;
		int n = 0;
		char buf[1024];

		rig_open(&r,
			 &(struct rig_config){ .ops = &proof_command,
					       .options = all[k],
					       .inputs = 1,
					       .arena_bytes = 81920,
					       .edges = { { .port = "" }, { .port = "failed" } } });
		for (int i = 0; i < 14; i++)
			rig_puts(&r, 0, line);
		rig_end(&r, 0);
		while (rig_run(&r) != SZ_TURN_ENDED) {
			sz_sleep(&r.stage);
			while (rig_get(&r, 0, buf, sizeof(buf)) >= 0)
				n++;
		}
		while (rig_get(&r, 0, buf, sizeof(buf)) >= 0)
			n++;
		assert_int_equal(n, k == 0 ? 14 : k == 1 ? 1 : 0);
		assert_int_equal(rig_counter(&r, SZ_C_FAILED), k == 2 ? 14 : 0);
		assert_int_equal(rig_counter(&r, SZ_C_HELD), 0);
		rig_close(&r);
	}
	alarm(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batches_by_number_and_time),
		cmocka_unit_test(test_a_failed_batch_goes_to_failed),
		cmocka_unit_test(test_pipes_never_block_the_stage),
	};

	signal(SIGPIPE, SIG_IGN); /* as the runtime does in a process of its own */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
