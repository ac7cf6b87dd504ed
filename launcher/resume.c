/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resume.c - take up what a dead run left behind
 *
 * Nothing is believed before it was checked: the shape, then that the old workers are gone, then each object against
 * the plan. Only then is ctl ours, and all workers are recovered before the first is started.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <streamz/object.h>
#include <streamz/view.h>
#include "log.h"
#include "pipeline.h"

#define OLD_WORKER_WAIT_NS (10 * NS_PER_S)

uint64_t pipeline_left_records(const char *name, unsigned uid)
{
	struct sz_view *view;
	uint64_t held;

	if (sz_view_open(name, uid, &view))
		return 0;
	held = sz_view_records_held(view);
	sz_view_close(view);
	return held;
}

enum pipeline_found pipeline_look(const char *name, unsigned uid)
{
	enum pipeline_found found = FOUND_NOTHING;
	struct sz_ctl *ctl = MAP_FAILED;
	char object[SZ_OBJECT_NAME_MAX];
	struct stat st;
	int fd;

	if (sz_object_name(object, name, uid, SZ_OBJ_CTL, 0))
		return FOUND_NOTHING;
	fd = sz_object_open(object, 0);
	if (fd < 0)
		return FOUND_NOTHING;
	if (sz_object_is_live(fd) == 1) {
		pipeline_refuse_live(name, fd);
		found = FOUND_LIVE;
	} else if (fstat(fd, &st) == 0 && st.st_size > 0) {
		ctl = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	}
	if (ctl != MAP_FAILED) {
		if (sz_ctl_check(ctl, (uint64_t)st.st_size) == 0 && ctl->state != SZ_P_CREATING)
			found = ctl->state == SZ_P_ENDED ? FOUND_ENDED : FOUND_DEAD;
		munmap(ctl, (size_t)st.st_size);
	}
	close(fd);
	return found;
}

