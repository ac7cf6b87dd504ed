/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * states.c - a worker's states and events
 *
 *	state \ event  START   REPORTED  EXITED  HELPER   TIMER     STOP
 *	NEW            start   -         -       -        -         settle
 *	STARTING       -       running   reap    -        -         attend
 *	RUNNING        -       -         reap    -        -         attend
 *	RECOVERING     -       -         -       judge    recover   -
 *	BACKOFF        -       -         -       -        start     settle
 *	ENDED, STOPPED, GAVE_UP: nothing happens any more
 *
 *	reap -> RECOVERING: wait for the process group, then for the recovery process; judge() leads to ENDED, STOPPED,
 *	BACKOFF (or STARTING at once) or GAVE_UP. "-" cannot happen or means nothing in that state.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>
#include <streamz/view.h>
#include "log.h"
#include "policy.h"
#include "supervise.h"

#define GROUP_POLL_NS   (2 * NS_PER_MS)
#define RETRY_NS        (100 * NS_PER_MS)
#define RETRIES_SLOW    50u /* of a fork that fails: up to every 5 s */
#define RECOVERY_TRIES  3u
#define POISON_TRIES    3u
#define POISON_GRACE_NS NS_PER_S
#define NOTICES_PER_S   10u

static void set_state(struct worker *w, enum sz_worker_state to, const char *why)
{
	log_verbose("%s: %s -> %s (%s)", worker_name(w), sz_worker_state_name(w->state),
		    sz_worker_state_name(to), why);
	w->state = to;
	w->due_ns = 0;
	sz_store_relaxed(&w->shown->state, (uint32_t)to);
}

bool worker_is_settled(const struct worker *w)
{
	return sz_worker_is_settled(w->state);
}

static void settle(struct supervisor *s, struct worker *w, enum sz_worker_state to, const char *why)
{
	set_state(w, to, why);
	s->unsettled--;
}

/* Starting */

static void start(struct supervisor *s, struct worker *w)
{
	w->start_epoch = sz_load_acquire(&w->page.live->epoch); /* pairs: sz_ledger_commit() */
	w->start_records = worker_records(w);
	w->start_ns = sz_clock_ns(CLOCK_MONOTONIC);
	w->poisoned = false;
	if (worker_spawn(s->p, w)) {
		set_state(w, SZ_W_BACKOFF, "could not be started");
		w->fruitless += w->fruitless < RETRIES_SLOW;
		w->due_ns = sz_clock_ns(CLOCK_MONOTONIC) + w->fruitless * RETRY_NS;
		return;
	}
	sz_store_relaxed(&w->shown->pid, w->pid);
	set_state(w, SZ_W_STARTING, "forked");
	watch(s, w->pidfd, FROM_WORKER, w->index);
}

static void running(struct supervisor *s, struct worker *w)
{
	set_state(w, SZ_W_RUNNING, "first commit");
	for (uint32_t i = 0; i < s->p->plan->n_lanes; i++)
		if (s->p->lanes[i].poison_count)
			s->poison_ns = sz_clock_ns(CLOCK_MONOTONIC) + POISON_GRACE_NS;
}

static void attend(struct supervisor *s, struct worker *w)
{
	(void)s;
	pidfd_send_signal(w->pidfd, SZ_ATTENTION_SIGNAL, NULL, 0);
}

static void settle_stopped(struct supervisor *s, struct worker *w)
{
	settle(s, w, SZ_W_STOPPED, "the pipeline stops");
}

void worker_kill(struct worker *w)
{
	if (w->pidfd >= 0)
		pidfd_send_signal(w->pidfd, SIGKILL, NULL, 0);
	/* Its recovery may hang, too: it is done again. */
	if (w->helper_fd >= 0)
		pidfd_send_signal(w->helper_fd, SIGKILL, NULL, 0);
}

/* Deaths */

