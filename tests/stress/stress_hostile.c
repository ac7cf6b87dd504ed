/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress_hostile.c - an end of a lane whose peer has gone wild
 *
 * The adversary, a thread or a process (and now and then a call between two calls of the victim, so that it gets its
 * turn however the cores are taken), writes random and malicious values into the other side's page, and as a
 * producer into the data, while the victim reads or writes. The victim never crashes, hangs, leaves the mapping or
 * returns a record longer than max_record; and when the page makes sense again the lane works again and the poison is
 * taken back.
 *
 * Not for ThreadSanitizer: that a victim looks at what an adversary writes is the point.
 *
 *	stress_hostile [--long]		(or SZ_TEST_LONG=1)
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <streamz/contract.h>

#define CAP        8192u
#define MAX_RECORD 1000u
#define ROUNDS     20u
#define CALLS      20000u
#define AFTER      500u
#define GUARD_S    300

struct scene {
	struct sz_lane_end *page; /* the adversary's own page, as it has it mapped */
	const struct sz_lane_end *victim;
	uint8_t *data;  /* NULL: it is the consumer and has none */
	uint32_t *stop; /* shared: 1 stop, 2 it has begun */
	uint64_t x;     /* of the calls between calls */
	uint32_t seed;
};

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Near what the victim believes, at the borders of the arithmetic, or anything. */
static uint64_t bad_position(uint64_t *x, uint64_t pos)
{
	static const int64_t off[] = {
		0, 8, -8, 16, CAP, -(int64_t)CAP, CAP + 8, -(int64_t)CAP - 8, 4096, -4096, 2048
	};
	uint64_t r = next(x);

	switch (r % 8) {
	case 0: return next(x);
	case 1: return 0;
	case 2: return UINT64_MAX;
	case 3: return pos ^ (1ull << (r >> 8) % 64);
	case 4: return pos + (next(x) % CAP);
	default:
		return pos + (uint64_t)off[(r >> 8) % (sizeof(off) / sizeof(off[0]))] +
		       (r >> 16) % 8;
	}
}

static uint64_t bad_header(uint64_t *x)
{
	static const uint64_t len[] = {
		0, 1, 8, MAX_RECORD, MAX_RECORD + 1, CAP, UINT32_MAX, UINT32_MAX - 23, 1u << 31
	};
	uint64_t r = next(x);
	uint64_t kind = r % 16 == 0 ? next(x) << 32 : 0;

	return kind | (r % 4 ? len[(r >> 8) % (sizeof(len) / sizeof(len[0]))] : (uint32_t)next(x));
}

static void attack(struct scene *s, uint64_t *x)
{
	uint64_t pos = sz_load_relaxed(&s->victim->pos) & ~(uint64_t)SZ_LANE_FLAGS;

	switch (next(x) % 8) {
	case 0:
		sz_store_relaxed(&s->page->records,
				 next(x) % 3 ? s->victim->records + next(x) % 64 : next(x));
		break;
	case 1: sz_store_relaxed(&s->page->claim, bad_position(x, pos)); break;
	case 2: sz_store_relaxed(&s->page->parked, (uint32_t)next(x)); break;
	case 3:
	case 4:
		if (s->data) {
			uint64_t at = next(x) % 2 ? pos % CAP : next(x) % CAP & ~7ull;

			sz_store_relaxed((uint64_t *)(void *)(s->data + at), bad_header(x));
			break;
		}
		/* fall through */
	default: sz_store_release(&s->page->pos, bad_position(x, pos));
	}
}

static void *run_attack(void *arg)
{
	struct scene *s = arg;
	uint64_t x = 88172645463325252ull + s->seed;

	sz_store_release(s->stop, 2);
	while (sz_load_acquire(s->stop) != 1)
		attack(s, &x);
	return NULL;
}

struct adversary {
	bool process;
	pthread_t thread;
	pid_t pid;
};

static void start(struct adversary *a, struct scene *s)
{
	s->stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s->x = 1234567 + s->seed;
	if (s->stop == MAP_FAILED)
		abort();
	if (!a->process) {
		pthread_create(&a->thread, NULL, run_attack, s);
	} else {
		fflush(stdout);
		a->pid = fork();
		if (a->pid == 0) {
			alarm(GUARD_S);
			run_attack(s);
			_exit(0);
		}
	}
	while (sz_load_acquire(s->stop) == 0)
		sched_yield();
}

static void stop(struct adversary *a, struct scene *s)
{
	int status;

	if (!a->process) {
		sz_store_release(s->stop, 1);
		pthread_join(a->thread, NULL);
	} else {
		kill(a->pid, SIGKILL);
		waitpid(a->pid, &status, 0);
	}
	munmap(s->stop, 4096);
}

