/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * broken.c - copies of commit, journal, roll-back, recovery and reservation, each of which can break one rule
 *
 * A test that cannot fail proves nothing: with COPY these must pass every check, with any later member of enum broken
 * the checks must find the break.
 */
#include "world.h"

static uint64_t word_of(uint64_t epoch, uint64_t bytes)
{
	return epoch << SZ_JOURNAL_UNIT_BITS | bytes / 8;
}

void broken_commit(struct world *w)
{
	struct sz_ledger *l = &w->l;
	uint64_t e = l->epoch + 1;

	if (w->broken == TAIL_BEFORE_EPOCH)
		for (unsigned o = 0; o < w->c->n_out; o++)
			sz_end_publish(w->out[o].own, l->out[o].word, l->out[o].records);
	if (w->broken == HEAD_BEFORE_EPOCH)
		sz_end_publish(w->in.own, l->in[0].word, l->in[0].records);
	l->next->epoch = e;
	if (w->broken == EPOCH_BEFORE_SLOT)
		sz_store_release(&l->live->epoch, e);
	sz_fence_compiler();
	memcpy(l->slots[(w->broken == SLOT_IN_PLACE ? e - 1 : e) & 1], l->next, l->h.slot_bytes);
	if (w->broken == SLOT_IN_PLACE)
		memcpy(l->slots[e & 1], l->next, l->h.slot_bytes);
	sz_fence_compiler();
	sz_store_release(&l->live->epoch, e);
	sz_fence_compiler();
	l->epoch = e;
	l->journal_used = 0;
}

struct entry {
	uint32_t offset, len;
};

static void count(struct world *w)
{
	sz_fence_compiler();
	sz_store_release(&w->l.live->journal, word_of(w->l.epoch + 1, w->l.journal_used));
	sz_fence_compiler();
}

int broken_journal(struct world *w, const void *at, size_t len)
{
	struct sz_ledger *l = &w->l;
	size_t padded = (len + 7) & ~(size_t)7;
	struct entry entry = { (uint32_t)((const uint8_t *)at - l->arena), (uint32_t)len };
	uint8_t *to = l->journal + l->journal_used;

	if (w->broken == STATE_NOT_JOURNALED)
		return 0;
	if (padded + sizeof(entry) > l->h.journal_bytes - l->journal_used)
		return -ENOSPC;
	l->journal_used += padded + sizeof(entry);
	if (w->broken == COUNTED_BEFORE_ENTRY)
		count(w);
	memcpy(to, at, len);
	memcpy(to + padded, &entry, sizeof(entry));
	sz_fence_compiler();
	if (w->broken != COUNTED_AFTER_OVERWRITE)
		count(w);
	return 0;
}

void broken_overwritten(struct world *w)
{
	if (w->broken == COUNTED_AFTER_OVERWRITE)
		count(w);
}

static int undo_newest_first(struct sz_ledger *l, uint64_t used)
{
	while (used > 0) {
		struct entry e;
		uint64_t size;

		memcpy(&e, l->journal + used - sizeof(e), sizeof(e));
		size = (((uint64_t)e.len + 7) & ~7ull) + sizeof(e);
		if (size > used || e.offset > l->h.arena_bytes ||
		    e.len > l->h.arena_bytes - e.offset)
			return -EBADMSG;
		used -= size;
		memcpy(l->arena + e.offset, l->journal + used, e.len);
	}
	return 0;
}

/* Finds the ends of the entries as undo_newest_first() does, then applies them the wrong way round. */
static int undo_oldest_first(struct sz_ledger *l, uint64_t used)
{
	uint64_t end[3 * BATCH];
	unsigned n = 0;

	while (used > 0 && n < 3 * BATCH) {
		struct entry e;

		end[n++] = used;
		memcpy(&e, l->journal + used - sizeof(e), sizeof(e));
		used -= (((uint64_t)e.len + 7) & ~7ull) + sizeof(e);
	}
	while (n-- > 0) {
		struct entry e;

		memcpy(&e, l->journal + end[n] - sizeof(e), sizeof(e));
		memcpy(l->arena + e.offset, l->journal + end[n] - sizeof(e) - ((e.len + 7) & ~7u),
		       e.len);
	}
	return 0;
}

static int rollback(struct world *w)
{
	struct sz_ledger *l = &w->l;
	uint64_t epoch = sz_load_acquire(&l->live->epoch),
		 word = sz_load_relaxed(&l->live->journal);
	uint64_t used = (word & ((1ull << SZ_JOURNAL_UNIT_BITS) - 1)) * 8;
	int rc = 0;

	if (w->broken == WORD_RESET_FIRST)
		sz_store_release(&l->live->journal, word_of(epoch + 1, 0));
	sz_fence_compiler();
	if (word >> SZ_JOURNAL_UNIT_BITS == epoch + 1)
		rc = w->broken == OLDEST_FIRST ? undo_oldest_first(l, used)
					       : undo_newest_first(l, used);
	if (rc)
		return rc;
	sz_fence_compiler();
	if (w->broken != WORD_NOT_RESET)
		sz_store_release(&l->live->journal, word_of(epoch + 1, 0));
	sz_fence_compiler();
	l->journal_used = 0;
	return 0;
}

int broken_recover(struct world *w)
{
	struct sz_ledger *l = &w->l;
	int rc = sz_ledger_check(l, &w->in_recovery, w->out_recovery);

	if (!rc)
		rc = rollback(w);
	if (rc)
		return rc;
	if (w->broken != NOT_REPUBLISHED) {
		for (unsigned o = 0; o < w->c->n_out; o++)
			sz_end_publish(w->out[o].own, l->out[o].word, l->out[o].records);
		sz_end_publish(w->in.own, l->in[0].word, l->in[0].records);
	}
	if (w->broken != STATS_NOT_REPUBLISHED)
		sz_stats_publish(&w->stats, l->counters, NULL);
	for (unsigned o = 0; o < w->c->n_out; o++)
		sz_store_relaxed(&w->out[o].own->parked, 0);
	sz_store_relaxed(&w->in.own->parked, 0);
	return 0;
}

uint8_t *broken_reserve(struct world *w, struct sz_lane *lane, uint32_t len)
{
	if (w->broken == CLAIM_AFTER_WRITE)
		return lane->data + (lane->pos & lane->mask) + SZ_RECORD_HEADER;
	return sz_lane_reserve(lane, len);
}

void broken_written(struct world *w, struct sz_lane *lane, uint32_t len)
{
	sz_fence_compiler();
	if (w->broken == CLAIM_AFTER_WRITE)
		sz_lane_reserve(lane, len);
}
