/* SPDX-License-Identifier: BSD-2-Clause */
/* io.c - the two engines; invariants are in io.h */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <streamz/clock.h>
#include <streamz/stage.h>

#include "io.h"

#define VOLATILE_BIT (1ull << 31)
#define REQUEST_MASK 0xffffu

static uint64_t user_data(const struct sz_io *io, uint32_t request)
{
	return (uint64_t)io->generation << 32 |
	       (io->request[request].flags & SZ_IO_VOLATILE ? VOLATILE_BIT : 0) | request;
}

/* Of the runtime's own futex wait. */
static uint64_t watch_data(const struct sz_io *io)
{
	return (uint64_t)io->generation << 32 | VOLATILE_BIT | SZ_IO_WATCH;
}

/*
 * io_uring
 */

static struct io_uring_cqe *cqe_at(struct sz_io *io, uint32_t pos)
{
	return &io->ring.cq.cqes[pos & *io->ring.cq.kring_mask];
}

static uint32_t cq_tail(struct sz_io *io)
{
	return io_uring_smp_load_acquire(io->ring.cq.ktail);
}

/* The dead life's completions: drained by the launcher, so all of them are here. */
static void collect_recovered(struct sz_io *io)
{
	for (; io->cq_pos != cq_tail(io); io->cq_pos++) {
		const struct io_uring_cqe *cqe = cqe_at(io, io->cq_pos);
		uint32_t request = (uint32_t)cqe->user_data & REQUEST_MASK;

		if (cqe->user_data == SZ_RING_IGNORE || (cqe->user_data & VOLATILE_BIT) ||
		    request >= SZ_INFLIGHT_MAX || cqe->res < 0)
			continue;
		io->recovered[request] = cqe->res;
	}
}

/* liburing 2.3 has neither the opcode nor its prep function. */
#define OP_FUTEX_WAITV 53

static bool knows_futex_waitv(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool known = probe && io_uring_opcode_supported(probe, OP_FUTEX_WAITV);

	io_uring_free_probe(probe);
	return known;
}

/*
 * Requests that were prepared but not submitted are forgotten: nothing that was committed says they were. The kernel
 * sees only what lies before its tail, and the tail moves in io_uring_submit().
 */
static int open_uring(struct sz_io *io, int fd, const struct io_uring_params *params,
		      uint32_t cq_head)
{
	struct io_uring_params p = *params;
	int rc = io_uring_queue_mmap(fd, &p, &io->ring);

	if (rc)
		return rc;
	io->ring.features = p.features; /* io_uring_queue_mmap() leaves it 0 */
	*io->ring.sq.ktail = *io->ring.sq.khead;
	io->ring.sq.sqe_head = io->ring.sq.sqe_tail = *io->ring.sq.khead;
	io->cq_pos = cq_head;
	io->uring = true;
	io->can_watch = knows_futex_waitv(&io->ring);
	collect_recovered(io);
	return 0;
}

static struct io_uring_sqe *next_sqe(struct sz_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

	if (!sqe && io_uring_submit(&io->ring) >= 0)
		sqe = io_uring_get_sqe(&io->ring);
	return sqe;
}

static int prepare(struct sz_io *io, uint32_t i)
{
	struct sz_io_request *r = &io->request[i];
	struct io_uring_sqe *sqe = next_sqe(io);

	if (!sqe)
		return -EBUSY;
	switch (r->op) {
	case SZ_IO_READ: io_uring_prep_read(sqe, r->fd, r->buf, r->len, r->offset); break;
	case SZ_IO_WRITE: io_uring_prep_write(sqe, r->fd, r->buf, r->len, r->offset); break;
	case SZ_IO_SYNC: io_uring_prep_fsync(sqe, r->fd, IORING_FSYNC_DATASYNC); break;
	case SZ_IO_POLL: io_uring_prep_poll_add(sqe, r->fd, r->len); break;
	case SZ_IO_NONE: return -EINVAL;
	}
	sqe->user_data = user_data(io, i);
	/* Crash point: entered, never submitted. Cancelling it finds nothing. */
	sz_store_release(&io->live->inflight[i], sqe->user_data);
	r->queued = false;
	r->submitted = true;
	io->queued--;
	io->inflight++;
	return 0;
}

static int submit_uring(struct sz_io *io)
{
	int rc = 0;

	/* committed: the kernel may reuse the entries */
	io_uring_smp_store_release(io->ring.cq.khead, io->cq_pos);
	if (!io->pending)
		return 0;
	io->pending = false;
	for (uint32_t i = 0; !rc && io->queued && i < io->entries; i++)
		if (io->request[i].queued)
			rc = prepare(io, i);
	for (uint32_t i = 0; !rc && i < io->entries; i++) {
		struct io_uring_sqe *sqe;

		if (!io->request[i].cancel)
			continue;
		io->request[i].cancel = false;
		if (!io->request[i].submitted || !(sqe = next_sqe(io)))
			continue;
		io_uring_prep_cancel64(sqe, user_data(io, i), 0);
		sqe->user_data = SZ_RING_IGNORE;
	}
	if (!rc && io_uring_sq_ready(&io->ring)) {
		do { /* the kernel may take a part, and be asked for the rest */
			rc = io_uring_submit(&io->ring);
		} while (rc == -EINTR || rc == -EAGAIN || rc == -EBUSY ||
			 (rc > 0 && io_uring_sq_ready(&io->ring)));
	}
	return rc < 0 ? rc : 0;
}

