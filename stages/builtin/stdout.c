/* SPDX-License-Identifier: BSD-2-Clause */
/* stdout - every record as a line on the launcher's standard output; a reader that leaves ends the pipeline in order */
#include <unistd.h>

#include "builtin.h"
#include "outstream.h"

struct stdout_private {
	struct outstream out;
};

static int stdout_init(struct sz_stage *s)
{
	struct stdout_private *p = sz_private(s);

	p->out = (struct outstream){ .fd = STDOUT_FILENO, .name = "standard output" };
	out_init(s, &p->out, sz_state(s));
	return 0;
}

static int stdout_record(struct sz_stage *s, const struct sz_record *r)
{
	return out_record(s, sz_private(s), sz_state(s), r);
}

static int stdout_idle(struct sz_stage *s)
{
	return out_flush(s, sz_private(s), sz_state(s));
}

static int stdout_complete(struct sz_stage *s, uint32_t request, int result)
{
	return out_complete(s, sz_private(s), sz_state(s), request, result);
}

static int stdout_finish(struct sz_stage *s)
{
	return out_finish(s, sz_private(s), sz_state(s));
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
	.state_bytes = sizeof(struct out_state),
	.private_bytes = sizeof(struct stdout_private),
	.ring_entries = OUT_REQUESTS,
	.plan = stdout_plan,
	.init = stdout_init,
	.record = stdout_record,
	.complete = stdout_complete,
	.idle = stdout_idle,
	.finish = stdout_finish,
};
