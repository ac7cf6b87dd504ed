/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane.h - the SPSC ring between two processes
 *
 * Invariants
 *   L1  Each end writes one page and nothing else: the producer its page and the data, the consumer its page.
 *   L2  Positions are free-running 64-bit byte counts, multiples of 8, that only grow (and may wrap at 2^64).
 *       The low three bits of a published position word are flags of the same writer.
 *   L3  head <= tail <= head + cap_bytes, as unsigned differences. Bytes in [head, tail) belong to the consumer,
 *       the rest to the producer.
 *   L4  What lies beyond tail does not exist. Publishing is one release store of tail; a producer that dies before
 *       it leaves no trace, one that dies after it leaves whole records only.
 *   L5  A record never wraps: the data area is mapped twice, back to back.
 *   L6  claim runs ahead of everything the producer may be writing: stored, and fenced, before the bytes are.
 *   L7  Everything read from the peer's page or from a record header is read once, checked, then used. What fails
 *       the check poisons the lane: this end sets SZ_LANE_POISONED in its own word and treats the lane as ended.
 *
 * Object layout (all offsets in bytes, page = 4096)
 *
 *   0      header          w: launcher, before anybody attaches; read-only to both ends
 *   4096   producer page   w: producer    tail | tail_records | claim            | parked
 *   8192   consumer page   w: consumer    head | head_records                    | parked
 *   12288  data            w: producer    cap_bytes, a power of two
 *
 * A record: 16 bytes of header, then len payload bytes, then padding to a multiple of 8.
 *
 * Order of stores            pairs with
 *   tail     release         consumer's acquire load of tail in sz_lane_rx_refresh(): headers and payload
 *   head     release         producer's acquire load of head in sz_lane_tx_refresh(): the space is free
 *   claim    + release fence tap's acquire fence + load of claim after its copy (a sequence lock)
 *   tail/head, full fence, peer's parked | own parked, full fence, peer's tail/head: one of the two sees the other
 */
#ifndef STREAMZ_LANE_H
#define STREAMZ_LANE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <streamz/atomic.h>
#include <streamz/futex.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SZ_LANE_MAGIC     0x656e616c7a730001ull /* "..szlane" */
#define SZ_PAGE_BYTES     4096u
#define SZ_LANE_DATA_AT   (3u * SZ_PAGE_BYTES)
#define SZ_RECORD_HEADER  16u
#define SZ_RECORD_LEN_MAX ((1u << 30) - 16) /* two of them fit the largest lane */
#define SZ_LANE_CAP_MIN   SZ_PAGE_BYTES
/* a position never moves by 4 GiB while its watcher sleeps */
#define SZ_LANE_CAP_MAX (1ull << 31)

/* Flags in the low bits of a published position. */
#define SZ_LANE_FLAGS    7u
#define SZ_LANE_ENDED    1u /* tail: nothing follows; head: the consumer takes no more */
#define SZ_LANE_POISONED 2u /* this end found nonsense written by the other one */

enum sz_record_kind { SZ_RECORD_DATA = 0, SZ_RECORD_KINDS };

struct sz_record_header {
	uint32_t len;     /* payload bytes */
	uint16_t kind;    /* enum sz_record_kind */
	uint16_t zero;    /* 0 */
	uint64_t time_ns; /* when the record entered the pipeline, CLOCK_REALTIME */
};
SZ_STATIC_ASSERT(sizeof(struct sz_record_header) == SZ_RECORD_HEADER, "record header is 16 bytes");

struct sz_lane_header {
	uint64_t magic;
	uint32_t abi;
	uint32_t lane_index; /* in the pipeline's topology */
	uint64_t object_bytes;
	uint64_t cap_bytes; /* of the data area; a power of two */
	/* what a producer may fill, headers and padding included; <= cap_bytes */
	uint64_t limit_bytes;
	uint64_t limit_records; /* likewise, in records; UINT64_MAX: no such limit */
	uint32_t max_record;    /* longest payload, bytes */
	uint32_t zero;
};

