/* SPDX-License-Identifier: BSD-2-Clause */
/* What stages that choose ask of the runtime: inputs to skip, room to look at, ticks before input, polls. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the above */
#include <cmocka.h>

#include "../../rig/rig.h"

#define TYPE(type_name) .api = SZ_STAGE_API, .name = type_name, .role = SZ_TRANSFORM, .summary = ""

/* One record of each input in turn; an input that has ended loses its turn. */
static int zip_record(struct sz_stage *s, const struct sz_record *r)
{
	uint32_t *turn = sz_state(s);

	for (uint32_t i = 0; i < sz_input_count(s) && sz_input_ended(s, *turn); i++)
		*turn = (*turn + 1) % sz_input_count(s);
	if (sz_input(s) != *turn) {
		sz_wait_until(s, sz_now(s) + 1000000);
		return SZ_SKIP;
	}
	sz_emit(s, 0, r->data, r->len);
	*turn = (*turn + 1) % sz_input_count(s);
	return SZ_OK;
}

static const struct sz_stage_ops zip = { TYPE("zip"), .record = zip_record, .state_bytes = 8 };

static void test_skipped_inputs_wait_for_the_others(void **state)
{
	struct rig r;

	rig_open(&r, &(struct rig_config){ .ops = &zip, .inputs = 3, .edges = { { .port = "" } } });
	rig_puts(&r, 1, "b1");
	rig_puts(&r, 2, "c1");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.input);
	assert_true(r.stage.in_skipped[1] && r.stage.in_skipped[2] && !r.stage.in_skipped[0]);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 0);
	/* What arrives behind a skipped record is no reason to wake. */
	rig_puts(&r, 1, "b2");
	uint64_t sleeps = r.stage.gauges[SZ_G_SLEEPS];
	sz_sleep(&r.stage);
	assert_int_equal(r.stage.gauges[SZ_G_SLEEPS], sleeps + 1);

	rig_puts(&r, 0, "a1");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_string_equal(rig_drain(&r, 0), "a1|b1|c1");
	assert_int_equal(rig_crash(&r), 0);
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "");
	rig_end(&r, 0); /* b2 waited for it */
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_string_equal(rig_drain(&r, 0), "b2");
	rig_end(&r, 1);
	rig_end(&r, 2);
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_int_equal(rig_counter(&r, SZ_C_HANDLED), 4);
	rig_close(&r);
}

static int who_record(struct sz_stage *s, const struct sz_record *r)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%s %u/%u %.*s", sz_input_stage(s, sz_input(s)),
			 sz_input(s), sz_input_count(s), (int)r->len, r->data);

	sz_emit(s, 0, text, (uint32_t)n);
	return SZ_OK;
}

static const struct sz_stage_ops who = { TYPE("who"), .record = who_record, .emits = 1 };

static void test_inputs_have_numbers_and_names(void **state)
{
	struct rig r;

	rig_open(&r, &(struct rig_config){ .ops = &who, .inputs = 2, .edges = { { .port = "" } } });
	rig_puts(&r, 0, "x");
	rig_puts(&r, 1, "y");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "peer 0/2 x|peer 1/2 y");
	rig_close(&r);
}

/* Emits while there is room, drops the rest. */
static int leaky_record(struct sz_stage *s, const struct sz_record *r)
{
	if (r->len && r->data[0] == '!')
		return -EINVAL;
	if (sz_can_emit(s, r->len))
		sz_emit(s, 0, r->data, r->len);
	else
		++*(uint64_t *)sz_state(s);
	return SZ_OK;
}

static const struct sz_port failed_port[] = { { "failed", "" }, { NULL, NULL } };
static const struct sz_stage_ops leaky = { TYPE("leaky"), .record = leaky_record,
					   .emits = SZ_EMITS_IF_ROOM, .state_bytes = 8,
					   .ports = failed_port };

