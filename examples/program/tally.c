/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tally - how often each first word occurs, said every so often and at the end
 *
 * The counts lie in the arena: shared memory that outlives the process. A slot is journaled before it is changed, so a
 * kill at any instruction leaves the counts as of the last commit, and the records after it come again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tally.h"

#define WORD_MAX 40u
#define SAY_MAX  16u /* lines a call */

struct slot {
	uint64_t count; /* 0: free */
	uint32_t len;
	char word[WORD_MAX];
};

/* Part of every commit. */
struct tally_state {
	uint32_t used;   /* slots; append-only: those beyond it do not exist */
	uint32_t cursor; /* of what is being said */
};

static int tally_plan(struct sz_plan *p)
{
	sz_plan_arena(p, (uint64_t)sz_plan_option(p, "words")->num * sizeof(struct slot));
	sz_plan_max_out(p, WORD_MAX + 24);
	return 0;
}

static int tally_init(struct sz_stage *s)
{
	if (sz_first_life(s))
		sz_timer(s, sz_now(s) + (uint64_t)sz_option(s, "every")->num);
	return 0;
}

static int tally_record(struct sz_stage *s, const struct sz_record *r)
{
	const uint8_t *blank = r->len ? memchr(r->data, ' ', r->len) : NULL;
	uint32_t len = blank ? (uint32_t)(blank - r->data) : r->len, i;
	struct tally_state *st = sz_state(s);
	struct slot *slots = sz_arena(s);

	if (len > WORD_MAX)
		return sz_error(s, -EMSGSIZE, "the word is longer than %u bytes", WORD_MAX);
	for (i = 0; i < st->used; i++)
		if (slots[i].len == len && memcmp(slots[i].word, r->data, len) == 0)
			break;
	if (i == st->used) {
		if (st->used == (uint32_t)sz_option(s, "words")->num)
			return sz_error(s, -ENOSPC, "more than words=%u different words", st->used);
		slots[i].count = 0; /* beyond what is committed: no journal */
		slots[i].len = len;
		memcpy(slots[i].word, r->data, len);
		st->used++;
	}
	sz_journal(s, &slots[i].count, sizeof(slots[i].count));
	slots[i].count++;
	return SZ_OK;
}

/* Some lines a call; SZ_AGAIN: the runtime commits, looks for room, and calls again. */
static int say(struct sz_stage *s)
{
	struct tally_state *st = sz_state(s);
	const struct slot *slots = sz_arena(s);
	char text[WORD_MAX + 24];

	for (uint32_t n = 0; n < SAY_MAX && st->cursor < st->used; n++, st->cursor++)
		sz_emit(s, 0, text,
			(uint32_t)snprintf(text, sizeof(text), "%.*s %llu",
					   (int)slots[st->cursor].len, slots[st->cursor].word,
					   (unsigned long long)slots[st->cursor].count));
	if (st->cursor < st->used)
		return SZ_AGAIN;
	st->cursor = 0;
	return SZ_OK;
}

static int tally_tick(struct sz_stage *s)
{
	int rc = say(s);

	if (rc == SZ_OK)
		sz_timer(s, sz_now(s) + (uint64_t)sz_option(s, "every")->num);
	return rc;
}

static int tally_finish(struct sz_stage *s)
{
	return say(s);
}

static const struct sz_option tally_options[] = {
	{ .name = "every",
	  .type = SZ_OPT_TIME,
	  .def = "10s",
	  .min = 1000000,
	  .max = 86400000000000,
	  .help = "how often the counts are said" },
	{ .name = "words",
	  .type = SZ_OPT_INT,
	  .def = "1000",
	  .min = 1,
	  .max = 1000000,
	  .help = "different words at most" },
	{ .name = NULL },
};

static const struct sz_port tally_ports[] = {
	{ "failed", "records whose word is too long, or one too many" },
	{ NULL, NULL },
};

const struct sz_stage_ops tally = {
	.api = SZ_STAGE_API,
	.name = "tally",
	.role = SZ_TRANSFORM,
	.summary = "count records by their first word",
	.options = tally_options,
	.ports = tally_ports,
	.state_bytes = sizeof(struct tally_state),
	.emits = SAY_MAX,
	.journal_per_call = 16, /* one count: sz_journal_cost(8) */
	.plan = tally_plan,
	.init = tally_init,
	.record = tally_record,
	.tick = tally_tick,
	.finish = tally_finish,
};
