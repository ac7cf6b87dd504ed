/* SPDX-License-Identifier: BSD-2-Clause */
#include "tally.h"

int main(int argc, char **argv)
{
	static const struct sz_stage_ops *const types[] = { &tally, NULL };

	return sz_stage_main(argc, argv, types);
}
