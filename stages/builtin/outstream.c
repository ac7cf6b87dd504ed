/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include <streamz/clock.h>

#include "outstream.h"

#define RING_BYTES   (1u << 20)
#define CHUNK_BYTES  (128u << 10)
#define RETRY_MIN_NS 100000000ull
#define RETRY_MAX_NS SZ_NS_PER_S

uint64_t out_ring_bytes(uint32_t max_in)
{
	uint64_t size = RING_BYTES;

	while (size < 2ull * (max_in + 1ull))
		size *= 2;
	return size;
}

static uint8_t *ring_at(struct sz_stage *s, uint64_t pos)
{
	return (uint8_t *)sz_arena(s) + (pos & (sz_arena_bytes(s) - 1));
}

static void seal(struct out_state *st)
{
	struct out_chunk *c = &st->chunk[(st->first + st->count) % OUT_CHUNKS];

	*c = (struct out_chunk){ .pos = st->sealed,
				 .len = (uint32_t)(st->staged - st->sealed),
				 .records = st->open_records,
				 .bytes = st->open_bytes };
	st->count++;
	st->sealed = st->staged;
	st->open_records = 0;
	st->open_bytes = 0;
}

static void submit(struct sz_stage *s, struct outstream *o, const struct out_state *st, uint32_t i)
{
	const struct out_chunk *c = &st->chunk[i];

	o->busy[i] = true;
	if (o->positional)
		sz_io_write(s, i, o->fd, ring_at(s, c->pos + o->got[i]), c->len - o->got[i],
			    o->base + c->pos + o->got[i], 0);
	else
		sz_io_write(s, i, o->fd, ring_at(s, c->pos), c->len, SZ_IO_AT_OWN_POSITION, 0);
}

/* Ask for the write of every chunk that may be in flight and is not. Return: true if it asked for any. */
static bool pump(struct sz_stage *s, struct outstream *o, const struct out_state *st)
{
	uint32_t window = o->positional ? st->count : st->count > 0;
	bool any = false;

	if (st->closed || o->fd < 0)
		return false;
	if (o->retry_ns > sz_now(s)) {
		sz_wait_until(s, o->retry_ns);
		return false;
	}
	for (uint32_t k = 0; k < window; k++) {
		uint32_t i = (st->first + k) % OUT_CHUNKS;

		if (!o->busy[i] && !o->done[i]) {
			submit(s, o, st, i);
			any = true;
		}
	}
	return any;
}

/* The first chunk is outside: its records are delivered. */
static void pop(struct sz_stage *s, struct outstream *o, struct out_state *st)
{
	struct out_chunk *c = &st->chunk[st->first];

	sz_hold(s, -(int64_t)c->records);
	sz_count_out(s, c->records, c->bytes);
	st->written = c->pos + c->len;
	o->got[st->first] = 0;
	o->done[st->first] = false;
	st->first = (st->first + 1) % OUT_CHUNKS;
	st->count--;
}

/*
 * A part of a chunk was taken. Its whole records are delivered, which matters if the reader leaves before the rest: a
 * record that holds a newline of its own may then be counted early, never more than there are.
 */
static void count_part(struct sz_stage *s, struct out_chunk *c, uint32_t n)
{
	const uint8_t *at = ring_at(s, c->pos), *end = at + n;
	uint32_t records = 0;
	uint64_t bytes;

	while (records + 1 < c->records && (at = memchr(at, '\n', (size_t)(end - at)))) {
		records++;
		at++;
	}
	bytes = n - records < c->bytes ? n - records : c->bytes;
	sz_hold(s, -(int64_t)records);
	sz_count_out(s, records, bytes);
	c->records -= records;
	c->bytes -= bytes;
}

/* So many more bytes of a chunk are outside. */
static void advance(struct sz_stage *s, struct outstream *o, struct out_state *st, uint32_t i,
		    uint32_t n)
{
	struct out_chunk *c = &st->chunk[i];

	if (o->positional) {
		o->got[i] += n;
		o->done[i] = o->got[i] == c->len;
		while (st->count && o->done[st->first])
			pop(s, o, st);
		return;
	}
	if (n < c->len)
		count_part(s, c, n);
	c->pos += n;
	c->len -= n;
	st->written += n;
	if (c->len == 0)
		pop(s, o, st);
}

