/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - io_uring instances that outlive their workers
 *
 * The launcher creates the instance of each worker that does I/O and keeps a descriptor of it, so nothing in it dies
 * with the worker: completions stay in the completion queue, and requests that wait on a poll or a timer stay armed.
 * The latter must not outlive the worker's ledger, so after every reap they are cancelled and counted out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "log.h"
#include "pipeline.h"

#define DRAIN_NS (5 * NS_PER_S)
#define CQ_MIN   1024u /* several lives' worth of completions fit, cancellations included */

static bool not_permitted(int rc)
{
	return rc == -EPERM || rc == -ENOSYS || rc == -EACCES;
}

static int create(struct worker *w)
{
	uint32_t entries = w->stage->ring_entries > 8 ? w->stage->ring_entries : 8;
	struct io_uring_params params = {
		/* Never SINGLE_ISSUER or DEFER_TASKRUN: they refuse a second life. Never SQPOLL: it would use our memory map. */
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN,
		.cq_entries = 4 * entries > CQ_MIN ? 4 * entries : CQ_MIN,
	};
	struct io_uring ring;
	int rc = io_uring_queue_init_params(entries, &ring, &params);

	if (rc == -EINVAL) { /* before Linux 5.19 */
		params.flags = IORING_SETUP_CQSIZE;
		rc = io_uring_queue_init_params(entries, &ring, &params);
	}
	if (rc)
		return rc;
	w->ring_params = params;
	/* The instance lives on in the copy; our mapping of it does not. */
	w->ring_fd = fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, 3);
	rc = w->ring_fd < 0 ? -errno : 0;
	io_uring_queue_exit(&ring);
	return rc;
}

int rings_create(struct pipeline *p)
{
	const char *forced = getenv("STREAMZ_NO_URING");

	p->plain = forced && strcmp(forced, "1") == 0;
	for (uint32_t i = 0; i < p->plan->n_workers && !p->plain; i++) {
		struct worker *w = &p->workers[i];
		int rc = w->stage->ring_entries && w->state != SZ_W_ENDED ? create(w) : 0;

		if (!rc)
			continue;
		if (!not_permitted(rc)) {
			log_error("io_uring for \"%s\": %s", worker_name(w), strerror(-rc));
			return EXIT_SYSTEM;
		}
		p->plain = true;
	}
	if (!p->plain)
		return 0;
	for (uint32_t i = 0; i < p->plan->n_workers; i++) {
		if (p->workers[i].ring_fd >= 0)
			close(p->workers[i].ring_fd);
		p->workers[i].ring_fd = -1;
	}
	log_warn("io_uring is %s: plain system calls are used instead; what was read from or "
		 "written to stdin and stdout but not committed is not exact when a process is "
		 "killed, files are",
		 forced ? "switched off by STREAMZ_NO_URING" : "not permitted here");
	return 0;
}

/* Draining */

/* Hand prepared requests over. Return: 0, -errno. */
static int submit(struct io_uring *ring)
{
	uint64_t end = sz_clock_ns(CLOCK_MONOTONIC) + DRAIN_NS;
	int rc;

	for (;;) {
		rc = io_uring_submit(ring);
		if (rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
			break;
		if (sz_clock_ns(CLOCK_MONOTONIC) > end)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
	}
	return rc < 0 ? rc : 0;
}

static int cancel_all(struct io_uring *ring, const struct sz_page_live *live)
{
	unsigned queued = 0;
	int rc = 0;

	for (unsigned i = 0; !rc && i < SZ_INFLIGHT_MAX; i++) {
		uint64_t user_data = sz_load_relaxed(&live->inflight[i]);
		struct io_uring_sqe *sqe;

		if (!user_data)
			continue;
		sqe = io_uring_get_sqe(ring);
		if (!sqe) {
			rc = submit(ring);
			sqe = rc ? NULL : io_uring_get_sqe(ring);
			queued = 0;
		}
		if (!sqe)
			return rc ? rc : -EBUSY;
		io_uring_prep_cancel64(sqe, user_data, 0);
		sqe->user_data = SZ_RING_IGNORE;
		queued++;
	}
	return !rc && queued ? submit(ring) : rc;
}

int ring_drain(const struct worker *w, struct sz_page_live *live, uint32_t cq_head)
{
	struct io_uring_params params = w->ring_params;
	uint64_t end = sz_clock_ns(CLOCK_MONOTONIC) + DRAIN_NS;
	struct io_uring ring;
	int rc = io_uring_queue_mmap(w->ring_fd, &params, &ring);

	if (rc)
		return rc;
	ring.features = params.features; /* io_uring_queue_mmap() leaves it 0 */
	/* Prepared but not submitted: nothing that was committed says so. */
	io_uring_smp_store_release(ring.sq.ktail, *ring.sq.khead);
	ring.sq.sqe_head = ring.sq.sqe_tail = *ring.sq.khead;
	/* What was not committed is seen again by the next life. */
	io_uring_smp_store_release(ring.cq.khead, cq_head);
	rc = cancel_all(&ring, live);
	while (!rc) {
		unsigned submitted = io_uring_smp_load_acquire(ring.sq.khead);
		unsigned completed;
		struct timespec pause = { .tv_nsec = NS_PER_MS / 4 };
		/* Runs what is pending and moves entries from the overflow list. Returns -errno and leaves errno. */
		int error =
			io_uring_enter((unsigned)ring.ring_fd, 0, 0, IORING_ENTER_GETEVENTS, NULL);

		if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY)
			rc = error;
		completed = io_uring_smp_load_acquire(ring.cq.ktail);
		if (rc || completed == submitted)
			break;
		if (sz_clock_ns(CLOCK_MONOTONIC) > end)
			rc = -ETIMEDOUT;
		else
			nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; !rc && i < SZ_INFLIGHT_MAX; i++)
		sz_store_relaxed(&live->inflight[i], 0);
	/* Crash point: half of the table cleared: the rest is cancelled again, which finds nothing. */
	io_uring_queue_exit(&ring);
	return rc;
}
