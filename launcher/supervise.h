/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * supervise.h - what the two halves of supervision share
 *
 *	supervise.c	the loop: signals, deadlines, the pipeline as a whole
 *	states.c	a worker's states and events, and what each pair does
 */
#ifndef LAUNCHER_SUPERVISE_H
#define LAUNCHER_SUPERVISE_H

#include "pipeline.h"
#include "report.h"

enum event {
	EVENT_START,    /* the pipeline starts */
	EVENT_REPORTED, /* its first commit was seen */
	EVENT_EXITED,   /* its process has ended */
	EVENT_HELPER,   /* its recovery process has ended */
	EVENT_TIMER,    /* due_ns has come */
	EVENT_STOP,     /* the pipeline is stopped */
	EVENTS
};

/* What an epoll entry is about; the index of a worker above it. */
enum source { FROM_SIGNAL, FROM_TIMER, FROM_BELL, FROM_WORKER, FROM_HELPER };

/**
 * struct supervisor - a run of a pipeline
 * @phase:	RUNNING, DRAINING or STOPPING
 * @gave_up:	the worker that ended it all, or NULL
 * @drain_ns, @kill_ns: CLOCK_MONOTONIC deadlines, 0: none
 * @unsettled:	workers that are not ended, stopped or given up
 */
struct supervisor {
	struct pipeline *p;
	const struct settings *settings;
	struct report report;
	int epoll_fd, signal_fd, timer_fd;
	enum sz_pipeline_state phase;
	const struct worker *gave_up;
	bool killed;            /* the time to stop was over */
	uint64_t deaf_until_ns; /* a signal that comes before is the one that began the drain */
	uint64_t drain_ns, kill_ns, progress_ns, poison_ns;
	uint32_t unsettled;
	uint64_t said_ns; /* death notices: a storm of them is cut short */
	unsigned said, unsaid;
};

void worker_event(struct supervisor *s, struct worker *w, enum event event);
bool worker_is_settled(const struct worker *w);
/* The sentence about a worker's last life: "was killed by signal 9 (Killed)", with its last words. */
void worker_epitaph(struct worker *w, char *buf, size_t size);
void worker_kill(struct worker *w);
/* Look at the flags in all lanes: whose writer has to go? */
void lanes_check(struct supervisor *s);

/* supervise.c */
void watch(struct supervisor *s, int fd, enum source source, uint32_t index);
/*
 * Stop watching and close. Closing alone is not enough: a recovery process that was forked meanwhile shares the
 * description, and epoll would go on telling of it.
 */
void unwatch(struct supervisor *s, int *fd);
/* End the pipeline: everybody commits and exits. */
void stop_all(struct supervisor *s);
void give_up(struct supervisor *s, struct worker *w, const char *reason);

#endif
