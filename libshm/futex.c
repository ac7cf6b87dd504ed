/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <streamz/atomic.h>
#include <streamz/clock.h>
#include <streamz/futex.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

#define NO_WAITV_SLEEP_NS 2000000ull

static int wait_one(const struct sz_wait_word *w, uint64_t timeout_ns)
{
	struct timespec t = sz_timespec(timeout_ns);

	if (syscall(SYS_futex, w->word, FUTEX_WAIT, w->seen, &t, NULL, 0) == 0 || errno == EAGAIN)
		return 0;
	return -errno;
}

int sz_futex_wait_any(const struct sz_wait_word *words, unsigned count, uint64_t timeout_ns)
{
	struct sz_futex_waitv v[SZ_WAIT_MAX];
	struct timespec until;

	if (count == 0 || count > SZ_WAIT_MAX)
		return -EINVAL;
	if (count == 1)
		return wait_one(words, timeout_ns);
	for (unsigned i = 0; i < count; i++)
		v[i] = sz_futex_waitv(&words[i]);
	until = sz_timespec(sz_clock_ns(CLOCK_MONOTONIC) + timeout_ns);
	if (syscall(SYS_futex_waitv, v, count, 0, &until, CLOCK_MONOTONIC) >= 0 || errno == EAGAIN)
		return 0;
	if (errno == ENOSYS)
		return wait_one(words,
				timeout_ns < NO_WAITV_SLEEP_NS ? timeout_ns : NO_WAITV_SLEEP_NS);
	return -errno;
}

void sz_futex_wake(const uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0);
}
