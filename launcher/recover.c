/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recover.c - the process that takes a dead worker's place for a moment
 *
 * It is forked and does not exec, so it gives the launcher's lock back first. It holds the worker's page lock while it
 * works: nobody starts or resumes that worker meanwhile. It may be killed anywhere and run again (docs/RECOVERY.md);
 * that it is a process of its own keeps a page full of nonsense from harming the launcher.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <streamz/object.h>
#include "log.h"
#include "pipeline.h"

struct ends {
	struct sz_lane *in, *out;
};

static int attach_lanes(const struct pipeline *p, const struct worker *w, struct ends *ends)
{
	int rc = 0;

	ends->in = calloc(w->plan->n_in + 1, sizeof(*ends->in));
	ends->out = calloc(w->plan->n_out + 1, sizeof(*ends->out));
	if (!ends->in || !ends->out)
		return -ENOMEM;
	for (uint32_t i = 0; !rc && i < p->plan->n_lanes; i++) {
		const struct plan_lane *l = &p->plan->lanes[i];

		if (l->producer == w->index)
			rc = sz_lane_attach(&ends->out[l->producer_out], p->lanes[i].fd,
					    SZ_LANE_RECOVERY);
		if (!rc && l->consumer == w->index)
			rc = sz_lane_attach(&ends->in[l->consumer_in], p->lanes[i].fd,
					    SZ_LANE_RECOVERY);
	}
	return rc;
}

/* The committed slot says where a completion queue stood that is gone with its launcher: the new one starts at 0. */
static void forget_ring(struct sz_ledger *l)
{
	struct sz_slot *slot = (void *)l->slots[l->epoch & 1];

	for (unsigned i = 0; i < SZ_INFLIGHT_MAX; i++)
		sz_store_relaxed(&l->live->inflight[i], 0);
	sz_store_relaxed(&slot->cq_head, 0);
	/* Crash point: done again by the next recovery of a resume, before anybody is started. */
}

static int attach_and_recover(const struct pipeline *p, const struct worker *w, int page_fd,
			      bool new_ring, const char **what)
{
	struct sz_stats stats;
	struct sz_ledger l;
	struct ends ends;
	int rc;

	*what = "its stage page";
	rc = sz_ledger_attach(&l, page_fd, 1);
	if (!rc && (l.h.n_in != w->plan->n_in || l.h.n_out != w->plan->n_out))
		rc = -EBADMSG; /* the header is the worker's to write into, too */
	if (rc)
		return rc;
	*what = "its lanes";
	rc = attach_lanes(p, w, &ends);
	if (rc)
		return rc;
	*what = "its statistics";
	rc = sz_stats_attach(&stats, w->stats_fd, 1);
	if (rc)
		return rc;
	*what = "its io_uring instance does not come to rest";
	if (new_ring)
		forget_ring(&l);
	else if (w->ring_fd >= 0)
		rc = ring_drain(w, l.live, l.next->cq_head);
	if (rc)
		return rc;
	if (w->revive)
		sz_ledger_revive(&l);
	*what = "its ledger disagrees with its lanes";
	return sz_ledger_recover(&l, ends.in, ends.out, &stats);
}

static _Noreturn void recovery_process(struct pipeline *p, const struct worker *w, bool new_ring,
				       pid_t launcher)
{
	const char *what = "its stage page";
	int fd, rc;

	close(p->lock_fd);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	fd = sz_object_reopen(w->page_fd, 1);
	rc = fd < 0 ? fd : sz_object_lock(fd);
	if (rc == -EAGAIN)
		what = "its page, which another process still holds";
	/* With the lock in hand: from here on another launcher waits for us; one that came earlier knows better. */
	if (!rc && getppid() != launcher)
		_exit(RECOVERY_FAILED);
	if (!rc)
		rc = attach_and_recover(p, w, fd, new_ring, &what);
	if (rc)
		log_error("recovering \"%s\": %s: %s", worker_name(w), what, strerror(-rc));
	_exit(rc == 0 ? RECOVERED : rc == -EBADMSG ? RECOVERY_BAD : RECOVERY_FAILED);
}

pid_t worker_recover(struct pipeline *p, struct worker *w, bool new_ring)
{
	pid_t launcher = getpid(), pid = fork();

	if (pid == 0)
		recovery_process(p, w, new_ring, launcher);
	return pid < 0 ? -errno : pid;
}
