/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mix.h - splitmix64, https://prng.di.unimi.it/splitmix64.c: one word of state, statistically sound, not for secrets
 */
#ifndef STREAMZ_MIX_H
#define STREAMZ_MIX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From one state to the next: add it. */
#define SZ_MIX64_STEP UINT64_C(0x9e3779b97f4a7c15)

/* The number that a state gives; also a hash of 64 bits, a permutation of them. */
static inline uint64_t sz_mix64(uint64_t state)
{
	uint64_t z = state + SZ_MIX64_STEP;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

#ifdef __cplusplus
}
#endif
#endif
