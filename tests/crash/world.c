/* SPDX-License-Identifier: BSD-2-Clause */
/* world.c - objects, images, the models of the peers, and the judges; the worker is in worker.c */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "world.h"

#define LANE_CAP   SZ_LANE_CAP_MIN
#define END_BYTES  (SZ_CACHELINE + 8) /* of an end's page: all that is used */
#define LIVE_BYTES (SZ_CACHELINE + 8) /* of the page's live part: epoch and journal word */

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

bool world_fail(struct world *w, const char *format, ...)
{
	va_list ap;

	if (w->error[0])
		return false;
	va_start(ap, format);
	vsnprintf(w->error, sizeof(w->error), format, ap);
	va_end(ap);
	return false;
}

static const unsigned lengths[] = { 0, 1, 7, 8, 9, 15, 16, 17, 31, 64, 100, 125 };

static uint32_t in_len(const struct world_case *c, unsigned seq)
{
	uint32_t len = lengths[seq * 5 % (sizeof(lengths) / sizeof(lengths[0]))] * c->len_scale;

	return len < MAX_IN ? len : MAX_IN;
}

static uint8_t in_byte(unsigned seq, uint32_t i)
{
	return (uint8_t)(seq * 37 + i * 11 + 1);
}

static void expect_out(struct expected *want, unsigned out, uint64_t *pos, const uint8_t *data,
		       uint32_t len, uint64_t value)
{
	struct expected_record *r = &want->out[out][want->n[out]++];

	r->pos = *pos;
	r->len = len + (uint32_t)sizeof(value);
	memcpy(r->data, data, len);
	memcpy(r->data + len, &value, sizeof(value));
	*pos += sz_record_space(r->len);
}

/* The same script as in worker.c, written without lanes, ledger or journal. */
void expected_make(struct expected *want, const struct world_case *c)
{
	uint64_t pos[OUT_MAX] = { c->start_pos, c->start_pos, c->start_pos };
	struct small_state s = { 0 };
	struct arena a = { 0 };
	uint8_t data[MAX_IN];

	memset(want, 0, sizeof(*want));
	for (unsigned seq = 1; seq <= c->n_records; seq++) {
		uint32_t len = in_len(c, seq);
		uint64_t value = s.sum;

		for (uint32_t i = 0; i < len; i++)
			data[i] = in_byte(seq, i);
		if (c->journaled) {
			value = a.cell[seq % CELLS] += seq * 1000003 + len;
			if (seq % 3 == 0)
				memset(a.name, 'a' + (int)(seq % 26), sizeof(a.name));
		}
		a.log[s.log_len++] = (uint8_t)(len + seq);
		s.sum = s.sum * 3 + value + seq;
		s.last = seq;
		want->n_out_by[seq] = want->n_out_by[seq - 1];
		for (unsigned o = 0; o < c->n_out; o++) {
			if (o == 1 && seq % 2 == 0)
				continue;
			expect_out(want, o, &pos[o], data, o == 0 ? len : 0,
				   o == 0 ? value : s.sum);
			want->n_out_by[seq]++;
		}
		want->small[seq] = s;
		want->arena[seq] = a;
	}
}

static void object_create(struct object *o, uint64_t bytes)
{
	o->fd = memfd_create("crash", MFD_CLOEXEC);
	check(o->fd >= 0 && ftruncate(o->fd, (off_t)bytes) == 0, "memfd");
	o->bytes = bytes;
	o->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, o->fd, 0);
	check(o->map != MAP_FAILED, "mmap");
}

static void object_destroy(struct object *o)
{
	munmap(o->map, o->bytes);
	close(o->fd);
}

static void watch(struct world *w, uint8_t *at, size_t len)
{
	w->watch[w->n_watch++] = (struct step_watch){ at, len };
	w->watched_bytes += len;
}

static void lane_create(struct world *w, struct object *o, uint64_t limit, uint64_t limit_records,
			uint32_t max)
{
	object_create(o, SZ_LANE_DATA_AT + LANE_CAP);
	check(sz_lane_format(o->fd, 0, LANE_CAP, limit ? limit : LANE_CAP,
			     limit_records ? limit_records : UINT64_MAX, max, w->c->start_pos) == 0,
	      "sz_lane_format");
	watch(w, o->map + SZ_PAGE_BYTES, END_BYTES);
	watch(w, o->map + 2 * SZ_PAGE_BYTES, END_BYTES);
}

