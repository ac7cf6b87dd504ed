/* SPDX-License-Identifier: BSD-2-Clause */
/* upper - letters become capitals: the smallest stage there is */
#include <streamz/stage.h>

static int upper_record(struct sz_stage *s, const struct sz_record *r)
{
	uint8_t *to = sz_reserve(s, 0, r->len);

	for (uint32_t i = 0; i < r->len; i++)
		to[i] = r->data[i] >= 'a' && r->data[i] <= 'z' ? r->data[i] - 32 : r->data[i];
	sz_commit(s, 0, r->len);
	return SZ_OK;
}

static const struct sz_stage_ops upper = {
	.api = SZ_STAGE_API,
	.name = "upper",
	.role = SZ_TRANSFORM,
	.summary = "letters become capitals",
	.record = upper_record,
};

const struct sz_stage_ops *const sz_stage_types[] = { &upper, NULL };
