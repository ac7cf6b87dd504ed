/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <streamz/contract.h>
#include <streamz/ledger.h>

#define CAP SZ_LANE_CAP_MIN

static const struct sz_page_plan usual = {
	.worker_index = 3,
	.n_in = 1,
	.n_out = 2,
	.n_counters = 9,
	.state_bytes = 20,
	.journal_bytes = 256,
	.arena_bytes = 1000,
};

static int make_page(const struct sz_page_plan *plan)
{
	int fd = memfd_create("page", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)sz_page_plan_bytes(plan)), 0);
	assert_int_equal(sz_page_format(fd, plan), 0);
	return fd;
}

static void plan_sizes(void **state)
{
	static const struct {
		struct sz_page_plan plan;
		bool fits;
	} cases[] = {
		{ { 0 }, true },
		{ { .n_in = SZ_LANES_MAX, .n_out = SZ_LANES_MAX }, true },
		{ { .n_in = SZ_LANES_MAX + 1 }, false },
		{ { .n_out = SZ_LANES_MAX + 1 }, false },
		{ { .n_in = UINT32_MAX, .n_out = 2 }, false },
		{ { .n_counters = SZ_STATS_MAX }, true },
		{ { .n_counters = SZ_STATS_MAX + 1 }, false },
		{ { .state_bytes = SZ_STATE_MAX }, true },
		{ { .state_bytes = SZ_STATE_MAX + 1 }, false },
		{ { .journal_bytes = SZ_JOURNAL_BYTES_MAX }, true },
		{ { .journal_bytes = SZ_JOURNAL_BYTES_MAX + 1 }, false },
		/* Full to the last byte it could not be counted: the units would run into the epoch. */
		{ { .journal_bytes = 8ull << SZ_JOURNAL_UNIT_BITS }, false },
		{ { .journal_bytes = UINT64_MAX }, false },
		{ { .arena_bytes = UINT32_MAX & ~4095u }, true },
		/* Rounded up to pages it would pass what an entry can name. */
		{ { .arena_bytes = UINT32_MAX }, false },
		{ { .arena_bytes = UINT64_MAX }, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = sz_page_plan_bytes(&cases[i].plan);

		assert_int_equal(bytes != 0, cases[i].fits);
		assert_int_equal(bytes % SZ_PAGE_BYTES, 0);
		if (!cases[i].fits)
			assert_int_equal(sz_page_format(-1, &cases[i].plan), -EINVAL);
	}
	assert_int_equal(SZ_JOURNAL_BYTES_MAX / 8 >> SZ_JOURNAL_UNIT_BITS, 0);
}

/* Whatever can be planned can be attached: sparse objects, so the large ones cost nothing. */
static void plan_format_attach_agree(void **state)
{
	static const struct sz_page_plan plans[] = {
		{ 0 },
		{ .n_in = 1 },
		{ .n_in = SZ_LANES_MAX,
		  .n_out = SZ_LANES_MAX,
		  .n_counters = SZ_STATS_MAX,
		  .state_bytes = 4096 },
		{ .state_bytes = 1, .journal_bytes = 1, .arena_bytes = 1 },
		{ .state_bytes = 4095, .journal_bytes = 4097, .arena_bytes = 8193 },
		{ .journal_bytes = SZ_JOURNAL_BYTES_MAX, .arena_bytes = UINT32_MAX & ~4095u },
	};

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		int fd = make_page(&plans[i]);
		struct sz_ledger l;

		assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
		assert_true(l.h.state_bytes >= plans[i].state_bytes &&
			    l.h.arena_bytes >= plans[i].arena_bytes);
		assert_int_equal(l.epoch, 0);
		assert_int_equal(l.next->run_state, SZ_RUN_FRESH);
		memset(l.state, 1, l.h.state_bytes);
		sz_ledger_commit(&l);
		sz_ledger_detach(&l);
		assert_int_equal(sz_ledger_attach(&l, fd, 0), 0);
		assert_int_equal(l.epoch, 1);
		sz_ledger_detach(&l);
		close(fd);
	}
}