static int next_uring(struct sz_io *io, uint32_t *request, int *result)
{
	while (io->cq_pos != cq_tail(io)) {
		const struct io_uring_cqe *cqe = cqe_at(io, io->cq_pos);
		uint64_t data = cqe->user_data;
		uint32_t i = (uint32_t)data & REQUEST_MASK;

		*result = cqe->res;
		io->cq_pos++;
		if (data >> 32 == io->generation && i == SZ_IO_WATCH)
			io->watching = false;
		if (data == SZ_RING_IGNORE || data >> 32 != io->generation || i >= io->entries)
			continue;
		io->request[i].submitted = false;
		io->inflight--;
		*request = i;
		return 1;
	}
	return 0;
}

/*
 * Plain system calls. Files are read and written at once; a pipe, terminal or socket when poll says that it would not
 * block; a pipe that is ready takes PIPE_BUF bytes without blocking, more of them only perhaps. What this engine cannot
 * promise stands in docs/RECOVERY.md.
 */

static short poll_events(const struct sz_io_request *r)
{
	if (r->op == SZ_IO_POLL)
		return (short)r->len;
	return r->op == SZ_IO_READ ? POLLIN : POLLOUT;
}

static bool would_block(const struct sz_io_request *r)
{
	struct pollfd p = { .fd = r->fd, .events = poll_events(r) };
	bool polled =
		r->op == SZ_IO_POLL || (r->offset == SZ_IO_AT_OWN_POSITION && r->op != SZ_IO_SYNC);

	return polled && poll(&p, 1, 0) == 0;
}

static ssize_t ready_events(const struct sz_io_request *r)
{
	struct pollfd p = { .fd = r->fd, .events = poll_events(r) };
	int n = poll(&p, 1, 0);

	return n < 0 ? n : p.revents;
}

static ssize_t write_stream(const struct sz_io_request *r)
{
	const struct pollfd ask = { .fd = r->fd, .events = POLLOUT };
	uint32_t done = 0;

	do {
		struct pollfd p = ask;
		uint32_t len = r->len - done < PIPE_BUF ? r->len - done : PIPE_BUF;
		ssize_t n;

		if (done && poll(&p, 1, 0) <= 0)
			break;
		n = write(r->fd, (const uint8_t *)r->buf + done, len);
		if (n < 0)
			return done ? (ssize_t)done : n; /* what went wrong the next write tells */
		if (n == 0)
			break;
		done += (uint32_t)n;
	} while (done < r->len);
	return done;
}

static ssize_t call(const struct sz_io_request *r)
{
	bool own = r->offset == SZ_IO_AT_OWN_POSITION;

	switch (r->op) {
	case SZ_IO_READ:
		return own ? read(r->fd, r->buf, r->len)
			   : pread(r->fd, r->buf, r->len, (off_t)r->offset);
	case SZ_IO_WRITE:
		return own ? write_stream(r) : pwrite(r->fd, r->buf, r->len, (off_t)r->offset);
	case SZ_IO_SYNC: return fdatasync(r->fd);
	case SZ_IO_POLL: return ready_events(r);
	case SZ_IO_NONE: break;
	}
	errno = EINVAL;
	return -1;
}

static void run_plain(struct sz_io *io)
{
	for (uint32_t i = 0; i < io->entries; i++) {
		struct sz_io_request *r = &io->request[i];
		ssize_t n;

		if (!r->submitted || r->has_result || would_block(r))
			continue;
		do {
			n = call(r);
		} while (n < 0 && errno == EINTR);
		if (n < 0 && errno == EAGAIN)
			continue;
		r->result = n < 0 ? -errno : (int)n;
		r->has_result = true;
	}
}

static int submit_plain(struct sz_io *io)
{
	if (!io->pending)
		return 0;
	io->pending = false;
	for (uint32_t i = 0; i < io->entries; i++) {
		struct sz_io_request *r = &io->request[i];

		if (r->queued) {
			r->queued = false;
			r->submitted = true;
			io->queued--;
			io->inflight++;
		}
		if (r->cancel && r->submitted && !r->has_result) {
			r->result = -ECANCELED;
			r->has_result = true;
		}
		r->cancel = false;
	}
	run_plain(io);
	return 0;
}

static int next_plain(struct sz_io *io, uint32_t *request, int *result)
{
	for (uint32_t i = 0; i < io->entries; i++) {
		struct sz_io_request *r = &io->request[i];

		if (!r->has_result)
			continue;
		r->has_result = r->submitted = false;
		io->inflight--;
		*request = i;
		*result = r->result;
		return 1;
	}
	return 0;
}

