/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <streamz/contract.h>
#include <streamz/lane.h>

#define CAP      SZ_LANE_CAP_MIN
#define MAX_LEN  1000u
#define NO_LIMIT UINT64_MAX

static int make_lane(uint64_t limit_bytes, uint64_t limit_records, uint32_t max_record,
		     uint64_t start_pos)
{
	int fd = memfd_create("lane", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SZ_LANE_DATA_AT + CAP), 0);
	assert_int_equal(sz_lane_format(fd, 7, CAP, limit_bytes, limit_records, max_record,
					start_pos),
			 0);
	return fd;
}

struct pair {
	struct sz_lane tx, rx, tap;
	int fd;
};

static void open_pair(struct pair *p, uint64_t limit_bytes, uint64_t limit_records,
		      uint64_t start_pos)
{
	p->fd = make_lane(limit_bytes, limit_records, MAX_LEN, start_pos);
	assert_int_equal(sz_lane_attach(&p->tx, p->fd, SZ_LANE_PRODUCER), 0);
	assert_int_equal(sz_lane_attach(&p->rx, p->fd, SZ_LANE_CONSUMER), 0);
	assert_int_equal(sz_lane_attach(&p->tap, p->fd, SZ_LANE_OBSERVER), 0);
	sz_lane_seek(&p->tx, start_pos, 0);
	sz_lane_seek(&p->rx, start_pos, 0);
}

static void close_pair(struct pair *p)
{
	sz_lane_detach(&p->tx);
	sz_lane_detach(&p->rx);
	sz_lane_detach(&p->tap);
	close(p->fd);
}

static void fill(uint8_t *to, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		to[i] = (uint8_t)(seed * 31 + i * 7);
}

static bool filled(const uint8_t *at, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		if (at[i] != (uint8_t)(seed * 31 + i * 7))
			return false;
	return true;
}

static int send(struct pair *p, uint32_t len, uint32_t seed)
{
	int rc = sz_lane_room(&p->tx, sz_record_space(len), 1);

	if (rc != 1)
		return rc;
	fill(sz_lane_reserve(&p->tx, len), len, seed);
	sz_lane_commit(&p->tx, len, SZ_RECORD_DATA, seed);
	return 1;
}

static void publish(struct sz_lane *lane)
{
	sz_end_publish(lane->own, sz_lane_word(lane), lane->records);
}

static void receive(struct pair *p, uint32_t len, uint32_t seed)
{
	struct sz_record r = { 0 };

	assert_int_equal(sz_lane_peek(&p->rx, &r), 1);
	assert_int_equal(r.len, len);
	assert_int_equal(r.time_ns, seed);
	assert_int_equal(r.kind, SZ_RECORD_DATA);
	assert_true(filled(r.data, len, seed));
	sz_lane_release(&p->rx, r.len);
}

static const uint64_t starts[] = {
	0,
	8,
	CAP - 8,
	CAP - 16,
	CAP - 24,
	(1ull << 32) - 8,
	(1ull << 32) - 2048,
	UINT64_MAX - 7,
	UINT64_MAX - 2047,
};
#define N_STARTS (sizeof(starts) / sizeof(starts[0]))

