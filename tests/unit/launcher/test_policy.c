/* SPDX-License-Identifier: BSD-2-Clause */
/* What follows a death: verdicts, the limit and its window, waits. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "policy.h"

#define EXITED(code)   W_EXITCODE(code, 0)
#define KILLED(signal) W_EXITCODE(0, signal)
#define COUNT(array)   (sizeof(array) / sizeof((array)[0]))
#define ALL_OF_IT      1023u /* the random number for the whole wait; 0: half of it */
#define BIRTH_NS       (1000 * NS_PER_S)

static struct plan_stage stage;
static struct worker worker;

static void setup(void)
{
	stage = (struct plan_stage){
		.restart_limit = 5,
		.restart_period_ns = 10 * NS_PER_S,
		.backoff_first_ns = 10 * NS_PER_MS,
		.backoff_longest_ns = 30 * NS_PER_S,
	};
	worker = (struct worker){ .stage = &stage };
}

/* A life of so many ms after which nothing had moved. */
static enum verdict die(int status, uint64_t *now_ns, uint64_t life_ms, uint64_t *wait_ns)
{
	char reason[POLICY_REASON_SIZE];
	struct death d = { .status = status, .run_state = SZ_RUN_RUNNING, .random = ALL_OF_IT };

	worker.start_ns = *now_ns;
	*now_ns += life_ms * NS_PER_MS;
	d.now_ns = *now_ns;
	*wait_ns = UINT64_MAX;
	return policy_judge(&worker, &d, wait_ns, reason);
}

static const struct {
	const char *what;
	int status;
	enum sz_run_state run_state;
	bool stopping, by_us, hopeless;
	enum plan_restart restart;
	enum verdict verdict;
	const char *reason; /* what is in it */
	uint32_t crashes;   /* afterwards */
} table[] = {
	{ "its end", EXITED(0), SZ_RUN_ENDED, .verdict = VERDICT_ENDED },
	{ "its end, then killed", KILLED(SIGKILL), SZ_RUN_ENDED, .verdict = VERDICT_ENDED },
	{ "its end, then a crash", KILLED(SIGSEGV), SZ_RUN_ENDED, .verdict = VERDICT_ENDED },
	{ "its end, then it gave up", EXITED(125), SZ_RUN_ENDED, .verdict = VERDICT_ENDED },
	{ "its end in a stop", EXITED(0), SZ_RUN_ENDED, .stopping = true,
	  .verdict = VERDICT_ENDED },
	{ "its end, restart=never", EXITED(0), SZ_RUN_ENDED, .restart = RESTART_NEVER,
	  .verdict = VERDICT_ENDED },
	{ "stopped", EXITED(75), SZ_RUN_RUNNING, .stopping = true, .verdict = VERDICT_STOPPED },
	{ "stopped while finishing", EXITED(75), SZ_RUN_FINISHING, .stopping = true,
	  .verdict = VERDICT_STOPPED },
	{ "a crash in a stop", KILLED(SIGSEGV), SZ_RUN_RUNNING, .stopping = true,
	  .verdict = VERDICT_STOPPED },
	{ "gave up in a stop", EXITED(125), SZ_RUN_RUNNING, .stopping = true,
	  .verdict = VERDICT_STOPPED },
	{ "told to stop by somebody else", EXITED(75), SZ_RUN_RUNNING, .verdict = VERDICT_RESTART },
	{ "gave up", EXITED(125), SZ_RUN_RUNNING, .verdict = VERDICT_GIVE_UP,
	  .reason = "it gave up itself" },
	{ "gave up before it began", EXITED(100), SZ_RUN_FRESH, .verdict = VERDICT_GIVE_UP,
	  .reason = "it gave up itself" },
	{ "gave up, restart=on_failure", EXITED(125), SZ_RUN_RUNNING, .restart = RESTART_ON_FAILURE,
	  .verdict = VERDICT_GIVE_UP, .reason = "it gave up itself" },
	{ "a signal of that number", KILLED(100), SZ_RUN_RUNNING, .verdict = VERDICT_RESTART,
	  .crashes = 1 },
	{ "the system refused", EXITED(111), SZ_RUN_RUNNING, .verdict = VERDICT_RESTART,
	  .crashes = 1 },
	{ "exited before its end", EXITED(0), SZ_RUN_RUNNING, .verdict = VERDICT_RESTART,
	  .crashes = 1 },
	{ "exited before its end, restart=on_failure", EXITED(0), SZ_RUN_RUNNING,
	  .restart = RESTART_ON_FAILURE, .verdict = VERDICT_GIVE_UP,
	  .reason = "of its own accord" },
	{ "told to stop by somebody else, restart=on_failure", EXITED(75), SZ_RUN_RUNNING,
	  .restart = RESTART_ON_FAILURE, .verdict = VERDICT_GIVE_UP,
	  .reason = "of its own accord" },
	{ "exited while finishing", EXITED(0), SZ_RUN_FINISHING, .verdict = VERDICT_RESTART,
	  .crashes = 1 },
	{ "crashed", KILLED(SIGSEGV), SZ_RUN_RUNNING, .verdict = VERDICT_RESTART, .crashes = 1 },
	{ "crashed, restart=on_failure", KILLED(SIGSEGV), SZ_RUN_RUNNING,
	  .restart = RESTART_ON_FAILURE, .verdict = VERDICT_RESTART, .crashes = 1 },
	{ "exited with 1, restart=on_failure", EXITED(1), SZ_RUN_RUNNING,
	  .restart = RESTART_ON_FAILURE, .verdict = VERDICT_RESTART, .crashes = 1 },
	{ "crashed, restart=never", KILLED(SIGSEGV), SZ_RUN_RUNNING, .restart = RESTART_NEVER,
	  .verdict = VERDICT_GIVE_UP, .reason = "restart=never" },
	{ "killed, restart=never", KILLED(SIGKILL), SZ_RUN_RUNNING, .restart = RESTART_NEVER,
	  .verdict = VERDICT_GIVE_UP, .reason = "restart=never" },
	{ "killed from outside", KILLED(SIGKILL), SZ_RUN_RUNNING, .verdict = VERDICT_RESTART },
	{ "terminated", KILLED(SIGTERM), SZ_RUN_RUNNING, .verdict = VERDICT_RESTART, .crashes = 1 },
	{ "killed by us", KILLED(SIGKILL), SZ_RUN_RUNNING, .by_us = true,
	  .verdict = VERDICT_RESTART },
	{ "killed by us too often", KILLED(SIGKILL), SZ_RUN_RUNNING, .by_us = true,
	  .hopeless = true, .verdict = VERDICT_GIVE_UP, .reason = "makes no sense" },
};

