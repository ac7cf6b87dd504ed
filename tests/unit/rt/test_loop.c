/* SPDX-License-Identifier: BSD-2-Clause */
/* The runtime's loop with small stages made for it: commits, room, SZ_AGAIN, failures, the end, sudden death. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "../../rig/rig.h"

static int echo_record(struct sz_stage *s, const struct sz_record *r)
{
	sz_emit(s, 0, r->data, r->len);
	return SZ_OK;
}

static const struct sz_stage_ops echo = {
	.api = SZ_STAGE_API,
	.name = "echo",
	.role = SZ_TRANSFORM,
	.summary = "",
	.record = echo_record,
};

/* Emits each letter of a record as a record, three a call: expands without bound, cursor in the state. */
static int letters_record(struct sz_stage *s, const struct sz_record *r)
{
	uint32_t *cursor = sz_state(s);

	for (uint32_t i = 0; i < 3 && *cursor < r->len; i++, ++*cursor)
		sz_emit(s, 0, r->data + *cursor, 1);
	if (*cursor < r->len)
		return SZ_AGAIN;
	*cursor = 0;
	return SZ_OK;
}

static const struct sz_stage_ops letters = {
	.api = SZ_STAGE_API,
	.name = "letters",
	.role = SZ_TRANSFORM,
	.summary = "",
	.record = letters_record,
	.state_bytes = 8,
	.emits = 3,
};

/* Fails what begins with a '!'. */
static int picky_record(struct sz_stage *s, const struct sz_record *r)
{
	if (r->len && r->data[0] == '!')
		return sz_error(s, -EINVAL, "begins with a !");
	sz_emit(s, 0, r->data, r->len);
	return SZ_OK;
}

static const struct sz_port picky_ports[] = { { "failed", "" }, { NULL, NULL } };
static const struct sz_stage_ops picky = {
	.api = SZ_STAGE_API,
	.name = "picky",
	.role = SZ_TRANSFORM,
	.summary = "",
	.record = picky_record,
	.ports = picky_ports,
};

/* Counts in the arena, says the sum at the end and on every tick. */
static int sum_say(struct sz_stage *s)
{
	char text[32];

	sz_emit(s, 0, text,
		(uint32_t)snprintf(text, sizeof(text), "sum %llu",
				   *(unsigned long long *)sz_arena(s)));
	return SZ_OK;
}

static int sum_tick(struct sz_stage *s)
{
	sz_timer(s, sz_now(s) + 1000);
	return sum_say(s);
}

static int sum_init(struct sz_stage *s)
{
	if (sz_first_life(s))
		sz_timer(s, sz_now(s) + 1000);
	return 0;
}

static int sum_record(struct sz_stage *s, const struct sz_record *r)
{
	sz_journal(s, sz_arena(s), 8);
	*(uint64_t *)sz_arena(s) += (uint64_t)atoi((const char *)r->data);
	return SZ_OK;
}

static const struct sz_stage_ops sum = {
	.api = SZ_STAGE_API,
	.name = "sum",
	.role = SZ_TRANSFORM,
	.summary = "",
	.record = sum_record,
	.init = sum_init,
	.tick = sum_tick,
	.finish = sum_say,
	.emits = 1,
	.journal_per_call = 16,
};

static int head_record(struct sz_stage *s, const struct sz_record *r)
{
	sz_emit(s, 0, r->data, r->len);
	return ++*(uint32_t *)sz_state(s) == 2 ? SZ_DONE : SZ_OK;
}

static const struct sz_stage_ops head = {
	.api = SZ_STAGE_API,
	.name = "head",
	.role = SZ_TRANSFORM,
	.summary = "",
	.record = head_record,
	.state_bytes = 8,
};

static void test_echo_to_two_edges(void **state)
{
	struct rig r;

	rig_open(&r, &(struct rig_config){ .ops = &echo,
					   .inputs = 2,
					   .edges = { { .port = "" }, { .port = "" } } });
	rig_puts(&r, 0, "one");
	rig_puts(&r, 1, "two");
	rig_puts(&r, 0, "");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.input);
	assert_string_equal(rig_drain(&r, 0), "one||two");
	assert_string_equal(rig_drain(&r, 1), "one||two");
	rig_end(&r, 0);
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	rig_end(&r, 1);
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	char buf[8];
	assert_int_equal(rig_get(&r, 0, buf, 8), -2);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 3);
	assert_int_equal(rig_counter(&r, SZ_C_HANDLED), 3);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_OUT), 3);
	assert_int_equal(rig_edge_counter(&r, 1, SZ_E_PUBLISHED), 3);
	rig_close(&r);
}