static void plan_sizes(void **state)
{
	static const struct {
		uint64_t want;
		uint32_t max_record;
		uint64_t cap;
	} cases[] = {
		{ 0, 100, 1u << 20 },
		{ 1, 0, 4096 },
		{ 4096, 100, 4096 },
		{ 4097, 100, 8192 },
		{ 1, 2032, 4096 },
		{ 1, 2033, 8192 },
		{ 65536, 65536, 1u << 18 },
		{ 0, 600000, 1u << 21 },
		{ SZ_LANE_CAP_MAX, 1, SZ_LANE_CAP_MAX },
		{ SZ_LANE_CAP_MAX + 1, 1, 0 },
		{ UINT64_MAX, 1, 0 },
		{ 1, SZ_RECORD_LEN_MAX, SZ_LANE_CAP_MAX },
		{ 1, SZ_RECORD_LEN_MAX + 1, 0 },
		{ 1, UINT32_MAX, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sz_lane_plan_bytes(cases[i].want, cases[i].max_record),
				 cases[i].cap);
}

/* What a plan yields can be formatted, and the other way round two longest records fit. */
static void plan_and_format_agree(void **state)
{
	static const uint32_t max[] = { 0, 1, 7, 8, 9, 2032, 2033, 65535, 65536, 1u << 20 };

	for (size_t i = 0; i < sizeof(max) / sizeof(max[0]); i++) {
		uint64_t cap = sz_lane_plan_bytes(1, max[i]);
		struct sz_lane lane;
		int fd = memfd_create("lane", MFD_CLOEXEC);

		assert_int_equal(ftruncate(fd, (off_t)(SZ_LANE_DATA_AT + cap)), 0);
		assert_int_equal(sz_lane_format(fd, 0, cap, cap, NO_LIMIT, max[i], 0), 0);
		assert_int_equal(sz_lane_attach(&lane, fd, SZ_LANE_PRODUCER), 0);
		sz_lane_seek(&lane, 0, 0);
		for (int k = 0; k < 2; k++) {
			assert_int_equal(sz_lane_room(&lane, sz_record_space(max[i]), 1), 1);
			memset(sz_lane_reserve(&lane, max[i]), k, max[i]);
			sz_lane_commit(&lane, max[i], SZ_RECORD_DATA, 0);
		}
		sz_lane_detach(&lane);
		close(fd);
	}
}

static void format_refuses(void **state)
{
	static const struct {
		uint64_t cap, limit, records;
		uint32_t max;
		uint64_t start;
	} cases[] = {
		{ 2048, 2048, 1, 8, 0 },
		{ 4096 + 8, 4096, 1, 8, 0 },
		{ 4096, 4097, 1, 8, 0 },
		{ 4096, 4096, 0, 8, 0 },
		{ 4096, 4096, 1, 4081, 0 },
		{ 4096, 32, 1, 17, 0 },
		{ 4096, 4096, 1, 8, 1 },
		{ 4096, 4096, 1, 8, 4 },
		{ 2 * SZ_LANE_CAP_MAX, 4096, 1, 8, 0 },
		{ 4096, 4096, 1, SZ_RECORD_LEN_MAX + 1, 0 },
		{ 4096, 0, 1, 0, 0 },
		{ 0, 0, 1, 0, 0 },
	};
	int fd = memfd_create("lane", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, SZ_LANE_DATA_AT + CAP), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sz_lane_format(fd, 0, cases[i].cap, cases[i].limit,
						cases[i].records, cases[i].max, cases[i].start),
				 -EINVAL);
	close(fd);
}

