/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * launch.h - words that all of the launcher shares
 */
#ifndef LAUNCHER_LAUNCH_H
#define LAUNCHER_LAUNCH_H

#include <inttypes.h>
#include <stdint.h>
#include <streamz/clock.h>

#define NS_PER_S  SZ_NS_PER_S
#define NS_PER_MS UINT64_C(1000000)

/* Exit statuses of streamz-launch. */
enum {
	EXIT_DRAINED = 0,
	EXIT_GAVE_UP = 1,        /* a stage gave up */
	EXIT_STOPPED = 2,        /* stopped before the end; resumable */
	EXIT_RECORDS_FAILED = 3, /* with --strict */
	EXIT_WRONG = 100,        /* graph or usage */
	EXIT_SYSTEM = 111,       /* the system refused something */
};

#endif
