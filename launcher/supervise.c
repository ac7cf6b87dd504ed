/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * supervise.c - the run of a pipeline, from its first process to its last
 *
 *	RUNNING --(TERM, INT; HUP with a terminal)--> DRAINING --(deadline, second signal)--> STOPPING
 *	   \--(a worker gives up)------------------------------------------------------------>/
 *
 * Over when every worker is settled. Nothing happens without an event: signalfd, a pidfd a process, the eventfd that
 * workers ring as a bell, one timerfd for the next deadline. No event, no CPU.
 */
#include "supervise.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <streamz/mix.h>
#include "log.h"

#define STOP_NS    (2 * NS_PER_S)
#define EVENTS_MAX 64

/* Registering fails only for want of memory; the loop's timer then does the work, late. */
void watch(struct supervisor *s, int fd, enum source source, uint32_t index)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = (uint64_t)index << 8 | source };

	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		log_warn("epoll_ctl: %s", strerror(errno));
}

void unwatch(struct supervisor *s, int *fd)
{
	epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
	close(*fd);
	*fd = -1;
}

/* The pipeline as a whole */

static void to_all(struct supervisor *s, enum event event)
{
	for (uint32_t i = 0; i < s->p->plan->n_workers; i++)
		worker_event(s, &s->p->workers[i], event);
}

static void set_command(struct supervisor *s, enum sz_command command)
{
	/* pairs: the workers' load on attention */
	sz_store_release(&s->p->ctl->command, (uint32_t)command);
}

void stop_all(struct supervisor *s)
{
	if (s->phase == SZ_P_STOPPING)
		return;
	s->phase = SZ_P_STOPPING;
	s->drain_ns = 0;
	s->kill_ns = sz_clock_ns(CLOCK_MONOTONIC) + STOP_NS;
	set_command(s, SZ_CMD_STOP);
	pipeline_set_state(s->p, s->gave_up ? SZ_P_FAILED : SZ_P_STOPPING);
	to_all(s, EVENT_STOP);
}

void give_up(struct supervisor *s, struct worker *w, const char *reason)
{
	char text[600];

	worker_epitaph(w, text, sizeof(text));
	log_error("%s gave up (%s): it %s", worker_name(w), reason, text);
	w->state = SZ_W_GAVE_UP;
	w->due_ns = 0;
	sz_store_relaxed(&w->shown->state, SZ_W_GAVE_UP);
	s->unsettled--;
	if (!s->gave_up)
		s->gave_up = w;
	stop_all(s);
}

/* SIGUSR1 to those that have a process; the others see the command when they start. */
/* Some senders signal a process and then its group: that is one wish, not two. */
#define SAME_SIGNAL_NS (100 * NS_PER_MS)

static void drain(struct supervisor *s, int sig)
{
	uint64_t longest = 0;

	s->deaf_until_ns = sz_clock_ns(CLOCK_MONOTONIC) + SAME_SIGNAL_NS;
	for (uint32_t i = 0; i < s->p->plan->n_stages; i++)
		if (s->p->plan->stages[i].shutdown_ns > longest)
			longest = s->p->plan->stages[i].shutdown_ns;
	log_say("%s: draining \"%s\", up to %.1f s (shutdown=); a second signal stops it at once",
		strsignal(sig), s->p->plan->name, (double)longest / (double)NS_PER_S);
	s->phase = SZ_P_DRAINING;
	s->drain_ns = sz_clock_ns(CLOCK_MONOTONIC) + longest;
	set_command(s, SZ_CMD_DRAIN);
	pipeline_set_state(s->p, SZ_P_DRAINING);
	for (uint32_t i = 0; i < s->p->plan->n_workers; i++) {
		struct worker *w = &s->p->workers[i];

		/* The signal of a stop; the command says what it means. */
		if (w->state == SZ_W_STARTING || w->state == SZ_W_RUNNING)
			worker_event(s, w, EVENT_STOP);
	}
}

static void name_stuck(const struct supervisor *s, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < s->p->plan->n_workers; i++) {
		const struct worker *w = &s->p->workers[i];

		if (!worker_is_settled(w) && used + 40 < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "",
						 worker_name(w));
	}
}

static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void on_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (sig == SIGHUP && !has_terminal()) {
			log_say("SIGHUP: this version cannot reload a graph: stop it and start it "
				"again");
			continue;
		}
		if (s->phase == SZ_P_RUNNING) {
			drain(s, sig);
		} else if (s->phase == SZ_P_DRAINING &&
			   sz_clock_ns(CLOCK_MONOTONIC) >= s->deaf_until_ns) {
			log_say("%s: stopping \"%s\" at once", strsignal(sig), s->p->plan->name);
			stop_all(s);
		}
	}
}