/* Every single changed byte of what is checked makes another object of it. */
static void attach_refuses(void **state)
{
	int fd = make_lane(CAP, NO_LIMIT, MAX_LEN, 0);
	uint8_t *map = mmap(NULL, SZ_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct sz_lane_header *h = (void *)map, good = *h;
	struct sz_lane lane = { .mask = 77 };

	for (int i = 0; i < 9; i++) {
		*h = good;
		switch (i) {
		case 0: h->magic++; break;
		case 1: h->abi++; break;
		case 2: h->object_bytes += 4096; break;
		case 3: h->cap_bytes *= 2; break;
		case 4: h->cap_bytes -= 8; break;
		case 5: h->limit_bytes = CAP + 8; break;
		case 6: h->limit_records = 0; break;
		case 7: h->max_record = CAP; break;
		case 8:
			h->cap_bytes *= 2;
			h->object_bytes += CAP; /* consistent, but larger than the object */
			break;
		}
		for (int side = SZ_LANE_PRODUCER; side <= SZ_LANE_RECOVERY; side++)
			assert_int_equal(sz_lane_attach(&lane, fd, (enum sz_lane_side)side),
					 -EBADMSG);
		assert_int_equal(lane.mask, 77); /* out-parameters are set only on success */
	}
	*h = good;
	assert_int_equal(ftruncate(fd, SZ_LANE_DATA_AT + CAP + SZ_PAGE_BYTES), 0);
	assert_int_equal(sz_lane_attach(&lane, fd, SZ_LANE_CONSUMER), -EBADMSG);
	assert_int_equal(ftruncate(fd, SZ_LANE_DATA_AT), 0);
	assert_int_equal(sz_lane_attach(&lane, fd, SZ_LANE_CONSUMER), -EBADMSG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(sz_lane_attach(&lane, fd, SZ_LANE_CONSUMER), -EBADMSG);
	munmap(map, SZ_PAGE_BYTES);
	close(fd);
	assert_int_equal(sz_lane_attach(&lane, fd, SZ_LANE_CONSUMER), -EBADF);
}

static void every_length_at_every_start(void **state)
{
	for (size_t i = 0; i < N_STARTS; i++) {
		struct pair p;
		struct sz_record r = { 0 };
		uint32_t seed = 0;

		open_pair(&p, CAP, NO_LIMIT, starts[i]);
		for (uint32_t len = 0; len <= MAX_LEN; len++, seed++) {
			assert_int_equal(send(&p, len, seed), 1);
			assert_int_equal(sz_lane_peek(&p.rx, &r),
					 0); /* not published: does not exist */
			publish(&p.tx);
			receive(&p, len, seed);
			assert_int_equal(sz_lane_peek(&p.rx, &r), 0);
			publish(&p.rx);
		}
		assert_int_equal(p.rx.pos, p.tx.pos);
		assert_int_equal(p.rx.records, MAX_LEN + 1);
		assert_int_equal(p.rx.own_flags | p.tx.own_flags, 0);
		close_pair(&p);
	}
}

static void limits(void **state)
{
	static const struct {
		uint64_t bytes, records;
		uint32_t len, fit;
	} cases[] = {
		{ CAP, NO_LIMIT, 0, CAP / 16 },
		{ CAP, NO_LIMIT, 1, CAP / 24 },
		{ CAP, NO_LIMIT, 1000, 4 },
		{ 1016, NO_LIMIT, 1000, 1 },
		{ 1040, NO_LIMIT, 8, 43 },
		{ CAP, 1, 0, 1 },
		{ CAP, 5, 100, 5 },
		{ CAP, 300, 0, 256 },
		{ 1200, 50, 8, 50 },
		{ 1200, 51, 8, 50 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t k = 0; k < N_STARTS; k++) {
			uint32_t n = 0;
			struct pair p;

			open_pair(&p, cases[i].bytes, cases[i].records, starts[k]);
			while (send(&p, cases[i].len, n) == 1)
				n++;
			assert_int_equal(n, cases[i].fit);
			publish(&p.tx);
			/* One taken and published is one more that fits; taken alone is nothing. */
			receive(&p, cases[i].len, 0);
			assert_int_equal(send(&p, cases[i].len, n), 0);
			publish(&p.rx);
			assert_int_equal(send(&p, cases[i].len, n), 1);
			assert_int_equal(send(&p, cases[i].len, n), 0);
			close_pair(&p);
		}
	}
}

static void reserve_again_and_shorter(void **state)
{
	struct pair p;

	open_pair(&p, CAP, NO_LIMIT, CAP - 16);
	assert_int_equal(sz_lane_room(&p.tx, sz_record_space(MAX_LEN), 1), 1);
	fill(sz_lane_reserve(&p.tx, MAX_LEN), MAX_LEN, 1);
	fill(sz_lane_reserve(&p.tx, 300), 300, 2);
	sz_lane_commit(&p.tx, 3, SZ_RECORD_DATA, 2);
	assert_int_equal(send(&p, 5, 3), 1);
	publish(&p.tx);
	receive(&p, 3, 2);
	receive(&p, 5, 3);
	close_pair(&p);
}

static void ends(void **state)
{
	struct sz_record r = { 0 };
	struct pair p;

	open_pair(&p, CAP, NO_LIMIT, UINT64_MAX - 63);
	send(&p, 100, 1);
	p.tx.own_flags |= SZ_LANE_ENDED;
	publish(&p.tx);
	assert_int_equal(sz_lane_peek(&p.rx, &r), 1);
	assert_false(sz_lane_ended(&p.rx)); /* there is still something */
	receive(&p, 100, 1);
	assert_int_equal(sz_lane_peek(&p.rx, &r), 0);
	assert_true(sz_lane_ended(&p.rx));
	p.rx.own_flags |= SZ_LANE_ENDED;
	publish(&p.rx);
	assert_int_equal(sz_lane_tx_refresh(&p.tx), 0);
	assert_int_equal(p.tx.peer_flags, SZ_LANE_ENDED);
	/* A second life takes the flag from its mark. */
	sz_lane_seek(&p.tx, sz_lane_word(&p.tx), p.tx.records);
	assert_int_equal(p.tx.own_flags, SZ_LANE_ENDED);
	close_pair(&p);
}

/* After seek nothing is known of the peer: a producer sees a full lane, a consumer an empty one, until they look. */
static void seek_knows_nothing(void **state)
{
	struct sz_record r = { 0 };
	struct pair p;

	for (size_t i = 0; i < N_STARTS; i++) {
		open_pair(&p, CAP, NO_LIMIT, starts[i]);
		assert_false(sz_lane_has_room(&p.tx, 16, 1));
		assert_int_equal(sz_lane_room(&p.tx, CAP, 1), 1);
		assert_int_equal(sz_lane_room(&p.tx, CAP + 8, 1), 0);
		send(&p, 40, 1);
		send(&p, 50, 2);
		publish(&p.tx);
		receive(&p, 40, 1);
		/* The consumer's life is replaced before its commit: the record is there again. */
		sz_lane_seek(&p.rx, starts[i], 0);
		receive(&p, 40, 1);
		receive(&p, 50, 2);
		/* The producer's life is replaced: what it wrote after its commit never was. */
		send(&p, 60, 3);
		sz_lane_seek(&p.tx, p.tx.own->pos, p.tx.own->records);
		assert_int_equal(sz_lane_peek(&p.rx, &r), 0);
		send(&p, 70, 4);
		publish(&p.tx);
		receive(&p, 70, 4);
		close_pair(&p);
	}
}

static void batches_of_every_size(void **state)
{
	uint32_t out = 0, in = 0, x = 12345;
	struct pair p;

	open_pair(&p, 3000, 40, UINT64_MAX - 20007);
	while (in < 20000) {
		unsigned n = (x = x * 1664525 + 1013904223) >> 27;

		while (n-- && send(&p, (out * 7) % 300, out) == 1)
			out++;
		publish(&p.tx);
		for (n = (x = x * 1664525 + 1013904223) >> 27; n-- && in < out; in++)
			receive(&p, (in * 7) % 300, in);
		publish(&p.rx);
	}
	close_pair(&p);
}

/* Bad positions: refused, flagged, and forgiven when they make sense again. */
static void wild_head(void **state)
{
	static const int64_t off[] = {
		8, 16, CAP, INT64_MAX - 7, INT64_MIN, -(int64_t)CAP - 8, -4096 * 1000
	};

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		struct pair p;
		uint64_t good;

		open_pair(&p, CAP, NO_LIMIT, UINT64_MAX - 4095);
		send(&p, 100, 1);
		publish(&p.tx);
		good = p.rx.own->pos;
		p.rx.own->pos = (p.tx.pos + (uint64_t)off[i]) & ~7ull;
		assert_int_equal(sz_lane_tx_refresh(&p.tx), -EBADMSG);
		assert_int_equal(sz_lane_tx_refresh(&p.tx), -EBADMSG);
		assert_true(p.tx.own->pos & SZ_LANE_POISONED);
		assert_int_equal(p.tx.own->pos & ~7ull, p.tx.pos);
		p.rx.own->pos = good;
		assert_int_equal(sz_lane_tx_refresh(&p.tx), 0);
		assert_int_equal(p.tx.own->pos, p.tx.pos);
		close_pair(&p);
	}
}

static void wild_head_records(void **state)
{
	struct pair p;

	open_pair(&p, CAP, 10, 0);
	send(&p, 8, 1);
	publish(&p.tx);
	p.rx.own->records = 2; /* more than there ever were */
	assert_int_equal(sz_lane_tx_refresh(&p.tx), -EBADMSG);
	p.rx.own->records = (uint64_t)-10; /* more held than may be */
	assert_int_equal(sz_lane_tx_refresh(&p.tx), -EBADMSG);
	p.rx.own->records = 0;
	assert_int_equal(sz_lane_tx_refresh(&p.tx), 0);
	close_pair(&p);
}

/* A head may go back when a wild life was healed; never so far that more seems to be held than may be. */
static void head_behind_the_limit(void **state)
{
	struct pair p;

	open_pair(&p, 1200, NO_LIMIT, 8192);
	for (uint32_t i = 0; i < 10; i++) {
		send(&p, 500, i);
		publish(&p.tx);
		receive(&p, 500, i);
		publish(&p.rx);
	}
	p.rx.own->pos = p.tx.pos - 1200;
	assert_int_equal(sz_lane_tx_refresh(&p.tx), 0);
	p.rx.own->pos = p.tx.pos - 1208;
	assert_int_equal(sz_lane_tx_refresh(&p.tx), -EBADMSG);
	assert_true(p.tx.pos - p.tx.peer_pos <= p.tx.limit_bytes);
	close_pair(&p);
}

static void wild_tail(void **state)
{
	static const int64_t off[] = { -8, -(int64_t)CAP, CAP + 8, INT64_MAX - 7, INT64_MIN };

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		struct sz_record r = { 0 };
		struct pair p;
		uint64_t good;

		open_pair(&p, CAP, NO_LIMIT, UINT64_MAX - 4095);
		send(&p, 100, 1);
		publish(&p.tx);
		good = p.tx.own->pos;
		p.tx.own->pos = (p.rx.pos + (uint64_t)off[i]) & ~7ull;
		assert_int_equal(sz_lane_peek(&p.rx, &r), -EBADMSG);
		assert_int_equal(sz_lane_peek(&p.rx, &r), -EBADMSG);
		assert_true(p.rx.own->pos & SZ_LANE_POISONED);
		p.tx.own->pos = good;
		receive(&p, 100, 1);
		assert_int_equal(p.rx.own->pos & SZ_LANE_POISONED, 0);
		assert_int_equal(p.rx.own_flags, 0);
		close_pair(&p);
	}
}

