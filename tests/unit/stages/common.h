/* SPDX-License-Identifier: BSD-2-Clause */
/* common.h - files to play with, deaths after chosen turns, stages that give up */
#ifndef STREAMZ_TESTS_STAGES_COMMON_H
#define STREAMZ_TESTS_STAGES_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "../../../stages/builtin/builtin.h"
#include "../../rig/rig.h"

/* A folder for this test program, made before and removed with what is in it after a group. */
int folder_setup(void **state);
int folder_teardown(void **state);
/* A path in it, in one of a few static buffers. */
const char *in_folder(const char *name);
/* "KEY=path in the folder", for options. */
const char *option_in_folder(const char *key, const char *name);
void write_file(const char *path, const char *text, size_t len);
/* Its content, NUL-terminated, in a static buffer. */
const char *read_file(const char *path, size_t *len);

/* A process's end closes its files; these are of this process. */
void close_all_in_folder(void);

/* Death: what is in the folder is closed as the kernel would, then rig_crash(). */
int die(struct rig *r);

struct text {
	char *at;
	size_t len;
};
/* Take what the edge holds, each record with a newline. */
void take(struct rig *r, uint32_t edge, struct text *to);

/*
 * Turns until the end, with a death after turn number first (0: none) and after every so many turns from there (0: no
 * more). Output of edge 0 goes to *to (may be NULL for sinks). Return: how many turns it took.
 */
unsigned run_to_end(struct rig *r, unsigned first, unsigned every, struct text *to);

/* The stage gives up (exits SZ_EXIT_FAILED) when it is run on: its last words. */
const char *gives_up(struct rig *r);

#endif