static void page_create(struct world *w)
{
	struct sz_page_plan plan = {
		.n_in = 1,
		.n_out = w->c->n_out,
		.n_counters = sz_counter_count(0, OWN_COUNTERS),
		.state_bytes = sizeof(struct small_state),
		.journal_bytes = BATCH * (sz_journal_cost(offsetof(struct arena, pad)) +
					  sz_journal_cost(13)),
		.arena_bytes = sizeof(struct arena),
	};
	struct sz_lane_mark *mark;

	object_create(&w->page, sz_page_plan_bytes(&plan));
	check(sz_page_format(w->page.fd, &plan) == 0, "sz_page_format");
	check(sz_ledger_attach(&w->l, w->page.fd, 1) == 0, "sz_ledger_attach");
	mark = (void *)(w->l.slots[0] + sizeof(struct sz_slot));
	for (unsigned i = 0; i < 1 + w->c->n_out; i++)
		mark[i].word = w->c->start_pos;
	watch(w, w->page.map + SZ_PAGE_BYTES, LIVE_BYTES);
	watch(w, w->page.map + w->l.h.slots_at, 2 * w->l.h.slot_bytes + w->l.h.journal_bytes);
	watch(w, w->page.map + w->l.h.arena_at, w->l.h.arena_bytes);
	sz_ledger_detach(&w->l);
}

static void stats_create(struct world *w)
{
	struct sz_stat_desc own[OWN_COUNTERS] = { { .name = "own" } },
			    desc[SZ_C_FIXED + OWN_COUNTERS + SZ_G_FIXED];
	uint32_t n = sz_stats_describe(desc, 0, own, OWN_COUNTERS);

	object_create(&w->stats_object, sz_stats_plan_bytes(n));
	check(sz_stats_format(w->stats_object.fd, 0, sz_counter_count(0, OWN_COUNTERS), desc, n) ==
		      0,
	      "sz_stats_format");
	check(sz_stats_attach(&w->stats, w->stats_object.fd, 1) == 0, "sz_stats_attach");
	watch(w, w->stats_object.map + w->stats.h.values_at, 8 + n * sizeof(uint64_t));
}

static void attach(struct sz_lane *lane, const struct object *o, enum sz_lane_side side)
{
	check(sz_lane_attach(lane, o->fd, side) == 0, "sz_lane_attach");
}

/* A peer publishes at once, so its own word is all it has to remember. */
static void peers_seek(struct world *w)
{
	sz_lane_seek(&w->feeder, w->feeder.own->pos, w->feeder.own->records);
	for (unsigned o = 0; o < w->c->n_out; o++)
		sz_lane_seek(&w->drainer[o], w->drainer[o].own->pos, w->drainer[o].own->records);
}

static void feed(struct world *w, unsigned most);

void world_create(struct world *w, const struct world_case *c, const struct expected *want,
		  enum broken broken)
{
	memset(w, 0, sizeof(*w));
	w->c = c;
	w->want = want;
	w->broken = broken;
	page_create(w);
	stats_create(w);
	lane_create(w, &w->in_object, c->in_limit, c->in_limit_records, MAX_IN);
	for (unsigned o = 0; o < c->n_out; o++)
		lane_create(w, &w->out_object[o], c->out_limit, c->out_limit_records, MAX_OUT);
	/* Data last: world_hash_control() leaves it out. */
	watch(w, w->in_object.map + SZ_LANE_DATA_AT, LANE_CAP);
	for (unsigned o = 0; o < c->n_out; o++)
		watch(w, w->out_object[o].map + SZ_LANE_DATA_AT, LANE_CAP);
	w->image_bytes = w->watched_bytes + sizeof(w->peers);
	attach(&w->feeder, &w->in_object, SZ_LANE_PRODUCER);
	attach(&w->in, &w->in_object, SZ_LANE_CONSUMER);
	attach(&w->in_recovery, &w->in_object, SZ_LANE_RECOVERY);
	for (unsigned o = 0; o < c->n_out; o++) {
		attach(&w->drainer[o], &w->out_object[o], SZ_LANE_CONSUMER);
		attach(&w->tap[o], &w->out_object[o], SZ_LANE_OBSERVER);
		attach(&w->out[o], &w->out_object[o], SZ_LANE_PRODUCER);
		attach(&w->out_recovery[o], &w->out_object[o], SZ_LANE_RECOVERY);
		w->drainer[o].own->parked = c->peers_parked;
	}
	w->feeder.own->parked = c->peers_parked;
	peers_seek(w);
	feed(w, c->feed_first);
}

void world_destroy(struct world *w)
{
	world_detach(w);
	sz_lane_detach(&w->feeder);
	sz_lane_detach(&w->in);
	sz_lane_detach(&w->in_recovery);
	object_destroy(&w->in_object);
	for (unsigned o = 0; o < w->c->n_out; o++) {
		sz_lane_detach(&w->drainer[o]);
		sz_lane_detach(&w->tap[o]);
		sz_lane_detach(&w->out[o]);
		sz_lane_detach(&w->out_recovery[o]);
		object_destroy(&w->out_object[o]);
	}
	sz_stats_detach(&w->stats);
	object_destroy(&w->stats_object);
	object_destroy(&w->page);
}