static int make_lane(uint64_t start_pos)
{
	int fd = memfd_create("hostile", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SZ_LANE_DATA_AT + CAP) < 0 ||
	    sz_lane_format(fd, 0, CAP, CAP, 200, MAX_RECORD, start_pos)) {
		perror("lane");
		abort();
	}
	return fd;
}

static void attach(struct sz_lane *lane, int fd, enum sz_lane_side side, uint64_t pos)
{
	if (sz_lane_attach(lane, fd, side)) {
		perror("attach");
		abort();
	}
	sz_lane_seek(lane, pos, 0);
}

static volatile uint8_t sink;

/* What a handler would do with a record: look at every byte. */
static const char *swallow(const struct sz_lane *lane, const struct sz_record *r)
{
	if (r->len > MAX_RECORD || r->kind >= SZ_RECORD_KINDS)
		return "a record that is none was returned";
	if (r->data < lane->data || r->data + r->len > lane->data + 2 * CAP)
		return "a record beyond the mapping was returned";
	for (uint32_t i = 0; i < r->len; i++)
		sink = r->data[i];
	return NULL;
}

/*
 * After the peer's page was healed both ends work again, without a new life of the victim's. A reader that had believed a
 * tail which was wild but in range finds out where it ends: once.
 */
static const char *works(struct sz_lane *tx, struct sz_lane *rx)
{
	unsigned late = 0;

	for (uint32_t i = 0; i < AFTER; i++) {
		uint32_t len = i * 7 % MAX_RECORD;
		struct sz_record r = { 0 };
		int rc;

		if (sz_lane_room(tx, sz_record_space(len), 1) != 1)
			return "no room after healing";
		memset(sz_lane_reserve(tx, len), (int)i, len);
		sz_lane_commit(tx, len, SZ_RECORD_DATA, i);
		sz_end_publish(tx->own, sz_lane_word(tx), tx->records);
		rc = sz_lane_peek(rx, &r);
		if (rc == -EBADMSG && late++ == 0)
			rc = sz_lane_peek(rx, &r);
		if (rc != 1)
			return "no record after healing";
		if (r.len != len || r.time_ns != i || (len && r.data[len - 1] != (uint8_t)i))
			return "a wrong record after healing";
		sz_lane_release(rx, len);
		sz_end_publish(rx->own, sz_lane_word(rx), rx->records);
	}
	if ((tx->own->pos | rx->own->pos) & SZ_LANE_POISONED)
		return "the poison was not taken back";
	return NULL;
}

struct outcome {
	uint64_t good, poisoned, nothing;
};

/* Lets the adversary in. */
static void give_way(struct scene *s, unsigned i)
{
	if (i % 4 == 0)
		attack(s, &s->x);
	if (i % 200 == 0)
		sched_yield();
}

static const char *victim_reads(struct sz_lane *rx, struct scene *s, struct outcome *o)
{
	for (unsigned i = 0; i < CALLS; i++) {
		struct sz_record r = { 0 };
		uint64_t before = rx->pos;
		int rc;

		give_way(s, i);
		rc = sz_lane_peek(rx, &r);

		if (rc == -EBADMSG && !(rx->own->pos & SZ_LANE_POISONED))
			return "nonsense without the flag";
		o->poisoned += rc == -EBADMSG;
		o->nothing += rc == 0;
		if (rc == 1) {
			const char *error = swallow(rx, &r);

			if (error)
				return error;
			sz_lane_release(rx, r.len);
			if (rx->pos - before > sz_record_space(MAX_RECORD) ||
			    rx->pos - before < SZ_RECORD_HEADER)
				return "the position jumped";
			o->good++;
		}
		if (i % 5 == 0)
			sz_end_publish(rx->own, sz_lane_word(rx), rx->records);
	}
	return NULL;
}

static const char *hostile_producer(bool process, uint64_t start_pos, uint32_t seed,
				    struct outcome *o)
{
	int fd = make_lane(start_pos);
	struct adversary a = { .process = process };
	struct sz_lane tx, rx, tap;
	const char *error;
	struct scene s;

	attach(&tx, fd, SZ_LANE_PRODUCER, start_pos);
	attach(&rx, fd, SZ_LANE_CONSUMER, start_pos);
	attach(&tap, fd, SZ_LANE_OBSERVER, start_pos);
	s = (struct scene){ .page = tx.own, .victim = rx.own, .data = tx.data, .seed = seed };
	start(&a, &s);
	error = victim_reads(&rx, &s, o);
	for (unsigned i = 0; !error && i < CALLS; i++) {
		uint64_t pos = i % 3 ? rx.pos + i % CAP : i;
		uint8_t buf[MAX_RECORD];
		struct sz_record r = { 0 };

		if (sz_lane_tap(&tap, &pos, buf, sizeof(buf), &r) == 1 && r.len > MAX_RECORD)
			error = "a tap returned what is no record";
	}
	stop(&a, &s);
	/* Recovery: the producer stands where the consumer does, and goes on. */
	sz_end_publish(rx.own, sz_lane_word(&rx), rx.records);
	sz_end_publish(tx.own, rx.pos, rx.records);
	tx.own->parked = 0;
	sz_lane_seek(&tx, rx.pos, rx.records);
	if (!error)
		error = works(&tx, &rx);
	sz_lane_detach(&tx);
	sz_lane_detach(&rx);
	sz_lane_detach(&tap);
	close(fd);
	return error;
}