/* A tail that is wild but in range is believed; what then stands there is not a record. Recovery sets it back. */
static void wild_tail_in_range_heals(void **state)
{
	struct sz_record r = { 0 };
	struct pair p;
	uint64_t good;

	open_pair(&p, CAP, NO_LIMIT, 0);
	memset(p.tx.data, 0xff, CAP);
	send(&p, 100, 1);
	publish(&p.tx);
	good = p.tx.own->pos;
	p.tx.own->pos = good + 512;
	receive(&p, 100, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sz_lane_peek(&p.rx, &r), -EBADMSG);
		assert_true(p.rx.own->pos & SZ_LANE_POISONED);
	}
	p.tx.own->pos = good;
	assert_int_equal(sz_lane_peek(&p.rx, &r), 0);
	assert_int_equal(p.rx.own_flags, 0);
	assert_int_equal(p.rx.own->pos & SZ_LANE_POISONED, 0);
	send(&p, 50, 2);
	publish(&p.tx);
	receive(&p, 50, 2);
	close_pair(&p);
}

static void tail_going_back(void **state)
{
	struct sz_record r = { 0 };
	struct pair p;
	uint64_t one;

	open_pair(&p, CAP, NO_LIMIT, 0);
	send(&p, 100, 1);
	publish(&p.tx);
	one = p.tx.own->pos;
	send(&p, 100, 2);
	publish(&p.tx);
	assert_int_equal(sz_lane_rx_refresh(&p.rx), 0);
	p.tx.own->pos = one;
	assert_int_equal(sz_lane_rx_refresh(&p.rx), -EBADMSG);
	assert_int_equal(sz_lane_rx_refresh(&p.rx),
			 0); /* it stays there: believed again, and nothing beyond it */
	receive(&p, 100, 1);
	assert_int_equal(sz_lane_peek(&p.rx, &r), 0);
	close_pair(&p);
}

