/* SPDX-License-Identifier: BSD-2-Clause */
/* delay - hold every record for a time: a slow consumer for tests and examples */
#include "builtin.h"

struct delay {
	uint64_t due_ns; /* of the record at the head of the input, 0: not seen yet */
};

static int delay_record(struct sz_stage *s, const struct sz_record *r)
{
	struct delay *d = sz_state(s);

	if (!d->due_ns) {
		int64_t jitter = sz_option(s, "jitter")->num;

		d->due_ns = sz_now(s) + (uint64_t)sz_option(s, "time")->num;
		if (jitter)
			d->due_ns += sz_random_below(s, (uint64_t)jitter + 1);
	}
	if (sz_now(s) < d->due_ns) {
		sz_wait_until(s, d->due_ns);
		return SZ_WAIT;
	}
	d->due_ns = 0;
	sz_emit(s, 0, r->data, r->len);
	return SZ_OK;
}

static const struct sz_option delay_options[] = {
	{ .name = "time",
	  .type = SZ_OPT_TIME,
	  .def = "10ms",
	  .max = 3600000000000,
	  .help = "how long each record is held; one after the other" },
	{ .name = "jitter",
	  .type = SZ_OPT_TIME,
	  .def = "0",
	  .max = 3600000000000,
	  .help = "up to so much more, at random for each record" },
	{ .name = NULL },
};

const struct sz_stage_ops sz_stage_delay = {
	.api = SZ_STAGE_API,
	.name = "delay",
	.role = SZ_TRANSFORM,
	.summary = "hold every record for a time, one after the other",
	.options = delay_options,
	.state_bytes = sizeof(struct delay),
	.record = delay_record,
};
