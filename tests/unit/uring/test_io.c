/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests on an io_uring instance that outlives its user, and on plain system calls; one sleep for words and completions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the above */
#include <cmocka.h>

#include <streamz/stage.h>

#include "../../../stages/uring/io.h"

#define LONG_NS 100000000000ull /* longer than the runner lets a test live */

struct bench {
	struct io_uring_params params;
	int ring_fd;
	struct sz_page_live *live;
	uint32_t *word;
	int pipe[2];
	char *buf;
};

static int open_bench(struct bench *b)
{
	struct io_uring ring;

	memset(b, 0, sizeof(*b));
	b->params.flags = IORING_SETUP_CQSIZE;
	b->params.cq_entries = 64;
	if (io_uring_queue_init_params(8, &ring, &b->params))
		return -1;
	b->ring_fd = dup(ring.ring_fd);
	io_uring_queue_exit(&ring);
	b->live = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	b->word = (uint32_t *)((char *)b->live + 4096);
	b->buf = (char *)b->live + 8192;
	return pipe(b->pipe);
}

static void close_bench(struct bench *b)
{
	close(b->ring_fd);
	close(b->pipe[0]);
	close(b->pipe[1]);
	munmap(b->live, 3 * 4096);
}

/* Both engines: a read of a pipe completes when there is something, with what there is. */
static void read_pipe(struct bench *b, int ring_fd)
{
	struct sz_io io;
	sigset_t none;
	uint32_t request;
	int result;

	sigemptyset(&none);
	assert_int_equal(sz_io_open(&io, ring_fd, &b->params, b->live, 1, 4, 0), 0);
	sz_io_queue(&io, 2, SZ_IO_READ, b->pipe[0], b->buf, 100, SZ_IO_AT_OWN_POSITION, 0);
	assert_int_equal(sz_io_submit(&io), 0);
	assert_int_equal(io.inflight, 1);
	assert_int_equal(sz_io_next(&io, &request, &result), 0);
	assert_int_equal(write(b->pipe[1], "hello", 5), 5);
	sz_io_wait(&io, NULL, 0, LONG_NS, &none);
	assert_int_equal(sz_io_next(&io, &request, &result), 1);
	assert_int_equal(request, 2);
	assert_int_equal(result, 5);
	assert_memory_equal(b->buf, "hello", 5);
	assert_int_equal(io.inflight, 0);
	sz_io_close(&io);
}

static void test_read_uring(void **state)
{
	struct bench b;

	if (open_bench(&b))
		skip();
	read_pipe(&b, dup(b.ring_fd));
	close_bench(&b);
}

static void test_read_plain(void **state)
{
	struct bench b;

	if (open_bench(&b))
		skip();
	read_pipe(&b, -1);
	close_bench(&b);
}

/* What was there when it was asked for is no reason to wait for more. */
static void test_ready_plain(void **state)
{
	struct bench b;
	struct sz_io io;
	sigset_t none;
	uint32_t request;
	int result;

	(void)state;
	if (open_bench(&b))
		skip();
	sigemptyset(&none);
	assert_int_equal(sz_io_open(&io, -1, &b.params, b.live, 1, 4, 0), 0);
	assert_int_equal(write(b.pipe[1], "hello", 5), 5);
	sz_io_queue(&io, 1, SZ_IO_READ, b.pipe[0], b.buf, 100, SZ_IO_AT_OWN_POSITION, 0);
	assert_int_equal(sz_io_submit(&io), 0);
	sz_io_wait(&io, NULL, 0, LONG_NS, &none);
	assert_int_equal(sz_io_next(&io, &request, &result), 1);
	assert_int_equal(result, 5);
	sz_io_close(&io);
	close_bench(&b);
}

/* The completion of a life that died before it looked is found by the next; a volatile one, and an error, are not. */
static void test_results_of_an_older_life(void **state)
{
	struct bench b;
	struct sz_io io;

	if (open_bench(&b))
		skip();
	pid_t child = fork();
	if (child == 0) {
		if (sz_io_open(&io, dup(b.ring_fd), &b.params, b.live, 1, 4, 0))
			_exit(1);
		if (write(b.pipe[1], "abcdef", 6) != 6)
			_exit(2);
		sz_io_queue(&io, 0, SZ_IO_READ, b.pipe[0], b.buf, 3, SZ_IO_AT_OWN_POSITION, 0);
		sz_io_submit(&io);
		sz_io_queue(&io, 1, SZ_IO_READ, b.pipe[0], b.buf + 3, 3, SZ_IO_AT_OWN_POSITION,
			    SZ_IO_VOLATILE);
		sz_io_submit(&io);
		sz_io_queue(&io, 2, SZ_IO_READ, -1, b.buf, 3, 0, 0);
		sz_io_submit(&io);
		_exit(0);
	}
	int status;
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	/* as long as nothing is committed, every life sees it */
	for (uint32_t life = 2; life < 4; life++) {
		assert_int_equal(sz_io_open(&io, dup(b.ring_fd), &b.params, b.live, life, 4, 0), 0);
		assert_int_equal(io.recovered[0], 3);
		assert_int_equal(io.recovered[1], -1);
		assert_int_equal(io.recovered[2], -1);
		assert_int_equal(io.cq_pos, 3);
		sz_io_close(&io);
	}
	assert_int_equal(sz_io_open(&io, dup(b.ring_fd), &b.params, b.live, 4, 4, 3), 0);
	assert_int_equal(io.recovered[0], -1);
	sz_io_close(&io);
	close_bench(&b);
}

