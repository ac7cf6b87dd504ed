/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stdout - every record as a line on the launcher's standard output; a reader that leaves ends the pipeline in order
 *
 * A pipe, socket or terminal, and a file opened for appending, take what they are given in order. Into any other file
 * the writes carry their offsets (stdstream.h); its own position is set at the end, for whoever writes there next.
 */
#include <unistd.h>

#include "builtin.h"
#include "outstream.h"
#include "stdstream.h"

struct stdout_state {
	struct out_state out;
	struct stdstream stream;
};

struct stdout_private {
	struct outstream out;
};

static int stdout_init(struct sz_stage *s)
{
	struct stdout_private *p = sz_private(s);
	struct stdout_state *st = sz_state(s);
	int rc = stdstream_open(s, &st->stream, STDOUT_FILENO, st->out.written);

	if (rc)
		return rc;
	p->out = (struct outstream){ .fd = STDOUT_FILENO,
				     .name = "standard output",
				     .base = st->stream.base,
				     .positional = st->stream.positional };
	out_init(s, &p->out, &st->out);
	return 0;
}

static int stdout_record(struct sz_stage *s, const struct sz_record *r)
{
	struct stdout_private *p = sz_private(s);
	struct stdout_state *st = sz_state(s);

	return out_record(s, &p->out, &st->out, r);
}

static int stdout_idle(struct sz_stage *s)
{
	struct stdout_private *p = sz_private(s);
	struct stdout_state *st = sz_state(s);

	return out_flush(s, &p->out, &st->out);
}

static int stdout_complete(struct sz_stage *s, uint32_t request, int result)
{
	struct stdout_private *p = sz_private(s);
	struct stdout_state *st = sz_state(s);

	return out_complete(s, &p->out, &st->out, request, result);
}

static int stdout_finish(struct sz_stage *s)
{
	struct stdout_private *p = sz_private(s);
	struct stdout_state *st = sz_state(s);
	int rc = out_finish(s, &p->out, &st->out);

	if (rc == SZ_OK && p->out.positional)
		lseek(STDOUT_FILENO, (off_t)(st->stream.base + st->out.written), SEEK_SET);
	return rc;
}

static int stdout_plan(struct sz_plan *p)
{
	sz_plan_arena(p, out_ring_bytes(sz_plan_max_in(p)));
	sz_plan_claim(p, true, "stdout");
	return 0;
}

const struct sz_stage_ops sz_stage_stdout = {
	.api = SZ_STAGE_API,
	.name = "stdout",
	.role = SZ_SINK,
	.summary = "records as lines on standard output",
	.state_bytes = sizeof(struct stdout_state),
	.private_bytes = sizeof(struct stdout_private),
	.ring_entries = OUT_REQUESTS,
	.plan = stdout_plan,
	.init = stdout_init,
	.record = stdout_record,
	.complete = stdout_complete,
	.idle = stdout_idle,
	.finish = stdout_finish,
};