static void on_drain_deadline(struct supervisor *s)
{
	char stuck[512];

	name_stuck(s, stuck, sizeof(stuck));
	log_warn("the time to drain (shutdown=) is over; not finished: %s", stuck);
	stop_all(s);
}

static void on_kill_deadline(struct supervisor *s)
{
	char stuck[512];

	s->kill_ns = 0;
	name_stuck(s, stuck, sizeof(stuck));
	log_say("killed, for they did not stop: %s", stuck);
	s->killed = true;
	for (uint32_t i = 0; i < s->p->plan->n_workers; i++)
		worker_kill(&s->p->workers[i]);
}

/* A worker rang: it may have committed for the first time, or found nonsense in a lane. */
static void on_bell(struct supervisor *s)
{
	uint64_t count;

	if (read(s->p->bell_fd, &count, sizeof(count)) < 0)
		return;
	for (uint32_t i = 0; i < s->p->plan->n_workers; i++) {
		struct worker *w = &s->p->workers[i];

		if (w->state == SZ_W_STARTING &&
		    sz_load_acquire(&w->page.live->epoch) != w->start_epoch)
			worker_event(s, w, EVENT_REPORTED);
	}
	lanes_check(s);
}

/* Time */

static void earlier(uint64_t *next, uint64_t due_ns)
{
	if (due_ns && (!*next || due_ns < *next))
		*next = due_ns;
}