static void wild_headers(void **state)
{
	static const struct sz_record_header bad[] = {
		{ .len = MAX_LEN + 1 },
		{ .len = UINT32_MAX },
		{ .len = 121 },
		{ .len = 8, .kind = 1 },
		{ .len = 8, .kind = UINT16_MAX },
		{ .len = 8, .zero = 1 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sz_record_header good, *h;
		struct sz_record r = { 0 };
		struct pair p;

		open_pair(&p, CAP, NO_LIMIT, CAP - 8);
		send(&p, 120, 1);
		publish(&p.tx);
		h = (void *)(p.tx.data + ((CAP - 8) & p.tx.mask));
		good = *h;
		*h = bad[i];
		for (int k = 0; k < 3; k++) {
			assert_int_equal(sz_lane_peek(&p.rx, &r), -EBADMSG);
			assert_true(
				p.rx.own->pos &
				SZ_LANE_POISONED); /* and stays: the position being sane is not enough */
		}
		*h = good;
		receive(&p, 120, 1);
		assert_int_equal(p.rx.own->pos & SZ_LANE_POISONED, 0);
		close_pair(&p);
	}
}

static void parking(void **state)
{
	struct sz_wait_word word;
	struct pair p;

	open_pair(&p, CAP, NO_LIMIT, (1ull << 32) - 8);
	assert_false(sz_lane_peer_parked(&p.tx));
	sz_lane_park(&p.rx);
	assert_true(sz_lane_peer_parked(&p.tx));
	assert_false(sz_lane_peer_moved(&p.rx));
	word = sz_lane_wait_word(&p.rx);
	assert_int_equal(*word.word, word.seen);
	send(&p, 8, 1);
	publish(&p.tx);
	assert_true(sz_lane_peer_moved(&p.rx));
	assert_int_not_equal(*word.word, word.seen);
	assert_int_equal(sz_futex_wait_any(&word, 1, 1000000000ull),
			 0); /* does not sleep: the word differs */
	sz_lane_unpark(&p.rx);
	assert_false(sz_lane_peer_parked(&p.tx));
	/* A flag alone is a move too. */
	receive(&p, 8, 1);
	word = sz_lane_wait_word(&p.rx);
	p.tx.own_flags |= SZ_LANE_ENDED;
	publish(&p.tx);
	assert_true(sz_lane_peer_moved(&p.rx));
	assert_int_not_equal(*word.word, word.seen);
	close_pair(&p);
}

static void tap_reads_what_is_there(void **state)
{
	uint8_t buf[MAX_LEN];

	for (size_t i = 0; i < N_STARTS; i++) {
		uint64_t pos = starts[i];
		struct sz_record r = { 0 };
		struct pair p;

		open_pair(&p, CAP, NO_LIMIT, starts[i]);
		assert_int_equal(sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r), 0);
		for (uint32_t k = 0; k < 30; k++) {
			assert_int_equal(send(&p, k * 10, k), 1);
			assert_int_equal(sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r), 0);
			publish(&p.tx);
			assert_int_equal(sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r), 1);
			assert_true(r.len == k * 10 && filled(r.data, r.len, k));
			receive(&p, k * 10, k);
			publish(&p.rx);
		}
		close_pair(&p);
	}
}