static void test_full_output_blocks_and_goes_on(void **state)
{
	struct rig r;
	char text[16];

	rig_open(&r, &(struct rig_config){ .ops = &echo,
					   .inputs = 1,
					   .edges = { { .port = "", .limit_records = 3 } } });
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "%d", i);
		rig_puts(&r, 0, text);
	}
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.room);
	assert_false(r.stage.waiting.input);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 3);
	assert_string_equal(rig_drain(&r, 0), "0|1|2");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "3|4|5");
	rig_close(&r);
}

static void test_drop_newest_never_blocks_its_sibling(void **state)
{
	struct rig r;
	char text[16];

	rig_open(&r, &(struct rig_config){ .ops = &echo,
					   .inputs = 1,
					   .edges = { { .port = "",
							.overflow = SZ_OVERFLOW_DROP_NEWEST,
							.limit_records = 2 },
						      { .port = "" } } });
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "%d", i);
		rig_puts(&r, 0, text);
	}
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "0|1");
	assert_string_equal(rig_drain(&r, 1), "0|1|2|3|4");
	assert_int_equal(rig_edge_counter(&r, 0, SZ_E_OFFERED), 5);
	assert_int_equal(rig_edge_counter(&r, 0, SZ_E_PUBLISHED), 2);
	assert_int_equal(rig_edge_counter(&r, 0, SZ_E_DROPPED_NEWEST), 3);
	rig_close(&r);
}

/* Killed after every single turn, and without any commit in between: the same letters come out. */
static void test_again_across_deaths(void **state)
{
	struct rig r;
	char got[64] = "", buf[8];
	int n;

	rig_open(&r, &(struct rig_config){ .ops = &letters,
					   .inputs = 1,
					   .edges = { { .port = "", .limit_records = 4 } } });
	rig_puts(&r, 0, "abcdefghij");
	rig_puts(&r, 0, "");
	rig_puts(&r, 0, "kl");
	rig_end(&r, 0);
	for (int i = 0; i < 40; i++) {
		sz_rt_turn(&r.stage);
		while ((n = rig_get(&r, 0, buf, sizeof(buf))) >= 0) {
			assert_int_equal(n, 1);
			got[strlen(got)] = buf[0];
		}
		assert_int_equal(rig_crash(&r), 0);
	}
	assert_string_equal(got, "abcdefghijkl");
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 3);
	rig_close(&r);
}

static void test_failed_records_travel_in_envelopes(void **state)
{
	struct rig r;
	const char *line;

	rig_open(&r, &(struct rig_config){ .ops = &picky,
					   .inputs = 1,
					   .edges = { { .port = "" }, { .port = "failed" } } });
	rig_puts(&r, 0, "good");
	rig_puts(&r, 0, "!bad");
	rig_put(&r, 0, "!\xff\0", 3);
	rig_puts(&r, 0, "also good");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "good|also good");
	line = rig_drain(&r, 1);
	assert_non_null(strstr(
		line,
		"\"error\":\"begins with a !\",\"errno\":22,\"attempts\":1,\"record\":\"!bad\"}"));
	assert_non_null(strstr(line, "\"record_b64\":\"If8A\"}"));
	assert_int_equal(rig_counter(&r, SZ_C_FAILED), 2);
	assert_int_equal(rig_counter(&r, SZ_C_HANDLED), 2);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 4);
	rig_close(&r);
}

/* A full failed port stops the stage as any blocking edge does. */
static void test_full_failed_port_blocks(void **state)
{
	struct rig r;

	rig_open(&r, &(struct rig_config){ .ops = &picky,
					   .inputs = 1,
					   .edges = { { .port = "" },
						      { .port = "failed", .limit_records = 1 } } });
	rig_puts(&r, 0, "!1");
	rig_puts(&r, 0, "!2");
	rig_puts(&r, 0, "3");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.room);
	assert_int_equal(rig_counter(&r, SZ_C_FAILED), 1);
	assert_non_null(strstr(rig_drain(&r, 1), "!1"));
	rig_run(&r);
	assert_non_null(strstr(rig_drain(&r, 1), "!2"));
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "3");
	rig_close(&r);
}

