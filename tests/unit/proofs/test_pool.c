/* SPDX-License-Identifier: BSD-2-Clause */
/* An ordered pool: split, four workers, merge, each on a rig of its own, records carried between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "mortal.h"
#include "proofs.h"

#define WORKERS 4
#define RECORDS 200

struct pool {
	struct rig split, work[WORKERS], merge;
};

static const struct rig_config split_config = {
	.ops = &proof_split,
	.inputs = 1,
	.edges = { { .port = "w0", .limit_records = 3 },
		   { .port = "w1", .limit_records = 3 },
		   { .port = "w2", .limit_records = 3 },
		   { .port = "w3", .limit_records = 3 } },
};
static const struct rig_config work_config = { .ops = &proof_work,
					       .inputs = 1,
					       .edges = { { .port = "" } } };
static const struct rig_config merge_config = { .ops = &proof_merge,
						.inputs = WORKERS,
						.edges = { { .port = "" } } };

static void carry(struct rig *from, uint32_t edge, struct rig *to, uint32_t input)
{
	char buf[1024];
	int n;

	while ((n = rig_get(from, edge, buf, sizeof(buf))) >= 0)
		assert_int_equal(rig_put(to, input, buf, (uint32_t)n), 0);
	if (n == -2)
		rig_end(to, input);
}

/* Workers run at random, fast and slow; anybody dies after any turn. */
static void test_order_is_kept(void **state)
{
	static struct pool p;
	static char want[RECORDS * 8], got[RECORDS * 8];
	char text[16], buf[64];
	int fed = 0, n;

	srandom(7);
	rig_open(&p.split, &split_config);
	rig_open(&p.merge, &merge_config);
	for (int w = 0; w < WORKERS; w++)
		rig_open(&p.work[w], &work_config);
	do {
		if (fed < RECORDS && random() % 2) {
			snprintf(text, sizeof(text), "%d%s", fed, fed % 3 ? "" : "x");
			rig_puts(&p.split, 0, text);
			if (fed % 3)
				snprintf(want + strlen(want), 8, "%d!|", fed);
			if (++fed == RECORDS)
				rig_end(&p.split, 0);
		}
		sz_rt_turn(&p.split.stage);
		if (random() % 4 == 0)
			rig_crash(&p.split);
		for (int w = 0; w < WORKERS; w++) {
			if (random() % (2 + w))
				continue;
			carry(&p.split, (uint32_t)w, &p.work[w], 0);
			sz_rt_turn(&p.work[w].stage);
			if (random() % 4 == 0)
				rig_crash(&p.work[w]);
			carry(&p.work[w], 0, &p.merge, (uint32_t)w);
		}
		sz_rt_turn(&p.merge.stage);
		if (random() % 4 == 0)
			rig_crash(&p.merge);
		while ((n = rig_get(&p.merge, 0, buf, sizeof(buf))) >= 0)
			snprintf(got + strlen(got), 16, "%.*s|", n, buf);
	} while (n != -2);
	assert_string_equal(got, want);
	assert_int_equal(rig_counter(&p.merge, SZ_C_RECORDS_IN), RECORDS);
	for (int w = 0; w < WORKERS; w++) {
		assert_true(rig_counter(&p.work[w], SZ_C_RECORDS_IN) > 0);
		rig_close(&p.work[w]);
	}
	rig_close(&p.split);
	rig_close(&p.merge);
}

#define NUMBER(n, rest) "000000000000000" #n rest

static void test_merge_dies_anywhere(void **state)
{
	static const struct mortal_step steps[] = {
		{ .input = 1, .text = NUMBER(1, ":b") },
		{ .input = 2, .text = NUMBER(2, "-") },
		{ .input = 1, .text = NUMBER(4, ":e") },
		{ .input = 0, .text = NUMBER(0, ":a") },
		{ .input = 3, .text = NUMBER(3, ":d") },
		{ .input = 2, .text = NUMBER(8, ":i"), .end = true },
		/* 5 and 6 are lost with input 0: passed over when the last one that might bring them has ended */
		{ .input = 1, .text = NUMBER(7, ":h"), .end = true },
		{ .input = 0, .end = true },
		{ .input = 3, .text = NUMBER(9, ":j"), .end = true },
	};
	const struct mortal_script script = { .config = merge_config,
					      .steps = steps,
					      .n_steps = sizeof(steps) / sizeof(steps[0]) };

	assert_string_equal(mortal_play(&script), "a|b|d|e|h|i|j");
}

static void test_split_dies_anywhere(void **state)
{
	struct mortal_step steps[30];
	struct mortal_script script = { .config = split_config, .steps = steps, .n_steps = 30 };
	static char text[30][8];

	memset(steps, 0, sizeof(steps));
	for (int i = 0; i < 30; i++) {
		snprintf(text[i], sizeof(text[i]), "%d", i);
		steps[i].text = text[i];
		steps[i].hold_output = i % 10 != 9;
	}
	steps[29].end = true;
	mortal_play(&script);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_is_kept),
		cmocka_unit_test(test_merge_dies_anywhere),
		cmocka_unit_test(test_split_dies_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