/*
 * Into a file everything that is not known to be written is written again. Of a stream's one write the completion queue
 * knows the result; where it has none, nothing was taken.
 */
void out_init(struct sz_stage *s, struct outstream *o, struct out_state *st)
{
	int result;

	if (!o->positional && st->count && sz_io_recovered(s, st->first, &result))
		advance(s, o, st, st->first, (uint32_t)result);
}

int out_record(struct sz_stage *s, struct outstream *o, struct out_state *st,
	       const struct sz_record *r)
{
	const struct out_state *committed =
		(const struct out_state *)((const uint8_t *)sz_committed_state(s) +
					   ((const uint8_t *)st - (const uint8_t *)sz_state(s)));
	uint64_t need = (uint64_t)r->len + 1;
	uint8_t *to;

	if (st->closed) {
		sz_hold(s, 1); /* taken, and never to be delivered */
		return SZ_DONE;
	}
	if (st->staged + need - committed->written > sz_arena_bytes(s))
		return out_flush(s, o, st) == SZ_OK ? SZ_AGAIN : SZ_WAIT;
	to = ring_at(s, st->staged);
	memcpy(to, r->data, r->len);
	to[r->len] = '\n';
	st->staged += need;
	st->open_records++;
	st->open_bytes += r->len;
	sz_hold(s, 1);
	if (st->staged - st->sealed >= CHUNK_BYTES && st->count < OUT_CHUNKS) {
		seal(st);
		pump(s, o, st);
	}
	return SZ_OK;
}

int out_flush(struct sz_stage *s, struct outstream *o, struct out_state *st)
{
	bool sealed = false;

	if (st->closed)
		return SZ_DONE;
	if (st->staged > st->sealed && st->count < OUT_CHUNKS) {
		seal(st);
		sealed = true;
	}
	return pump(s, o, st) || sealed ? SZ_OK : SZ_WAIT;
}

/* Several writes that were in flight at once fail together: that is one failure, and one wait. */
static int disk_full(struct sz_stage *s, struct outstream *o, int error)
{
	if (o->backoff_ns && o->retry_ns > sz_now(s))
		return SZ_OK;
	if (!o->backoff_ns) {
		sz_log(s, "%s: %s: holding what arrives, trying again until there is room", o->name,
		       strerror(error));
		o->backoff_ns = RETRY_MIN_NS;
	} else if (o->backoff_ns < RETRY_MAX_NS) {
		o->backoff_ns *= 2;
	}
	o->retry_ns = sz_now(s) + o->backoff_ns;
	return SZ_OK;
}

int out_complete(struct sz_stage *s, struct outstream *o, struct out_state *st, uint32_t request,
		 int result)
{
	if (request >= OUT_CHUNKS)
		return SZ_OK;
	o->busy[request] = false;
	switch (result < 0 ? -result : 0) {
	case 0: break;
	case EINTR:
	case EAGAIN:
	case ECANCELED: return SZ_OK; /* pump() asks again */
	case ENOSPC:
	case EDQUOT: return disk_full(s, o, -result);
	case EPIPE: st->closed = 1; return SZ_OK;
	default: return sz_error(s, result, "%s: write failed: %s", o->name, strerror(-result));
	}
	if (result == 0)
		return disk_full(s, o, ENOSPC); /* a write that takes nothing: probe, do not spin */
	if (o->backoff_ns) {
		sz_log(s, "%s: there is room again", o->name);
		o->backoff_ns = 0;
	}
	advance(s, o, st, request, (uint32_t)result);
	pump(s, o, st);
	return SZ_OK;
}

int out_finish(struct sz_stage *s, struct outstream *o, struct out_state *st)
{
	if (st->closed)
		return SZ_OK;
	if (st->staged > st->sealed && st->count < OUT_CHUNKS) {
		seal(st);
		pump(s, o, st);
		return SZ_AGAIN;
	}
	if (st->count)
		return pump(s, o, st) ? SZ_AGAIN : SZ_WAIT;
	return SZ_OK;
}