static void test_verdicts(void **state)
{
	for (size_t i = 0; i < COUNT(table); i++) {
		struct death d = { .status = table[i].status,
				   .run_state = table[i].run_state,
				   .stopping = table[i].stopping,
				   .by_us = table[i].by_us,
				   .now_ns = BIRTH_NS + NS_PER_MS };
		char reason[POLICY_REASON_SIZE] = "not set";
		uint64_t wait_ns = UINT64_MAX;
		enum verdict v;

		setup();
		stage.restart = table[i].restart;
		worker.hopeless = table[i].hopeless;
		worker.start_ns = BIRTH_NS;
		v = policy_judge(&worker, &d, &wait_ns, reason);
		if (v != table[i].verdict || worker.crashes != table[i].crashes ||
		    wait_ns != (v == VERDICT_RESTART ? 0 : UINT64_MAX) ||
		    (table[i].reason ? !strstr(reason, table[i].reason) : reason[0]))
			fail_msg("%s: verdict %d, crashes %u, wait %llu, reason \"%s\"",
				 table[i].what, (int)v, worker.crashes, (unsigned long long)wait_ns,
				 reason);
	}
}

static void test_limit_within_its_window(void **state)
{
	uint64_t now = BIRTH_NS, wait;

	setup();
	stage.restart_limit = 2;
	stage.restart_period_ns = NS_PER_S;
	assert_int_equal(die(KILLED(SIGSEGV), &now, 1, &wait), VERDICT_RESTART);
	assert_int_equal(die(EXITED(1), &now, 1, &wait), VERDICT_RESTART);
	assert_int_equal(die(KILLED(SIGABRT), &now, 998, &wait), VERDICT_GIVE_UP);

	/* The period is over when the third comes: it is the first of the next. */
	setup();
	stage.restart_limit = 2;
	stage.restart_period_ns = NS_PER_S;
	for (int i = 0; i < 100; i++)
		assert_int_equal(die(KILLED(SIGSEGV), &now, 501, &wait), VERDICT_RESTART);

	setup();
	stage.restart_limit = 0;
	assert_int_equal(die(KILLED(SIGSEGV), &now, 1, &wait), VERDICT_GIVE_UP);
}

static void test_the_reason_counts(void **state)
{
	struct death d = { .status = EXITED(1), .run_state = SZ_RUN_RUNNING, .now_ns = BIRTH_NS };
	char reason[POLICY_REASON_SIZE];
	uint64_t wait;

	setup();
	stage.restart_limit = 1;
	assert_int_equal(policy_judge(&worker, &d, &wait, reason), VERDICT_RESTART);
	d.now_ns += 1500 * NS_PER_MS;
	assert_int_equal(policy_judge(&worker, &d, &wait, reason), VERDICT_GIVE_UP);
	assert_string_equal(reason, "2 deaths without progress within 1.5 s (restart_limit=)");
}

