/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "lines.h"

#define LINES_A_CALL 64

uint64_t lines_ring_bytes(uint32_t max, uint64_t chunk)
{
	uint64_t need = (uint64_t)max + 1 + 4 * chunk, size = 4096;

	while (size < need)
		size *= 2;
	return size;
}

static enum lines_result report_long(struct sz_stage *s, struct lines *l, struct lines_state *st,
				     uint64_t end)
{
	sz_fail(s, EMSGSIZE, NULL, 0,
		"%s: line of %llu bytes at offset %llu is longer than max_record (%u)", l->name,
		(unsigned long long)(end - st->skip_from), (unsigned long long)st->skip_from,
		l->max);
	st->skipping = 0;
	return LINES_EMITTED;
}

/* No newline in what there is. */
static enum lines_result no_line(struct sz_stage *s, struct lines *l, struct lines_state *st,
				 uint64_t filled, bool eof)
{
	uint64_t len = filled - st->consumed;

	l->scanned = filled;
	if (!st->skipping && len > l->max) {
		st->skipping = 1;
		st->skip_from = st->consumed;
	}
	if (st->skipping)
		st->consumed = filled;
	if (!eof)
		return LINES_MORE;
	if (st->skipping)
		return report_long(s, l, st, filled);
	if (len == 0)
		return LINES_END;
	sz_emit(s, 0, l->base + (st->consumed & l->mask), (uint32_t)len);
	sz_count_in(s, 1, len);
	st->consumed = filled;
	return LINES_EMITTED;
}

enum lines_result lines_emit(struct sz_stage *s, struct lines *l, struct lines_state *st,
			     uint64_t filled, bool eof)
{
	uint64_t records = 0, bytes = 0;
	enum lines_result result = LINES_EMITTED;

	if (l->scanned < st->consumed)
		l->scanned = st->consumed;
	while (records < LINES_A_CALL) {
		const uint8_t *from = l->base + (st->consumed & l->mask);
		const uint8_t *nl =
			memchr(from + (l->scanned - st->consumed), '\n', filled - l->scanned);
		uint64_t len;

		if (!nl) {
			if (records == 0)
				result = no_line(s, l, st, filled, eof);
			break;
		}
		len = (uint64_t)(nl - from);
		l->scanned = st->consumed + len;
		if (sz_unlikely(st->skipping || len > l->max)) {
			if (records)
				/* one envelope a call, and none with other records: that is the room there is */
				break;
			if (!st->skipping)
				st->skip_from = st->consumed;
			st->consumed += len + 1;
			result = report_long(s, l, st, st->consumed - 1);
			break;
		}
		if (records && !sz_can_emit(s, (uint32_t)len))
			break;
		sz_emit(s, 0, from, (uint32_t)len);
		records++;
		bytes += len;
		st->consumed += len + 1;
		l->scanned = st->consumed;
	}
	if (records)
		sz_count_in(s, records, bytes);
	return result;
}
