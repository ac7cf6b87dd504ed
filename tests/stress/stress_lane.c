/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_lane.c - producer and consumer as fast as they go, asleep as often as they can, with a tap looking on
 *
 * As threads on one mapping (for ThreadSanitizer, which sees neither across processes nor across two mappings of a
 * page), and as processes. The ends sleep and wake as the runtime makes them. A wait is so long that one which times
 * out is a lost wake-up and fails the run.
 *
 *	stress_lane [--long]	(or SZ_TEST_LONG=1)
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <streamz/contract.h>

#define LOST_NS    (60ull * 1000000000)
#define GUARD_S    300
#define MAX_RECORD 1500u

#ifdef SZ_TSAN
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define SLOWER 10
#else
#define AnnotateIgnoreReadsBegin(file, line) ((void)0)
#define AnnotateIgnoreReadsEnd(file, line)   ((void)0)
#define SLOWER                               1
#endif

struct scene {
	const char *name;
	uint64_t cap, limit_bytes, limit_records, start;
	uint32_t max_len, max_batch;
	bool lazy; /* wake when a quarter is ready or before sleeping, as the runtime does */
	uint64_t records;
};

static const struct scene scenes[] = {
	{ "small lane, past 2^64", 4096, 4096, UINT64_MAX, UINT64_MAX - 8191, 500, 8, false,
	  400000 },
	{ "small lane, past 2^32", 4096, 4096, UINT64_MAX, (1ull << 32) - 8192, 1500, 3, true,
	  300000 },
	{ "limited to 3 records", 4096, 4096, 3, UINT64_MAX - 65535, 100, 5, false, 200000 },
	{ "limited to 1 record", 4096, 4096, 1, 0, 1500, 2, true, 100000 },
	{ "limited in bytes", 8192, 1520, UINT64_MAX, (1ull << 32) - 80000, 1500, 64, true,
	  300000 },
	{ "large batches", 65536, 65536, UINT64_MAX, UINT64_MAX - 1048575, 200, 200, true,
	  1500000 },
	{ "large batches, limited to 100 records", 262144, 200000, 100, 0, 64, 200, false,
	  1000000 },
};

/* Both ends, and what is known to go wrong. */
struct stage {
	const struct scene *scene;
	uint64_t records;
	struct sz_lane tx, rx, tap;
	uint32_t tap_stop;
	uint64_t tapped, overrun;
	const char *error;
};

static uint32_t len_of(const struct scene *s, uint64_t seq)
{
	uint64_t x = (seq + 1) * 0x9e3779b97f4a7c15ull;

	x ^= x >> 29;
	return x & 7 ? (uint32_t)((x >> 8) % 40 % (s->max_len + 1))
		     : (uint32_t)((x >> 8) % (s->max_len + 1));
}

static uint8_t byte_of(uint64_t seq, uint32_t i)
{
	return (uint8_t)(seq * 131 + (seq >> 8) + i * 17);
}

static bool intact(const struct scene *s, const struct sz_record *r)
{
	if (r->len != len_of(s, r->time_ns) || r->kind != SZ_RECORD_DATA)
		return false;
	for (uint32_t i = 0; i < r->len; i++)
		if (r->data[i] != byte_of(r->time_ns, i))
			return false;
	return true;
}

/* What was published and not woken for yet. */
static void wake(struct sz_lane *lane, bool consumer, bool all)
{
	uint64_t peer = sz_load_relaxed(&lane->peer->pos) & ~(uint64_t)SZ_LANE_FLAGS;
	uint64_t ready = consumer ? lane->limit_bytes - (peer - lane->pos) : lane->pos - peer;

	if (sz_lane_peer_parked(lane) && (all || ready >= lane->limit_bytes / 4))
		sz_lane_wake_peer(lane);
}

static void publish(const struct stage *st, struct sz_lane *lane, bool consumer)
{
	sz_end_publish(lane->own, sz_lane_word(lane), lane->records);
	sz_fence_full();
	wake(lane, consumer, !st->scene->lazy);
}

