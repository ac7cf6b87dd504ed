/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <streamz/contract.h>
#include <streamz/stats.h>

static int make(uint32_t n_counters, uint32_t n_stats)
{
	struct sz_stat_desc *desc = calloc(n_stats, sizeof(*desc));
	int fd = memfd_create("stats", MFD_CLOEXEC);

	for (uint32_t i = 0; i < n_stats; i++)
		snprintf(desc[i].name, sizeof(desc[i].name), "s%u", i);
	assert_int_equal(ftruncate(fd, (off_t)sz_stats_plan_bytes(n_stats)), 0);
	assert_int_equal(sz_stats_format(fd, 5, n_counters, desc, n_stats), 0);
	free(desc);
	return fd;
}

static void plan_sizes(void **state)
{
	assert_int_equal(sz_stats_plan_bytes(0), 0);
	assert_int_equal(sz_stats_plan_bytes(SZ_STATS_MAX + 1), 0);
	assert_int_equal(sz_stats_plan_bytes(UINT32_MAX), 0);
	for (uint32_t n = 1; n <= SZ_STATS_MAX; n += n < 70 ? 1 : 517) {
		int fd = make(n / 2, n);
		struct sz_stats s;

		assert_int_equal(sz_stats_plan_bytes(n) % SZ_PAGE_BYTES, 0);
		assert_int_equal(sz_stats_attach(&s, fd, 1), 0);
		s.live->value[n - 1] =
			1; /* the last value lies within the object (ASan, or a fault) */
		assert_true((uint8_t *)&s.live->value[n] <= (uint8_t *)s.map + s.map_bytes);
		assert_true((const uint8_t *)&s.desc[n] <= (uint8_t *)s.live);
		sz_stats_detach(&s);
		close(fd);
	}
}

static void refuses(void **state)
{
	struct sz_stat_desc desc = { .name = "a" };
	int fd = make(2, 40);
	struct sz_stats_header *h =
		mmap(NULL, SZ_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct sz_stats_header good = *h;
	struct sz_stats s;

	assert_int_equal(sz_stats_format(fd, 0, 2, &desc, 1),
			 -EINVAL); /* more counters than values */
	assert_int_equal(sz_stats_format(fd, 0, 0, &desc, 0), -EINVAL);
	for (int i = 0; i < 8; i++) {
		*h = good;
		switch (i) {
		case 0: h->magic ^= 1; break;
		case 1: h->abi ^= 1; break;
		case 2: h->object_bytes += 4096; break;
		case 3: h->n_stats = 4000; break;
		case 4: h->n_stats = UINT32_MAX; break;
		case 5: h->n_counters = 41; break;
		case 6: h->values_at = 4096; break;
		case 7: h->n_stats = 0; break;
		}
		assert_int_equal(sz_stats_attach(&s, fd, 0), -EBADMSG);
	}
	*h = good;
	assert_int_equal(ftruncate(fd, (off_t)good.object_bytes + 4096), 0);
	assert_int_equal(sz_stats_attach(&s, fd, 0), -EBADMSG);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(sz_stats_attach(&s, fd, 0), -EBADMSG);
	munmap(h, SZ_PAGE_BYTES);
	close(fd);
}

static void publish_and_read(void **state)
{
	uint64_t counters[3] = { 1, 2, 3 }, gauges[2] = { 10, 20 }, got[5];
	int fd = make(3, 5);
	struct sz_stats w, r;

	assert_int_equal(sz_stats_attach(&w, fd, 1), 0);
	assert_int_equal(sz_stats_attach(&r, fd, 0), 0);
	sz_stats_publish(&w, counters, gauges);
	assert_int_equal(sz_stats_read(&r, got), 0);
	assert_memory_equal(got, ((uint64_t[]){ 1, 2, 3, 10, 20 }), sizeof(got));
	counters[0] = 100;
	sz_stats_publish(&w, counters, NULL); /* recovery leaves the gauges */
	assert_int_equal(sz_stats_read(&r, got), 0);
	assert_memory_equal(got, ((uint64_t[]){ 100, 2, 3, 10, 20 }), sizeof(got));
	assert_int_equal(sz_stats_find(&r, "s4"), 4);
	assert_int_equal(sz_stats_find(&r, "s"), -ENOENT);
	assert_int_equal(sz_stats_find(&r, "s40"), -ENOENT);
	assert_int_equal(r.h.worker_index, 5);
	sz_stats_detach(&w);
	sz_stats_detach(&r);
	close(fd);
}

/* A writer that died inside leaves an odd sequence: a reader says so, and the next publication makes it even. */
static void death_inside(void **state)
{
	static const uint64_t seqs[] = { 1, 7, UINT64_MAX };
	uint64_t counters[3] = { 7, 8, 9 }, got[5];
	int fd = make(3, 5);
	struct sz_stats s;

	assert_int_equal(sz_stats_attach(&s, fd, 1), 0);
	for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
		s.live->seq = seqs[i];
		s.live->value[1] = 1234;
		assert_int_equal(sz_stats_read(&s, got), -EAGAIN);
		assert_int_equal(got[1], 1234); /* a copy all the same */
		sz_stats_publish(&s, counters, NULL);
		assert_int_equal(s.live->seq, seqs[i] + 1);
		assert_int_equal(sz_stats_read(&s, got), 0);
		assert_int_equal(got[1], 8);
	}
	sz_stats_detach(&s);
	close(fd);
}

