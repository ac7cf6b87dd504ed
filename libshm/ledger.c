/* SPDX-License-Identifier: BSD-2-Clause */
/* ledger.c - commit, journal, recovery; invariants and layout are in ledger.h, crash points in docs/RECOVERY.md */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <streamz/contract.h>
#include <streamz/ledger.h>

#define LIVE_AT  SZ_PAGE_BYTES
#define SLOTS_AT (2u * SZ_PAGE_BYTES)
/* Whole pages whose offsets fit a journal entry. */
#define ARENA_MAX (UINT32_MAX & ~(SZ_PAGE_BYTES - 1))

/* Follows the saved bytes, so that the journal can be walked from its end. */
struct journal_entry {
	uint32_t offset; /* in the arena */
	uint32_t len;
};

static bool plan_header(const struct sz_page_plan *p, struct sz_page_header *h)
{
	if (p->n_in > SZ_LANES_MAX || p->n_out > SZ_LANES_MAX || p->n_counters > SZ_STATS_MAX ||
	    p->state_bytes > SZ_STATE_MAX || p->journal_bytes > SZ_JOURNAL_BYTES_MAX ||
	    p->arena_bytes > ARENA_MAX)
		return false;
	*h = (struct sz_page_header){
		.magic = SZ_PAGE_MAGIC,
		.abi = SZ_ABI,
		.worker_index = p->worker_index,
		.n_in = p->n_in,
		.n_out = p->n_out,
		.n_counters = p->n_counters,
		.state_bytes = (uint32_t)sz_round_up(p->state_bytes, 8),
		.journal_bytes = sz_round_up(p->journal_bytes, 8),
		.arena_bytes = sz_round_up(p->arena_bytes, SZ_PAGE_BYTES),
		.slots_at = SLOTS_AT,
	};
	h->slot_bytes = sz_round_up(sizeof(struct sz_slot) +
					    (p->n_in + p->n_out) * sizeof(struct sz_lane_mark) +
					    p->n_counters * sizeof(uint64_t) + h->state_bytes,
				    SZ_CACHELINE);
	h->journal_at = SLOTS_AT + 2 * h->slot_bytes;
	h->arena_at = sz_round_up(h->journal_at + h->journal_bytes, SZ_PAGE_BYTES);
	h->object_bytes = h->arena_at + h->arena_bytes;
	return true;
}

uint64_t sz_page_plan_bytes(const struct sz_page_plan *plan)
{
	struct sz_page_header h;

	return plan_header(plan, &h) ? h.object_bytes : 0;
}