static void test_arena_and_timer_across_deaths(void **state)
{
	struct rig r;

	rig_now_ns = 1000000000;
	rig_open(&r, &(struct rig_config){ .ops = &sum,
					   .inputs = 1,
					   .edges = { { .port = "" } },
					   .arena_bytes = 4096 });
	rig_puts(&r, 0, "5 ");
	rig_run(&r);
	rig_puts(&r, 0, "7 ");
	/* the handler runs, the commit does not: as killed between the two */
	struct sz_record rec;
	assert_int_equal(sz_lane_peek(&r.stage.in[0], &rec), 1);
	sum_record(&r.stage, &rec);
	assert_int_equal(*(uint64_t *)sz_arena(&r.stage), 12);
	assert_int_equal(rig_crash(&r), 0);
	assert_int_equal(*(uint64_t *)sz_arena(&r.stage), 5);
	rig_run(&r);
	assert_int_equal(*(uint64_t *)sz_arena(&r.stage), 12);
	assert_string_equal(rig_drain(&r, 0), "");
	rig_now_ns += 1000;
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "sum 12");
	rig_end(&r, 0);
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_string_equal(rig_drain(&r, 0), "sum 12");
	rig_close(&r);
}

static void test_done_closes_the_input(void **state)
{
	struct rig r;

	rig_open(&r,
		 &(struct rig_config){ .ops = &head, .inputs = 1, .edges = { { .port = "" } } });
	rig_puts(&r, 0, "1");
	rig_puts(&r, 0, "2");
	rig_puts(&r, 0, "3");
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_string_equal(rig_drain(&r, 0), "1|2");
	assert_int_equal(sz_lane_tx_refresh(&r.in[0]), 0);
	assert_true(r.in[0].peer_flags & SZ_LANE_ENDED);
	rig_close(&r);
}

/* When nobody takes what a stage makes, it ends, and its producer with it. */
static void test_closed_outputs_end_the_stage(void **state)
{
	struct rig r;

	rig_open(&r,
		 &(struct rig_config){ .ops = &echo, .inputs = 1, .edges = { { .port = "" } } });
	rig_puts(&r, 0, "1");
	rig_run(&r);
	r.out[0].own_flags |= SZ_LANE_ENDED;
	sz_end_publish(r.out[0].own, sz_lane_word(&r.out[0]), r.out[0].records);
	rig_puts(&r, 0, "2");
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_int_equal(rig_edge_counter(&r, 0, SZ_E_OFFERED),
			 rig_edge_counter(&r, 0, SZ_E_PUBLISHED) +
				 rig_edge_counter(&r, 0, SZ_E_DROPPED_DETACHED));
	rig_close(&r);
}

static void test_random_is_part_of_the_commit(void **state)
{
	struct rig r;
	uint64_t a, b;

	rig_open(&r, &(struct rig_config){
			     .ops = &echo, .inputs = 1, .edges = { { .port = "" } }, .seed = 42 });
	a = sz_random(&r.stage);
	assert_int_equal(rig_crash(&r), 0);
	b = sz_random(&r.stage);
	assert_int_equal(a, b);
	sz_rt_commit(&r.stage);
	assert_int_equal(rig_crash(&r), 0);
	assert_int_not_equal(sz_random(&r.stage), a);
	for (int i = 0; i < 1000; i++)
		assert_true(sz_random_below(&r.stage, 7) < 7);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo_to_two_edges),
		cmocka_unit_test(test_full_output_blocks_and_goes_on),
		cmocka_unit_test(test_drop_newest_never_blocks_its_sibling),
		cmocka_unit_test(test_again_across_deaths),
		cmocka_unit_test(test_failed_records_travel_in_envelopes),
		cmocka_unit_test(test_full_failed_port_blocks),
		cmocka_unit_test(test_arena_and_timer_across_deaths),
		cmocka_unit_test(test_done_closes_the_input),
		cmocka_unit_test(test_closed_outputs_end_the_stage),
		cmocka_unit_test(test_random_is_part_of_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