/* All values equal in every copy that is called whole, while another process writes. */
static void copies_are_whole(void **state)
{
	enum { N = 60, READS = 20000 };
	int fd = make(N, N), status;
	uint64_t v[N], last = 0, whole = 0;
	struct sz_stats s;
	pid_t pid = fork();

	if (pid == 0) {
		if (sz_stats_attach(&s, fd, 1))
			_exit(1);
		for (uint64_t n = 1;; n++) {
			for (int i = 0; i < N; i++)
				v[i] = n;
			sz_stats_publish(&s, v, NULL);
		}
	}
	assert_int_equal(sz_stats_attach(&s, fd, 0), 0);
	for (int i = 0; i < READS; i++) {
		if (sz_stats_read(&s, v))
			continue;
		for (int k = 1; k < N; k++)
			assert_int_equal(v[k], v[0]);
		assert_true(v[0] >= last);
		last = v[0];
		whole++;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_true(whole > 0);
	sz_stats_detach(&s);
	close(fd);
}

static void descriptions(void **state)
{
	struct sz_stat_desc own[2] = { { .name = "own.a", .unit = "bytes" }, { .name = "own.b" } };
	struct sz_stat_desc d[256];

	for (uint32_t edges = 0; edges <= 3; edges++) {
		uint32_t n = sz_stats_describe(d, edges, own, 2);

		assert_int_equal(n, sz_counter_count(edges, 2) + SZ_G_FIXED);
		for (uint32_t i = 0; i < n; i++) {
			assert_true(d[i].name[0] && memchr(d[i].name, 0, sizeof(d[i].name)));
			assert_non_null(memchr(d[i].unit, 0, sizeof(d[i].unit)));
			assert_non_null(memchr(d[i].help, 0, sizeof(d[i].help)));
			for (uint32_t k = 0; k < i; k++)
				assert_string_not_equal(d[i].name, d[k].name);
		}
		assert_string_equal(d[SZ_C_COMMITS].name, "commits");
		assert_int_equal(d[SZ_C_HELD].kind, SZ_STAT_GAUGE);
		if (edges) {
			assert_string_equal(d[sz_counter_edge(edges - 1, SZ_E_OUTBOX)].name + 7,
					    "outbox");
			assert_string_equal(d[sz_counter_edge(0, SZ_E_OFFERED)].name,
					    "edge.0.offered");
		}
		assert_string_equal(d[sz_counter_count(edges, 0)].name, "own.a");
		assert_string_equal(d[n - SZ_G_FIXED].name, "busy");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_sizes),       cmocka_unit_test(refuses),
		cmocka_unit_test(publish_and_read), cmocka_unit_test(death_inside),
		cmocka_unit_test(copies_are_whole), cmocka_unit_test(descriptions),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
