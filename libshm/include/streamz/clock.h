/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - time as nanoseconds in 64 bits
 */
#ifndef STREAMZ_CLOCK_H
#define STREAMZ_CLOCK_H

#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SZ_NS_PER_S UINT64_C(1000000000)

/* What a clock shows, in ns: until the year 2554 for CLOCK_REALTIME. The clock exists. */
static inline uint64_t sz_clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * SZ_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* A time or a span, as the kernel takes it. */
static inline struct timespec sz_timespec(uint64_t ns)
{
	struct timespec t;

	t.tv_sec = (time_t)(ns / SZ_NS_PER_S);
	t.tv_nsec = (long)(ns % SZ_NS_PER_S);
	return t;
}

#ifdef __cplusplus
}
#endif
#endif
