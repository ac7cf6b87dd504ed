/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stdin and stdout, on pipes
 *
 * The rig runs the plain engine. What a kill costs there is only known with the completion queue of io_uring: bytes read
 * from a pipe whose result was not committed are lost, bytes written whose result was not committed are written again.
 * So deaths here come when nothing is in flight; the others are for tests/system, which have the launcher's instance.
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "common.h"

static int saved[2], ends[2];

/* Put a pipe in the place of descriptor 0 or 1. */
static void divert(int fd)
{
	fflush(stdout);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	assert_int_equal(dup2(ends[fd], fd), fd);
	close(ends[fd]);
	ends[fd] = -1;
}

static void restore(int fd)
{
	dup2(saved[fd], fd);
	close(saved[fd]);
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

static void run(struct rig *r)
{
	for (int i = 0; i < 10; i++)
		sz_rt_turn(&r->stage);
}

/* If a request is in flight, until it completes; 50 ms at most. */
static void pause_for_io(struct rig *r)
{
	if (!r->stage.io.inflight)
		return;
	memset(&r->stage.waiting, 0, sizeof(r->stage.waiting));
	r->stage.waiting.io = true;
	sz_wait_until(&r->stage, rig_now_ns + 50000000);
	sz_sleep(&r->stage);
}

static void say(const char *text)
{
	assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
}

static void test_stdin_lines_and_deaths_at_rest(void **state)
{
	struct text got = { 0 }, failed = { 0 };
	static char line[3000];
	struct rig r;

	divert(STDIN_FILENO);
	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_stdin,
							    .edges = { { .port = "" },
								       { .port = "failed" } },
							    .arena_bytes = 1 << 20 }),
			 0);
	run(&r);
	assert_int_equal(r.stage.io.inflight, 1); /* it waits, and blocks nobody */
	assert_true(r.stage.waiting.io);
	say("one\ntw");
	pause_for_io(&r);
	run(&r);
	take(&r, 0, &got);
	assert_string_equal(got.at, "one\n");
	assert_int_equal(rig_crash(&r), 0); /* with half a line in its arena */
	say("o\n\n");
	run(&r);
	pause_for_io(&r);
	run(&r);
	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	say(line);
	pause_for_io(&r);
	run(&r);
	say("end"); /* no newline */
	close(ends[1]);
	ends[1] = -1;
	for (int i = 0; i < 100 && sz_rt_turn(&r.stage) != SZ_TURN_ENDED; i++)
		pause_for_io(&r);
	take(&r, 0, &got);
	take(&r, 1, &failed);
	assert_string_equal(got.at, "one\ntwo\n\nend\n");
	assert_non_null(
		strstr(failed.at,
		       "stdin: line of 2998 bytes at offset 9 is longer than max_record (1024)"));
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 5);
	rig_close(&r);
	restore(STDIN_FILENO);
	free(got.at);
	free(failed.at);
}

static void test_stdin_drained_while_it_waits(void **state)
{
	struct text got = { 0 };
	struct rig r;

	divert(STDIN_FILENO);
	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_stdin,
							    .edges = { { .port = "" } },
							    .arena_bytes = 1 << 20 }),
			 0);
	say("a\nb");
	run(&r);
	r.stage.draining = true;
	for (int i = 0; i < 100 && sz_rt_turn(&r.stage) != SZ_TURN_ENDED; i++)
		;
	take(&r, 0, &got);
	assert_string_equal(got.at, "a\nb\n");
	rig_close(&r);
	restore(STDIN_FILENO);
	free(got.at);
}

static size_t read_some(char *to, size_t size)
{
	ssize_t n = read(ends[0], to, size);

	assert_true(n > 0);
	return (size_t)n;
}