/* Return: NULL, or what went wrong. */
static const char *sleep_on(struct sz_lane *lane, bool consumer)
{
	struct sz_wait_word words[2];
	static const uint32_t never;
	int rc = 0;

	sz_fence_full();
	wake(lane, consumer, true);
	sz_lane_park(lane);
	words[0] = (struct sz_wait_word){ &never, 0 };
	words[1] = sz_lane_wait_word(lane);
	sz_fence_full();
	if (!sz_lane_peer_moved(lane))
		rc = sz_futex_wait_any(lane->records % 2 ? words : words + 1,
				       lane->records % 2 ? 2 : 1, LOST_NS);
	sz_lane_unpark(lane);
	return rc == -ETIMEDOUT     ? "a wake-up was lost"
	       : rc && rc != -EINTR ? "the wait failed"
				    : NULL;
}

static const char *produce(struct stage *st)
{
	struct sz_lane *lane = &st->tx;
	uint32_t x = 1;

	for (uint64_t seq = 0; seq < st->records;) {
		uint32_t n = 1 + (x = x * 1664525 + 1013904223) % st->scene->max_batch;
		bool full = false;

		for (; n > 0 && seq < st->records; n--, seq++) {
			uint32_t len = len_of(st->scene, seq);
			int rc = sz_lane_room(lane, sz_record_space(len), 1);
			uint8_t *to;

			if (rc < 0)
				return "the producer poisoned the lane";
			full = rc == 0;
			if (full)
				break;
			to = sz_lane_reserve(lane, len);
			for (uint32_t i = 0; i < len; i++)
				to[i] = byte_of(seq, i);
			sz_lane_commit(lane, len, SZ_RECORD_DATA, seq);
		}
		if (seq == st->records)
			lane->own_flags |= SZ_LANE_ENDED;
		publish(st, lane, false);
		if (full) {
			const char *error = sleep_on(lane, false);

			if (error)
				return error;
		}
	}
	sz_fence_full();
	wake(lane, false, true);
	return NULL;
}

static const char *consume(struct stage *st)
{
	struct sz_lane *lane = &st->rx;
	uint64_t seq = 0;
	uint32_t x = 7;

	for (;;) {
		uint32_t n = 1 + (x = x * 1664525 + 1013904223) % st->scene->max_batch;
		struct sz_record r = { 0 };
		int rc = 1;

		while (n-- > 0 && (rc = sz_lane_peek(lane, &r)) == 1) {
			if (r.time_ns != seq || !intact(st->scene, &r))
				return "the consumer got a wrong record";
			sz_lane_release(lane, r.len);
			seq++;
		}
		if (rc < 0)
			return "the consumer poisoned the lane";
		publish(st, lane, true);
		if (rc == 0 && sz_lane_ended(lane))
			return seq == st->records ? NULL : "the end came early";
		if (rc == 0) {
			const char *error = sleep_on(lane, true);

			if (error)
				return error;
		}
	}
}

/*
 * A tap that follows the tail is rarely overrun, and one that is overrun is mostly told so at once. So this one goes
 * back, every other time, to the oldest place it remembers that a record may still be at: there the producer writes.
 */
struct memory {
	uint64_t pos[256];
	unsigned n;
};

static uint64_t oldest(const struct stage *st, const struct memory *m)
{
	uint64_t tail =
		sz_load_acquire(&sz_lane_producer_end(&st->tap)->pos) & ~(uint64_t)SZ_LANE_FLAGS;
	uint64_t best = tail;

	for (unsigned i = 0; i < m->n && i < 256; i++)
		if (tail - m->pos[i] <= st->scene->cap && tail - m->pos[i] > tail - best)
			best = m->pos[i];
	return best;
}

static const char *tap(struct stage *st)
{
	uint64_t pos =
		sz_load_acquire(&sz_lane_producer_end(&st->tap)->pos) & ~(uint64_t)SZ_LANE_FLAGS;
	struct memory m = { .n = 0 };
	uint8_t buf[MAX_RECORD];
	struct sz_record r = { 0 };

	for (unsigned i = 0; !sz_load_acquire(&st->tap_stop); i++) {
		uint64_t old = oldest(st, &m), *at = i % 2 ? &old : &pos;
		int rc;

		if (at == &pos)
			m.pos[m.n++ % 256] = pos;
		/* It reads what may be overwritten meanwhile, on purpose, and finds out afterwards. */
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
		rc = sz_lane_tap(&st->tap, at, buf, sizeof(buf), &r);
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
		if (rc == 1 && !intact(st->scene, &r))
			return "the tap accepted a torn record";
		st->tapped += rc == 1;
		st->overrun += rc == -ESTALE;
	}
	return NULL;
}

static void *run_produce(void *arg)
{
	return (void *)(uintptr_t)produce(arg);
}