int pipeline_clear_ended(const char *name, unsigned uid)
{
	char object[SZ_OBJECT_NAME_MAX];
	int rc = sz_object_name(object, name, uid, SZ_OBJ_CTL, 0);
	int fd = rc ? rc : sz_object_open(object, 1);

	if (fd == -ENOENT)
		return 0;
	rc = fd < 0 ? fd : sz_object_lock(fd);
	if (rc == -EAGAIN) {
		rc = pipeline_refuse_live(name, fd);
		close(fd);
		return rc;
	}
	if (!rc)
		rc = sz_object_remove_all(name, uid);
	if (rc < 0)
		log_error("removing what is left of \"%s\": %s", name, strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc < 0 ? EXIT_SYSTEM : 0;
}

static int refuse_broken(const struct pipeline *p, const char *object, int rc)
{
	log_error("%s of the dead pipeline \"%s\": %s: it cannot be resumed; give up what it holds "
		  "with --fresh",
		  object, p->plan->name, rc == -EBADMSG ? "damaged" : strerror(-rc));
	return EXIT_SYSTEM;
}

static int refuse_changed(const struct pipeline *p, const char *kind, const char *name,
			  const char *what)
{
	log_error("the dead pipeline \"%s\" was started with other options: %s \"%s\" needs %s "
		  "than it has: run it to its end with the options it was started with, or give up "
		  "what it holds with --fresh",
		  p->plan->name, kind, name, what);
	return EXIT_WRONG;
}

static int open_object(struct pipeline *p, enum sz_object kind, uint32_t index, int *fd)
{
	char name[SZ_OBJECT_NAME_MAX];
	int rc = sz_object_name(name, p->plan->name, p->uid, kind, index);

	if (!rc)
		rc = sz_object_open(name, 1);
	if (rc < 0)
		return refuse_broken(p, name, rc);
	*fd = rc;
	return 0;
}

/* The old workers notice that their launcher is dead, commit and go; one that is stuck must not be joined by a second. */
static int wait_for_old_worker(const struct pipeline *p, const struct worker *w, uint64_t end_ns)
{
	const struct timespec pause = { .tv_nsec = 10 * NS_PER_MS };
	int32_t pid = SZ_CTL_WORKERS(p->ctl)[w->index].pid;
	bool said = false;
	int live;

	while ((live = sz_object_is_live(w->page_fd)) == 1) {
		if (!said && log_get_level() >= LOG_VERBOSE)
			log_verbose("waiting for \"%s\" of the dead run (process %d) to end",
				    worker_name(w), pid);
		said = true;
		if (sz_clock_ns(CLOCK_MONOTONIC) > end_ns) {
			log_error("\"%s\" of the dead run (process %d) is still there: end it "
				  "(kill -9 %d), then start again",
				  worker_name(w), pid, pid);
			return EXIT_SYSTEM;
		}
		nanosleep(&pause, NULL);
	}
	return live < 0 ? refuse_broken(p, "a stage page", live) : 0;
}

static int check_worker(struct pipeline *p, struct worker *w)
{
	const struct sz_page_plan *want = &w->plan->page;
	struct sz_stats stats;
	int rc = worker_map(w);

	if (rc)
		return refuse_broken(p, "the stage page", rc);
	if (w->page.h.worker_index != w->index || w->page.h.n_in != want->n_in ||
	    w->page.h.n_out != want->n_out || w->page.h.n_counters != want->n_counters ||
	    w->page.h.journal_bytes != sz_round_up(want->journal_bytes, 8) ||
	    /* 0 of a stage that was asked how to go on: what there is has to do. */
	    (want->arena_bytes && w->page.h.arena_bytes != want->arena_bytes) ||
	    w->page.h.state_bytes != sz_round_up(want->state_bytes, 8))
		return refuse_changed(p, "stage", worker_name(w), "other memory");
	rc = sz_stats_attach(&stats, w->stats_fd, 0);
	if (rc)
		return refuse_broken(p, "the statistics", rc);
	if (stats.h.n_counters != want->n_counters)
		rc = refuse_changed(p, "stage", worker_name(w), "other counters");
	sz_stats_detach(&stats);
	return rc;
}

static int check_lane(struct pipeline *p, uint32_t index)
{
	const struct plan_edge *e = &p->plan->edges[p->plan->lanes[index].edge];
	const struct sz_lane_header *h;
	char name[PLAN_EDGE_NAME_SIZE];
	struct sz_lane whole;
	int rc = sz_lane_attach(&whole, p->lanes[index].fd, SZ_LANE_OBSERVER);

	if (rc)
		return refuse_broken(p, "a lane", rc);
	sz_lane_detach(&whole);
	rc = lane_map(&p->lanes[index]);
	if (rc)
		return refuse_broken(p, "a lane", rc);
	h = p->lanes[index].map;
	if (h->cap_bytes == e->cap_bytes && h->limit_bytes == e->limit_bytes &&
	    h->limit_records == e->limit_records && h->max_record == e->max_record)
		return 0;
	return refuse_changed(p, "edge", plan_edge_name(p->plan, p->plan->lanes[index].edge, name),
			      "another buffer= or max_record=");
}

static int refuse_shape(const struct pipeline *p)
{
	uint64_t held = pipeline_left_records(p->plan->name, p->uid);

	log_error(
		"a dead run of \"%s\" holds %" PRIu64
		" record%s, and its graph (%s) had other stages or "
		"edges than this one: run that graph to its end, give this one another --name, or "
		"give up what it holds with --fresh",
		p->plan->name, held, held == 1 ? "" : "s", p->ctl->graph);
	return EXIT_WRONG;
}

int pipeline_resume(struct pipeline *p)
{
	uint64_t end_ns = sz_clock_ns(CLOCK_MONOTONIC) + OLD_WORKER_WAIT_NS, held;
	const struct plan *plan = p->plan;
	int rc = 0;

	if (p->ctl->shape != plan->shape || p->ctl->n_workers != plan->n_workers ||
	    p->ctl->n_lanes != plan->n_lanes || p->ctl->object_bytes != plan->ctl.object_bytes)
		return refuse_shape(p);
	for (uint32_t i = 0; !rc && i < plan->n_workers; i++) {
		rc = open_object(p, SZ_OBJ_PAGE, i, &p->workers[i].page_fd);
		if (!rc)
			rc = open_object(p, SZ_OBJ_STATS, i, &p->workers[i].stats_fd);
		if (!rc)
			rc = wait_for_old_worker(p, &p->workers[i], end_ns);
		if (!rc)
			rc = check_worker(p, &p->workers[i]);
	}
	for (uint32_t i = 0; !rc && i < plan->n_lanes; i++) {
		rc = open_object(p, SZ_OBJ_LANE, i, &p->lanes[i].fd);
		if (!rc)
			rc = check_lane(p, i);
	}
	if (rc)
		return rc;
	p->resumed = true;
	p->ctl->launcher_pid = getpid();
	p->ctl->runs++;
	/* pairs: the workers' load when they start */
	sz_store_release(&p->ctl->command, SZ_CMD_RUN);
	held = pipeline_left_records(plan->name, p->uid);
	log_say("resuming \"%s\": run %u, it holds %" PRIu64 " record%s", plan->name, p->ctl->runs,
		held, held == 1 ? "" : "s");
	return 0;
}

static int recover_one(struct pipeline *p, struct worker *w)
{
	for (int tries = 0; tries < 3;) {
		pid_t pid = worker_recover(p, w, true);
		int status;

		if (pid < 0) {
			log_error("recovering \"%s\": %s", worker_name(w), strerror(-pid));
			return EXIT_SYSTEM;
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == RECOVERED)
			return 0;
		if (WIFEXITED(status) && WEXITSTATUS(status) == RECOVERY_BAD)
			return refuse_broken(p, worker_name(w), -EBADMSG);
		/* Killed from outside: done again, as often as it takes. */
		tries += !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		nanosleep(&(struct timespec){ .tv_nsec = 10 * NS_PER_MS }, NULL);
	}
	log_error("\"%s\" cannot be recovered now; what it holds is unharmed: start again, or give "
		  "it up with --fresh",
		  worker_name(w));
	return EXIT_SYSTEM;
}

/*
 * What a drain has ended goes on: the sources it has stopped, and behind them all that ended because its inputs had.
 * Workers stand in topological order, so one pass along the lanes finds these.
 */
static void choose_revivals(struct pipeline *p)
{
	for (uint32_t i = 0; i < p->plan->n_workers; i++) {
		struct worker *w = &p->workers[i];
		uint32_t by = sz_ledger_slot(&w->page)->ended_by;

		w->revive = by == SZ_ENDED_BY_DRAIN;
		for (uint32_t k = 0; k < p->plan->n_lanes && by == SZ_ENDED_BY_INPUTS; k++)
			if (p->plan->lanes[k].consumer == i)
				w->revive |= p->workers[p->plan->lanes[k].producer].revive;
	}
}

int pipeline_recover_all(struct pipeline *p)
{
	choose_revivals(p);
	for (uint32_t i = 0; i < p->plan->n_workers; i++) {
		struct worker *w = &p->workers[i];
		int rc = recover_one(p, w);

		if (rc)
			return rc;
		w->state =
			sz_ledger_slot(&w->page)->run_state == SZ_RUN_ENDED ? SZ_W_ENDED : SZ_W_NEW;
		w->revive = false;
		w->shown->state = w->state;
		w->shown->pid = 0;
		w->shown->restarts = 0;
	}
	return 0;
}