static void attach_refuses(void **state)
{
	int fd = make_page(&usual);
	uint64_t bytes = sz_page_plan_bytes(&usual);
	uint8_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct sz_slot *slot = (void *)(map + 2 * SZ_PAGE_BYTES);
	struct sz_ledger l;

	/* Every byte counts, but for the worker's index and the plan's own numbers, which rounding may swallow. */
	for (size_t i = 0; i < offsetof(struct sz_page_header, journal_bytes); i++) {
		if (i >= offsetof(struct sz_page_header, worker_index) &&
		    i < offsetof(struct sz_page_header, object_bytes))
			continue;
		if (i >= offsetof(struct sz_page_header, n_in) &&
		    i < offsetof(struct sz_page_header, slot_bytes))
			continue;
		map[i] ^= 0x40;
		assert_int_equal(sz_ledger_attach(&l, fd, 1), -EBADMSG);
		map[i] ^= 0x40;
	}
	slot->epoch = 1;
	assert_int_equal(sz_ledger_attach(&l, fd, 1), -EBADMSG);
	slot->epoch = 0;
	slot->run_state = SZ_RUN_ENDED + 1;
	assert_int_equal(sz_ledger_attach(&l, fd, 1), -EBADMSG);
	slot->run_state = SZ_RUN_ENDED;
	assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
	sz_ledger_detach(&l);
	munmap(map, bytes);
	assert_int_equal(ftruncate(fd, (off_t)bytes - SZ_PAGE_BYTES), 0);
	assert_int_equal(sz_ledger_attach(&l, fd, 1), -EBADMSG);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(sz_ledger_attach(&l, fd, 1), -EBADMSG);
	close(fd);
}

static void commits(void **state)
{
	int fd = make_page(&usual);
	struct sz_ledger l, other;

	assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
	for (uint64_t e = 1; e <= 5; e++) {
		l.in[0] = (struct sz_lane_mark){ 8 * e, e };
		l.out[1] = (struct sz_lane_mark){ 16 * e + SZ_LANE_ENDED, 2 * e };
		l.counters[8] = 100 + e;
		memset(l.state, (int)e, usual.state_bytes);
		l.next->run_state = SZ_RUN_RUNNING;
		/* Not committed: not there. */
		assert_int_equal(sz_ledger_attach(&other, fd, 0), 0);
		assert_int_equal(other.epoch, e - 1);
		assert_int_equal(other.counters[8], e == 1 ? 0 : 100 + e - 1);
		sz_ledger_detach(&other);
		sz_ledger_commit(&l);
		assert_int_equal(l.epoch, e);
		assert_int_equal(sz_ledger_slot(&l)->epoch, e);
		assert_int_equal(sz_ledger_attach(&other, fd, 0), 0);
		assert_int_equal(other.epoch, e);
		assert_int_equal(other.in[0].word, 8 * e);
		assert_int_equal(other.out[1].word, 16 * e + SZ_LANE_ENDED);
		assert_int_equal(other.out[1].records, 2 * e);
		assert_int_equal(other.counters[8], 100 + e);
		assert_memory_equal(other.state, l.state, usual.state_bytes);
		sz_ledger_detach(&other);
	}
	sz_ledger_detach(&l);
	close(fd);
}

static void arena_is_mapped_twice(void **state)
{
	int fd = make_page(&usual);
	struct sz_ledger l;

	assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
	l.arena[5] = 42;
	assert_int_equal(l.arena[l.h.arena_bytes + 5], 42);
	sz_ledger_detach(&l);
	close(fd);
}

static void journal_limits(void **state)
{
	int fd = make_page(&usual);
	struct sz_ledger l;

	assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
	assert_int_equal(sz_ledger_journal(&l, l.arena, 0), 0);
	assert_int_equal(l.journal_used, 0);
	assert_int_equal(sz_ledger_journal(&l, l.arena - 1, 1), -EINVAL);
	assert_int_equal(sz_ledger_journal(&l, l.arena + l.h.arena_bytes, 1), -EINVAL);
	assert_int_equal(sz_ledger_journal(&l, l.arena + 8, l.h.arena_bytes), -EINVAL);
	assert_int_equal(sz_ledger_journal(&l, l.arena, SIZE_MAX), -EINVAL);
	assert_int_equal(sz_ledger_journal(&l, l.state, 1), -EINVAL);
	assert_int_equal(sz_ledger_journal(&l, l.arena, 249), -ENOSPC);
	assert_int_equal(l.live->journal, 0);
	assert_int_equal(sz_ledger_journal(&l, l.arena, 200), 0);
	assert_int_equal(l.journal_used, sz_journal_cost(200));
	assert_int_equal(sz_ledger_journal(&l, l.arena, 41), -ENOSPC);
	assert_int_equal(sz_ledger_journal(&l, l.arena, 40), 0);
	assert_int_equal(l.journal_used, usual.journal_bytes);
	assert_int_equal(sz_ledger_journal(&l, l.arena, 1), -ENOSPC);
	sz_ledger_commit(&l);
	assert_int_equal(sz_ledger_journal(&l, l.arena, 248), 0);
	sz_ledger_detach(&l);
	close(fd);
}

