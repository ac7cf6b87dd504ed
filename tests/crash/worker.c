/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.c - a small stage: takes batches, changes journaled and small state, writes outputs, commits, publishes
 *
 * It uses the shared-memory functions as the runtime does: what a life knows comes from the ledger, a batch ends where
 * an output has no room for the most that a record may lead to, and nothing is published before the commit.
 */
#include "world.h"

int world_attach(struct world *w)
{
	int rc = sz_ledger_attach(&w->l, w->page.fd, 1);

	if (rc)
		return rc;
	sz_lane_seek(&w->in, w->l.in[0].word, w->l.in[0].records);
	for (unsigned o = 0; o < w->c->n_out; o++)
		sz_lane_seek(&w->out[o], w->l.out[o].word, w->l.out[o].records);
	return 0;
}

void world_detach(struct world *w)
{
	if (w->l.map)
		sz_ledger_detach(&w->l);
}

int world_recover(struct world *w)
{
	if (w->broken != REAL)
		return broken_recover(w);
	return sz_ledger_recover(&w->l, &w->in_recovery, w->out_recovery, &w->stats);
}

static int save(struct world *w, const void *at, size_t len)
{
	return w->broken == REAL ? sz_ledger_journal(&w->l, at, len) : broken_journal(w, at, len);
}

static void saved_is_overwritten(struct world *w)
{
	if (w->broken != REAL)
		broken_overwritten(w);
}

static void emit(struct world *w, unsigned o, const uint8_t *data, uint32_t len, uint64_t value)
{
	struct sz_lane *lane = &w->out[o];
	uint32_t total = len + (uint32_t)sizeof(value);
	uint8_t *to =
		w->broken == REAL ? sz_lane_reserve(lane, total) : broken_reserve(w, lane, total);

	memcpy(to, data, len);
	memcpy(to + len, &value, sizeof(value));
	if (w->broken != REAL)
		broken_written(w, lane, total);
	sz_lane_commit(lane, total, SZ_RECORD_DATA, lane->records + 1);
	w->l.counters[SZ_C_RECORDS_OUT]++;
}

static int change_state(struct world *w, struct small_state *s, const struct sz_record *r,
			uint64_t *value)
{
	struct arena *a = (void *)w->l.arena;
	uint64_t seq = s->last + 1, *cell = &a->cell[seq % CELLS];
	int rc = 0;

	*value = s->sum;
	if (w->c->journaled) {
		rc = w->other_way ? save(w, a, offsetof(struct arena, pad))
				  : save(w, cell, sizeof(*cell));
		*cell += seq * 1000003 + r->len;
		*value = *cell;
		saved_is_overwritten(w);
		if (!rc && seq % 3 == 0) {
			rc = save(w, a->name, sizeof(a->name));
			memset(a->name, 'a' + (int)(seq % 26), sizeof(a->name));
			saved_is_overwritten(w);
		}
	}
	a->log[s->log_len++] = (uint8_t)(r->len + seq);
	s->sum = s->sum * 3 + *value + seq;
	s->last = seq;
	return rc;
}

static int handle(struct world *w, const struct sz_record *r)
{
	struct small_state *s = w->l.state;
	uint64_t value, seq = s->last + 1;
	int rc = change_state(w, s, r, &value);

	for (unsigned o = 0; o < w->c->n_out; o++)
		if (o != 1 || seq % 2 != 0)
			emit(w, o, r->data, o == 0 ? r->len : 0, o == 0 ? value : s->sum);
	w->l.counters[SZ_C_RECORDS_IN]++;
	w->l.counters[SZ_C_BYTES_IN] += r->len;
	w->l.counters[SZ_C_HANDLED]++;
	w->l.counters[SZ_C_FIXED] += 3;
	return rc;
}

static void publish(struct sz_lane *lane, const struct sz_lane_mark *mark)
{
	sz_end_publish(lane->own, mark->word, mark->records);
}

static void commit(struct world *w)
{
	struct sz_ledger *l = &w->l;

	l->in[0] = (struct sz_lane_mark){ sz_lane_word(&w->in), w->in.records };
	for (unsigned o = 0; o < w->c->n_out; o++)
		l->out[o] = (struct sz_lane_mark){ sz_lane_word(&w->out[o]), w->out[o].records };
	l->counters[SZ_C_COMMITS]++;
	if (w->broken == REAL)
		sz_ledger_commit(l);
	else
		broken_commit(w);
	for (unsigned o = 0; o < w->c->n_out; o++)
		publish(&w->out[o], &l->out[o]);
	publish(&w->in, &l->in[0]);
	sz_fence_full();
	for (unsigned o = 0; o < w->c->n_out; o++)
		if (sz_lane_peer_parked(&w->out[o]))
			sz_lane_wake_peer(&w->out[o]);
	if (sz_lane_peer_parked(&w->in))
		sz_lane_wake_peer(&w->in);
	sz_stats_publish(&w->stats, l->counters, NULL);
}

static bool all_have_room(struct world *w)
{
	for (unsigned o = 0; o < w->c->n_out; o++)
		if (sz_lane_room(&w->out[o], sz_record_space(MAX_OUT), 1) != 1)
			return false;
	return true;
}

/* Sleeps as the runtime does, but for the sleep itself. */
static int wait_for_peers(struct world *w, int (*ask)(struct world *w))
{
	int rc;

	sz_lane_park(&w->in);
	for (unsigned o = 0; o < w->c->n_out; o++)
		sz_lane_park(&w->out[o]);
	sz_fence_full();
	rc = ask(w);
	sz_lane_unpark(&w->in);
	for (unsigned o = 0; o < w->c->n_out; o++)
		sz_lane_unpark(&w->out[o]);
	return rc;
}

static void end(struct world *w)
{
	if (w->broken != END_NOT_COMMITTED)
		for (unsigned o = 0; o < w->c->n_out; o++)
			w->out[o].own_flags |= SZ_LANE_ENDED;
	w->l.next->run_state = SZ_RUN_ENDED;
}

/* Broken on purpose: the flag is in the published word only, where no recovery finds it. */
static void publish_uncommitted_end(struct world *w)
{
	for (unsigned o = 0; o < w->c->n_out; o++)
		sz_store_release(&w->out[o].own->pos, sz_lane_word(&w->out[o]) | SZ_LANE_ENDED);
}

int world_work(struct world *w, unsigned max_batches, int (*ask)(struct world *w))
{
	while (max_batches > 0 && w->l.next->run_state != SZ_RUN_ENDED) {
		bool ended = false;
		unsigned n = 0;
		int rc = 0;

		while (n < BATCH && all_have_room(w)) {
			struct sz_record r = { 0 };

			rc = sz_lane_peek(&w->in, &r);
			if (rc == 0)
				ended = sz_lane_ended(&w->in);
			if (rc != 1)
				break;
			rc = handle(w, &r);
			if (rc)
				break;
			sz_lane_release(&w->in, r.len);
			n++;
		}
		if (rc < 0)
			return rc;
		if (ended)
			end(w);
		else
			w->l.next->run_state = SZ_RUN_RUNNING;
		if (n > 0 || ended) {
			commit(w);
			max_batches--;
			if (ended && w->broken == END_NOT_COMMITTED)
				publish_uncommitted_end(w);
		} else if (!wait_for_peers(w, ask)) {
			return 0;
		}
	}
	return w->l.next->run_state == SZ_RUN_ENDED;
}
