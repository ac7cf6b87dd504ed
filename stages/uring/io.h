/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io.h - requests of a stage: an io_uring instance that outlives the worker, or plain system calls behind the same calls
 *
 * Invariants
 *   I1  A request is submitted after the commit that wanted it. sz_io_queue() only remembers; sz_io_submit() is called by
 *       the runtime right after a commit.
 *   I2  live->inflight[request] holds the user_data before the request is submitted and until its completion is
 *       committed; at the reap the launcher cancels what stands there and waits for all completions.
 *   I3  The completion queue's head in shared memory is the committed one: completions that were looked at but not
 *       committed are seen again by the next life.
 *   I4  user_data = generation << 32 | volatile << 31 | request. A result >= 0 of an older generation counts, unless it
 *       is volatile; an error of an older generation means that the request was cancelled.
 */
#ifndef STREAMZ_URING_IO_H
#define STREAMZ_URING_IO_H

#include <liburing.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <streamz/contract.h>

enum sz_io_op { SZ_IO_NONE, SZ_IO_READ, SZ_IO_WRITE, SZ_IO_SYNC, SZ_IO_POLL };

struct sz_io_request {
	enum sz_io_op op;
	int fd;
	void *buf;
	uint32_t len; /* SZ_IO_POLL: events */
	uint64_t offset;
	unsigned flags;
	bool queued;    /* asked for, not submitted */
	bool submitted; /* waits for its completion */
	bool cancel;
	bool has_result; /* plain engine: done, not reported */
	int result;
};

struct sz_io {
	bool uring;
	struct io_uring ring;
	struct sz_page_live *live;
	uint32_t generation;
	uint32_t entries;
	uint32_t cq_pos;   /* completions before it were looked at */
	uint32_t queued;   /* asked for, not submitted */
	bool pending;      /* sz_io_submit() has something to do */
	uint32_t inflight; /* submitted, not completed */
	struct sz_io_request request[SZ_INFLIGHT_MAX];
	int recovered[SZ_INFLIGHT_MAX]; /* result of an older life, -1: none */
	bool can_watch;                 /* the kernel knows IORING_OP_FUTEX_WAITV */
	bool watching;                  /* such a request is in flight */
};

/* The request number of the runtime's own futex wait. */
#define SZ_IO_WATCH (SZ_INFLIGHT_MAX - 1)

/**
 * sz_io_open() - take up the instance, or the plain engine
 * @ring_fd:	from the wiring, -1 for plain system calls; sz_io_close() closes it
 * @params:	as the launcher got them
 * @cq_head:	committed
 *
 * Results of older lives are collected for sz_io_recovered(); io->cq_pos is moved past them. Return: 0, -errno.
 */
int sz_io_open(struct sz_io *io, int ring_fd, const struct io_uring_params *params,
	       struct sz_page_live *live, uint32_t generation, uint32_t entries, uint32_t cq_head);
void sz_io_close(struct sz_io *io);

/* Remember a request. The caller has checked the number. */
void sz_io_queue(struct sz_io *io, uint32_t request, enum sz_io_op op, int fd, void *buf,
		 uint32_t len, uint64_t offset, unsigned flags);
void sz_io_queue_cancel(struct sz_io *io, uint32_t request);

/* After a commit: give the completion queue's entries before cq_pos back, submit what was queued. 0, -errno. */
int sz_io_submit(struct sz_io *io);

/* The next completion of this life: 1 and set, or 0. */
int sz_io_next(struct sz_io *io, uint32_t *request, int *result);

/**
 * sz_io_wait() - sleep until a completion is there, one of the words has changed or is woken, the time is over, or a
 *		  signal that mask lets through comes
 * @words:	lanes to watch beside the requests, count may be 0
 *
 * Words and completions together need IORING_OP_FUTEX_WAITV (Linux 6.7). Without it, and with plain system calls, the
 * sleep is cut to SZ_IO_LOOK_NS where there are words to watch.
 */
void sz_io_wait(struct sz_io *io, const struct sz_wait_word *words, unsigned count,
		uint64_t timeout_ns, const sigset_t *mask);
#define SZ_IO_LOOK_NS 20000000ull

/* So many completions were looked at and not committed that a commit is due, to give their places back. */
bool sz_io_wants_commit(const struct sz_io *io, uint32_t committed_cq_head);

#endif