static const char *victim_writes(struct sz_lane *tx, struct scene *s, struct outcome *o)
{
	uint64_t x = 5;

	for (unsigned i = 0; i < CALLS; i++) {
		uint32_t len = (uint32_t)(next(&x) % (MAX_RECORD + 1));
		uint8_t *to;
		int rc;

		give_way(s, i);
		rc = sz_lane_room(tx, sz_record_space(len), 1);
		if (rc == -EBADMSG && !(tx->own->pos & SZ_LANE_POISONED))
			return "nonsense without the flag";
		o->poisoned += rc == -EBADMSG;
		o->nothing += rc == 0;
		if (rc != 1)
			continue;
		o->good++;
		to = sz_lane_reserve(tx, len);
		if (to < tx->data || to + len > tx->data + 2 * CAP)
			return "room beyond the mapping was reserved";
		memset(to, 1, len);
		sz_lane_commit(tx, len, SZ_RECORD_DATA, i);
		if (tx->pos - tx->peer_pos > tx->limit_bytes ||
		    tx->records - tx->peer_records > tx->limit_records)
			return "more was written than the limit";
		if (i % 5 == 0)
			sz_end_publish(tx->own, sz_lane_word(tx), tx->records);
	}
	return NULL;
}

static const char *hostile_consumer(bool process, uint64_t start_pos, uint32_t seed,
				    struct outcome *o)
{
	int fd = make_lane(start_pos);
	struct adversary a = { .process = process };
	struct sz_lane tx, rx;
	const char *error;
	struct scene s;

	attach(&tx, fd, SZ_LANE_PRODUCER, start_pos);
	attach(&rx, fd, SZ_LANE_CONSUMER, start_pos);
	s = (struct scene){ .page = rx.own, .victim = tx.own, .seed = seed };
	start(&a, &s);
	error = victim_writes(&tx, &s, o);
	stop(&a, &s);
	sz_end_publish(tx.own, sz_lane_word(&tx), tx.records);
	sz_end_publish(rx.own, tx.pos, tx.records);
	rx.own->parked = 0;
	sz_lane_seek(&rx, tx.pos, tx.records);
	if (!error && sz_lane_tx_refresh(&tx))
		error = "still refused after healing";
	if (!error)
		error = works(&tx, &rx);
	sz_lane_detach(&tx);
	sz_lane_detach(&rx);
	close(fd);
	return error;
}

int main(int argc, char **argv)
{
	static const uint64_t starts[] = { 0, (1ull << 32) - 4096, UINT64_MAX - 65535, 1ull << 63 };
	const char *env = getenv("SZ_TEST_LONG");
	bool is_long = (argc > 1 && strcmp(argv[1], "--long") == 0) || (env && env[0] == '1');
	unsigned rounds = is_long ? 20 * ROUNDS : ROUNDS, failed = 0;

#ifdef SZ_TSAN
	printf("[  SKIPPED ] data races are the subject\n");
	return 0;
#endif
	alarm(is_long ? 10 * GUARD_S : GUARD_S);
	for (int kind = 0; kind < 4; kind++) {
		bool process = kind & 1;
		struct outcome o = { 0 };
		const char *error = NULL;

		for (unsigned i = 0; i < rounds && !error; i++)
			error = (kind & 2 ? hostile_consumer
					  : hostile_producer)(process, starts[i % 4], i, &o);
		/* An adversary that never got in the way proves nothing. */
		if (!error && (!o.good || !o.poisoned))
			error = "nothing was tried";
		printf("[  %s  ] a %s of its own for a hostile %s: %" PRIu64 " records, %" PRIu64
		       " times nonsense, %" PRIu64 " times nothing%s%s\n",
		       error ? " FAILED" : "     OK", process ? "process" : "thread",
		       kind & 2 ? "consumer" : "producer", o.good, o.poisoned, o.nothing,
		       error ? ": " : "", error ? error : "");
		fflush(stdout);
		failed += error != NULL;
	}
	printf("[  %s  ] 4 test(s), %u failed\n", failed ? " FAILED" : " PASSED", failed);
	return failed ? 1 : 0;
}
