/* SPDX-License-Identifier: BSD-2-Clause */
/* A buffer that drops its oldest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "mortal.h"
#include "proofs.h"

static const char *const size3[] = { "size=3", NULL };

static void test_drops_the_oldest_and_takes_input_all_the_time(void **state)
{
	struct mortal_step steps[40];
	const struct mortal_script script = {
		.config = { .ops = &proof_outbox,
			    .options = size3,
			    .inputs = 1,
			    .arena_bytes = 4096,
			    .edges = { { .port = "", .limit_records = 2 } } },
		.steps = steps,
		.n_steps = 40,
		.n_own = 1,
	};
	static char text[40][1000];

	memset(steps, 0, sizeof(steps));
	for (int i = 0; i < 40; i++) {
		/* long ones, so that the ring wraps and fills before commits */
		snprintf(text[i], sizeof(text[i]), "%d%*s", i, i % 3 ? 700 : 900, "");
		steps[i].text = text[i];
		steps[i].and_next = i % 10 != 9; /* ten at once */
	}
	steps[39].end = true;
	const char *out = mortal_play(&script);
	/* Each ten: two are in the lane, three held, five were dropped; what was read at the end of a ten makes room. */
	assert_non_null(strstr(out, "39"));
	assert_null(strstr(out, "|4|"));
}

static void test_counts(void **state)
{
	struct rig r;

	rig_open(&r, &(struct rig_config){ .ops = &proof_outbox,
					   .options = size3,
					   .inputs = 1,
					   .arena_bytes = 4096,
					   .edges = { { .port = "", .limit_records = 2 } } });
	for (char c = 'a'; c <= 'j'; c++)
		rig_put(&r, 0, &c, 1);
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.room && r.stage.waiting.input);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 10);
	assert_int_equal(rig_counter(&r, SZ_C_HELD), 3);
	assert_int_equal(rig_own_counter(&r, 0), 5);
	assert_string_equal(rig_drain(&r, 0), "a|b");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_string_equal(rig_drain(&r, 0), "h|i");
	rig_end(&r, 0);
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_string_equal(rig_drain(&r, 0), "j");
	assert_int_equal(rig_counter(&r, SZ_C_HELD), 0);
	assert_int_equal(rig_counter(&r, SZ_C_HANDLED), 10);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drops_the_oldest_and_takes_input_all_the_time),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