static void test_progress_does_not_count(void **state)
{
	struct death d = { .status = KILLED(SIGSEGV),
			   .run_state = SZ_RUN_RUNNING,
			   .progress = true,
			   .now_ns = BIRTH_NS };
	char reason[POLICY_REASON_SIZE];
	uint64_t wait;

	setup();
	worker.start_ns = BIRTH_NS;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(policy_judge(&worker, &d, &wait, reason), VERDICT_RESTART);
		assert_int_equal(wait, 0);
	}
	assert_int_equal(worker.crashes, 0);
}

static void test_killed_from_outside_never_counts_and_waits_shortly(void **state)
{
	static const uint64_t waits_ms[] = { 0, 10, 20, 40, 40, 40 };
	uint64_t now = BIRTH_NS, wait;

	setup();
	stage.restart_limit = 1;
	for (size_t i = 0; i < 1000; i++) {
		size_t last = COUNT(waits_ms) - 1;

		assert_int_equal(die(KILLED(SIGKILL), &now, 1, &wait), VERDICT_RESTART);
		assert_int_equal(wait, waits_ms[i < last ? i : last] * NS_PER_MS);
	}
	assert_int_equal(worker.crashes, 0);

	/* A shorter limit of the graph's own holds. */
	setup();
	stage.backoff_longest_ns = 15 * NS_PER_MS;
	for (int i = 0; i < 10; i++)
		assert_int_equal(die(KILLED(SIGKILL), &now, 1, &wait), VERDICT_RESTART);
	assert_int_equal(wait, 15 * NS_PER_MS);
}

static void test_waits_double_until_progress(void **state)
{
	static const uint64_t waits_ms[] = { 0, 10, 20, 40, 80, 100, 100 };
	struct death moved = { .status = KILLED(SIGSEGV),
			       .run_state = SZ_RUN_RUNNING,
			       .progress = true };
	char reason[POLICY_REASON_SIZE];
	uint64_t now = BIRTH_NS, wait;

	setup();
	stage.restart_limit = 1000;
	stage.backoff_longest_ns = 100 * NS_PER_MS;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT(waits_ms); i++) {
			assert_int_equal(die(KILLED(SIGSEGV), &now, 1, &wait), VERDICT_RESTART);
			assert_int_equal(wait, waits_ms[i] * NS_PER_MS);
		}
		moved.now_ns = now;
		assert_int_equal(policy_judge(&worker, &moved, &wait, reason), VERDICT_RESTART);
		assert_int_equal(wait, 0);
	}
	/* So does a long life in which there was nothing to do. */
	die(KILLED(SIGSEGV), &now, 1, &wait);
	die(KILLED(SIGSEGV), &now, 1, &wait);
	assert_int_equal(wait, 10 * NS_PER_MS);
	assert_int_equal(die(KILLED(SIGSEGV), &now, 10001, &wait), VERDICT_RESTART);
	assert_int_equal(wait, 0);
	die(KILLED(SIGSEGV), &now, 1, &wait);
	assert_int_equal(wait, 0);
}

static void test_jitter_is_between_half_and_all(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 511, 512, 1022, 1023, 1024, 2047, UINT32_MAX };

	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct death d = { .status = KILLED(SIGSEGV),
				   .run_state = SZ_RUN_RUNNING,
				   .now_ns = BIRTH_NS,
				   .random = numbers[i] };
		char reason[POLICY_REASON_SIZE];
		uint64_t wait;

		setup();
		worker.start_ns = BIRTH_NS;
		worker.fruitless = 1;
		assert_int_equal(policy_judge(&worker, &d, &wait, reason), VERDICT_RESTART);
		assert_in_range(wait, 5 * NS_PER_MS, 10 * NS_PER_MS);
		if (numbers[i] % 1024 == 0)
			assert_int_equal(wait, 5 * NS_PER_MS);
		if (numbers[i] % 1024 == ALL_OF_IT)
			assert_int_equal(wait, 10 * NS_PER_MS);

		/* The longest there can be, for years: nothing overflows. */
		stage.backoff_longest_ns = 3600 * NS_PER_S;
		worker.fruitless = UINT32_MAX - 1;
		assert_int_equal(policy_judge(&worker, &d, &wait, reason), VERDICT_RESTART);
		assert_in_range(wait, 1800 * NS_PER_S, 3600 * NS_PER_S);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_limit_within_its_window),
		cmocka_unit_test(test_the_reason_counts),
		cmocka_unit_test(test_progress_does_not_count),
		cmocka_unit_test(test_killed_from_outside_never_counts_and_waits_shortly),
		cmocka_unit_test(test_waits_double_until_progress),
		cmocka_unit_test(test_jitter_is_between_half_and_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
