/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex.h - sleeping on shared words, and spinning before that
 *
 * All futexes are shared (not FUTEX_PRIVATE): the words lie in POSIX shared memory. A wait is always bounded, so that
 * an error in a wake-up costs a delay and never a hang.
 */
#ifndef STREAMZ_FUTEX_H
#define STREAMZ_FUTEX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Most words one wait can watch: the kernel's FUTEX_WAITV_MAX. */
#define SZ_WAIT_MAX 128

/**
 * struct sz_wait_word - a word to sleep on
 * @word:	the word; for a 64-bit position its low half
 * @seen:	the value that was found and means "nothing to do"
 */
struct sz_wait_word {
	const uint32_t *word;
	uint32_t seen;
};

/* The kernel's struct futex_waitv and its flag for 32-bit words, which older headers lack. */
struct sz_futex_waitv {
	uint64_t val;
	uint64_t uaddr;
	uint32_t flags;
	uint32_t reserved;
};
#define SZ_FUTEX_32 2u

static inline struct sz_futex_waitv sz_futex_waitv(const struct sz_wait_word *w)
{
	struct sz_futex_waitv v = { w->seen, (uint64_t)(uintptr_t)w->word, SZ_FUTEX_32, 0 };

	return v;
}

/**
 * sz_futex_wait_any() - sleep until one of the words differs from what was seen, or is woken
 * @words:	1..SZ_WAIT_MAX words
 * @count:	how many
 * @timeout_ns:	longest sleep, relative, CLOCK_MONOTONIC; at most about 290 years
 *
 * The kernel compares each word with @seen after it has queued the waiter, so a change between the caller's look and
 * the sleep is never missed. One word uses FUTEX_WAIT, several FUTEX_WAITV (Linux 5.16); where that is missing the
 * first word is waited on and the time cut to 2 ms.
 *
 * Return: 0 (woken or changed), -ETIMEDOUT, -EINTR.
 */
int sz_futex_wait_any(const struct sz_wait_word *words, unsigned count, uint64_t timeout_ns);

/**
 * sz_futex_wake() - wake everybody who sleeps on the word
 *
 * Costs a system call: callers first look at the peer's parked flag (struct sz_lane_end).
 */
void sz_futex_wake(const uint32_t *word);

/* The half of a 64-bit word that futexes watch: it changes with every step shorter than 4 GiB. */
static inline const uint32_t *sz_low_word(const uint64_t *word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (const uint32_t *)word;
#else
	return (const uint32_t *)word + 1;
#endif
}

/**
 * struct sz_spinner - how long it has paid to spin before sleeping
 * @limit:	most rounds; 0 never spins (more processes than cores: the core belongs to the peer)
 * @rounds:	current number of rounds, adapts between limit/16 and limit
 *
 * Private to a process.
 */
struct sz_spinner {
	uint32_t limit;
	uint32_t rounds;
};

static inline void sz_spinner_init(struct sz_spinner *s, uint32_t limit)
{
	s->limit = limit;
	s->rounds = limit;
}

/* What a spin led to; success doubles the next spin, failure halves it, so that an idle process stops burning. */
static inline void sz_spinner_result(struct sz_spinner *s, int found)
{
	uint32_t floor = s->limit / 16;

	if (found)
		s->rounds = s->rounds >= s->limit / 2 ? s->limit : s->rounds * 2 + 1;
	else
		s->rounds = s->rounds / 2 < floor ? floor : s->rounds / 2;
}

#ifdef __cplusplus
}
#endif
#endif