/* However small the lane: what no consumer has taken can be tapped, all of it, and what is claimed cannot. */
static void tap_of_a_full_lane(void **state)
{
	uint8_t buf[MAX_LEN];
	uint64_t pos = 0, start = 0;
	uint32_t n = 0, k = 0;
	struct sz_record r = { 0 };
	struct pair p;

	open_pair(&p, CAP, NO_LIMIT, 0);
	while (send(&p, 200, n) == 1)
		n++;
	publish(&p.tx);
	for (; sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r) == 1; k++)
		assert_true(filled(r.data, r.len, k));
	assert_int_equal(k, n);
	/* One is taken; its bytes are intact until the producer announces that it overwrites them. */
	receive(&p, 200, 0);
	publish(&p.rx);
	assert_int_equal(sz_lane_tap(&p.tap, &start, buf, sizeof(buf), &r), 1);
	assert_int_equal(sz_lane_room(&p.tx, sz_record_space(200), 1), 1);
	sz_lane_reserve(&p.tx, 200);
	start = 0;
	assert_int_equal(sz_lane_tap(&p.tap, &start, buf, sizeof(buf), &r), -ESTALE);
	assert_int_equal(start, p.tx.own->pos);
	/* A life that takes over does not take the claim back. */
	sz_lane_seek(&p.tx, p.tx.own->pos, p.tx.own->records);
	start = 0;
	assert_int_equal(sz_lane_tap(&p.tap, &start, buf, sizeof(buf), &r), -ESTALE);
	close_pair(&p);
}