static void set_timer(struct supervisor *s)
{
	struct itimerspec t = { 0 };
	uint64_t next = 0;

	earlier(&next, s->drain_ns);
	earlier(&next, s->kill_ns);
	earlier(&next, s->progress_ns);
	earlier(&next, s->poison_ns);
	for (uint32_t i = 0; i < s->p->plan->n_workers; i++)
		earlier(&next, s->p->workers[i].due_ns);
	t.it_value.tv_sec = (time_t)(next / NS_PER_S);
	t.it_value.tv_nsec = (long)(next % NS_PER_S);
	timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void on_time(struct supervisor *s)
{
	uint64_t now = sz_clock_ns(CLOCK_MONOTONIC), count;

	if (read(s->timer_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	for (uint32_t i = 0; i < s->p->plan->n_workers; i++) {
		struct worker *w = &s->p->workers[i];

		if (w->due_ns && w->due_ns <= now)
			worker_event(s, w, EVENT_TIMER);
	}
	if (s->drain_ns && s->drain_ns <= now && s->unsettled)
		on_drain_deadline(s);
	if (s->kill_ns && s->kill_ns <= now && s->unsettled)
		on_kill_deadline(s);
	if (s->poison_ns && s->poison_ns <= now) {
		s->poison_ns = 0;
		lanes_check(s);
	}
	if (s->progress_ns && s->progress_ns <= now)
		s->progress_ns = now + report_progress(&s->report);
}

static void on_event(struct supervisor *s, uint64_t data)
{
	struct worker *w = &s->p->workers[data >> 8];

	switch ((enum source)(data & 0xff)) {
	case FROM_SIGNAL: on_signal(s); break;
	case FROM_TIMER: on_time(s); break;
	case FROM_BELL: on_bell(s); break;
	case FROM_WORKER: worker_event(s, w, EVENT_EXITED); break;
	case FROM_HELPER: worker_event(s, w, EVENT_HELPER); break;
	}
}

static void loop(struct supervisor *s)
{
	while (s->unsettled) {
		struct epoll_event events[EVENTS_MAX];
		int n;

		set_timer(s);
		n = epoll_wait(s->epoll_fd, events, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++)
			on_event(s, events[i].data.u64);
	}
	log_status(NULL);
}

/* Beginning and end */

static int open_descriptors(struct supervisor *s)
{
	struct sigaction old;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup */
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->signal_fd < 0 || s->timer_fd < 0 || s->epoll_fd < 0) {
		log_error("starting: %s", strerror(errno));
		return EXIT_SYSTEM;
	}
	watch(s, s->signal_fd, FROM_SIGNAL, 0);
	watch(s, s->timer_fd, FROM_TIMER, 0);
	watch(s, s->p->bell_fd, FROM_BELL, 0);
	return 0;
}

static void close_descriptors(struct supervisor *s)
{
	int *const fds[] = { &s->signal_fd, &s->timer_fd, &s->epoll_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
}

static void set_seeds(struct pipeline *p)
{
	const char *fixed = getenv("STREAMZ_SEED");
	uint64_t seed;

	if (fixed)
		seed = strtoull(fixed, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = sz_clock_ns(CLOCK_REALTIME);
	for (uint32_t i = 0; i < p->plan->n_workers; i++)
		p->workers[i].seed = sz_mix64(seed + i);
}

/* The cgroup's share of CPU time, in whole CPUs; v2 and v1. */
static unsigned quota_cpus(void)
{
	unsigned long long quota, period;
	unsigned cpus = UINT32_MAX;
	FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");

	if (f && fscanf(f, "%llu %llu", &quota, &period) == 2 && period)
		cpus = (unsigned)(quota / period);
	if (f)
		fclose(f);
	f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
	if (f) {
		long long us = -1;

		if (fscanf(f, "%lld", &us) == 1 && us > 0)
			cpus = (unsigned)(us / 100000);
		fclose(f);
	}
	return cpus;
}

/* Spinning pays where every process has a CPU of its own, and harms where it does not. */
static bool may_spin(const struct plan *plan)
{
	unsigned quota = quota_cpus();
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return false;
	return plan->n_workers <= (unsigned)CPU_COUNT(&set) && plan->n_workers <= quota;
}

/*
 * Has the drain stopped a source before the end of an input whose size is known? Then the state is kept: a job that is
 * started again goes on where it was, instead of reading, and writing, everything twice.
 */
static bool cut_short(const struct supervisor *s)
{
	const struct sz_view *v = s->report.view;
	bool any = false;

	for (uint32_t i = 0; v && i < s->p->plan->n_workers; i++) {
		const struct worker *w = &s->p->workers[i];
		uint64_t done = sz_view_gauge(v, i, SZ_G_PROGRESS);
		uint64_t total = sz_view_gauge(v, i, SZ_G_PROGRESS_TOTAL);
		char at[32], of[32];

		if (sz_ledger_slot(&w->page)->ended_by != SZ_ENDED_BY_DRAIN || done >= total)
			continue;
		log_say("\"%s\" was stopped at %s of %s", worker_name(w),
			sz_format_size(done, at, sizeof(at)),
			sz_format_size(total, of, sizeof(of)));
		any = true;
	}
	return any;
}

static int conclude(struct supervisor *s)
{
	bool ended = true, cut;
	struct report_audit audit;
	const char *state;
	int status;

	for (uint32_t i = 0; i < s->p->plan->n_workers; i++)
		ended &= s->p->workers[i].state == SZ_W_ENDED;
	audit = report_audit(&s->report);
	cut = ended && cut_short(s);
	if (ended && audit.failures == 0) {
		pipeline_set_state(s->p, cut ? SZ_P_STOPPED : SZ_P_ENDED);
		state = cut ? "drained" : "ended";
		status = s->settings->strict && report_failed(&s->report) ? EXIT_RECORDS_FAILED
									  : EXIT_DRAINED;
	} else {
		bool failed = s->gave_up || ended;

		pipeline_set_state(s->p, failed ? SZ_P_FAILED : SZ_P_STOPPED);
		state = failed ? "failed" : "stopped";
		status = s->gave_up ? EXIT_GAVE_UP : EXIT_STOPPED;
	}
	if (audit.failures && !s->gave_up)
		status = EXIT_SYSTEM;
	if (s->settings->json)
		report_json(&s->report, &audit, state, status);
	else
		report_text(&s->report, &audit);
	s->p->keep = !s->p->plan->one_line && sz_pipeline_is_resumable(s->p->ctl->state);
	if (status == EXIT_RECORDS_FAILED)
		log_warn("records failed (--strict): see the column failed, and where the failed "
			 "ports lead");
	if (audit.failures)
		log_error("the books of \"%s\" do not balance: this is a bug in streamz or in a "
			  "stage%s",
			  s->p->plan->name,
			  s->p->keep ? "; its shared memory is kept for `streamz audit`" : "");
	else if (s->p->keep)
		log_say("\"%s\" %s and keeps its state: start the same graph again to go on, or "
			"with --fresh to begin anew",
			s->p->plan->name,
			s->gave_up ? "has failed"
			: cut      ? "was drained before its end"
				   : "is stopped");
	return status;
}

int supervise(struct pipeline *p, const struct settings *settings)
{
	struct supervisor s = {
		.p = p,
		.settings = settings,
		.epoll_fd = -1,
		.signal_fd = -1,
		.timer_fd = -1,
		.phase = SZ_P_RUNNING,
	};
	int rc = open_descriptors(&s);

	if (rc) {
		close_descriptors(&s);
		return rc;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	set_seeds(p);
	p->spin = may_spin(p->plan);
	report_open(&s.report, p);
	if (settings->progress)
		s.progress_ns = s.report.start_ns + NS_PER_S / 2;
	pipeline_set_state(p, SZ_P_RUNNING);
	for (uint32_t i = 0; i < p->plan->n_workers; i++)
		s.unsettled += !worker_is_settled(&p->workers[i]);
	/* Sinks first: what comes in finds somebody who takes it. Workers stand in topological order. */
	for (uint32_t i = p->plan->n_workers; i-- > 0;)
		worker_event(&s, &p->workers[i], EVENT_START);
	loop(&s);
	rc = conclude(&s);
	report_close(&s.report);
	close_descriptors(&s);
	return rc;
}
