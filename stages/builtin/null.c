/* SPDX-License-Identifier: BSD-2-Clause */
/* null - take every record and forget it, counted */
#include "builtin.h"

static int null_record(struct sz_stage *s, const struct sz_record *r)
{
	sz_count_out(s, 1, r->len);
	return SZ_OK;
}

const struct sz_stage_ops sz_stage_null = {
	.api = SZ_STAGE_API,
	.name = "null",
	.role = SZ_SINK,
	.summary = "take every record and forget it",
	.record = null_record,
};
