/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hop.c - what a hop costs: two processes, one lane, both sides committing to their ledgers
 *
 *   hop rate BYTES RECORDS [BATCH]	records of BYTES through a 1 MiB lane, BATCH (64) records a commit, in M/s
 *   hop commit N			one commit with one input and one output lane and 64 bytes of state, in ns
 *   hop pingpong N			round trip of an 8-byte record over two lanes, both sides spinning, in ns
 *   hop wake N				the same with the peer parked in a futex every time, in ns
 *
 * Each side does what the runtime's commit does: fill the slot, store the epoch, publish, fence, look at the peer.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <streamz/contract.h>

#define LANE_BYTES (1u << 20)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int object(uint64_t bytes)
{
	int fd = memfd_create("hop", MFD_CLOEXEC);

	if (fd < 0 || posix_fallocate(fd, 0, (off_t)bytes))
		abort();
	return fd;
}

static int lane_object(uint32_t max_record)
{
	int fd = object(SZ_LANE_DATA_AT + LANE_BYTES);

	if (sz_lane_format(fd, 0, LANE_BYTES, LANE_BYTES, UINT64_MAX, max_record, 0))
		abort();
	return fd;
}

/* One end with its ledger. */
struct side {
	struct sz_ledger ledger;
	struct sz_lane lane;
	struct sz_lane_mark *mark;
	struct sz_spinner spinner;
	bool producer;
};

static void open_side(struct side *s, int lane_fd, bool producer)
{
	struct sz_page_plan plan = {
		.n_in = !producer, .n_out = producer, .n_counters = SZ_C_FIXED, .state_bytes = 64
	};
	int fd = object(sz_page_plan_bytes(&plan));

	if (sz_page_format(fd, &plan) || sz_ledger_attach(&s->ledger, fd, 1) ||
	    sz_lane_attach(&s->lane, lane_fd, producer ? SZ_LANE_PRODUCER : SZ_LANE_CONSUMER))
		abort();
	sz_lane_seek(&s->lane, 0, 0);
	s->producer = producer;
	s->mark = producer ? s->ledger.out : s->ledger.in;
	sz_spinner_init(&s->spinner, 2000);
	/* touch the lane: the kernel hands out pages now, not while the clock runs */
	for (uint64_t i = 0; i <= s->lane.mask; i += 4096)
		if (producer)
			s->lane.data[i] = 0;
		else
			(void)*(volatile uint8_t *)&s->lane.data[i];
}

static void commit(struct side *s)
{
	s->mark->word = sz_lane_word(&s->lane);
	s->mark->records = s->lane.records;
	s->ledger.counters[SZ_C_COMMITS]++;
	sz_ledger_commit(&s->ledger);
	sz_end_publish(s->lane.own, s->mark->word, s->mark->records);
	sz_fence_full();
	if (sz_lane_peer_parked(&s->lane))
		sz_lane_wake_peer(&s->lane);
}

static int refresh(struct side *s)
{
	return s->producer ? sz_lane_tx_refresh(&s->lane) : sz_lane_rx_refresh(&s->lane);
}

static void wait_peer(struct side *s, bool spin)
{
	bool found = false;

	for (uint32_t i = 0; spin && i < s->spinner.rounds && !found; i++) {
		sz_pause();
		found = sz_lane_peer_moved(&s->lane);
	}
	if (spin)
		sz_spinner_result(&s->spinner, found);
	if (!found) {
		struct sz_wait_word w = sz_lane_wait_word(&s->lane);

		sz_lane_park(&s->lane);
		sz_fence_full();
		if (!sz_lane_peer_moved(&s->lane))
			sz_futex_wait_any(&w, 1, 1000000000);
		sz_lane_unpark(&s->lane);
	}
	if (refresh(s))
		abort();
}

static int consume(struct side *s, uint64_t records, uint32_t len, uint32_t batch)
{
	uint8_t *copy = malloc(len);
	uint64_t got = 0, sum = 0;
	struct sz_record r = { 0 };

	while (got < records) {
		uint32_t n = 0;

		while (n < batch && sz_lane_peek(&s->lane, &r) == 1) {
			memcpy(copy, r.data, r.len);
			sum += copy[0];
			sz_lane_release(&s->lane, r.len);
			n++;
		}
		got += n;
		if (n)
			commit(s);
		else
			wait_peer(s, true);
	}
	free(copy);
	return sum == records * 7 ? 0 : 1;
}

