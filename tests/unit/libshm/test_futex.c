/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <streamz/atomic.h>
#include <streamz/futex.h>

#define FOREVER_NS (3600ull * 1000000000)

static uint32_t *shared_words(unsigned n)
{
	uint32_t *at = mmap(NULL, n * sizeof(*at), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void changed_words_do_not_sleep(void **state)
{
	uint32_t word[SZ_WAIT_MAX] = { 0 };
	struct sz_wait_word w[SZ_WAIT_MAX];

	for (unsigned n = 1; n <= SZ_WAIT_MAX; n++) {
		for (unsigned i = 0; i < n; i++)
			w[i] = (struct sz_wait_word){ &word[i], 0 };
		w[n - 1].seen = 1;
		assert_int_equal(sz_futex_wait_any(w, n, FOREVER_NS), 0);
	}
}

static void counts(void **state)
{
	uint32_t word = 0;
	struct sz_wait_word w[SZ_WAIT_MAX + 1];

	for (unsigned i = 0; i <= SZ_WAIT_MAX; i++)
		w[i] = (struct sz_wait_word){ &word, 1 };
	assert_int_equal(sz_futex_wait_any(w, 0, 0), -EINVAL);
	assert_int_equal(sz_futex_wait_any(w, SZ_WAIT_MAX + 1, 0), -EINVAL);
}

static void timeouts(void **state)
{
	static const uint64_t ns[] = { 0, 1, 999999999, 1000 };
	uint32_t word[2] = { 0 };
	struct sz_wait_word w[2] = { { &word[0], 0 }, { &word[1], 0 } };

	for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++) {
		if (ns[i] > 1000)
			continue;
		assert_int_equal(sz_futex_wait_any(w, 1, ns[i]), -ETIMEDOUT);
		assert_int_equal(sz_futex_wait_any(w, 2, ns[i]), -ETIMEDOUT);
	}
	/* The longest there is must not come out as an invalid or a past time. */
	w[1].seen = 1;
	assert_int_equal(sz_futex_wait_any(w + 1, 1, INT64_MAX), 0);
	assert_int_equal(sz_futex_wait_any(w, 2, INT64_MAX), 0);
}

static void on_signal(int sig)
{
}

static void *keep_signalling(void *arg)
{
	uint32_t *word = arg; /* [0] stop, [1] whom */
	pthread_t whom;

	memcpy(&whom, &word[2], sizeof(whom));
	while (!sz_load_acquire(&word[0])) {
		pthread_kill(whom, SIGUSR2);
		usleep(100);
	}
	return NULL;
}

static void signals_interrupt(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal }, old;
	uint32_t word[2] = { 0 }, arg[8] = { 0 };
	struct sz_wait_word w[2] = { { &word[0], 0 }, { &word[1], 0 } };
	pthread_t self = pthread_self(), t;

	sigaction(SIGUSR2, &sa, &old);
	memcpy(&arg[2], &self, sizeof(self));
	assert_int_equal(pthread_create(&t, NULL, keep_signalling, arg), 0);
	assert_int_equal(sz_futex_wait_any(w, 1, FOREVER_NS), -EINTR);
	assert_int_equal(sz_futex_wait_any(w, 2, FOREVER_NS), -EINTR);
	sz_store_release(&arg[0], 1);
	pthread_join(t, NULL);
	sigaction(SIGUSR2, &old, NULL);
}

/* Ping-pong with a process that watches n words, of which the last is ours; the wait itself is the handshake. */
static int echo(uint32_t *words, unsigned n, uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		while (sz_load_acquire(&words[n - 1]) == i) {
			struct sz_wait_word w[SZ_WAIT_MAX];
			int rc;

			for (unsigned k = 0; k < n; k++)
				w[k] = (struct sz_wait_word){ &words[k], k == n - 1 ? i : 0 };
			rc = sz_futex_wait_any(w, n, FOREVER_NS);
			if (rc && rc != -EINTR)
				return 1;
		}
		sz_store_release(&words[n], i + 1);
		sz_futex_wake(&words[n]);
	}
	return 0;
}

static void wakes_across_processes(void **state)
{
	static const unsigned counts_of_words[] = { 1, 2, 64, SZ_WAIT_MAX };
	enum { ROUNDS = 200 };

	for (size_t c = 0; c < sizeof(counts_of_words) / sizeof(counts_of_words[0]); c++) {
		unsigned n = counts_of_words[c];
		uint32_t *words = shared_words(n + 1);
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(echo(words, n, ROUNDS));
		for (uint32_t i = 0; i < ROUNDS; i++) {
			struct sz_wait_word w = { &words[n], i };

			sz_store_release(&words[n - 1], i + 1);
			sz_futex_wake(&words[n - 1]);
			while (sz_load_acquire(&words[n]) == i)
				assert_true(sz_futex_wait_any(&w, 1, FOREVER_NS) != -ETIMEDOUT);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		munmap(words, (n + 1) * sizeof(*words));
	}
}

/* A consumer has the producer's page mapped read-only, and sleeps on it all the same. */
static void words_may_be_read_only(void **state)
{
	int fd = memfd_create("word", MFD_CLOEXEC), status;
	uint32_t *rw, *ro;
	pid_t pid;

	assert_int_equal(ftruncate(fd, 4096), 0);
	rw = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	pid = fork();
	if (pid == 0) {
		struct sz_wait_word w[2] = { { ro, 0 }, { ro + 1, 0 } };

		while (sz_load_acquire(ro) == 0)
			if (sz_futex_wait_any(w, 1, FOREVER_NS) == -EFAULT)
				_exit(1);
		while (sz_load_acquire(ro + 1) == 0)
			if (sz_futex_wait_any(w + 1, 1, FOREVER_NS) == -EFAULT)
				_exit(1);
		_exit(sz_futex_wait_any(w, 2, 0) == 0 ? 0 : 2);
	}
	for (int i = 0; i < 2; i++) {
		sz_store_release(rw + i, 1);
		sz_futex_wake(rw + i);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	munmap(rw, 4096);
	munmap(ro, 4096);
	close(fd);
}

static void low_word(void **state)
{
	uint64_t pos = 0xaabbccdd11223344ull;

	assert_int_equal(*sz_low_word(&pos), 0x11223344);
}

static void spinner(void **state)
{
	static const uint32_t limits[] = { 0, 1, 2, 3, 4, 5, 15, 16, 17, 100, 1000, UINT32_MAX };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		uint32_t limit = limits[i], x = 1;
		struct sz_spinner s;

		sz_spinner_init(&s, limit);
		assert_int_equal(s.rounds, limit);
		for (int k = 0; k < 1000; k++) {
			sz_spinner_result(&s, (x = x * 1664525 + 1013904223) >> 31);
			assert_true(s.rounds <= limit && s.rounds >= limit / 16);
		}
		for (int k = 0; k < 40; k++)
			sz_spinner_result(&s, 0);
		assert_int_equal(s.rounds, limit / 16);
		for (int k = 0; k < 40; k++)
			sz_spinner_result(&s, 1);
		assert_int_equal(s.rounds, limit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changed_words_do_not_sleep),
		cmocka_unit_test(counts),
		cmocka_unit_test(timeouts),
		cmocka_unit_test(signals_interrupt),
		cmocka_unit_test(wakes_across_processes),
		cmocka_unit_test(words_may_be_read_only),
		cmocka_unit_test(low_word),
		cmocka_unit_test(spinner),
	};

	return cmocka_run_group_tests_name("futex", tests, NULL, NULL);
}