struct sz_lane_end {
	uint64_t pos;     /* tail or head, with flags */
	uint64_t records; /* so many records lie before pos; stored before pos */
	uint64_t claim;   /* producer only */
	uint8_t pad0[SZ_CACHELINE - 24];
	uint32_t parked; /* 1 while this end sleeps, or is about to */
	uint8_t pad1[SZ_PAGE_BYTES - SZ_CACHELINE - 4];
};
SZ_STATIC_ASSERT(sizeof(struct sz_lane_end) == SZ_PAGE_BYTES, "an end is a page");

/**
 * struct sz_record - a record as handlers see it
 * @data:	payload; in the lane itself, valid until the batch is committed
 * @len:	bytes
 * @kind:	enum sz_record_kind
 * @time_ns:	ingest time
 */
struct sz_record {
	const uint8_t *data;
	uint32_t len;
	uint16_t kind;
	uint64_t time_ns;
};

/**
 * struct sz_lane - one end's private view of a mapped lane
 *
 * The same struct serves both ends; `pos` is this end's own uncommitted position. Not shared, not covered by commits.
 */
struct sz_lane {
	struct sz_lane_end *own;
	const struct sz_lane_end *peer;
	uint8_t *data;     /* twice cap_bytes */
	uint64_t mask;     /* cap_bytes - 1 */
	uint64_t pos;      /* own position including this batch, no flags */
	uint64_t records;  /* records before pos */
	uint64_t peer_pos; /* last checked value of the peer, no flags */
	uint64_t peer_records;
	uint64_t claimed; /* producer: own->claim */
	uint64_t limit_bytes;
	uint64_t limit_records;
	uint32_t max_record;
	uint32_t peer_flags; /* SZ_LANE_ENDED, SZ_LANE_POISONED as last seen */
	uint32_t own_flags;
	uint32_t lane_index;
	void *map;
	size_t map_bytes;
};

enum sz_lane_side { SZ_LANE_PRODUCER, SZ_LANE_CONSUMER, SZ_LANE_OBSERVER, SZ_LANE_RECOVERY };

/* The least multiple of @to, a power of two, that is >= @n; @n + @to does not overflow. */
static inline uint64_t sz_round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* The position in a published word, or in a mark of the ledger, without the flags. */
static inline uint64_t sz_word_pos(uint64_t word)
{
	return word & ~(uint64_t)SZ_LANE_FLAGS;
}

static inline uint64_t sz_lane_cap_bytes(const struct sz_lane *lane)
{
	return lane->mask + 1;
}

/* Space a payload of len bytes takes in a lane. */
static inline uint64_t sz_record_space(uint32_t len)
{
	return SZ_RECORD_HEADER + sz_round_up(len, 8);
}

/**
 * sz_lane_plan_bytes() - capacity for a lane
 * @want_bytes:	asked for, 0: 1 MiB
 * @max_record:	longest payload
 *
 * Return: the data area's size: the least power of two that is >= @want_bytes and holds two longest records, or 0 if
 * that is above SZ_LANE_CAP_MAX.
 */
uint64_t sz_lane_plan_bytes(uint64_t want_bytes, uint32_t max_record);

/**
 * sz_lane_format() - write the header of a fresh, zeroed lane object
 * @fd:		the object, already SZ_LANE_DATA_AT + cap_bytes large
 * @start_pos:	first position of both ends, a multiple of 8; 0 but in tests
 *
 * Return: 0, -EINVAL (sizes), -errno of mmap.
 */
int sz_lane_format(int fd, uint32_t lane_index, uint64_t cap_bytes, uint64_t limit_bytes,
		   uint64_t limit_records, uint32_t max_record, uint64_t start_pos);

/**
 * sz_lane_attach() - map a lane
 * @lane:	filled in; for SZ_LANE_RECOVERY and SZ_LANE_OBSERVER `own` is the producer's page
 * @fd:		the object; can be closed afterwards
 * @side:	decides what is mapped writable: an end its page (the producer the data too), recovery both pages and
 *		no data, an observer nothing
 *
 * Header and object size are checked. Positions start at 0; the ledger sets them (sz_lane_seek()).
 *
 * Return: 0, -EBADMSG (not a lane of this ABI, or sizes that do not fit), -errno of mmap or fstat.
 */
int sz_lane_attach(struct sz_lane *lane, int fd, enum sz_lane_side side);
/* Unmap, and zero @lane; what was not published is forgotten. A zeroed one is fine. */
void sz_lane_detach(struct sz_lane *lane);

