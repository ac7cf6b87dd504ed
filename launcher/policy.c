/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.c - what follows a death
 *
 *	ended?		committed SZ_RUN_ENDED, however it died after that
 *	stopped?	the pipeline stops, or it was told so by somebody else
 *	gave up?	it says a restart would not help; restart=; restart_limit= deaths of its own making and without
 *			progress within the period
 *	restart		at once; from the second life without progress in a row on after restart_backoff=, doubling
 *
 * A SIGKILL from outside says nothing about the stage: it never counts, and the wait for it stays short.
 */
#include "policy.h"
#include <stdio.h>
#include <sys/wait.h>

/* Killed from outside again and again, perhaps for want of memory: slow down, but stay near. */
#define KILLED_WAIT_MAX_NS (40 * NS_PER_MS)
/* A life that lasted so long was a good one even if it had nothing to do. */
#define LONG_LIFE_NS (10 * NS_PER_S)

static bool exited_with(int status, int code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static bool gives_up(struct worker *w, const struct death *d, char *reason)
{
	const struct plan_stage *s = w->stage;

	if (exited_with(d->status, SZ_EXIT_FAILED) || exited_with(d->status, SZ_EXIT_USAGE)) {
		snprintf(reason, POLICY_REASON_SIZE, "it gave up itself");
		return true;
	}
	if (s->restart == RESTART_NEVER) {
		snprintf(reason, POLICY_REASON_SIZE, "restart=never");
		return true;
	}
	if (s->restart == RESTART_ON_FAILURE &&
	    (exited_with(d->status, 0) || exited_with(d->status, SZ_EXIT_STOPPED))) {
		snprintf(reason, POLICY_REASON_SIZE,
			 "restart=on_failure, and it left of its own accord before its end");
		return true;
	}
	if (w->hopeless) {
		snprintf(reason, POLICY_REASON_SIZE, "what it writes makes no sense");
		return true;
	}
	/* A death from outside, or after progress, does not count. */
	if (d->progress || d->by_us || (WIFSIGNALED(d->status) && WTERMSIG(d->status) == SIGKILL) ||
	    exited_with(d->status, SZ_EXIT_STOPPED))
		return false;
	if (d->now_ns - w->window_ns > s->restart_period_ns || w->crashes == 0) {
		w->window_ns = d->now_ns;
		w->crashes = 0;
	}
	if (++w->crashes <= s->restart_limit)
		return false;
	snprintf(reason, POLICY_REASON_SIZE,
		 "%u deaths without progress within %.1f s "
		 "(restart_limit=)",
		 w->crashes, (double)(d->now_ns - w->window_ns) / (double)NS_PER_S);
	return true;
}

/* Between half of the wait and all of it. */
static uint64_t jitter(uint64_t wait_ns, uint32_t random)
{
	return wait_ns / 2 + wait_ns / 2 * (random % 1024) / 1023;
}

static uint64_t wait_before_restart(struct worker *w, const struct death *d)
{
	uint64_t longest = w->stage->backoff_longest_ns, wait = w->stage->backoff_first_ns;

	if (d->progress || d->now_ns - w->start_ns > LONG_LIFE_NS) {
		w->fruitless = 0;
		return 0;
	}
	if (w->fruitless++ == 0)
		return 0; /* the first at once */
	if (WIFSIGNALED(d->status) && WTERMSIG(d->status) == SIGKILL &&
	    longest > KILLED_WAIT_MAX_NS)
		longest = KILLED_WAIT_MAX_NS;
	for (uint32_t i = 2; i < w->fruitless && wait < longest; i++)
		wait *= 2;
	return jitter(wait < longest ? wait : longest, d->random);
}

enum verdict policy_judge(struct worker *w, const struct death *d, uint64_t *wait_ns,
			  char reason[POLICY_REASON_SIZE])
{
	reason[0] = '\0';
	if (d->run_state == SZ_RUN_ENDED)
		return VERDICT_ENDED;
	if (d->stopping)
		return VERDICT_STOPPED;
	if (gives_up(w, d, reason))
		return VERDICT_GIVE_UP;
	*wait_ns = wait_before_restart(w, d);
	return VERDICT_RESTART;
}