static void test_a_full_output_keeps_no_input_from_who_looks_itself(void **state)
{
	struct rig r;

	rig_open(&r, &(struct rig_config){ .ops = &leaky,
					   .inputs = 1,
					   .edges = { { .port = "", .limit_records = 2 },
						      { .port = "failed", .limit_records = 1 } } });
	for (int i = 0; i < 5; i++)
		rig_puts(&r, 0, "abcde");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.input);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 5);
	assert_int_equal(*(uint64_t *)sz_state(&r.stage), 3);
	assert_string_equal(rig_drain(&r, 0), "abcde|abcde");
	/* An envelope's room is still seen to before a call. */
	rig_puts(&r, 0, "!1");
	rig_puts(&r, 0, "!2");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.room);
	assert_int_equal(rig_counter(&r, SZ_C_FAILED), 1);
	rig_drain(&r, 1);
	rig_run(&r);
	assert_int_equal(rig_counter(&r, SZ_C_FAILED), 2);
	rig_close(&r);
}

/* To port a as long as it has room, then to b, then it waits. */
static int spill_record(struct sz_stage *s, const struct sz_record *r)
{
	for (uint32_t port = 1; port <= 2; port++) {
		if (sz_can_emit_on(s, port, r->len)) {
			sz_emit(s, port, r->data, r->len);
			return SZ_OK;
		}
	}
	return SZ_WAIT;
}

static const struct sz_port spill_ports[] = { { "a", "" }, { "b", "" }, { NULL, NULL } };
static const struct sz_stage_ops spill = { TYPE("spill"), .record = spill_record,
					   .emits = SZ_EMITS_IF_ROOM, .ports = spill_ports };

static void test_room_of_one_port(void **state)
{
	struct rig r;

	rig_open(&r, &(struct rig_config){ .ops = &spill,
					   .inputs = 1,
					   .edges = { { .port = "a", .limit_records = 2 },
						      { .port = "b", .limit_records = 1 } } });
	for (char c = '1'; c <= '5'; c++)
		rig_put(&r, 0, &c, 1);
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.room && !r.stage.waiting.input);
	assert_true(r.stage.edges[0].starved && r.stage.edges[1].starved);
	assert_string_equal(rig_drain(&r, 1), "3");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_string_equal(rig_drain(&r, 1), "4");
	assert_string_equal(rig_drain(&r, 0), "1|2");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "5");
	rig_close(&r);
}

/* Echoes; a tick says "t" three times, one a call. */
static int clock_init(struct sz_stage *s)
{
	if (sz_first_life(s))
		sz_timer(s, sz_now(s) + 1000);
	return 0;
}

static int clock_tick(struct sz_stage *s)
{
	uint32_t *said = sz_state(s);

	sz_emit(s, 0, "t", 1);
	if (++*said % 3)
		return SZ_AGAIN;
	sz_timer(s, sz_now(s) + 1000);
	return SZ_OK;
}

static int clock_record(struct sz_stage *s, const struct sz_record *r)
{
	sz_emit(s, 0, r->data, r->len);
	return SZ_OK;
}

static const struct sz_stage_ops clock_type = { TYPE("clock"),      .init = clock_init,
						.tick = clock_tick, .record = clock_record,
						.state_bytes = 8,   .emits = 1 };

static void test_no_input_before_a_tick_is_finished(void **state)
{
	struct rig r;
	char got[64] = "";

	rig_now_ns = 1000000000;
	rig_open(&r, &(struct rig_config){ .ops = &clock_type,
					   .inputs = 1,
					   .edges = { { .port = "", .limit_records = 2 } } });
	rig_puts(&r, 0, "a");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "a");
	rig_puts(&r, 0, "b");
	rig_now_ns += 1000;
	for (int i = 0; i < 8; i++) {
		sz_rt_turn(&r.stage);
		strcat(got, rig_drain(&r, 0));
		rig_crash(&r);
	}
	assert_string_equal(got, "ttt|b");
	/* A tick that is due and has no room comes before input too. */
	rig_puts(&r, 0, "c");
	rig_puts(&r, 0, "d");
	rig_run(&r);
	rig_now_ns += 1000;
	rig_puts(&r, 0, "e");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.room);
	assert_string_equal(rig_drain(&r, 0), "c|d");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "t|t");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "t|e");
	rig_close(&r);
}

