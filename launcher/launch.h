/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * launch.h - words that all of the launcher shares
 */
#ifndef LAUNCHER_LAUNCH_H
#define LAUNCHER_LAUNCH_H

#include <inttypes.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_S  UINT64_C(1000000000)
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

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

#endif