/* Last words lie in a page that a life gone wild may have written: one checked copy, nothing unprintable. */
static void last_words(const struct worker *w, char *buf, size_t size)
{
	const struct sz_last_words *words = &w->page.live->words;
	uint32_t len = sz_load_relaxed(&words->text_len);

	buf[0] = '\0';
	if (len == 0 || len > sizeof(words->text))
		return;
	if (len >= size)
		len = (uint32_t)size - 1;
	memcpy(buf, words->text, len);
	buf[len] = '\0';
	for (char *c = buf; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
}

void worker_epitaph(struct worker *w, char *buf, size_t size)
{
	char status[120], words[300], exec[200];
	const char *exec_error = worker_exec_error(w, exec, sizeof(exec));

	program_status_text(w->status, status, sizeof(status));
	last_words(w, words, sizeof(words));
	if (exec_error)
		snprintf(buf, size, "could not be executed: %s", exec_error);
	else if (w->poisoned)
		snprintf(buf, size, "was killed: what it wrote made no sense to its neighbour");
	else if (WIFEXITED(w->status) && WEXITSTATUS(w->status) == 0)
		snprintf(buf, size, "exited with status 0 before its end");
	else
		snprintf(buf, size, "%s", status);
	if (words[0] && strlen(buf) + strlen(words) + 5 < size) {
		strcat(buf, ": \"");
		strcat(buf, words);
		strcat(buf, "\"");
	}
}

/* One line a death, and in a storm of them only some. */
static void notice(struct supervisor *s, const struct worker *w, const char *text, const char *then)
{
	uint64_t now = sz_clock_ns(CLOCK_MONOTONIC);

	if (now - s->said_ns > NS_PER_S) {
		if (s->unsaid)
			log_say("... and %u more deaths", s->unsaid);
		s->said_ns = now;
		s->said = s->unsaid = 0;
	}
	if (s->said++ < NOTICES_PER_S || log_get_level() >= LOG_VERBOSE)
		log_say("%s (process %d) %s: %s", worker_name(w), w->pid, text, then);
	else
		s->unsaid++;
}

static void recover(struct supervisor *s, struct worker *w);

/*
 * The group is killed before its leader is reaped: until then nobody else can get its number, and afterwards only
 * members that are still there keep it.
 */
static void reap(struct supervisor *s, struct worker *w)
{
	if (w->pgid)
		kill(-w->pgid, SIGKILL);
	if (waitpid(w->pid, &w->status, WNOHANG) != w->pid)
		return;
	unwatch(s, &w->pidfd);
	w->shown->death_status = w->status;
	w->shown->death_time_ns = sz_clock_ns(CLOCK_REALTIME);
	sz_store_relaxed(&w->shown->pid, 0);
	set_state(w, SZ_W_RECOVERING, "reaped");
	w->step = RECOVERY_GROUP;
	w->recovery_tries = 0;
	recover(s, w);
}

/* We are the sub-reaper: what a stage left behind comes to us. */
static bool group_is_gone(const struct worker *w)
{
	if (!w->pgid)
		return true;
	while (waitpid(-w->pgid, NULL, WNOHANG) > 0)
		;
	return kill(-w->pgid, 0) < 0 && errno == ESRCH;
}

/* Wait for the group, then start the recovery process. */
static void recover(struct supervisor *s, struct worker *w)
{
	uint64_t now = sz_clock_ns(CLOCK_MONOTONIC);

	if (w->step == RECOVERY_GROUP && !group_is_gone(w)) {
		w->due_ns = now + GROUP_POLL_NS;
		return;
	}
	w->step = RECOVERY_HELPER;
	w->due_ns = 0;
	w->helper = worker_recover(s->p, w, false);
	w->helper_fd = w->helper > 0 ? pidfd_open(w->helper, 0) : -1;
	if (w->helper_fd >= 0) {
		watch(s, w->helper_fd, FROM_HELPER, w->index);
		return;
	}
	if (w->helper > 0) {
		kill(w->helper, SIGKILL);
		waitpid(w->helper, NULL, 0);
	}
	w->due_ns = now + RETRY_NS;
}

static void tell(struct supervisor *s, struct worker *w, const char *then)
{
	char text[600];

	worker_epitaph(w, text, sizeof(text));
	notice(s, w, text, then);
}

static void judge(struct supervisor *s, struct worker *w)
{
	struct death death = {
		.status = w->status,
		.run_state = (enum sz_run_state)sz_ledger_slot(&w->page)->run_state,
		.progress = worker_records(w) != w->start_records,
		.by_us = w->poisoned,
		.stopping = s->phase == SZ_P_STOPPING,
		.now_ns = sz_clock_ns(CLOCK_MONOTONIC),
	};
	char reason[POLICY_REASON_SIZE], then[80] = "restarted";
	bool orderly = WIFEXITED(w->status) &&
		       (WEXITSTATUS(w->status) == 0 || WEXITSTATUS(w->status) == SZ_EXIT_STOPPED);
	uint64_t wait_ns = 0;

	if (getrandom(&death.random, sizeof(death.random), GRND_NONBLOCK) < 0)
		death.random = (uint32_t)death.now_ns;
	switch (policy_judge(w, &death, &wait_ns, reason)) {
	case VERDICT_ENDED:
		if (!orderly)
			tell(s, w, "it had ended");
		settle(s, w, SZ_W_ENDED, "all done");
		return;
	case VERDICT_STOPPED:
		if (!orderly && !s->killed)
			tell(s, w, "stopped");
		settle(s, w, SZ_W_STOPPED, "the pipeline stops");
		return;
	case VERDICT_GIVE_UP: give_up(s, w, reason); return;
	case VERDICT_RESTART: break;
	}
	w->shown->restarts++;
	if (wait_ns)
		snprintf(then, sizeof(then), "restarted in %" PRIu64 " ms", wait_ns / NS_PER_MS);
	tell(s, w, then);
	if (wait_ns == 0) {
		start(s, w);
		return;
	}
	set_state(w, SZ_W_BACKOFF, "waits for its restart");
	w->due_ns = death.now_ns + wait_ns;
}

static void helper_ended(struct supervisor *s, struct worker *w)
{
	char text[120], reason[200];
	int status = 0;

	if (waitpid(w->helper, &status, WNOHANG) != w->helper)
		return;
	unwatch(s, &w->helper_fd);
	w->helper = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == RECOVERED) {
		judge(s, w);
		return;
	}
	/* Killed from outside, it is run again as often as it takes; it may be killed anywhere. */
	if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		w->recovery_tries++;
	if (w->recovery_tries < RECOVERY_TRIES) {
		w->due_ns = sz_clock_ns(CLOCK_MONOTONIC) + GROUP_POLL_NS;
		return;
	}
	program_status_text(status, text, sizeof(text));
	snprintf(reason, sizeof(reason), "it cannot be recovered: its recovery %s", text);
	give_up(s, w, reason);
}