/* Echoes until its time is up; at the end it says what it was asked. */
static int deadline_tick(struct sz_stage *s)
{
	uint32_t *ticks = sz_state(s);

	++*ticks;
	sz_emit(s, 0, "last", 4);
	return SZ_DONE;
}

static int deadline_finish(struct sz_stage *s)
{
	sz_emit(s, 0, "bye", 3);
	return SZ_OK;
}

static const struct sz_stage_ops deadline = { TYPE("deadline"),
					      .init = clock_init,
					      .tick = deadline_tick,
					      .record = clock_record,
					      .finish = deadline_finish,
					      .state_bytes = 8,
					      .emits = 1 };

static int timed_produce(struct sz_stage *s)
{
	sz_emit(s, 0, "x", 1);
	return SZ_AGAIN;
}

static const struct sz_stage_ops timed = { .api = SZ_STAGE_API,
					   .name = "timed",
					   .role = SZ_SOURCE,
					   .summary = "",
					   .init = clock_init,
					   .tick = deadline_tick,
					   .produce = timed_produce,
					   .finish = deadline_finish,
					   .state_bytes = 8,
					   .emits = 1 };

static void test_a_tick_may_be_the_end(void **state)
{
	struct rig r;

	rig_now_ns = 1000000000;
	rig_open(&r, &(struct rig_config){
			     .ops = &deadline, .inputs = 1, .edges = { { .port = "" } } });
	rig_puts(&r, 0, "a");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	rig_puts(&r, 0, "b");
	rig_now_ns += 1000;
	/* The end of input is a commit of its own, before anything of finish(). */
	assert_int_equal(sz_rt_turn(&r.stage), SZ_TURN_PROGRESS);
	assert_string_equal(rig_drain(&r, 0), "a|last");
	assert_int_equal(sz_ledger_slot(&r.stage.ledger)->run_state, SZ_RUN_FINISHING);
	assert_true(sz_load_relaxed(&r.stage.in[0].own->pos) & SZ_LANE_ENDED);
	rig_crash(&r);
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_string_equal(rig_drain(&r, 0), "bye");
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 1);
	assert_int_equal(*(uint32_t *)sz_state(&r.stage), 1);
	rig_close(&r);

	/* A source that is timed makes nothing after it. */
	rig_open(&r, &(struct rig_config){ .ops = &timed, .edges = { { .port = "" } } });
	assert_int_equal(sz_rt_turn(&r.stage), SZ_TURN_PROGRESS);
	rig_now_ns += 1000;
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_string_equal(rig_drain(&r, 0), "x|last|bye");
	rig_close(&r);
}

/* Says "gone" when the process whose pidfd it is given in watched_fd has ended. */
static int watched_fd;

static int watch_record(struct sz_stage *s, const struct sz_record *r)
{
	(void)r;
	sz_io_poll(s, 0, watched_fd, POLLIN, SZ_IO_VOLATILE);
	return SZ_OK;
}

static int watch_complete(struct sz_stage *s, uint32_t request, int result)
{
	assert_int_equal(request, 0);
	*(int64_t *)sz_state(s) = result;
	sz_timer(s, sz_now(s));
	return SZ_OK;
}

static int watch_tick(struct sz_stage *s)
{
	sz_emit(s, 0, "gone", 4);
	return SZ_OK;
}

static const struct sz_stage_ops watch = {
	TYPE("watch"), .record = watch_record, .complete = watch_complete, .tick = watch_tick,
	.emits = 1,    .state_bytes = 8,       .ring_entries = 1
};

