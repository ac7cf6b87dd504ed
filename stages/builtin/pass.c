/* SPDX-License-Identifier: BSD-2-Clause */
/* pass - hand every record on unchanged: a place for a buffer, a join of several inputs */
#include "builtin.h"

static int pass_record(struct sz_stage *s, const struct sz_record *r)
{
	sz_emit(s, 0, r->data, r->len);
	return SZ_OK;
}

const struct sz_stage_ops sz_stage_pass = {
	.api = SZ_STAGE_API,
	.name = "pass",
	.role = SZ_TRANSFORM,
	.summary = "hand every record on unchanged",
	.record = pass_record,
};