/* Lanes */

static struct worker *writer_of_nonsense(struct supervisor *s, uint32_t lane)
{
	const struct plan_lane *plan = &s->p->plan->lanes[lane];
	const struct lane *l = &s->p->lanes[lane];

	if (sz_load_relaxed(&l->consumer->pos) & SZ_LANE_POISONED)
		return &s->p->workers[plan->producer];
	if (sz_load_relaxed(&l->producer->pos) & SZ_LANE_POISONED)
		return &s->p->workers[plan->consumer];
	return NULL;
}

/*
 * A reader that finds nonsense says so in its own page. Recovery of the writer heals a bad cursor, and the reader
 * takes the flag back; if it does not, time after time, it is the data itself that is bad.
 */
void lanes_check(struct supervisor *s)
{
	uint64_t now = sz_clock_ns(CLOCK_MONOTONIC);

	for (uint32_t i = 0; i < s->p->plan->n_lanes; i++) {
		struct worker *w = writer_of_nonsense(s, i);
		struct lane *l = &s->p->lanes[i];
		char edge[PLAN_EDGE_NAME_SIZE];

		if (!w) {
			l->poison_count = 0;
			continue;
		}
		if (w->state != SZ_W_RUNNING || w->poisoned)
			continue;
		if (l->poison_count && now < w->start_ns + POISON_GRACE_NS) {
			s->poison_ns = now + POISON_GRACE_NS;
			continue;
		}
		plan_edge_name(s->p->plan, s->p->plan->lanes[i].edge, edge);
		log_warn("%s wrote nonsense into the lane %s: %s", worker_name(w), edge,
			 l->poison_count < POISON_TRIES ? "it is killed and recovered"
							: "it is still there after 3 recoveries");
		w->poisoned = true;
		if (l->poison_count++ == POISON_TRIES)
			w->hopeless = true;
		worker_kill(w);
	}
}

/* The table */

typedef void (*action)(struct supervisor *, struct worker *);

static const action actions[SZ_W_GAVE_UP + 1][EVENTS] = {
	[SZ_W_NEW] = { [EVENT_START] = start, [EVENT_STOP] = settle_stopped },
	[SZ_W_STARTING] = { [EVENT_REPORTED] = running,
			    [EVENT_EXITED] = reap,
			    [EVENT_STOP] = attend },
	[SZ_W_RUNNING] = { [EVENT_EXITED] = reap, [EVENT_STOP] = attend },
	[SZ_W_RECOVERING] = { [EVENT_HELPER] = helper_ended, [EVENT_TIMER] = recover },
	[SZ_W_BACKOFF] = { [EVENT_TIMER] = start, [EVENT_STOP] = settle_stopped },
};

void worker_event(struct supervisor *s, struct worker *w, enum event event)
{
	action act = actions[w->state][event];

	if (act)
		act(s, w);
}