static void wait_plain(struct sz_io *io, const struct timespec *timeout, const sigset_t *mask)
{
	struct pollfd p[SZ_INFLIGHT_MAX];
	nfds_t n = 0;

	for (uint32_t i = 0; i < io->entries; i++) {
		if (io->request[i].has_result)
			return; /* done when it was submitted */
		if (io->request[i].submitted)
			p[n++] = (struct pollfd){ .fd = io->request[i].fd,
						  .events = poll_events(&io->request[i]) };
	}
	if (ppoll(p, n, timeout, mask) > 0)
		run_plain(io);
}

/*
 * Either
 */

int sz_io_open(struct sz_io *io, int ring_fd, const struct io_uring_params *params,
	       struct sz_page_live *live, uint32_t generation, uint32_t entries, uint32_t cq_head)
{
	memset(io, 0, sizeof(*io));
	io->live = live;
	io->generation = generation;
	io->entries = entries;
	for (uint32_t i = 0; i < SZ_INFLIGHT_MAX; i++)
		io->recovered[i] = -1;
	return ring_fd < 0 ? 0 : open_uring(io, ring_fd, params, cq_head);
}

void sz_io_close(struct sz_io *io)
{
	if (io->uring)
		io_uring_queue_exit(&io->ring);
	io->uring = false;
}

void sz_io_queue(struct sz_io *io, uint32_t request, enum sz_io_op op, int fd, void *buf,
		 uint32_t len, uint64_t offset, unsigned flags)
{
	io->request[request] = (struct sz_io_request){ .op = op,
						       .fd = fd,
						       .buf = buf,
						       .len = len,
						       .offset = offset,
						       .flags = flags,
						       .queued = true };
	io->queued++;
	io->pending = true;
}

void sz_io_queue_cancel(struct sz_io *io, uint32_t request)
{
	io->request[request].cancel = true;
	io->pending = true;
}

int sz_io_submit(struct sz_io *io)
{
	return io->uring ? submit_uring(io) : submit_plain(io);
}

int sz_io_next(struct sz_io *io, uint32_t *request, int *result)
{
	return io->uring ? next_uring(io, request, result) : next_plain(io, request, result);
}

/*
 * A futex wait as a request, so that one sleep watches lanes and completions. The kernel compares the words when it
 * takes the request: a change since they were looked at completes it at once.
 */
static void watch(struct sz_io *io, const struct sz_wait_word *words, unsigned count)
{
	struct sz_futex_waitv v[SZ_WAIT_MAX];
	struct io_uring_sqe *sqe = next_sqe(io);

	if (!sqe)
		return;
	for (unsigned i = 0; i < count; i++)
		v[i] = sz_futex_waitv(&words[i]);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = OP_FUTEX_WAITV;
	sqe->addr = (uintptr_t)v;
	sqe->len = count;
	sqe->user_data = watch_data(io);
	sz_store_release(&io->live->inflight[SZ_IO_WATCH], sqe->user_data);
	io->watching = io_uring_submit(&io->ring) > 0;
}

/* Its completion is met, and passed over, by sz_io_next(). */
static void unwatch(struct sz_io *io)
{
	struct io_uring_sqe *sqe = next_sqe(io);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, watch_data(io), 0);
	sqe->user_data = SZ_RING_IGNORE;
	io_uring_submit(&io->ring);
}

static void wait_uring(struct sz_io *io, const struct sz_wait_word *words, unsigned count,
		       const struct timespec *timeout, const sigset_t *mask)
{
	struct __kernel_timespec kt = { .tv_sec = timeout->tv_sec, .tv_nsec = timeout->tv_nsec };
	struct io_uring_cqe *cqe;
	sigset_t set = *mask;

	if (count)
		watch(io, words, count);
	/* liburing looks at khead, which lags behind cq_pos; the count says how many lie between. */
	io_uring_wait_cqes(&io->ring, &cqe, io->cq_pos - *io->ring.cq.khead + 1, &kt, &set);
	if (io->watching)
		unwatch(io);
}

bool sz_io_wants_commit(const struct sz_io *io, uint32_t committed_cq_head)
{
	return io->uring && io->cq_pos - committed_cq_head > *io->ring.cq.kring_entries / 4;
}

void sz_io_wait(struct sz_io *io, const struct sz_wait_word *words, unsigned count,
		uint64_t timeout_ns, const sigset_t *mask)
{
	bool look = count && (!io->uring || !io->can_watch || io->watching);
	uint64_t ns = look && timeout_ns > SZ_IO_LOOK_NS ? SZ_IO_LOOK_NS : timeout_ns;
	struct timespec t = sz_timespec(ns);

	if (io->uring)
		wait_uring(io, words, look ? 0 : count, &t, mask);
	else
		wait_plain(io, &t, mask);
}
