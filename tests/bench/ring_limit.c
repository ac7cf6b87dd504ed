/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_limit.c - how fast can two processes hand records over on this machine?
 *
 * A probe of the physical limit, not product code: SPSC byte ring, data mapped twice so that records never
 * wrap, cached peer position, publication once a batch, spin then futex. No commit ledger, no validation.
 *
 *   ./ring_limit KIB RECORD_BYTES RECORDS BATCH [SPINS]       e.g. ./ring_limit 256 64 20000000 64
 */
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct ring {
	_Alignas(128) _Atomic uint64_t tail; /* w: producer */
	_Alignas(128) _Atomic uint64_t head; /* w: consumer */
	_Alignas(128) _Atomic uint32_t consumer_parked;
	_Alignas(128) _Atomic uint32_t producer_parked;
};

static int spins = 2000;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void pin(int cpu)
{
	cpu_set_t s;
	CPU_ZERO(&s);
	CPU_SET(cpu, &s);
	sched_setaffinity(0, sizeof(s), &s);
}

static void wait_change(_Atomic uint32_t *parked, _Atomic uint64_t *pos, uint64_t seen)
{
	for (int i = 0; i < spins; i++) {
		if (atomic_load_explicit(pos, memory_order_acquire) != seen)
			return;
		__builtin_ia32_pause();
	}
	do {
		atomic_store(parked, 1);
		if (atomic_load(pos) != seen)
			break;
		syscall(SYS_futex, parked, FUTEX_WAIT, 1, NULL, NULL, 0);
	} while (atomic_load(pos) == seen);
	atomic_store_explicit(parked, 0, memory_order_relaxed);
}

static void wake(_Atomic uint32_t *parked)
{
	atomic_thread_fence(memory_order_seq_cst); /* the position store before the parked load */
	if (atomic_load_explicit(parked, memory_order_relaxed)) {
		atomic_store(parked, 0);
		syscall(SYS_futex, parked, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return fprintf(stderr,
			       "usage: ring_limit KIB RECORD_BYTES RECORDS BATCH [SPINS]\n"),
		       1;
	size_t cap = (size_t)atol(argv[1]) * 1024, len = (size_t)atol(argv[2]);
	uint64_t n = atoll(argv[3]);
	int batch = atoi(argv[4]), status;
	if (argc > 5)
		spins = atoi(argv[5]);
	size_t rec = (16 + len + 7) & ~(size_t)7;

	int fd = memfd_create("ring", 0);
	if (ftruncate(fd, cap))
		return 1;
	struct ring *r = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *data = mmap(0, 2 * cap, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2; i++)
		if (mmap(data + i * cap, cap, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
			return 1;
	char *payload = calloc(1, len), *copy = malloc(len);
	memset(payload, 7, len);

	if (fork() == 0) {
		uint64_t head = 0, tail = 0, got = 0, sum = 0;
		pin(1);
		while (got < n) {
			if (head == tail &&
			    head == (tail = atomic_load_explicit(&r->tail, memory_order_acquire))) {
				wait_change(&r->consumer_parked, &r->tail, head);
				continue;
			}
			for (int k = 0; k < batch && head < tail; k++, got++) {
				char *p = data + head % cap;
				uint32_t l = *(uint32_t *)p;
				memcpy(copy, p + 16, l);
				sum += copy[0];
				head += (16 + l + 7) & ~7u;
			}
			atomic_store_explicit(&r->head, head, memory_order_release);
			wake(&r->producer_parked);
		}
		_exit(sum == n * 7 ? 0 : 1);
	}
	pin(0);
	double start = now();
	uint64_t head = 0, tail = 0, sent = 0;
	while (sent < n) {
		int k = 0;
		for (; k < batch && sent < n; k++, sent++, tail += rec) {
			if (tail + rec - head > cap) {
				head = atomic_load_explicit(&r->head, memory_order_acquire);
				if (tail + rec - head > cap)
					break;
			}
			char *p = data + tail % cap;
			*(uint32_t *)p = len;
			*(uint64_t *)(p + 8) = sent;
			memcpy(p + 16, payload, len);
		}
		if (k) {
			atomic_store_explicit(&r->tail, tail, memory_order_release);
			wake(&r->consumer_parked);
		} else {
			wait_change(&r->producer_parked, &r->head, head);
		}
	}
	wait(&status);
	double d = now() - start;
	printf("ring %zu KiB, %zu-byte records, batch %d: %.1f M/s  %.2f GB/s  %.1f ns/record%s\n",
	       cap / 1024, len, batch, n / d / 1e6, n * len / d / 1e9, d / n * 1e9,
	       status ? "  WRONG SUM" : "");
	return status != 0;
}