/* The two end pages of a lane attached for recovery or observation. */
struct sz_lane_end *sz_lane_producer_end(const struct sz_lane *lane);
struct sz_lane_end *sz_lane_consumer_end(const struct sz_lane *lane);

/* Take up at a committed position (with flags) and record count. */
void sz_lane_seek(struct sz_lane *lane, uint64_t pos_flags, uint64_t records);

/*
 * Producer
 */

/* Load and check the consumer's position. Return: 0, -EBADMSG: it is nonsense, the lane is now poisoned. */
int sz_lane_tx_refresh(struct sz_lane *lane);
/* Extend the claim over bytes; called by sz_lane_reserve(). */
void sz_lane_claim(struct sz_lane *lane, uint64_t bytes);

/* Does the lane have room for `records` more records that take `bytes`, as far as is known without a refresh? */
static inline bool sz_lane_has_room(const struct sz_lane *lane, uint64_t bytes, uint64_t records)
{
	return lane->pos + bytes - lane->peer_pos <= lane->limit_bytes &&
	       lane->records + records - lane->peer_records <= lane->limit_records;
}

/**
 * sz_lane_room() - as sz_lane_has_room(), looking at the consumer's page if need be
 *
 * Return: 1 room, 0 full, -EBADMSG.
 */
static inline int sz_lane_room(struct sz_lane *lane, uint64_t bytes, uint64_t records)
{
	if (sz_likely(sz_lane_has_room(lane, bytes, records)))
		return 1;
	int rc = sz_lane_tx_refresh(lane);
	if (rc)
		return rc;
	return sz_lane_has_room(lane, bytes, records);
}

/**
 * sz_lane_reserve() - where the next record's payload goes
 * @len:	at most max_record bytes; the caller has made sure of the room
 *
 * Nothing is visible to anybody before sz_lane_commit() and the publication of the batch; a reservation may simply
 * be forgotten, or made again with another length.
 */
static inline uint8_t *sz_lane_reserve(struct sz_lane *lane, uint32_t len)
{
	uint64_t space = sz_record_space(len);

	if (sz_unlikely(lane->pos + space - lane->claimed - 1 < (1ull << 63)))
		sz_lane_claim(lane, space);
	return lane->data + (lane->pos & lane->mask) + SZ_RECORD_HEADER;
}

/* Append the record whose payload was written to the last reservation; len may be shorter than reserved. */
static inline void sz_lane_commit(struct sz_lane *lane, uint32_t len, uint16_t kind,
				  uint64_t time_ns)
{
	struct sz_record_header *h =
		(struct sz_record_header *)(void *)(lane->data + (lane->pos & lane->mask));

	h->len = len;
	h->kind = kind;
	h->zero = 0;
	h->time_ns = time_ns;
	lane->pos += sz_record_space(len);
	lane->records++;
}

/*
 * Consumer
 */

/* Load and check the producer's position. Return: 0, -EBADMSG. */
int sz_lane_rx_refresh(struct sz_lane *lane);
/*
 * Mark the lane poisoned by the peer, in our own published word, and forget what was known of the peer. The next
 * refresh that finds sense, in the position and in the header there, takes the mark back. Return: -EBADMSG.
 */
int sz_lane_poison(struct sz_lane *lane);

/* Can a header whose first eight bytes are word0 lead a record, where so many bytes are published? */
static inline bool sz_lane_header_fits(const struct sz_lane *lane, uint64_t word0, uint64_t bytes)
{
	return (uint32_t)word0 <= lane->max_record && (word0 >> 32) < SZ_RECORD_KINDS &&
	       sz_record_space((uint32_t)word0) <= bytes;
}

/**
 * sz_lane_peek() - the record at the consumer's position
 *
 * Return: 1 and @out set; 0 nothing there (see sz_lane_ended()); -EBADMSG: header nonsense, lane poisoned.
 */