void world_save(const struct world *w, uint8_t *image)
{
	step_pack(w->watch, w->n_watch, image);
	memcpy(image + w->watched_bytes, &w->peers, sizeof(w->peers));
}

void world_load(struct world *w, const uint8_t *image)
{
	step_unpack(w->watch, w->n_watch, image);
	memcpy(&w->peers, image + w->watched_bytes, sizeof(w->peers));
	peers_seek(w);
	w->error[0] = 0;
}

uint64_t world_hash_control(const struct world *w, const uint8_t *image)
{
	return step_hash(image, w->watched_bytes - (1 + w->c->n_out) * LANE_CAP, 0);
}

static void feed(struct world *w, unsigned most)
{
	const struct world_case *c = w->c;
	unsigned n = 0;

	for (; n < most && w->peers.fed < c->n_records; n++) {
		unsigned seq = w->peers.fed + 1;
		uint32_t len = in_len(c, seq);
		uint8_t *to;

		if (sz_lane_room(&w->feeder, sz_record_space(len), 1) != 1)
			break;
		to = sz_lane_reserve(&w->feeder, len);
		for (uint32_t i = 0; i < len; i++)
			to[i] = in_byte(seq, i);
		sz_lane_commit(&w->feeder, len, SZ_RECORD_DATA, seq);
		w->peers.fed++;
	}
	if (w->peers.fed == c->n_records)
		w->feeder.own_flags |= SZ_LANE_ENDED;
	sz_end_publish(w->feeder.own, sz_lane_word(&w->feeder), w->feeder.records);
}

static bool is_expected(const struct world *w, unsigned o, unsigned k, const struct sz_record *r)
{
	const struct expected_record *e = &w->want->out[o][k];

	return k < w->want->n[o] && r->len == e->len && r->kind == SZ_RECORD_DATA &&
	       r->time_ns == k + 1 && memcmp(r->data, e->data, e->len) == 0;
}

static int drain(struct world *w, unsigned o, unsigned most)
{
	struct sz_lane *lane = &w->drainer[o];
	struct sz_record r = { 0 };
	int rc = 0, n = 0;

	while ((unsigned)n < most && (rc = sz_lane_peek(lane, &r)) == 1) {
		if (!is_expected(w, o, w->peers.got[o], &r)) {
			world_fail(w, "output %u: record %u is not the expected one", o,
				   w->peers.got[o]);
			return -EBADMSG;
		}
		sz_lane_release(lane, r.len);
		w->peers.got[o]++;
		n++;
	}
	if (rc < 0) {
		world_fail(w, "output %u: poisoned at record %u", o, w->peers.got[o]);
		return rc;
	}
	sz_end_publish(lane->own, sz_lane_word(lane), lane->records);
	return n;
}

int world_peers(struct world *w)
{
	uint32_t before = w->peers.fed;
	int sum = 0;

	feed(w, w->c->feed);
	sum += (int)(w->peers.fed - before);
	for (unsigned o = 0; o < w->c->n_out; o++) {
		int n = drain(w, o, w->c->drain);

		if (n < 0)
			return n;
		sum += n;
	}
	return sum;
}

/* Published, and within what the commits allow: at the mark, or behind it by no more than a lane. */
static bool not_ahead(struct world *w, const struct sz_lane_end *end,
		      const struct sz_lane_mark *mark, const char *what)
{
	uint64_t pos = end->pos & ~(uint64_t)SZ_LANE_FLAGS,
		 committed = mark->word & ~(uint64_t)SZ_LANE_FLAGS;

	if (committed - pos > LANE_CAP)
		return world_fail(w, "%s is published ahead of the epoch", what);
	if ((end->pos & SZ_LANE_ENDED) && !(mark->word & SZ_LANE_ENDED))
		return world_fail(w, "the end of %s is published ahead of the epoch", what);
	return true;
}

/*
 * A tap at every record that could still be there: what it accepts must be the record, and what no consumer has
 * taken yet it must accept.
 */
static bool taps_agree(struct world *w, unsigned o)
{
	const struct sz_lane_end *producer = sz_lane_producer_end(&w->tap[o]);
	const struct sz_lane_end *consumer = sz_lane_consumer_end(&w->tap[o]);
	uint64_t tail = producer->pos & ~(uint64_t)SZ_LANE_FLAGS,
		 head = consumer->pos & ~(uint64_t)SZ_LANE_FLAGS;
	uint8_t buf[MAX_OUT];

	for (unsigned k = 0; k < w->want->n[o]; k++) {
		uint64_t at = w->want->out[o][k].pos, pos = at;
		struct sz_record r = { 0 };
		int rc;

		if (tail - at > LANE_CAP || tail == at)
			continue;
		rc = sz_lane_tap(&w->tap[o], &pos, buf, sizeof(buf), &r);
		if (rc == 1 && !is_expected(w, o, k, &r))
			return world_fail(w, "output %u: a tap accepted a torn record %u", o, k);
		if (rc != 1 && at - head < LANE_CAP)
			return world_fail(
				w, "output %u: a tap refused record %u, which is still there", o,
				k);
	}
	return true;
}

