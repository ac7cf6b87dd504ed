/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool - four workers whose joint output has the order of the input
 *
 * split numbers the records and deals them in batches to a port that has room. A worker answers each number with one
 * record, "NUMBER:text", or with "NUMBER-", nothing. merge takes from each input what is next and skips the others. A
 * number that never comes (a worker that was given up) is passed over once every input is beyond it or has ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proofs.h"

#define WORKERS 4u
#define BATCH   2u  /* records a deal; small, for the test's sake */
#define HEAD    17u /* 16 digits and ':' or '-' */

struct split {
	uint64_t next;
	uint32_t port, dealt;
};

static int split_record(struct sz_stage *s, const struct sz_record *r)
{
	struct split *st = sz_state(s);
	char *to;

	for (uint32_t i = 0;; i++) {
		if (st->dealt < BATCH && sz_can_emit_on(s, 1 + st->port, HEAD + r->len))
			break;
		if (i == WORKERS)
			return SZ_WAIT;
		st->port = (st->port + 1) % WORKERS;
		st->dealt = 0;
	}
	to = (char *)sz_reserve(s, 1 + st->port, HEAD + 1 + r->len);
	snprintf(to, HEAD + 1, "%016llx:", (unsigned long long)st->next);
	memcpy(to + HEAD, r->data, r->len);
	sz_commit(s, 1 + st->port, HEAD + r->len);
	st->next++;
	st->dealt++;
	return SZ_OK;
}

static int split_plan(struct sz_plan *p)
{
	sz_plan_max_out(p, sz_plan_max_in(p) + HEAD + 1);
	return 0;
}

static const struct sz_port split_ports[] = {
	{ "w0", "" }, { "w1", "" }, { "w2", "" }, { "w3", "" }, { NULL, NULL },
};

const struct sz_stage_ops proof_split = {
	.api = SZ_STAGE_API,
	.name = "split",
	.role = SZ_TRANSFORM,
	.summary = "number records and deal them to four workers",
	.ports = split_ports,
	.state_bytes = sizeof(struct split),
	.emits = SZ_EMITS_IF_ROOM,
	.plan = split_plan,
	.record = split_record,
};

/* A worker that has nothing to say to what contains an 'x'. */
static int work_record(struct sz_stage *s, const struct sz_record *r)
{
	char *to = (char *)sz_reserve(s, 0, r->len + 1);

	memcpy(to, r->data, r->len);
	if (memchr(r->data + HEAD, 'x', r->len - HEAD)) {
		to[HEAD - 1] = '-';
		sz_commit(s, 0, HEAD);
	} else {
		to[r->len] = '!';
		sz_commit(s, 0, r->len + 1);
	}
	return SZ_OK;
}

const struct sz_stage_ops proof_work = {
	.api = SZ_STAGE_API,
	.name = "work",
	.role = SZ_TRANSFORM,
	.summary = "answer each number",
	.emits = 1,
	.record = work_record,
};

struct merge {
	uint64_t next, missing;
};

/* Of this life: what the skipped inputs begin with. */
struct heads {
	bool known[WORKERS];
	uint64_t head[WORKERS];
};

/* Is there an input that may still bring what is next? If not, move on to what there is. */
static void pass_over(struct sz_stage *s, struct merge *m, const struct heads *h)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < sz_input_count(s); i++) {
		if (!h->known[i] && !sz_input_ended(s, i))
			return;
		if (h->known[i] && h->head[i] < least)
			least = h->head[i];
	}
	if (least > m->next && least != UINT64_MAX) {
		m->missing += least - m->next;
		m->next = least;
	}
}

static int merge_record(struct sz_stage *s, const struct sz_record *r)
{
	struct heads *h = sz_private(s);
	struct merge *m = sz_state(s);
	uint32_t input = sz_input(s);
	char digits[HEAD] = "";
	uint64_t number;

	memcpy(digits, r->data, r->len < HEAD ? r->len : HEAD - 1);
	number = strtoull(digits, NULL, 16);
	h->known[input] = true;
	h->head[input] = number;
	if (number != m->next)
		pass_over(s, m, h);
	if (number != m->next)
		return SZ_SKIP;
	h->known[input] = false;
	m->next++;
	if (r->data[HEAD - 1] == ':')
		sz_emit(s, 0, r->data + HEAD, r->len - HEAD);
	return SZ_OK;
}

const struct sz_stage_ops proof_merge = {
	.api = SZ_STAGE_API,
	.name = "merge",
	.role = SZ_TRANSFORM,
	.summary = "put what the workers say into order",
	.state_bytes = sizeof(struct merge),
	.private_bytes = sizeof(struct heads),
	.emits = 1,
	.record = merge_record,
};