static void produce(struct side *s, uint64_t records, uint32_t len, uint32_t batch)
{
	uint8_t *payload = malloc(len);
	uint64_t sent = 0;

	memset(payload, 7, len);
	while (sent < records) {
		uint32_t n = 0;

		while (n < batch && sent + n < records &&
		       sz_lane_room(&s->lane, sz_record_space(len), 1) == 1) {
			memcpy(sz_lane_reserve(&s->lane, len), payload, len);
			sz_lane_commit(&s->lane, len, SZ_RECORD_DATA, sent);
			n++;
		}
		sent += n;
		if (n)
			commit(s);
		else
			wait_peer(s, true);
	}
	free(payload);
}

static int rate(uint32_t len, uint64_t records, uint32_t batch)
{
	int fd = lane_object(len), status;
	static struct side tx, rx;
	double start;
	pid_t child;

	open_side(&tx, fd, true);
	child = fork();
	if (child == 0) {
		pin(1);
		open_side(&rx, fd, false);
		_exit(consume(&rx, records, len, batch));
	}
	pin(0);
	start = now();
	produce(&tx, records, len, batch);
	waitpid(child, &status, 0);
	printf("%.2f\n", (double)records / (now() - start) / 1e6);
	return status != 0;
}

static int commits(uint64_t n)
{
	struct sz_page_plan plan = {
		.n_in = 1, .n_out = 1, .n_counters = sz_counter_count(1, 0), .state_bytes = 64
	};
	int fd = object(sz_page_plan_bytes(&plan));
	struct sz_ledger l;
	double start;

	if (sz_page_format(fd, &plan) || sz_ledger_attach(&l, fd, 1))
		abort();
	for (uint64_t i = 0; i < n / 10; i++)
		sz_ledger_commit(&l);
	start = now();
	for (uint64_t i = 0; i < n; i++)
		sz_ledger_commit(&l);
	printf("%.2f\n", (now() - start) * 1e9 / (double)n);
	return 0;
}

static void send_one(struct side *s)
{
	uint64_t one = 1;

	while (sz_lane_room(&s->lane, sz_record_space(8), 1) != 1)
		;
	memcpy(sz_lane_reserve(&s->lane, 8), &one, 8);
	sz_lane_commit(&s->lane, 8, SZ_RECORD_DATA, 0);
	commit(s);
}

static void receive_one(struct side *s, bool spin)
{
	struct sz_record r = { 0 };

	while (sz_lane_peek(&s->lane, &r) != 1) {
		if (spin)
			sz_pause();
		else
			wait_peer(s, false);
	}
	sz_lane_release(&s->lane, r.len);
	commit(s);
}

static int pingpong(uint64_t n, bool spin)
{
	int there = lane_object(64), back = lane_object(64), status;
	static struct side tx, rx;
	double start;
	pid_t child = fork();

	if (child == 0) {
		pin(1);
		open_side(&rx, there, false);
		open_side(&tx, back, true);
		for (uint64_t i = 0; i < n; i++) {
			receive_one(&rx, spin);
			send_one(&tx);
		}
		_exit(0);
	}
	pin(0);
	open_side(&tx, there, true);
	open_side(&rx, back, false);
	start = now();
	for (uint64_t i = 0; i < n; i++) {
		send_one(&tx);
		receive_one(&rx, spin);
	}
	printf("%.1f\n", (now() - start) * 1e9 / (double)n);
	waitpid(child, &status, 0);
	return status != 0;
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	if (argc >= 4 && strcmp(argv[1], "rate") == 0)
		return rate((uint32_t)n, strtoull(argv[3], NULL, 10),
			    argc > 4 ? (uint32_t)atoi(argv[4]) : 64);
	if (argc == 3 && strcmp(argv[1], "commit") == 0)
		return commits(n);
	if (argc == 3 && strcmp(argv[1], "pingpong") == 0)
		return pingpong(n, true);
	if (argc == 3 && strcmp(argv[1], "wake") == 0)
		return pingpong(n, false);
	fprintf(stderr, "usage: hop rate BYTES RECORDS [BATCH] | commit N | pingpong N | wake N\n");
	return 100;
}