bool world_check_raw(struct world *w)
{
	int rc = world_attach(w);
	bool ok;

	if (rc)
		return world_fail(w, "the page cannot be attached: %d", rc);
	ok = w->consequences_only || not_ahead(w, w->in.own, &w->l.in[0], "the head");
	for (unsigned o = 0; ok && o < w->c->n_out; o++)
		ok = (w->consequences_only ||
		      not_ahead(w, w->out[o].own, &w->l.out[o], "a tail")) &&
		     taps_agree(w, o);
	world_detach(w);
	return ok;
}

static bool mark_is_published(struct world *w, const struct sz_lane_end *end,
			      const struct sz_lane_mark *mark, const char *what)
{
	if (end->pos != mark->word || end->records != mark->records)
		return world_fail(w, "the published %s is not the committed one", what);
	if (end->parked)
		return world_fail(w, "a %s is still parked", what);
	return true;
}

static bool counters_agree(struct world *w)
{
	const struct small_state *s = w->l.state;
	uint64_t values[SZ_C_FIXED + OWN_COUNTERS + SZ_G_FIXED];

	if (w->l.counters[SZ_C_RECORDS_IN] != s->last || w->l.counters[SZ_C_HANDLED] != s->last ||
	    w->l.counters[SZ_C_RECORDS_OUT] != w->want->n_out_by[s->last] ||
	    w->l.counters[SZ_C_COMMITS] != w->l.epoch || w->l.counters[SZ_C_FIXED] != 3 * s->last)
		return world_fail(w, "counters are wrong");
	if (w->l.in[0].records != s->last)
		return world_fail(w, "the input's record count is wrong");
	if (sz_stats_read(&w->stats, values))
		return world_fail(w, "the statistics' sequence is odd");
	if (memcmp(values, w->l.counters, w->l.h.n_counters * sizeof(uint64_t)) != 0)
		return world_fail(w, "statistics are not the committed counters");
	return true;
}

static bool state_agrees(struct world *w)
{
	const struct small_state *s = w->l.state;
	const struct arena *a = (const void *)w->l.arena;

	if (s->last > w->c->n_records || memcmp(s, &w->want->small[s->last], sizeof(*s)) != 0)
		return world_fail(w, "small state is wrong");
	if (memcmp(a, &w->want->arena[s->last], offsetof(struct arena, log)) != 0)
		return world_fail(w, "journaled state is wrong after %u records",
				  (unsigned)s->last);
	if (memcmp(a->log, w->want->arena[s->last].log, s->log_len) != 0)
		return world_fail(w, "the append-only area is wrong");
	return true;
}

bool world_check_recovered(struct world *w)
{
	bool ok = state_agrees(w) && counters_agree(w) &&
		  mark_is_published(w, w->in.own, &w->l.in[0], "head");

	for (unsigned o = 0; ok && o < w->c->n_out; o++)
		ok = mark_is_published(w, w->out[o].own, &w->l.out[o], "tail") && taps_agree(w, o);
	if (ok && !w->consequences_only &&
	    w->l.live->journal != (w->l.epoch + 1) << SZ_JOURNAL_UNIT_BITS)
		return world_fail(w, "the journal word was not reset");
	return ok;
}

bool world_check_end(struct world *w)
{
	const struct small_state *s = w->l.state;

	if (s->last != w->c->n_records || w->l.next->run_state != SZ_RUN_ENDED)
		return world_fail(w, "the script did not end: %u records", (unsigned)s->last);
	/* Drain the rest, and see the end behind it. */
	for (unsigned o = 0; o < w->c->n_out; o++) {
		if (drain(w, o, RECORDS_MAX) < 0)
			return false;
		if (w->peers.got[o] != w->want->n[o])
			return world_fail(w, "output %u: %u records of %u", o, w->peers.got[o],
					  w->want->n[o]);
		if (!sz_lane_ended(&w->drainer[o]))
			return world_fail(w, "output %u has no end", o);
		if (w->drainer[o].peer_records != w->drainer[o].records &&
		    w->out[o].own->records != w->want->n[o])
			return world_fail(w, "output %u: wrong record count", o);
	}
	if (!state_agrees(w) || !counters_agree(w) ||
	    !mark_is_published(w, w->in.own, &w->l.in[0], "head"))
		return false;
	for (unsigned o = 0; o < w->c->n_out; o++)
		if (!mark_is_published(w, w->out[o].own, &w->l.out[o], "tail"))
			return false;
	return true;
}
