/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * window - count records per key (their first word) in windows of a second
 *
 * The table lies in the arena; a slot is journaled before it is changed. At the end of a window the timer's tick emits
 * the counts and empties the slots, EMITS a call, with its cursor in the state; while it does, the runtime gives it no
 * input. The last window is flushed by finish.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proofs.h"

#define WINDOW_NS 1000000000ull
#define SLOTS     64u
#define KEY_MAX   48u
#define EMITS     4u

struct slot {
	uint64_t count; /* 0: free */
	uint32_t key_len;
	char key[KEY_MAX];
};

struct window {
	uint32_t used, cursor;
};

static int plan(struct sz_plan *p)
{
	sz_plan_arena(p, SLOTS * sizeof(struct slot));
	return 0;
}

static struct slot *find(struct slot *table, const uint8_t *key, uint32_t len)
{
	uint32_t at = 2166136261u; /* FNV-1a */

	for (uint32_t i = 0; i < len; i++)
		at = (at ^ key[i]) * 16777619u;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &table[(at + i) % SLOTS];

		if (!slot->count || (slot->key_len == len && memcmp(slot->key, key, len) == 0))
			return slot;
	}
	return NULL;
}

static int record(struct sz_stage *s, const struct sz_record *r)
{
	const uint8_t *blank = r->len ? memchr(r->data, ' ', r->len) : NULL;
	uint32_t len = blank ? (uint32_t)(blank - r->data) : r->len;
	struct window *w = sz_state(s);
	struct slot *slot;

	if (len > KEY_MAX)
		return sz_error(s, -EMSGSIZE, "the key is longer than %u bytes", KEY_MAX);
	slot = find(sz_arena(s), r->data, len);
	if (!slot)
		return sz_error(s, -ENOSPC, "more than %u keys in a window", SLOTS);
	if (!w->used)
		sz_timer(s, sz_now(s) - sz_now(s) % WINDOW_NS + WINDOW_NS);
	sz_journal(s, slot, sizeof(*slot));
	if (!slot->count) {
		w->used++;
		slot->key_len = len;
		memcpy(slot->key, r->data, len);
	}
	slot->count++;
	return SZ_OK;
}

static int flush(struct sz_stage *s)
{
	struct window *w = sz_state(s);
	struct slot *table = sz_arena(s);

	for (uint32_t n = 0; w->used && n < EMITS; w->cursor++) {
		struct slot *slot = &table[w->cursor];
		char text[KEY_MAX + 32];

		if (!slot->count)
			continue;
		sz_emit(s, 0, text,
			(uint32_t)snprintf(text, sizeof(text), "%.*s %llu", (int)slot->key_len,
					   slot->key, (unsigned long long)slot->count));
		sz_journal(s, slot, sizeof(*slot));
		slot->count = 0;
		w->used--;
		n++;
	}
	if (w->used)
		return SZ_AGAIN;
	w->cursor = 0;
	return SZ_OK;
}

static const struct sz_port ports[] = {
	{ "failed", "records whose key is too long, or one too many" }, { NULL, NULL }
};

const struct sz_stage_ops proof_window = {
	.api = SZ_STAGE_API,
	.name = "window",
	.role = SZ_TRANSFORM,
	.summary = "count records per key and second",
	.ports = ports,
	.state_bytes = sizeof(struct window),
	.emits = EMITS,
	.journal_per_call = EMITS * (sizeof(struct slot) + 8),
	.plan = plan,
	.record = record,
	.tick = flush,
	.finish = flush,
};