/* More than the pipe holds: it waits for its reader, holds what comes, and loses nothing. */
static void test_stdout_waits_for_its_reader(void **state)
{
	static char line[1000], all[400000];
	size_t want = 0, have = 0;
	int fed = 0;
	struct rig r;

	alarm(60);
	divert(STDOUT_FILENO);
	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_stdout,
							    .inputs = 1,
							    .arena_bytes = 1 << 20 }),
			 0);
	memset(line, 'x', sizeof(line));
	for (; fed < 150; fed++) {
		if (rig_put(&r, 0, line, (uint32_t)(fed * 13 % 1000)) < 0)
			sz_rt_turn(&r.stage), fed--;
		else
			want += (size_t)(fed * 13 % 1000) + 1;
	}
	run(&r);
	bool waits =
		r.stage.waiting.io && r.stage.io.inflight == 1 && rig_counter(&r, SZ_C_HELD) > 0;
	rig_end(&r, 0);
	while (have < want) {
		have += read_some(all + have, sizeof(all) - have);
		pause_for_io(&r);
		run(&r);
	}
	uint64_t out = rig_counter(&r, SZ_C_RECORDS_OUT), held = rig_counter(&r, SZ_C_HELD);
	enum sz_turn last = sz_rt_turn(&r.stage);
	rig_close(&r);
	restore(STDOUT_FILENO);
	assert_true(waits);
	assert_int_equal(have, want);
	assert_int_equal(out, 150);
	assert_int_equal(held, 0);
	assert_int_equal(last, SZ_TURN_ENDED);
	size_t at = 0;
	for (int i = 0; i < 150; i++) {
		at += (size_t)(i * 13 % 1000);
		assert_int_equal(all[at++], '\n');
	}
	alarm(0);
}

static void test_stdout_dies_at_rest(void **state)
{
	char all[64] = "";
	struct rig r;

	divert(STDOUT_FILENO);
	rig_open(&r, &(struct rig_config){
			     .ops = &sz_stage_stdout, .inputs = 1, .arena_bytes = 1 << 20 });
	rig_puts(&r, 0, "one");
	run(&r);
	rig_crash(&r);
	rig_puts(&r, 0, "two");
	rig_end(&r, 0);
	run(&r);
	size_t n = read_some(all, sizeof(all) - 1);
	enum sz_turn last = sz_rt_turn(&r.stage);
	rig_close(&r);
	restore(STDOUT_FILENO);
	assert_int_equal(n, 8);
	assert_string_equal(all, "one\ntwo\n");
	assert_int_equal(last, SZ_TURN_ENDED);
}

/* As with `| head`: the stage ends, and what it could not deliver is held, not lost from the books. */
static void test_a_reader_that_leaves(void **state)
{
	struct rig r;
	enum sz_turn last = SZ_TURN_WAIT;

	signal(SIGPIPE, SIG_IGN);
	divert(STDOUT_FILENO);
	rig_open(&r, &(struct rig_config){
			     .ops = &sz_stage_stdout, .inputs = 1, .arena_bytes = 1 << 20 });
	close(ends[0]);
	ends[0] = -1;
	rig_puts(&r, 0, "one");
	run(&r);
	rig_puts(&r, 0, "two");
	for (int i = 0; i < 20 && last != SZ_TURN_ENDED; i++)
		last = sz_rt_turn(&r.stage);
	uint64_t in = rig_counter(&r, SZ_C_RECORDS_IN), handled = rig_counter(&r, SZ_C_HANDLED),
		 held = rig_counter(&r, SZ_C_HELD);
	rig_close(&r);
	restore(STDOUT_FILENO);
	assert_int_equal(last, SZ_TURN_ENDED);
	assert_int_equal(in, handled + held);
	assert_int_equal(handled, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stdin_lines_and_deaths_at_rest),
		cmocka_unit_test(test_stdin_drained_while_it_waits),
		cmocka_unit_test(test_stdout_waits_for_its_reader),
		cmocka_unit_test(test_stdout_dies_at_rest),
		cmocka_unit_test(test_a_reader_that_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