static void *run_consume(void *arg)
{
	return (void *)(uintptr_t)consume(arg);
}

static void *run_tap(void *arg)
{
	return (void *)(uintptr_t)tap(arg);
}

static const char *make_lane(const struct scene *s, int *fd)
{
	*fd = memfd_create("stress", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)(SZ_LANE_DATA_AT + s->cap)) < 0)
		return "memfd";
	if (sz_lane_format(*fd, 0, s->cap, s->limit_bytes, s->limit_records, s->max_len, s->start))
		return "sz_lane_format";
	return NULL;
}

/* One mapping for both ends and the tap: the consumer's page made writable, the ends' roles swapped. */
static const char *open_threads(struct stage *st, int fd)
{
	if (sz_lane_attach(&st->tx, fd, SZ_LANE_PRODUCER) ||
	    mprotect(sz_lane_consumer_end(&st->tx), SZ_PAGE_BYTES, PROT_READ | PROT_WRITE))
		return "attach";
	st->rx = st->tap = st->tx;
	st->rx.own = sz_lane_consumer_end(&st->tx);
	st->rx.peer = sz_lane_producer_end(&st->tx);
	return NULL;
}

static const char *as_threads(struct stage *st, int fd)
{
	const char *error = open_threads(st, fd);
	void *result[3] = { 0 };
	pthread_t t[3];

	if (error)
		return error;
	sz_lane_seek(&st->tx, st->scene->start, 0);
	sz_lane_seek(&st->rx, st->scene->start, 0);
	pthread_create(&t[2], NULL, run_tap, st);
	pthread_create(&t[1], NULL, run_consume, st);
	pthread_create(&t[0], NULL, run_produce, st);
	pthread_join(t[0], &result[0]);
	pthread_join(t[1], &result[1]);
	sz_store_release(&st->tap_stop, 1);
	pthread_join(t[2], &result[2]);
	sz_lane_detach(&st->tx);
	for (int i = 0; i < 3; i++)
		if (result[i])
			return result[i];
	return NULL;
}

static const char *as_processes(struct stage *st, int fd)
{
	const char *error = NULL;
	int status;
	pid_t pid;

	if (sz_lane_attach(&st->tx, fd, SZ_LANE_PRODUCER) ||
	    sz_lane_attach(&st->rx, fd, SZ_LANE_CONSUMER))
		return "attach";
	sz_lane_seek(&st->tx, st->scene->start, 0);
	sz_lane_seek(&st->rx, st->scene->start, 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(GUARD_S);
		error = consume(st);
		if (error)
			fprintf(stderr, "%s\n", error);
		_exit(error ? 1 : 0);
	}
	error = produce(st);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		error = error ? error : "the consumer's process failed";
	sz_lane_detach(&st->tx);
	sz_lane_detach(&st->rx);
	return error;
}

static int run(const struct scene *s, bool threads, uint64_t times)
{
	struct stage *st = calloc(1, sizeof(*st));
	const char *error;
	int fd = -1;

	st->scene = s;
	st->records = s->records / SLOWER * times;
	error = make_lane(s, &fd);
	if (!error)
		error = threads ? as_threads(st, fd) : as_processes(st, fd);
	printf("[  %s  ] %s, %s: %" PRIu64 " records", error ? " FAILED" : "     OK", s->name,
	       threads ? "threads" : "processes", st->records);
	if (threads)
		printf(", %" PRIu64 " tapped, %" PRIu64 " overruns", st->tapped, st->overrun);
	printf("%s%s\n", error ? ": " : "", error ? error : "");
	fflush(stdout);
	close(fd);
	free(st);
	return error != NULL;
}

int main(int argc, char **argv)
{
	const char *env = getenv("SZ_TEST_LONG");
	bool is_long = (argc > 1 && strcmp(argv[1], "--long") == 0) || (env && env[0] == '1');
	unsigned n = sizeof(scenes) / sizeof(scenes[0]), failed = 0, count = 0;

	alarm(is_long ? 10 * GUARD_S : GUARD_S);
	for (unsigned i = 0; i < n; i++) {
		failed += (unsigned)run(&scenes[i], true, is_long ? 20 : 1);
		count++;
#ifndef SZ_TSAN
		failed += (unsigned)run(&scenes[i], false, is_long ? 20 : 1);
		count++;
#endif
	}
	printf("[  %s  ] %u test(s), %u failed\n", failed ? " FAILED" : " PASSED", count, failed);
	return failed ? 1 : 0;
}
