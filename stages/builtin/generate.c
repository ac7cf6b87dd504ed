/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * generate - records with a running number, at a rate, in bursts
 *
 * Record n is "n" in decimal, then a blank and letters drawn from (seed, n) up to size bytes: the same seed gives the
 * same records in every run, whatever was killed. With a rate, burst records are due together every burst/rate seconds,
 * counted from the first record, so a stall is made up for.
 */
#include <stdio.h>
#include <string.h>

#include <streamz/mix.h>

#include "builtin.h"

struct generate {
	uint64_t next;
	uint64_t start_ns;
};

struct generate_options {
	uint64_t count; /* 0: no end */
	int64_t rate;   /* records per 1000 s, 0: as fast as they are taken */
	uint64_t burst, seed;
	uint32_t size;
};

static int generate_init(struct sz_stage *s)
{
	struct generate_options *o = sz_private(s);

	o->count = (uint64_t)sz_option(s, "count")->num;
	o->rate = sz_option(s, "rate")->num;
	o->burst = (uint64_t)sz_option(s, "burst")->num;
	o->seed = (uint64_t)sz_option(s, "seed")->num;
	o->size = (uint32_t)sz_option(s, "size")->num;
	return 0;
}

static uint32_t put_number(char *to, uint64_t n)
{
	char digits[20];
	uint32_t len = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	for (uint32_t i = 0; i < len; i++)
		to[i] = digits[len - 1 - i];
	return len;
}

static void emit_one(struct sz_stage *s, const struct generate_options *o, uint64_t n)
{
	uint32_t room = o->size < 20 ? 20 : o->size, len;
	char *to = (char *)sz_reserve(s, 0, room);

	len = put_number(to, n);
	if (len < o->size)
		to[len++] = ' ';
	for (uint64_t word = o->seed ^ n; len < o->size;) {
		word = sz_mix64(word);
		for (unsigned k = 0; k < 8 && len < o->size; k++)
			to[len++] = (char)('a' + (word >> (8 * k) & 15));
	}
	sz_commit(s, 0, len);
	sz_count_in(s, 1, len);
}

/* When record n is due: bursts are due together. */
static uint64_t due_ns(const struct generate *g, const struct generate_options *o)
{
	uint64_t burst = g->next / o->burst;

	return g->start_ns + (uint64_t)((unsigned __int128)burst * o->burst * 1000000000000ull /
					(uint64_t)o->rate);
}

static int generate_produce(struct sz_stage *s)
{
	const struct generate_options *o = sz_private(s);
	struct generate *g = sz_state(s);

	if (o->count && g->next >= o->count)
		return SZ_DONE;
	if (o->rate) {
		if (!g->start_ns)
			g->start_ns = sz_now(s);
		uint64_t due = due_ns(g, o);
		if (due > sz_now(s)) {
			sz_wait_until(s, due);
			return SZ_WAIT;
		}
	}
	emit_one(s, o, g->next++);
	return SZ_OK;
}

static int generate_plan(struct sz_plan *p)
{
	int64_t size = sz_plan_option(p, "size")->num;

	if (size > sz_plan_max_in(p))
		return sz_plan_error(
			p, "size",
			"records of %lld bytes are longer than max_record (%u): raise max_record=",
			(long long)size, sz_plan_max_in(p));
	if (sz_plan_max_in(p) < 20)
		return sz_plan_error(
			p, NULL,
			"max_record must be at least 20 bytes: a record begins with its number");
	return 0;
}

static const struct sz_option generate_options[] = {
	{ .name = "count",
	  .type = SZ_OPT_INT,
	  .def = "0",
	  .max = INT64_MAX,
	  .help = "how many records, 0: without end" },
	{ .name = "rate",
	  .type = SZ_OPT_RATE,
	  .def = "0",
	  .max = 1000000000000,
	  .help = "records a second, 0: as fast as they are taken" },
	{ .name = "burst",
	  .type = SZ_OPT_INT,
	  .def = "1",
	  .min = 1,
	  .max = 1000000000,
	  .help = "with a rate: so many at once, then a pause" },
	{ .name = "size",
	  .type = SZ_OPT_SIZE,
	  .def = "0",
	  .max = 1073741824,
	  .help = "length of a record; a shorter one holds its number alone" },
	{ .name = "seed",
	  .type = SZ_OPT_INT,
	  .def = "1",
	  .min = INT64_MIN,
	  .max = INT64_MAX,
	  .help = "what the letters are drawn from" },
	{ .name = NULL },
};

const struct sz_stage_ops sz_stage_generate = {
	.api = SZ_STAGE_API,
	.name = "generate",
	.role = SZ_SOURCE,
	.summary = "make numbered records, for tests and examples",
	.options = generate_options,
	.state_bytes = sizeof(struct generate),
	.private_bytes = sizeof(struct generate_options),
	.emits = 1,
	.plan = generate_plan,
	.init = generate_init,
	.produce = generate_produce,
};
