/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outbox - a sliding buffer: takes every record, hands them on as the output takes them, drops the oldest when full
 *
 * A ring in the arena, mapped twice, so that no record wraps; used append-only: what lies in [head, tail) of the
 * committed state is not overwritten, so the ring is larger than what the outbox may hold, and where even that is not
 * enough the record waits for a commit (SZ_AGAIN).
 */
#include <string.h>

#include "proofs.h"

struct outbox {
	uint64_t head, tail; /* bytes, free-running */
	uint64_t count;
};

struct item {
	uint64_t time_ns;
	uint32_t len;
	uint32_t zero;
	uint8_t data[];
};

enum { DROPPED };

static uint64_t space(uint32_t len)
{
	return (sizeof(struct item) + len + 7) & ~7ull;
}

static struct item *at(struct sz_stage *s, uint64_t pos)
{
	return (struct item *)(void *)((uint8_t *)sz_arena(s) + pos % sz_arena_bytes(s));
}

static void forget(struct sz_stage *s, struct outbox *o)
{
	o->head += space(at(s, o->head)->len);
	o->count--;
	sz_hold(s, -1);
}

/* Hand on what there is room for. Return: did it? */
static bool drain(struct sz_stage *s, struct outbox *o)
{
	bool any = false;

	while (o->count) {
		const struct item *item = at(s, o->head);

		if (!sz_can_emit(s, item->len))
			break;
		sz_emit_time(s, item->time_ns);
		sz_emit(s, 0, item->data, item->len);
		forget(s, o);
		any = true;
	}
	return any;
}

static int record(struct sz_stage *s, const struct sz_record *r)
{
	const struct outbox *committed = sz_committed_state(s);
	struct outbox *o = sz_state(s);
	struct item *item;

	drain(s, o);
	if (!o->count && sz_can_emit(s, r->len)) {
		sz_emit_time(s, r->time_ns);
		sz_emit(s, 0, r->data, r->len);
		return SZ_OK;
	}
	if (o->tail + space(r->len) - committed->head > sz_arena_bytes(s))
		return SZ_AGAIN;
	if (o->count == (uint64_t)sz_option(s, "size")->num) {
		forget(s, o);
		sz_count(s, DROPPED, 1);
	}
	item = at(s, o->tail);
	*item = (struct item){ .time_ns = r->time_ns, .len = r->len };
	memcpy(item->data, r->data, r->len);
	o->tail += space(r->len);
	o->count++;
	sz_hold(s, 1);
	return SZ_OK;
}

static int idle(struct sz_stage *s)
{
	return drain(s, sz_state(s)) ? SZ_OK : SZ_WAIT;
}

static int finish(struct sz_stage *s)
{
	struct outbox *o = sz_state(s);
	bool any = drain(s, o);

	if (!o->count)
		return SZ_OK;
	return any ? SZ_AGAIN : SZ_WAIT;
}

/* Twice what is held, and a batch more: commits are rare then. */
static int plan(struct sz_plan *p)
{
	uint64_t bytes = 4096, need = (2 * (uint64_t)sz_plan_option(p, "size")->num + 64) *
				      space(sz_plan_max_in(p));

	while (bytes < need)
		bytes *= 2;
	sz_plan_arena(p, bytes);
	return 0;
}

static const struct sz_option options[] = {
	{ .name = "size",
	  .type = SZ_OPT_INT,
	  .def = "1000",
	  .min = 1,
	  .max = 1000000,
	  .help = "records it holds at most" },
	{ .name = NULL },
};

static const struct sz_stat_desc counters[] = {
	{ .name = "dropped",
	  .unit = "records",
	  .help = "oldest records dropped",
	  .kind = SZ_STAT_COUNTER },
};

const struct sz_stage_ops proof_outbox = {
	.api = SZ_STAGE_API,
	.name = "outbox",
	.role = SZ_TRANSFORM,
	.summary = "hold records for a slow output, drop the oldest when full",
	.options = options,
	.counters = counters,
	.n_counters = 1,
	.state_bytes = sizeof(struct outbox),
	.emits = SZ_EMITS_IF_ROOM,
	.plan = plan,
	.record = record,
	.idle = idle,
	.finish = finish,
};
