/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger.h - the stage page: commit slots, small state, undo journal, arena, last words
 *
 * A worker owns one page object. What it has done is what its ledger says; everything else it wrote is either derived
 * from the ledger (published positions, statistics) or does not exist (bytes beyond a tail, journaled overwrites).
 *
 * Invariants
 *   G1  slot[epoch & 1] is whole and true. The other slot is scratch.
 *   G2  A commit is one release store of epoch. Before it the batch never happened, after it it has happened.
 *   G3  Published words (tails, heads, with their flags) are copies of what slot[epoch & 1] says, or of what an
 *       earlier epoch said: a prefix of the publication may be missing, never anything ahead of the epoch.
 *   G4  Recovery = roll the journal back, publish slot[epoch & 1] again, wake all peers. It reads only what recovery
 *       does not change (the slot, the journal's entries), so it may be killed anywhere and run again.
 *   G5  The journal is valid when its word says epoch + 1. An entry is whole before the word counts it, and the word
 *       counts it before the arena is overwritten. Roll-back goes newest first; its last store is {epoch + 1, 0}, so
 *       the next life does not take the dead life's entries for its own.
 *   G6  Arena bytes are journaled before they are overwritten, or lie in a region used append-only: beyond the
 *       length that the state says, and reused only after the commit that gave them up.
 *   G7  The page has one writer: the worker while it lives, the recovery process between its reap and the next life.
 *
 * What a kill leaves, store by store, is in docs/RECOVERY.md.
 *
 * Object layout
 *
 *   0        struct sz_page_header   w: launcher, before anybody attaches
 *   4096     epoch | journal word | last words                 w: worker
 *   8192     slot[0] | slot[1]       slot_bytes each           w: worker
 *            journal                 journal_bytes             w: worker
 *            arena                   arena_bytes, whole pages  w: worker; mapped twice, back to back
 *
 * A slot: struct sz_slot | in[n_in] | out[n_out] | counter[n_counters] | state[state_bytes]
 */
#ifndef STREAMZ_LEDGER_H
#define STREAMZ_LEDGER_H

#include <streamz/lane.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sz_stats;

#define SZ_PAGE_MAGIC 0x65676170737a0001ull
/* of one worker, inputs and outputs each; one word is for attention */
#define SZ_LANES_MAX    (SZ_WAIT_MAX - 1)
#define SZ_STATE_MAX    4096u /* small state; what is larger lives in the arena */
#define SZ_INFLIGHT_MAX 64u

enum sz_run_state {
	SZ_RUN_FRESH = 0, /* never committed */
	SZ_RUN_RUNNING = 1,
	SZ_RUN_FINISHING = 2, /* inputs have ended; finish() has not returned 0 yet */
	SZ_RUN_ENDED = 3,     /* outputs carry SZ_LANE_ENDED; nothing more to do */
};

/* Why a worker went from RUNNING to FINISHING. What a drain ended goes on when the pipeline is resumed. */
enum sz_ended_by {
	SZ_ENDED_BY_NOTHING = 0,
	SZ_ENDED_BY_INPUTS = 1, /* all of them have ended */
	SZ_ENDED_BY_ITSELF = 2, /* it said so, or nobody takes what it makes */
	SZ_ENDED_BY_DRAIN = 3,  /* a source that was told to, at its end or not */
};

struct sz_page_header {
	uint64_t magic;
	uint32_t abi;
	uint32_t worker_index; /* in the pipeline's topology */
	uint64_t object_bytes;
	uint32_t n_in, n_out;
	uint32_t n_counters;
	uint32_t state_bytes; /* multiple of 8 */
	uint64_t slot_bytes;
	uint64_t slots_at, journal_at, arena_at;
	uint64_t journal_bytes, arena_bytes;
};

struct sz_lane_mark {
	uint64_t word; /* position and flags, as published */
	uint64_t records;
};

struct sz_slot {
	uint64_t epoch;     /* of the commit that filled it: proof that the slot is the one meant */
	uint32_t run_state; /* enum sz_run_state */
	uint32_t cq_head;   /* completions before it are handled */
	uint64_t random;    /* state of the worker's random generator */
	uint64_t timer_ns;  /* CLOCK_REALTIME at which tick is due; 0: none */
	uint64_t committed_ns; /* when */
	uint32_t ended_by;     /* enum sz_ended_by */
	uint32_t zero;
};

/* Why a worker ended, in its own words: collected by the launcher after the reap. */
struct sz_last_words {
	uint32_t lane; /* input of the record being handled, SZ_LANES_MAX: none */
	uint32_t zero;
	uint64_t pos;      /* its position in the lane */
	uint32_t text_len; /* bytes of text, 0: nothing said */
	char text[512];
};

struct sz_page_live {
	uint64_t epoch; /* the commit word */
	uint8_t pad0[SZ_CACHELINE - 8];
	uint64_t journal; /* epoch << SZ_JOURNAL_UNIT_BITS | units of 8 bytes */
	/* user_data of requests that may be in flight; 0: none. Set before submitting. */
	uint64_t inflight[SZ_INFLIGHT_MAX];
	struct sz_last_words words;
};
SZ_STATIC_ASSERT(sizeof(struct sz_page_live) <= SZ_PAGE_BYTES, "one page");

/* 40 bits of epoch, 24 bits of 8-byte units: journals just short of 128 MiB, for a full one has to be countable. */
#define SZ_JOURNAL_UNIT_BITS 24
#define SZ_JOURNAL_BYTES_MAX ((8ull << SZ_JOURNAL_UNIT_BITS) - 8)

/**
 * struct sz_ledger - private view of a stage page, and the image of the next commit
 * @next:	the slot being prepared: marks, counters and state are changed here, in private memory
 */
struct sz_ledger {
	struct sz_page_header h;
	struct sz_page_live *live;
	uint8_t *slots[2];
	uint8_t *journal;
	uint8_t *arena;
	struct sz_slot *next;
	struct sz_lane_mark *in, *out; /* inside next */
	uint64_t *counters;            /* inside next */
	void *state;                   /* inside next */
	uint64_t epoch;                /* committed */
	uint64_t journal_used;         /* bytes, in this batch */
	void *map;
	size_t map_bytes;
};

struct sz_page_plan {
	uint32_t worker_index;
	uint32_t n_in, n_out, n_counters, state_bytes;
	uint64_t journal_bytes, arena_bytes;
};

/* Size of the object for a plan; 0: a limit is exceeded. */
uint64_t sz_page_plan_bytes(const struct sz_page_plan *plan);

/* Write the header of a fresh, zeroed page object. Return: 0, -EINVAL, -errno. */
int sz_page_format(int fd, const struct sz_page_plan *plan);

/**
 * sz_ledger_attach() - map a stage page and load its committed slot into next
 * @fd:		the object, may be closed afterwards
 * @writable:	0 to look only
 *
 * Return: 0; -EBADMSG: not a page of this ABI, or its slot is not whole; -errno.
 */
int sz_ledger_attach(struct sz_ledger *l, int fd, int writable);
/* Unmap, and zero @l; what was not committed is forgotten. A zeroed one is fine. */
void sz_ledger_detach(struct sz_ledger *l);

/* The committed slot's parts, for looking at a page that another process may own; n_* are in l->h. */
const struct sz_slot *sz_ledger_slot(const struct sz_ledger *l);

/**
 * sz_ledger_commit() - make the batch true
 *
 * Copies next into the free slot and stores the epoch. Publication is the caller's: sz_ledger_publish() or the same
 * stores lane by lane. Crash before the epoch store: nothing happened. After it: recovery publishes.
 */
void sz_ledger_commit(struct sz_ledger *l);

/**
 * sz_ledger_journal() - save arena bytes that are about to be overwritten
 * @at:		inside the arena
 * @len:	bytes
 *
 * Call before the first store to them in a batch. Return: 0; -EINVAL: they do not lie in the arena; -ENOSPC: the
 * journal is full, and the batch has to be committed first (the runtime calls a handler only with the declared room
 * left, so this means a handler declared too little).
 */
int sz_ledger_journal(struct sz_ledger *l, const void *at, size_t len);

/* Bytes of journal that saving len bytes takes. */
static inline uint64_t sz_journal_cost(size_t len)
{
	return 8 + sz_round_up(len, 8);
}

/**
 * sz_ledger_rollback() - undo the arena overwrites of a batch that was not committed
 *
 * Idempotent, may be killed anywhere. Return: 0, -EBADMSG: an entry lies outside the arena (a life went wild).
 */
int sz_ledger_rollback(struct sz_ledger *l);

/**
 * sz_ledger_check() - does the committed slot agree with the lanes?
 * @in, @out:	attached as SZ_LANE_RECOVERY, in the order of the slot
 *
 * For a lane 0 <= tail - head <= limit must hold between the slot's own mark and the peer's published word; a slot
 * of a life that went wild may say anything. Where it is the peer's word that is nonsense, the mark is held against
 * what its own end has published. Return: 0, -EBADMSG.
 */
int sz_ledger_check(const struct sz_ledger *l, const struct sz_lane *in, const struct sz_lane *out);

/**
 * sz_ledger_revive() - let a worker that a drain has ended go on
 *
 * In the committed slot, in place: RUNNING, and no lane ended by it. For the process that recovers it when a pipeline is
 * resumed, before sz_ledger_recover(); ended_by stays, so that the next resume comes to the same decision, until the
 * worker's first commit clears it. May be killed anywhere and run again.
 */
void sz_ledger_revive(struct sz_ledger *l);

/**
 * sz_ledger_recover() - all of recovery but the I/O: roll back, publish, wake
 * @in, @out:	attached as SZ_LANE_RECOVERY
 * @stats:	where the counters go, NULL: nowhere
 *
 * For the one process that has taken the dead worker's place as writer. Return: 0, -EBADMSG (nothing published).
 */
int sz_ledger_recover(struct sz_ledger *l, const struct sz_lane *in, const struct sz_lane *out,
		      struct sz_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