static inline int sz_lane_peek(struct sz_lane *lane, struct sz_record *out)
{
	if (lane->pos == lane->peer_pos) {
		/* Constants, so that a caller's compiler sees that 1 means "out is set". */
		if (sz_unlikely(sz_lane_rx_refresh(lane)))
			return -EBADMSG;
		if (lane->pos == lane->peer_pos)
			return 0;
	}
	const uint8_t *at = lane->data + (lane->pos & lane->mask);
	/* Read once: the producer could change it under our eyes. */
	uint64_t word0 = sz_load_relaxed((const uint64_t *)(const void *)at);
	uint32_t len = (uint32_t)word0;
	uint16_t kind = (uint16_t)(word0 >> 32);

	if (sz_unlikely(!sz_lane_header_fits(lane, word0, lane->peer_pos - lane->pos))) {
		sz_lane_poison(lane);
		return -EBADMSG;
	}
	out->data = at + SZ_RECORD_HEADER;
	out->len = len;
	out->kind = kind;
	out->time_ns = sz_load_relaxed((const uint64_t *)(const void *)(at + 8));
	return 1;
}

/* Step over the record that sz_lane_peek() returned; its bytes stay until the batch is published. */
static inline void sz_lane_release(struct sz_lane *lane, uint32_t len)
{
	lane->pos += sz_record_space(len);
	lane->records++;
}

/* Nothing there and nothing will follow. Valid right after sz_lane_peek() returned 0. */
static inline bool sz_lane_ended(const struct sz_lane *lane)
{
	return (lane->peer_flags & SZ_LANE_ENDED) && lane->pos == lane->peer_pos;
}

/*
 * Both ends
 */

/* What goes into a commit slot for this end, and into the shared word after it. */
static inline uint64_t sz_lane_word(const struct sz_lane *lane)
{
	return lane->pos | lane->own_flags;
}

/* Publish position and flags: after the commit, never before. Crash points: between the two stores a successor
 * stores both again; the record count is a hint to the peer until pos follows. */
static inline void sz_end_publish(struct sz_lane_end *end, uint64_t word, uint64_t records)
{
	sz_store_relaxed(&end->records, records);
	sz_store_release(&end->pos, word); /* pairs: sz_lane_tx_refresh(), sz_lane_rx_refresh() */
}

/* Does the peer sleep? The caller has a full fence between its publication and this. */
static inline bool sz_lane_peer_parked(const struct sz_lane *lane)
{
	return sz_load_relaxed(&lane->peer->parked) != 0;
}

/* Wake whoever sleeps on this end's position. */
static inline void sz_lane_wake_peer(const struct sz_lane *lane)
{
	sz_futex_wake(sz_low_word(&lane->own->pos));
}

/*
 * Go to sleep: sz_lane_park() each lane, one sz_fence_full(), sz_lane_peer_moved() of each, then wait on the
 * words, then sz_lane_unpark(). Only the sleeper writes its flag.
 */
static inline void sz_lane_park(struct sz_lane *lane)
{
	sz_store_relaxed(&lane->own->parked, 1);
}

static inline void sz_lane_unpark(struct sz_lane *lane)
{
	sz_store_relaxed(&lane->own->parked, 0);
}

/* The word to sleep on; seen is what this end knows of the peer. */
static inline struct sz_wait_word sz_lane_wait_word(const struct sz_lane *lane)
{
	struct sz_wait_word w = { sz_low_word(&lane->peer->pos),
				  (uint32_t)(lane->peer_pos | lane->peer_flags) };
	return w;
}

/* Has the peer moved (or set a flag) since the last refresh? */
static inline bool sz_lane_peer_moved(const struct sz_lane *lane)
{
	return sz_load_relaxed(&lane->peer->pos) != (lane->peer_pos | lane->peer_flags);
}

/**
 * sz_lane_tap() - copy a published record out without being an end of the lane
 * @lane:	attached as SZ_LANE_OBSERVER with data
 * @pos:	in: where to read; out: where the next one is
 * @buf, @size:	the copy
 * @out:	data points into @buf; len is the true length even if @size was less
 *
 * The copy is checked against the claim after it was made, so what is returned was not overwritten meanwhile.
 *
 * Return: 1; 0 nothing published at @pos yet; -ESTALE overrun (@pos is set to the newest published position).
 */
int sz_lane_tap(const struct sz_lane *lane, uint64_t *pos, void *buf, size_t size,
		struct sz_record *out);

#ifdef __cplusplus
}
#endif
#endif
