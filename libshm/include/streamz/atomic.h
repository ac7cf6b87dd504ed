/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * atomic.h - every memory-ordering primitive streamz uses, and nothing else does ordering
 *
 * Shared words are plain fixed-width integers, touched only through these. A release names, where it is used, the
 * acquire it pairs with.
 */
#ifndef STREAMZ_ATOMIC_H
#define STREAMZ_ATOMIC_H

#include <stdint.h>

#ifdef __cplusplus
#define SZ_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define SZ_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#if defined(__SANITIZE_THREAD__)
#define SZ_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SZ_TSAN 1
#endif
#endif

#define sz_load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define sz_load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define sz_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define sz_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/*
 * Orders stores before it against loads after it, for both the CPU and the compiler. Needed in exactly one protocol:
 * "publish, then look whether the peer sleeps" against "say I sleep, then look whether something was published".
 */
static inline void sz_fence_full(void)
{
#ifdef SZ_TSAN
	/* ThreadSanitizer does not model fences; a read-modify-write of a private word is as strong. */
	static uint32_t word;
	__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#ifdef SZ_TSAN
#define sz_fence_release() ((void)0)
#define sz_fence_acquire() ((void)0)
#else
#define sz_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)
#define sz_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#endif

/*
 * Keeps the compiler from moving memory accesses across it. Enough between two stores of one process whose only
 * other reader comes after the process is dead: a killed process leaves a prefix of its instruction stream, whatever
 * the CPU's store buffer did.
 */
#define sz_fence_compiler() __atomic_signal_fence(__ATOMIC_SEQ_CST)

static inline void sz_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield");
#endif
}

#define sz_likely(x)   __builtin_expect(!!(x), 1)
#define sz_unlikely(x) __builtin_expect(!!(x), 0)

/* x86-64 and arm64 prefetch line pairs. */
#define SZ_CACHELINE 128

#endif
