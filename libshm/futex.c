/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <streamz/atomic.h>
#include <streamz/futex.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

#define NS_PER_S          1000000000ull
#define NO_WAITV_SLEEP_NS 2000000ull

static int wait_one(const struct sz_wait_word *w, uint64_t timeout_ns)
{
	struct timespec t = { .tv_sec = (time_t)(timeout_ns / NS_PER_S),
			      .tv_nsec = (long)(timeout_ns % NS_PER_S) };

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
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(timeout_ns / NS_PER_S);
	until.tv_nsec += (long)(timeout_ns % NS_PER_S);
	if (until.tv_nsec >= (long)NS_PER_S) {
		until.tv_sec++;
		until.tv_nsec -= (long)NS_PER_S;
	}
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