static void tap_is_careful(void **state)
{
	static const uint64_t bad[] = { 4, 1, 8, CAP * 10, UINT64_MAX - 7, 1ull << 63 };
	struct sz_record_header *h;
	struct sz_record r = { 0 };
	uint64_t pos = CAP - 8;
	uint8_t buf[16];
	struct pair p;

	open_pair(&p, CAP, NO_LIMIT, CAP - 8);
	send(&p, 100, 1);
	publish(&p.tx);
	assert_int_equal(sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r), 1); /* a short copy */
	assert_int_equal(r.len, 100);
	assert_true(filled(buf, sizeof(buf), 1));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pos = bad[i];
		assert_int_equal(sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r), -ESTALE);
		assert_int_equal(pos, p.tx.pos);
	}
	h = (void *)(p.tx.data + ((CAP - 8) & p.tx.mask));
	h->len = 105;
	pos = CAP - 8;
	assert_int_equal(sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r), -ESTALE);
	h->len = UINT32_MAX;
	pos = CAP - 8;
	assert_int_equal(sz_lane_tap(&p.tap, &pos, buf, sizeof(buf), &r), -ESTALE);
	close_pair(&p);
}

/* The claim covers what is written, at any batch size, and never reaches beyond the room. */
static void claim_bounds(void **state)
{
	for (size_t i = 0; i < N_STARTS; i++) {
		uint32_t seed = 0;
		struct pair p;

		open_pair(&p, CAP, NO_LIMIT, starts[i]);
		for (unsigned round = 0; round < 200; round++) {
			unsigned n = round % 7;

			while (n-- && send(&p, (round * 13) % MAX_LEN, seed) == 1) {
				uint64_t claim = p.tx.own->claim, head = p.rx.own->pos;

				assert_true(claim - starts[i] >= p.tx.pos - starts[i]);
				assert_true(claim - head <= CAP);
				seed++;
			}
			publish(&p.tx);
			while (p.rx.records < p.tx.records) {
				struct sz_record r = { 0 };

				assert_int_equal(sz_lane_peek(&p.rx, &r), 1);
				sz_lane_release(&p.rx, r.len);
			}
			publish(&p.rx);
		}
		close_pair(&p);
	}
}

/* A claim left by a life that went wild is put right, one within reason is kept. */
static void seek_judges_the_claim(void **state)
{
	struct pair p;

	open_pair(&p, CAP, NO_LIMIT, 4096 * 3);
	p.tx.own->claim = p.tx.pos + CAP;
	sz_lane_seek(&p.tx, p.tx.pos, 0);
	assert_int_equal(p.tx.claimed, p.tx.pos + CAP);
	p.tx.own->claim = p.tx.pos + CAP + 8;
	sz_lane_seek(&p.tx, p.tx.pos, 0);
	assert_int_equal(p.tx.claimed, p.tx.pos);
	p.tx.own->claim = p.tx.pos - 8;
	sz_lane_seek(&p.tx, p.tx.pos, 0);
	assert_int_equal(p.tx.claimed, p.tx.pos);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_sizes),
		cmocka_unit_test(plan_and_format_agree),
		cmocka_unit_test(format_refuses),
		cmocka_unit_test(attach_refuses),
		cmocka_unit_test(every_length_at_every_start),
		cmocka_unit_test(limits),
		cmocka_unit_test(reserve_again_and_shorter),
		cmocka_unit_test(ends),
		cmocka_unit_test(seek_knows_nothing),
		cmocka_unit_test(batches_of_every_size),
		cmocka_unit_test(wild_head),
		cmocka_unit_test(wild_head_records),
		cmocka_unit_test(head_behind_the_limit),
		cmocka_unit_test(wild_tail),
		cmocka_unit_test(wild_tail_in_range_heals),
		cmocka_unit_test(tail_going_back),
		cmocka_unit_test(wild_headers),
		cmocka_unit_test(parking),
		cmocka_unit_test(tap_reads_what_is_there),
		cmocka_unit_test(tap_of_a_full_lane),
		cmocka_unit_test(tap_is_careful),
		cmocka_unit_test(claim_bounds),
		cmocka_unit_test(seek_judges_the_claim),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