/* Overwrites of every length, overlapping, come undone; after a commit they do not. */
static void rollback_restores(void **state)
{
	static const uint32_t lengths[] = { 1, 7, 8, 9, 15, 16, 17, 40 };
	int fd = make_page(&usual);
	uint8_t *before = malloc(4096);
	struct sz_ledger l;

	assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
	assert_int_equal(l.h.arena_bytes, 4096);
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 4096; i++)
			l.arena[i] = (uint8_t)(i * 3 + round);
		memcpy(before, l.arena, 4096);
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			uint8_t *at = l.arena + (i % 2 ? 4096 - lengths[i] : 10 + i);

			if (sz_ledger_journal(&l, at, lengths[i]))
				break;
			memset(at, 0xee, lengths[i]);
		}
		assert_memory_not_equal(before, l.arena, 4096);
		if (round % 2) {
			sz_ledger_commit(&l);
			memcpy(before, l.arena, 4096);
		}
		assert_int_equal(sz_ledger_rollback(&l), 0);
		assert_memory_equal(before, l.arena, 4096);
		assert_int_equal(l.live->journal, (l.epoch + 1) << SZ_JOURNAL_UNIT_BITS);
		assert_int_equal(l.journal_used, 0);
		l.arena[1] ^= 1;
		assert_int_equal(sz_ledger_rollback(&l), 0); /* once undone is undone */
		assert_int_equal(l.arena[1], before[1] ^ 1);
	}
	free(before);
	sz_ledger_detach(&l);
	close(fd);
}

static void rollback_of_nonsense(void **state)
{
	static const struct {
		uint64_t units;
		uint32_t offset, len;
		int rc;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 33, 0, 0, -EBADMSG }, /* more than the journal holds */
		{ (1u << 24) - 1, 0, 0, -EBADMSG },
		{ 32, 0, 0, -EBADMSG }, /* an empty entry, then garbage */
		{ 2, 0, 8, 0 },
		{ 2, 4088, 8, 0 },
		{ 2, 4089, 8, -EBADMSG },
		{ 2, 4096, 1, -EBADMSG },
		{ 2, UINT32_MAX, 8, -EBADMSG },
		{ 2, 0, 9, -EBADMSG }, /* longer than the journal so far */
		{ 2, 0, UINT32_MAX, -EBADMSG },
		{ 1, 0, 0, 0 }, /* an entry of nothing */
		{ 1, 0, 1, -EBADMSG },
	};
	int fd = make_page(&usual);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t entry[2] = { cases[i].offset, cases[i].len };
		struct sz_ledger l;

		assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
		memset(l.journal, 0xff, l.h.journal_bytes);
		if (cases[i].units && cases[i].units <= 32)
			memcpy(l.journal + cases[i].units * 8 - 8, entry, 8);
		l.live->journal = (l.epoch + 1) << SZ_JOURNAL_UNIT_BITS | cases[i].units;
		assert_int_equal(sz_ledger_rollback(&l), cases[i].rc);
		/* Of another epoch it is not looked at, and put right. */
		l.live->journal = (l.epoch + 2) << SZ_JOURNAL_UNIT_BITS | cases[i].units;
		assert_int_equal(sz_ledger_rollback(&l), 0);
		assert_int_equal(l.live->journal, (l.epoch + 1) << SZ_JOURNAL_UNIT_BITS);
		sz_ledger_detach(&l);
	}
	close(fd);
}

/* The word holds 40 bits of the epoch; beyond them roll-back still works. */
static void epochs_beyond_the_word(void **state)
{
	static const uint64_t epochs[] = { (1ull << 40) - 2, (1ull << 40) - 1, 1ull << 40,
					   UINT64_MAX - 1 };

	for (size_t i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
		int fd = make_page(&usual);
		struct sz_ledger l;

		assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
		l.epoch = epochs[i] - 1;
		sz_ledger_commit(&l);
		sz_ledger_detach(&l);
		assert_int_equal(sz_ledger_attach(&l, fd, 1), 0);
		assert_int_equal(l.epoch, epochs[i]);
		assert_int_equal(sz_ledger_journal(&l, l.arena, 9), 0);
		memset(l.arena, 1, 9);
		assert_int_equal(sz_ledger_rollback(&l), 0);
		assert_int_equal(l.arena[8], 0);
		sz_ledger_detach(&l);
		close(fd);
	}
}

