/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pipeline.h - a pipeline that exists: its objects, its workers
 *
 *	objects.c	claim the name, create everything or nothing, remove
 *	resume.c	take up what a dead run left behind
 *	ring.c		io_uring instances that outlive their workers
 *	spawn.c		one worker: wiring, fork, exec
 *	recover.c	the process that takes a dead worker's place for a moment
 *	supervise.c	who is started, reaped, recovered, restarted, given up, and when all is over
 */
#ifndef LAUNCHER_PIPELINE_H
#define LAUNCHER_PIPELINE_H

#include <liburing.h>
#include <stdbool.h>
#include <sys/types.h>
#include "launch.h"
#include "plan.h"

/* What a worker in SZ_W_RECOVERING waits for. */
enum recovery_step {
	RECOVERY_GROUP,  /* its process group to be gone */
	RECOVERY_HELPER, /* the process that does the recovery */
};

/**
 * struct worker - a process of the pipeline, over all its lives
 * @page:	read-only; the launcher looks at counters and the run state, and copies last words
 * @ring_fd:	io_uring instance, -1: none
 * @pgid:	process group of the current or last life; 0: it has none of its own
 * @exec_fd:	read end of the pipe on which a failed exec says why
 * @helper:	pid of the recovery process
 * @fruitless:	lives in a row that ended without progress
 * @crashes:	deaths that count towards restart_limit since window_ns
 */
struct worker {
	uint32_t index;
	const struct plan_stage *stage;
	const struct plan_worker *plan;
	struct sz_ctl_worker *shown; /* in ctl */
	int page_fd, stats_fd, ring_fd;
	struct io_uring_params ring_params;
	struct sz_ledger page;

	enum sz_worker_state state;
	pid_t pid, pgid;
	int pidfd, exec_fd;
	uint64_t start_ns, start_epoch;
	uint64_t start_records; /* worker_records() when the life began */

	enum recovery_step step;
	pid_t helper;
	int helper_fd;
	unsigned recovery_tries;
	int status;    /* of the last life */
	bool poisoned; /* killed by us for what it wrote */
	bool hopeless; /* was killed for it too often */
	bool revive;   /* a drain had ended it; it goes on */

	uint64_t due_ns; /* CLOCK_MONOTONIC of its next timer event, 0: none */
	uint64_t window_ns;
	uint32_t crashes, fruitless;
	uint64_t seed;
};

/**
 * struct lane - a lane as the launcher sees it: two pages to read, no data
 */
struct lane {
	int fd;
	const struct sz_lane_end *producer, *consumer;
	const void *map;
	uint32_t poison_count; /* times its writer was replaced for it, since it was last well */
};

struct pipeline {
	const struct plan *plan;
	unsigned uid;
	struct sz_ctl *ctl;
	int lock_fd; /* holds the lock: closed first in every child */
	int ctl_fd;  /* read-only, for workers */
	int bell_fd;
	bool claimed, resumed, keep, plain, spin;
	struct worker *workers;
	struct lane *lanes;
};

/* objects.c */

enum left_over { LEFT_RESUME, LEFT_FRESH };

/**
 * pipeline_open() - own the name; create the objects or take up what is there
 *
 * Return: 0, or the exit status after saying why; nothing is left behind then.
 */
int pipeline_open(struct pipeline *p, const struct plan *plan, enum left_over left_over);

/* Let go of everything; @remove: and remove the objects. */
void pipeline_close(struct pipeline *p, bool remove);

/* Say that a living launcher holds the name; @fd is its ctl. Return: the exit status. */
int pipeline_refuse_live(const char *name, int fd);

/* Records it has taken and put out, as committed: what tells progress from mere commits. */
uint64_t worker_records(const struct worker *w);

/* Map a worker's page, or a lane's ends, from their descriptors. 0, -EBADMSG, -errno. */
int worker_map(struct worker *w);
int lane_map(struct lane *l);
void lane_unmap(struct lane *l);

void pipeline_set_state(struct pipeline *p, enum sz_pipeline_state state);
const char *worker_name(const struct worker *w);

/* resume.c */

/*
 * Is there a pipeline of that name? A look only, before the name is claimed: another launcher may be faster. That one
 * is running is said.
 */
enum pipeline_found {
	FOUND_NOTHING,
	FOUND_DEAD,  /* and resumable */
	FOUND_ENDED, /* all its stages have ended; its launcher died before it had cleared up */
	FOUND_LIVE
};
enum pipeline_found pipeline_look(const char *name, unsigned uid);
/* Remove what a run that had come to its end has left. Return: 0, the exit status if somebody else is at it. */
int pipeline_clear_ended(const char *name, unsigned uid);

/* ctl of a dead run is mapped and locked: may it be resumed? Opens its objects. 0 or the exit status. */
int pipeline_resume(struct pipeline *p);
/* Records in the lanes of a dead run. */
uint64_t pipeline_left_records(const char *name, unsigned uid);
/* Recover all workers of a dead run, before any is started. 0 or the exit status. */
int pipeline_recover_all(struct pipeline *p);

/* ring.c */

/* Create the instances. Where they are not permitted p->plain is set. 0 or the exit status after saying why. */
int rings_create(struct pipeline *p);
/* In the recovery process: nothing of the dead life stays in flight. 0, -ETIMEDOUT, -errno. */
int ring_drain(const struct worker *w, struct sz_page_live *live, uint32_t cq_head);

/* spawn.c */

/* Start a life. 0, or -errno after saying why. */
int worker_spawn(struct pipeline *p, struct worker *w);
/* The reason why exec failed, if it did. Return: @buf or NULL. */
const char *worker_exec_error(struct worker *w, char *buf, size_t size);

/* recover.c */

enum {
	RECOVERED = 0,
	RECOVERY_BAD = 1,   /* what the life left makes no sense */
	RECOVERY_FAILED = 2 /* the system refused something */
};

/**
 * worker_recover() - fork the process that recovers a dead worker
 * @new_ring:	the instance is not the one its ledger speaks of
 *
 * Return: its pid, or -errno.
 */
pid_t worker_recover(struct pipeline *p, struct worker *w, bool new_ring);

/* supervise.c: run the pipeline to its end. Return: the exit status. */
struct settings {
	bool strict, json, progress;
};
int supervise(struct pipeline *p, const struct settings *settings);

#endif