static void test_poll_tells_of_a_childs_end(void **state)
{
	int hold[2];
	struct rig r;
	pid_t pid;

	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(hold[1]);
		_exit(read(hold[0], &c, 1) == 0 ? 0 : 1);
	}
	watched_fd = (int)syscall(434 /* pidfd_open */, pid, 0);
	assert_true(watched_fd >= 0);
	rig_open(&r,
		 &(struct rig_config){ .ops = &watch, .inputs = 1, .edges = { { .port = "" } } });
	rig_puts(&r, 0, "go");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_int_equal(r.stage.io.inflight, 1);
	assert_true(
		r.stage.waiting
			.io); /* it sleeps until the request completes, and not only until the next input */
	close(hold[1]);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	sz_wait_until(&r.stage, rig_now_ns + 1000000000);
	sz_sleep(&r.stage);
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "gone");
	assert_int_equal(*(int64_t *)sz_state(&r.stage), POLLIN);
	waitpid(pid, NULL, 0);
	close(watched_fd);
	close(hold[0]);
	rig_close(&r);
}

/* Writes 300000 bytes to a pipe nobody reads: the plain engine may not block in it. */
static int pipe_fd;

static int flood_record(struct sz_stage *s, const struct sz_record *r)
{
	(void)r;
	sz_io_write(s, 0, pipe_fd, sz_arena(s), 300000, SZ_IO_AT_OWN_POSITION, 0);
	return SZ_OK;
}

static int flood_complete(struct sz_stage *s, uint32_t request, int result)
{
	(void)request;
	*(int64_t *)sz_state(s) = result;
	return SZ_OK;
}

static const struct sz_stage_ops flood = {
	TYPE("flood"), .record = flood_record, .complete = flood_complete,
	.emits = 1,    .state_bytes = 8,       .ring_entries = 1
};

static void test_plain_writes_never_block(void **state)
{
	struct rig r;
	char one = 'x';
	int p[2];

	alarm(20); /* a blocked write would hang */
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pipe_fd = p[1];
	rig_open(&r, &(struct rig_config){ .ops = &flood,
					   .inputs = 1,
					   .edges = { { .port = "" } },
					   .arena_bytes = 1 << 20 });
	assert_int_equal(write(p[1], &one, 1), 1); /* not at a page's start */
	rig_puts(&r, 0, "go");
	rig_run(&r);
	int64_t wrote = *(int64_t *)sz_state(&r.stage);
	assert_true(wrote > 0 && wrote < 300000);
	alarm(0);
	close(p[0]);
	close(p[1]);
	rig_close(&r);
}

static const struct sz_stage_ops greedy = { TYPE("greedy"), .record = who_record, .emits = 8 };

static void test_what_a_call_may_emit_has_to_fit(void **state)
{
	static const struct rig_edge tight[] = {
		{ .port = "", .limit_records = 7 },
		{ .port = "", .limit_bytes = 8 * (1024 + 16) - 1 },
		{ .port = "", .limit_records = 8, .limit_bytes = 8 * (1024 + 16) },
		{ .port = "", .limit_records = 1, .overflow = SZ_OVERFLOW_DROP_NEWEST },
	};

	for (size_t i = 0; i < 4; i++) {
		struct rig r;

		assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &greedy,
								    .inputs = 1,
								    .edges = { tight[i] } }),
				 i < 2 ? -E2BIG : 0);
		if (i < 2)
			assert_non_null(
				strstr(r.stage.error_text, "8 records of 1024 bytes at once"));
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skipped_inputs_wait_for_the_others),
		cmocka_unit_test(test_inputs_have_numbers_and_names),
		cmocka_unit_test(test_a_full_output_keeps_no_input_from_who_looks_itself),
		cmocka_unit_test(test_room_of_one_port),
		cmocka_unit_test(test_no_input_before_a_tick_is_finished),
		cmocka_unit_test(test_a_tick_may_be_the_end),
		cmocka_unit_test(test_poll_tells_of_a_childs_end),
		cmocka_unit_test(test_plain_writes_never_block),
		cmocka_unit_test(test_what_a_call_may_emit_has_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
