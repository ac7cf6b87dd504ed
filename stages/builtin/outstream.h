/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outstream.h - records to a byte stream: the outbox of file and stdout sinks
 *
 * Records are copied, each with its newline, into a ring in the arena (mapped twice: byte p of the stream at
 * base[p % size]). Runs of the stream are sealed into chunks, which are written.
 *
 * Invariants
 *   O1  written <= chunk[first].pos, chunks follow each other without gaps, the last ends at sealed, sealed <= staged.
 *   O2  A chunk is in the committed state before its write is submitted: the order of records of all inputs that make
 *       up a range of the stream is settled before anybody outside can see a byte of it.
 *   O3  Ring space is reused only when the commit that moved `written` past it is out.
 *   O4  A stream that cannot be rewound has one write in flight, and what a write took is committed before the next is
 *       submitted. Into a file several are in flight, each at its own offset; a new life cuts the file to `written` and
 *       writes all chunks again.
 * Killed anywhere: the bytes of the unwritten chunks are in the ring, and the file or the completion queue says what of
 * them is outside.
 */
#ifndef STREAMZ_BUILTIN_OUTSTREAM_H
#define STREAMZ_BUILTIN_OUTSTREAM_H

#include <streamz/stage.h>

#define OUT_CHUNKS   4u         /* sealed, not written; also the number of requests */
#define OUT_SYNC     OUT_CHUNKS /* request number of an fsync */
#define OUT_REQUESTS (OUT_CHUNKS + 1)

struct out_chunk {
	uint64_t pos; /* in the stream */
	uint32_t len;
	uint32_t records;
	uint64_t bytes; /* payload of these */
};

/* Part of a stage's state. */
struct out_state {
	uint64_t written, sealed, staged; /* positions in the stream */
	uint64_t open_bytes;              /* payload between sealed and staged */
	uint32_t open_records;
	uint32_t first, count; /* of chunk, a ring */
	uint32_t closed;       /* the reader has gone: nothing more can be written */
	struct out_chunk chunk[OUT_CHUNKS];
};

/* Of this life. */
struct outstream {
	int fd;
	bool positional;
	uint64_t base;            /* positional: where the stream begins in the file */
	uint32_t got[OUT_CHUNKS]; /* positional: bytes of the chunk that are written */
	bool busy[OUT_CHUNKS];
	bool done[OUT_CHUNKS];
	uint64_t retry_ns; /* full disk: not before this time */
	uint64_t backoff_ns;
	const char *name;
};

uint64_t out_ring_bytes(uint32_t max_in);

/* Begin a life. o->fd, positional, base and name are set. */
void out_init(struct sz_stage *s, struct outstream *o, struct out_state *st);

/* Handle a record: SZ_OK, SZ_WAIT (the ring is full), SZ_DONE (the reader has gone). */
int out_record(struct sz_stage *s, struct outstream *o, struct out_state *st,
	       const struct sz_record *r);

/* Write what is staged, for idle(). SZ_OK, SZ_WAIT, SZ_DONE. */
int out_flush(struct sz_stage *s, struct outstream *o, struct out_state *st);

/* For complete(). SZ_OK or a negative errno with sz_error() set. */
int out_complete(struct sz_stage *s, struct outstream *o, struct out_state *st, uint32_t request,
		 int result);

/* For finish(): SZ_OK when everything is written and committed, SZ_AGAIN, SZ_WAIT. */
int out_finish(struct sz_stage *s, struct outstream *o, struct out_state *st);

#endif
