/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.h - cut a byte stream into newline-terminated records
 *
 * The stream's bytes [consumed, filled) lie in a ring that is mapped twice, byte p at base[p % size]. What is consumed
 * was emitted, so `consumed` is what a stage commits; a line longer than the longest record is skipped, its size and
 * position go to the failed port. The last line counts with or without its newline.
 */
#ifndef STREAMZ_BUILTIN_LINES_H
#define STREAMZ_BUILTIN_LINES_H

#include <streamz/stage.h>

/* Part of a stage's state. */
struct lines_state {
	uint64_t consumed;  /* position in the stream */
	uint64_t skip_from; /* where the over-long line that is being skipped began */
	uint32_t skipping;
	uint32_t zero;
};

/* Of this life. */
struct lines {
	uint8_t *base;
	uint64_t mask;    /* size - 1 */
	uint64_t scanned; /* no newline in [consumed, scanned) */
	uint32_t max;     /* longest record */
	const char *name; /* of the stream, for messages */
};

enum lines_result {
	LINES_EMITTED, /* something was emitted, or there was no room for more */
	LINES_MORE,    /* no complete line: read on */
	LINES_END,     /* at the end and nothing is left */
};

/* Ring size for records of at most max bytes and reads of chunk bytes. */
uint64_t lines_ring_bytes(uint32_t max, uint64_t chunk);

/**
 * lines_emit() - emit some lines; one must fit into the room that produce() is guaranteed
 * @filled:	end of what was read
 * @eof:	nothing will be read beyond filled
 */
enum lines_result lines_emit(struct sz_stage *s, struct lines *l, struct lines_state *st,
			     uint64_t filled, bool eof);

#endif