/* A worker with one input and two outputs, as its recovery sees it. */
struct bench {
	int page, stats_fd, lane_fd[3];
	struct sz_ledger l;
	struct sz_lane in, out[2];
	struct sz_stats stats;
};

static void bench_open(struct bench *b, uint64_t start)
{
	struct sz_stat_desc desc[9] = { { .name = "x" } };
	struct sz_lane_mark *mark;

	b->page = make_page(&usual);
	b->stats_fd = memfd_create("stats", MFD_CLOEXEC);
	assert_int_equal(ftruncate(b->stats_fd, (off_t)sz_stats_plan_bytes(9)), 0);
	assert_int_equal(sz_stats_format(b->stats_fd, 3, 9, desc, 9), 0);
	assert_int_equal(sz_stats_attach(&b->stats, b->stats_fd, 1), 0);
	for (int i = 0; i < 3; i++) {
		b->lane_fd[i] = memfd_create("lane", MFD_CLOEXEC);
		assert_int_equal(ftruncate(b->lane_fd[i], SZ_LANE_DATA_AT + CAP), 0);
		assert_int_equal(sz_lane_format(b->lane_fd[i], 0, CAP, 2048, UINT64_MAX, 100,
						start),
				 0);
		assert_int_equal(sz_lane_attach(i ? &b->out[i - 1] : &b->in, b->lane_fd[i],
						SZ_LANE_RECOVERY),
				 0);
	}
	assert_int_equal(sz_ledger_attach(&b->l, b->page, 1), 0);
	mark = (void *)(b->l.slots[0] + sizeof(struct sz_slot));
	for (int i = 0; i < 3; i++)
		mark[i].word = start;
	sz_ledger_detach(&b->l);
	assert_int_equal(sz_ledger_attach(&b->l, b->page, 1), 0);
}

static void bench_close(struct bench *b)
{
	sz_ledger_detach(&b->l);
	sz_stats_detach(&b->stats);
	sz_lane_detach(&b->in);
	for (int i = 0; i < 3; i++)
		close(b->lane_fd[i]);
	sz_lane_detach(&b->out[0]);
	sz_lane_detach(&b->out[1]);
	close(b->page);
	close(b->stats_fd);
}

static const uint64_t starts[] = { 0, (1ull << 32) - 8, UINT64_MAX - 7, UINT64_MAX - 1023,
				   1ull << 63 };

static void recovery_publishes_and_wakes(void **state)
{
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		uint64_t values[9];
		struct bench b;

		bench_open(&b, starts[i]);
		assert_int_equal(sz_ledger_recover(&b.l, &b.in, b.out, &b.stats),
				 0); /* before any commit */
		assert_int_equal(sz_lane_producer_end(&b.out[1])->pos, starts[i]);
		/* The producer has published 800 bytes; 80 of them are taken, 160 and 240 made of it. */
		sz_end_publish(sz_lane_producer_end(&b.in), starts[i] + 800, 10);
		b.l.in[0] = (struct sz_lane_mark){ starts[i] + 80, 1 };
		b.l.out[0] = (struct sz_lane_mark){ starts[i] + 160, 2 };
		b.l.out[1] = (struct sz_lane_mark){ (starts[i] + 240) | SZ_LANE_ENDED, 3 };
		b.l.counters[2] = 77;
		sz_ledger_commit(&b.l);
		b.l.counters[2] = 88; /* a batch begun and not committed */
		sz_ledger_detach(&b.l);
		sz_lane_consumer_end(&b.in)->parked = sz_lane_producer_end(&b.out[0])->parked = 1;
		sz_lane_producer_end(&b.in)->parked = 1; /* the peer's own */
		b.stats.live->seq = 5;                   /* killed while publishing them */
		assert_int_equal(sz_ledger_attach(&b.l, b.page, 1), 0);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(sz_ledger_recover(&b.l, &b.in, b.out, &b.stats), 0);
			assert_int_equal(sz_lane_consumer_end(&b.in)->pos, starts[i] + 80);
			assert_int_equal(sz_lane_consumer_end(&b.in)->records, 1);
			assert_int_equal(sz_lane_producer_end(&b.out[0])->pos, starts[i] + 160);
			assert_int_equal(sz_lane_producer_end(&b.out[1])->pos,
					 (starts[i] + 240) | SZ_LANE_ENDED);
			assert_int_equal(sz_lane_producer_end(&b.out[1])->records, 3);
			assert_int_equal(sz_lane_consumer_end(&b.in)->parked, 0);
			assert_int_equal(sz_lane_producer_end(&b.out[0])->parked, 0);
			assert_int_equal(sz_lane_producer_end(&b.in)->parked, 1);
			assert_int_equal(sz_stats_read(&b.stats, values), 0);
			assert_int_equal(values[2], 77);
		}
		bench_close(&b);
	}
}