/*
 * A request that never completes is in flight; a change of the word, told once, ends the sleep all the same. The child
 * changes it and wakes until it is told that the parent is up: no time in it.
 */
static void word_ends_the_sleep(int use_uring)
{
	struct bench b;
	struct sz_io io;
	sigset_t none;
	uint32_t request;
	int result, status;

	if (open_bench(&b))
		skip();
	sigemptyset(&none);
	assert_int_equal(sz_io_open(&io, use_uring ? dup(b.ring_fd) : -1, &b.params, b.live, 1, 4,
				    0),
			 0);
	sz_io_queue(&io, 0, SZ_IO_READ, b.pipe[0], b.buf, 3, SZ_IO_AT_OWN_POSITION, 0);
	assert_int_equal(sz_io_submit(&io), 0);
	for (uint32_t round = 0; round < 20; round++) {
		struct sz_wait_word w = { b.word, round };
		pid_t child = fork();

		if (child == 0) {
			usleep(round * 100);
			sz_store_release(b.word, round + 1);
			sz_futex_wake(b.word);
			_exit(0);
		}
		while (sz_load_acquire(b.word) == round) {
			sz_io_wait(&io, &w, 1, LONG_NS, &none);
			assert_int_equal(sz_io_next(&io, &request, &result), 0);
		}
		waitpid(child, &status, 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(io.inflight, 1);
	assert_int_equal(write(b.pipe[1], "abc", 3), 3);
	struct sz_wait_word still = { b.word, *b.word };
	while (!sz_io_next(&io, &request, &result))
		sz_io_wait(&io, &still, 1, LONG_NS, &none);
	assert_int_equal(request, 0);
	assert_int_equal(result, 3);
	sz_io_close(&io);
	close_bench(&b);
}

static void test_word_ends_the_sleep_uring(void **state)
{
	word_ends_the_sleep(1);
}

static void test_word_ends_the_sleep_plain(void **state)
{
	word_ends_the_sleep(0);
}

/* A word that differs already is not slept on. */
static void test_changed_word(void **state)
{
	struct bench b;
	struct sz_io io;
	sigset_t none;
	struct sz_wait_word w;

	if (open_bench(&b))
		skip();
	sigemptyset(&none);
	w = (struct sz_wait_word){ b.word, *b.word + 1 };
	assert_int_equal(sz_io_open(&io, dup(b.ring_fd), &b.params, b.live, 1, 4, 0), 0);
	if (!io.can_watch)
		skip();
	sz_io_wait(&io, &w, 1, LONG_NS, &none);
	sz_io_close(&io);
	close_bench(&b);
}

/* Cancelled: an error of this life, told to who asked. */
static void test_cancel(void **state)
{
	struct bench b;
	struct sz_io io;
	sigset_t none;
	uint32_t request;
	int result;

	if (open_bench(&b))
		skip();
	sigemptyset(&none);
	for (int engine = 0; engine < 2; engine++) {
		assert_int_equal(sz_io_open(&io, engine ? dup(b.ring_fd) : -1, &b.params, b.live, 1,
					    4, 0),
				 0);
		sz_io_queue(&io, 3, SZ_IO_READ, b.pipe[0], b.buf, 3, SZ_IO_AT_OWN_POSITION, 0);
		assert_int_equal(sz_io_submit(&io), 0);
		sz_io_queue_cancel(&io, 3);
		assert_int_equal(sz_io_submit(&io), 0);
		while (!sz_io_next(&io, &request, &result))
			sz_io_wait(&io, NULL, 0, LONG_NS, &none);
		assert_int_equal(request, 3);
		assert_int_equal(result, -ECANCELED);
		sz_io_close(&io);
	}
	close_bench(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_uring),
		cmocka_unit_test(test_read_plain),
		cmocka_unit_test(test_ready_plain),
		cmocka_unit_test(test_results_of_an_older_life),
		cmocka_unit_test(test_word_ends_the_sleep_uring),
		cmocka_unit_test(test_word_ends_the_sleep_plain),
		cmocka_unit_test(test_changed_word),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