int sz_page_format(int fd, const struct sz_page_plan *plan)
{
	struct sz_page_header h;
	void *map;

	if (!plan_header(plan, &h))
		return -EINVAL;
	map = mmap(NULL, SZ_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	memcpy(map, &h, sizeof(h));
	munmap(map, SZ_PAGE_BYTES);
	return 0;
}

/* The header is recomputed from its own counts: whatever does not come out the same is not ours. */
static bool header_is_sane(const struct sz_page_header *h, uint64_t object_bytes)
{
	struct sz_page_plan p = {
		.worker_index = h->worker_index,
		.n_in = h->n_in,
		.n_out = h->n_out,
		.n_counters = h->n_counters,
		.state_bytes = h->state_bytes,
		.journal_bytes = h->journal_bytes,
		.arena_bytes = h->arena_bytes,
	};
	struct sz_page_header want;

	return plan_header(&p, &want) && memcmp(&want, h, sizeof(want)) == 0 &&
	       h->object_bytes == object_bytes;
}

const struct sz_slot *sz_ledger_slot(const struct sz_ledger *l)
{
	/* pairs: sz_ledger_commit() */
	return (const void *)l->slots[sz_load_acquire(&l->live->epoch) & 1];
}

static int read_header(int fd, struct sz_page_header *h)
{
	void *map = mmap(NULL, SZ_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	memcpy(h, map, sizeof(*h));
	munmap(map, SZ_PAGE_BYTES);
	return 0;
}

/* The arena once more behind the object: rings in it never wrap. */
static int map_object(const struct sz_page_header *h, int fd, int prot, uint8_t **out)
{
	size_t bytes = h->object_bytes + h->arena_bytes;
	uint8_t *map =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int rc = 0;

	if (map == MAP_FAILED)
		return -errno;
	if (mmap(map, h->object_bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		rc = -errno;
	if (!rc && h->arena_bytes &&
	    mmap(map + h->object_bytes, h->arena_bytes, prot, MAP_SHARED | MAP_FIXED, fd,
		 (off_t)h->arena_at) == MAP_FAILED)
		rc = -errno;
	if (rc) {
		munmap(map, bytes);
		return rc;
	}
	*out = map;
	return 0;
}

int sz_ledger_attach(struct sz_ledger *l, int fd, int writable)
{
	const struct sz_slot *slot;
	struct sz_page_header h;
	struct stat st;
	uint8_t *map = NULL;
	int rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)(3 * SZ_PAGE_BYTES))
		return -EBADMSG;
	rc = read_header(fd, &h);
	if (!rc && !header_is_sane(&h, (uint64_t)st.st_size))
		rc = -EBADMSG;
	if (!rc)
		rc = map_object(&h, fd, writable ? PROT_READ | PROT_WRITE : PROT_READ, &map);
	if (rc)
		return rc;
	memset(l, 0, sizeof(*l));
	l->h = h;
	l->live = (void *)(map + LIVE_AT);
	l->slots[0] = map + h.slots_at;
	l->slots[1] = map + h.slots_at + h.slot_bytes;
	l->journal = map + h.journal_at;
	l->arena = map + h.arena_at;
	l->map = map;
	l->map_bytes = h.object_bytes + h.arena_bytes;
	l->epoch = sz_load_acquire(&l->live->epoch);
	slot = (const void *)l->slots[l->epoch & 1];
	l->next = aligned_alloc(SZ_CACHELINE, h.slot_bytes);
	if (!l->next) {
		sz_ledger_detach(l);
		return -ENOMEM;
	}
	memcpy(l->next, slot, h.slot_bytes);
	l->in = (void *)(l->next + 1);
	l->out = l->in + h.n_in;
	l->counters = (void *)(l->out + h.n_out);
	l->state = l->counters + h.n_counters;
	if (l->next->epoch != l->epoch || l->next->run_state > SZ_RUN_ENDED) {
		sz_ledger_detach(l);
		return -EBADMSG;
	}
	return 0;
}

void sz_ledger_detach(struct sz_ledger *l)
{
	free(l->next);
	if (l->map)
		munmap(l->map, l->map_bytes);
	memset(l, 0, sizeof(*l));
}

void sz_ledger_commit(struct sz_ledger *l)
{
	uint64_t e = l->epoch + 1;

	l->next->epoch = e;
	memcpy(l->slots[e & 1], l->next, l->h.slot_bytes);
	/* Crash point "filled": the slot nobody looks at is whole or torn; the batch never happened. */
	sz_store_release(&l->live->epoch, e); /* pairs: sz_ledger_slot(), sz_ledger_attach() */
	/* Crash point "committed": the batch has happened; recovery publishes it. */
	/* entries of the next batch overwrite the journal only after the epoch is out (G5) */
	sz_fence_compiler();
	l->epoch = e;
	l->journal_used = 0;
}

static uint64_t journal_word(uint64_t epoch, uint64_t bytes)
{
	return epoch << SZ_JOURNAL_UNIT_BITS | bytes / 8;
}

int sz_ledger_journal(struct sz_ledger *l, const void *at, size_t len)
{
	size_t padded = (size_t)sz_round_up(len, 8);
	uint64_t offset = (uint64_t)((const uint8_t *)at - l->arena);
	struct journal_entry entry = { .offset = (uint32_t)offset, .len = (uint32_t)len };
	uint8_t *to = l->journal + l->journal_used;

	if (len == 0)
		return 0;
	if (offset > l->h.arena_bytes || len > l->h.arena_bytes - offset)
		return -EINVAL;
	if (padded + sizeof(entry) > l->h.journal_bytes - l->journal_used)
		return -ENOSPC;
	memcpy(to, at, len);
	memcpy(to + padded, &entry, sizeof(entry));
	/* Crash point "saved": the entry is whole but does not count, and nothing was overwritten. */
	sz_fence_compiler();
	l->journal_used += padded + sizeof(entry);
	sz_store_release(&l->live->journal, journal_word(l->epoch + 1, l->journal_used));
	/* Crash point "counted": rolling back rewrites the bytes that are there. */
	sz_fence_compiler();
	return 0;
}

int sz_ledger_rollback(struct sz_ledger *l)
{
	uint64_t epoch = sz_load_acquire(&l->live->epoch);
	uint64_t word = sz_load_relaxed(&l->live->journal);
	uint64_t used = (word & ((1ull << SZ_JOURNAL_UNIT_BITS) - 1)) * 8;

	if (word >> SZ_JOURNAL_UNIT_BITS == ((epoch + 1) & (UINT64_MAX >> SZ_JOURNAL_UNIT_BITS))) {
		if (used > l->h.journal_bytes)
			return -EBADMSG;
		while (used > 0) {
			struct journal_entry entry;
			uint64_t padded;

			if (used < sizeof(entry))
				return -EBADMSG;
			memcpy(&entry, l->journal + used - sizeof(entry), sizeof(entry));
			padded = sz_round_up(entry.len, 8);
			if (padded + sizeof(entry) > used || entry.offset > l->h.arena_bytes ||
			    entry.len > l->h.arena_bytes - entry.offset)
				return -EBADMSG;
			used -= padded + sizeof(entry);
			memcpy(l->arena + entry.offset, l->journal + used, entry.len);
			/* Crash point "undone": the word still counts all entries; they are applied again. */
		}
	}
	sz_fence_compiler();
	/* Also where the word belongs to an older epoch: 2^40 epochs later it would seem to be of this one. */
	sz_store_release(&l->live->journal, journal_word(epoch + 1, 0));
	sz_fence_compiler();
	l->journal_used = 0;
	return 0;
}

/* 0 <= ahead - behind <= limit, flags apart */
static bool in_order(uint64_t ahead, uint64_t behind, const struct sz_lane *lane)
{
	return sz_word_pos(ahead) - sz_word_pos(behind) <= lane->limit_bytes;
}

/*
 * Published words lag behind the ledger they are copied from, ours too; so a committed tail is held against the
 * consumer's published head, which is at most the true head: true tail - published head <= limit, since a producer
 * writes only into room that was published. A committed head is held against the producer's published tail, which
 * may lag behind what the producer committed but never behind what this consumer has seen.
 *
 * If they disagree, one of the two is wild. A peer's wild word must not cost this worker its recovery: where the two
 * published words disagree as well, and the mark is where this end's own word could have gone, it is the peer.
 */
static bool tail_fits(uint64_t tail, const struct sz_lane *lane)
{
	uint64_t head = sz_load_acquire(&sz_lane_consumer_end(lane)->pos);
	uint64_t published = sz_load_relaxed(&sz_lane_producer_end(lane)->pos);

	return in_order(tail, head, lane) ||
	       (!in_order(published, head, lane) && in_order(tail, published, lane));
}

static bool head_fits(uint64_t head, const struct sz_lane *lane)
{
	uint64_t tail = sz_load_acquire(&sz_lane_producer_end(lane)->pos);
	uint64_t published = sz_load_relaxed(&sz_lane_consumer_end(lane)->pos);

	return in_order(tail, head, lane) ||
	       (!in_order(tail, published, lane) && in_order(head, published, lane));
}

int sz_ledger_check(const struct sz_ledger *l, const struct sz_lane *in, const struct sz_lane *out)
{
	for (uint32_t i = 0; i < l->h.n_in; i++)
		if (!head_fits(l->in[i].word, &in[i]))
			return -EBADMSG;
	for (uint32_t i = 0; i < l->h.n_out; i++)
		if (!tail_fits(l->out[i].word, &out[i]))
			return -EBADMSG;
	return 0;
}

void sz_ledger_revive(struct sz_ledger *l)
{
	struct sz_slot *slot = (void *)l->slots[l->epoch & 1];
	struct sz_lane_mark *marks = (void *)(slot + 1); /* inputs, then outputs */

	for (uint32_t i = 0; i < l->h.n_in + l->h.n_out; i++)
		sz_store_relaxed(&marks[i].word, marks[i].word & ~(uint64_t)SZ_LANE_ENDED);
	/* Crash point "half revived": done again, whatever of it is there. */
	sz_store_release(&slot->run_state, SZ_RUN_RUNNING);
	memcpy(l->next, slot, l->h.slot_bytes);
}

int sz_ledger_recover(struct sz_ledger *l, const struct sz_lane *in, const struct sz_lane *out,
		      struct sz_stats *stats)
{
	int rc = sz_ledger_check(l, in, out);

	if (!rc)
		rc = sz_ledger_rollback(l);
	if (rc)
		return rc;
	/* A worker that is not yet on its first commit has nothing to publish but where it stands. */
	for (uint32_t i = 0; i < l->h.n_out; i++)
		sz_end_publish(sz_lane_producer_end(&out[i]), l->out[i].word, l->out[i].records);
	for (uint32_t i = 0; i < l->h.n_in; i++)
		sz_end_publish(sz_lane_consumer_end(&in[i]), l->in[i].word, l->in[i].records);
	/* Crash point "republished": the same stores again are harmless, they are monotone. */
	if (stats && stats->h.n_counters == l->h.n_counters)
		sz_stats_publish(stats, l->counters, NULL);
	for (uint32_t i = 0; i < l->h.n_out; i++) {
		sz_store_relaxed(&sz_lane_producer_end(&out[i])->parked, 0);
		sz_futex_wake(sz_low_word(&sz_lane_producer_end(&out[i])->pos));
	}
	for (uint32_t i = 0; i < l->h.n_in; i++) {
		sz_store_relaxed(&sz_lane_consumer_end(&in[i])->parked, 0);
		sz_futex_wake(sz_low_word(&sz_lane_consumer_end(&in[i])->pos));
	}
	return 0;
}
