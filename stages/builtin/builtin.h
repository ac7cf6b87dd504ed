/* SPDX-License-Identifier: BSD-2-Clause */
/* builtin.h - the types in the host program */
#ifndef STREAMZ_BUILTIN_H
#define STREAMZ_BUILTIN_H

#include <streamz/stage.h>

extern const struct sz_stage_ops sz_stage_delay, sz_stage_file_sink, sz_stage_file_source,
	sz_stage_filter, sz_stage_generate, sz_stage_map, sz_stage_null, sz_stage_pass,
	sz_stage_stdin, sz_stage_stdout;

#endif