/*
 * Which ledgers are believed. Lane limit 2048; positions relative to the start; *_mark is what the slot says, *_pub what
 * this worker's own end says, peer what the other end says.
 */
static void recovery_judges_marks(void **state)
{
	static const struct {
		const char *what;
		int64_t in_mark, in_pub, in_peer;
		int64_t out_mark, out_pub, out_peer;
		int rc;
	} cases[] = {
		{ "all published", 80, 80, 800, 160, 160, 0, 0 },
		{ "nothing published", 80, 0, 800, 160, 0, 0, 0 },
		{ "a full lane", 0, 0, 2048, 2048, 0, 0, 0 },
		{ "head beyond the tail", 808, 0, 800, 0, 0, 0, -EBADMSG },
		{ "head far behind", -2000, 0, 800, 0, 0, 0, -EBADMSG },
		{ "tail beyond the limit", 0, 0, 0, 2056, 0, 0, -EBADMSG },
		{ "tail behind the head", 0, 0, 0, 8, 80, 80, -EBADMSG },
		{ "own word wild, ledger sane", 80, 1 << 30, 800, 160, -(1 << 30), 0, 0 },
		{ "consumer's word wild", 80, 80, 800, 160, 160, 1 << 30, 0 },
		{ "consumer's word wild, not published yet", 80, 80, 800, 160, 0, -(1 << 30), 0 },
		{ "producer's word wild", 80, 0, 1 << 30, 160, 160, 0, 0 },
		{ "producer's word behind", 80, 80, -8, 160, 160, 0, 0 },
		{ "peer and ledger wild", 80, 80, 800, 1 << 28, 0, 1 << 30, -EBADMSG },
		{ "peer wild, mark behind our word", 80, 80, 800, 152, 160, 1 << 30, -EBADMSG },
		{ "peer wild, mark beyond a lane", 80, 80, 800, 160 + 2056, 160, 1 << 30,
		  -EBADMSG },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t k = 0; k < sizeof(starts) / sizeof(starts[0]); k++) {
			uint64_t start = starts[k];
			struct bench b;
			int rc;

			bench_open(&b, start);
			b.l.in[0].word = start + (uint64_t)cases[i].in_mark;
			b.l.out[0].word = start + (uint64_t)cases[i].out_mark;
			sz_ledger_commit(&b.l);
			sz_lane_consumer_end(&b.in)->pos = start + (uint64_t)cases[i].in_pub;
			sz_lane_producer_end(&b.in)->pos = start + (uint64_t)cases[i].in_peer;
			sz_lane_producer_end(&b.out[0])->pos = start + (uint64_t)cases[i].out_pub;
			sz_lane_consumer_end(&b.out[0])->pos = start + (uint64_t)cases[i].out_peer;
			rc = sz_ledger_recover(&b.l, &b.in, b.out, NULL);
			if (rc != cases[i].rc)
				fail_msg("%s: %d", cases[i].what, rc);
			if (rc == 0)
				assert_int_equal(sz_lane_producer_end(&b.out[0])->pos,
						 b.l.out[0].word);
			else
				assert_int_equal(sz_lane_producer_end(&b.out[0])->pos,
						 start + (uint64_t)cases[i].out_pub);
			bench_close(&b);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_sizes),
		cmocka_unit_test(plan_format_attach_agree),
		cmocka_unit_test(attach_refuses),
		cmocka_unit_test(commits),
		cmocka_unit_test(arena_is_mapped_twice),
		cmocka_unit_test(journal_limits),
		cmocka_unit_test(rollback_restores),
		cmocka_unit_test(rollback_of_nonsense),
		cmocka_unit_test(epochs_beyond_the_word),
		cmocka_unit_test(recovery_publishes_and_wakes),
		cmocka_unit_test(recovery_judges_marks),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
