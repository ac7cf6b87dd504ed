/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <streamz/contract.h>
#include <streamz/object.h>

/* Unique to this process, so that runs side by side do not meet. */
static char pipeline[32];
static unsigned uid;

static int group_setup(void **state)
{
	snprintf(pipeline, sizeof(pipeline), "ut-%d", (int)getpid());
	uid = geteuid();
	return 0;
}

static int group_teardown(void **state)
{
	return sz_object_remove_all(pipeline, uid) == 0 ? 0
							: -1; /* a leaked object fails the run */
}

static void make(enum sz_object kind, unsigned index)
{
	char name[SZ_OBJECT_NAME_MAX];
	int fd;

	assert_int_equal(sz_object_name(name, pipeline, uid, kind, index), 0);
	fd = sz_object_create(name, 4096);
	assert_true(fd >= 0);
	close(fd);
}

static void names(void **state)
{
	static const struct {
		enum sz_object kind;
		unsigned index;
		const char *want;
	} cases[] = {
		{ SZ_OBJ_CTL, 0, "/streamz.web.1000.ctl" },
		{ SZ_OBJ_PAGE, 3, "/streamz.web.1000.page.3" },
		{ SZ_OBJ_STATS, 0, "/streamz.web.1000.stats.0" },
		{ SZ_OBJ_LANE, 15999, "/streamz.web.1000.lane.15999" },
	};
	char name[SZ_OBJECT_NAME_MAX], longest[SZ_NAME_MAX + 1], too_long[SZ_OBJECT_NAME_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(sz_object_name(name, "web", 1000, cases[i].kind, cases[i].index),
				 0);
		assert_string_equal(name, cases[i].want);
	}
	memset(longest, 'x', sizeof(longest));
	longest[SZ_NAME_MAX] = 0;
	assert_int_equal(sz_object_name(name, longest, UINT32_MAX, SZ_OBJ_STATS, UINT32_MAX), 0);
	memset(too_long, 'x', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = 0;
	assert_int_equal(sz_object_name(name, too_long, 0, SZ_OBJ_CTL, 0), -ENAMETOOLONG);
}

static void create_open_remove(void **state)
{
	char name[SZ_OBJECT_NAME_MAX];
	struct stat st;
	int fd, ro;

	sz_object_name(name, pipeline, uid, SZ_OBJ_LANE, 1);
	assert_int_equal(sz_object_open(name, 1), -ENOENT);
	fd = sz_object_create(name, 10000);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 10000);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true((uint64_t)st.st_blocks * 512 >= 10000); /* allocated, not only promised */
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(sz_object_create(name, 10000), -EEXIST);
	ro = sz_object_open(name, 0);
	assert_true(ro >= 0);
	assert_true(fcntl(ro, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(ro, "x", 1), -1);
	close(ro);
	ro = sz_object_open(name, 1);
	assert_int_equal(write(ro, "x", 1), 1);
	close(ro);
	close(fd);
	assert_int_equal(sz_object_remove(name), 0);
	assert_int_equal(sz_object_remove(name), -ENOENT);
}

/* A full /dev/shm is an error at creation, and nothing is left behind. */
static void no_room(void **state)
{
	char name[SZ_OBJECT_NAME_MAX];
	struct statvfs v;
	uint64_t space;

	assert_int_equal(sz_object_space(&space), 0);
	assert_int_equal(statvfs("/dev/shm", &v), 0);
	sz_object_name(name, pipeline, uid, SZ_OBJ_LANE, 2);
	assert_int_equal(sz_object_create(name, (uint64_t)v.f_blocks * v.f_frsize + 4096), -ENOSPC);
	assert_int_equal(sz_object_open(name, 0), -ENOENT);
	assert_true(sz_object_create(name, UINT64_MAX) < 0);
	assert_int_equal(sz_object_open(name, 0), -ENOENT);
	assert_true(sz_object_create(name, 0) < 0);
	assert_int_equal(sz_object_open(name, 0), -ENOENT);
}

/* To write what another user has put under our name would hand him our data. */
static void not_ours(void **state)
{
	char name[SZ_OBJECT_NAME_MAX];
	int fd;

	if (geteuid() != 0)
		skip();
	sz_object_name(name, pipeline, uid, SZ_OBJ_LANE, 3);
	fd = sz_object_create(name, 4096);
	assert_int_equal(fchown(fd, 12345, 12345), 0);
	assert_int_equal(fchmod(fd, 0666), 0);
	close(fd);
	assert_int_equal(sz_object_open(name, 1), -EPERM);
	fd = sz_object_open(name, 0);
	assert_true(fd >= 0);
	close(fd);
	sz_object_remove(name);
}

/* Runs in a child: locks a description of its own, says so, and holds it until told or killed. */
static int hold_lock(const char *name, int tell, int wait)
{
	int fd = sz_object_open(name, 1);
	char c;

	if (fd < 0 || sz_object_lock(fd) || write(tell, "l", 1) != 1)
		return 1;
	return read(wait, &c, 1) == 1 ? 0 : 2;
}

static void locks(void **state)
{
	char name[SZ_OBJECT_NAME_MAX], c;
	int fd, status;

	sz_object_name(name, pipeline, uid, SZ_OBJ_CTL, 0);
	fd = sz_object_create(name, 4096);
	assert_true(fd >= 0);
	for (int killed = 0; killed <= 1; killed++) {
		int tell[2], go[2];
		pid_t pid;

		assert_int_equal(sz_object_is_live(fd), 0);
		assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
		assert_int_equal(pipe2(go, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0)
			_exit(hold_lock(name, tell[1], go[0]));
		assert_int_equal(read(tell[0], &c, 1), 1);
		assert_int_equal(sz_object_is_live(fd), 1);
		assert_int_equal(sz_object_lock(fd), -EAGAIN);
		if (killed)
			kill(pid, SIGKILL);
		else
			assert_int_equal(write(go[1], "g", 1), 1);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, killed ? SIGKILL : 0);
		assert_int_equal(sz_object_is_live(fd), 0); /* taken from the dead by the kernel */
		for (int i = 0; i < 2; i++) {
			close(tell[i]);
			close(go[i]);
		}
	}
	assert_int_equal(sz_object_lock(fd), 0);
	assert_int_equal(sz_object_lock(fd), 0);    /* again is fine */
	assert_int_equal(sz_object_is_live(fd), 0); /* our own lock is not somebody else's */
	close(fd);
	sz_object_remove(name);
}

/* A second description of one object, in one process: what a worker makes of its inherited descriptor. */
static void reopened_locks_are_apart(void **state)
{
	char name[SZ_OBJECT_NAME_MAX];
	int fd, own, shared;

	sz_object_name(name, pipeline, uid, SZ_OBJ_PAGE, 0);
	fd = sz_object_create(name, 4096);
	own = sz_object_reopen(fd, 1);
	shared = dup(fd);
	assert_true(own >= 0 && shared >= 0);
	assert_true(fcntl(own, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(sz_object_lock(own), 0);
	assert_int_equal(sz_object_is_live(fd), 1);
	assert_int_equal(sz_object_lock(shared), -EAGAIN);
	close(shared);
	assert_int_equal(sz_object_is_live(fd),
			 1); /* closing another description's does not release it */
	close(own);
	assert_int_equal(sz_object_is_live(fd), 0);
	own = sz_object_reopen(fd, 0);
	assert_int_equal(sz_object_lock(own), -EBADF); /* read-only: no write lock */
	assert_int_equal(sz_object_is_live(own), 0);
	close(own);
	close(fd);
	assert_true(sz_object_reopen(-1, 0) < 0);
	sz_object_remove(name);
}

static int count_ours(void *ctx, const char *found)
{
	*(int *)ctx += strcmp(found, pipeline) == 0;
	return 0;
}

static int stop_at_once(void *ctx, const char *found)
{
	++*(int *)ctx;
	return 42;
}

static void walk_and_remove(void **state)
{
	char other[64], path[128];
	int n = 0, fd;

	assert_int_equal(sz_object_each(uid, count_ours, &n), 0);
	assert_int_equal(n, 0);
	make(SZ_OBJ_CTL, 0);
	make(SZ_OBJ_PAGE, 0);
	make(SZ_OBJ_STATS, 0);
	make(SZ_OBJ_LANE, 0);
	make(SZ_OBJ_LANE, 10);
	/* Neighbours that look alike: a longer name, another uid, no number. */
	snprintf(other, sizeof(other), "%sx", pipeline);
	snprintf(path, sizeof(path), "/streamz.%s.%u.lane.0", other, uid);
	fd = sz_object_create(path, 4096);
	close(fd);
	snprintf(path, sizeof(path), "/streamz.%s.%u1.ctl", pipeline, uid);
	fd = sz_object_create(path, 4096);
	close(fd);
	snprintf(path, sizeof(path), "/streamz.%s..ctl", pipeline);
	fd = sz_object_create(path, 4096);
	close(fd);
	assert_int_equal(sz_object_each(uid, count_ours, &n), 0);
	assert_int_equal(n, 1);
	n = 0;
	assert_int_equal(sz_object_each(uid, stop_at_once, &n), 42);
	assert_int_equal(n, 1);
	/* No name is nobody's name, above all not everybody's. */
	assert_int_equal(sz_object_remove_all("", uid), 0);
	assert_int_equal(sz_object_remove_all(pipeline, uid), 5);
	assert_int_equal(sz_object_remove_all(pipeline, uid), 0);
	assert_int_equal(sz_object_remove(path), 0);
	snprintf(path, sizeof(path), "/streamz.%s.%u1.ctl", pipeline, uid);
	assert_int_equal(sz_object_remove(path), 0);
	snprintf(path, sizeof(path), "/streamz.%s.%u.lane.0", other, uid);
	assert_int_equal(sz_object_remove(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),           cmocka_unit_test(create_open_remove),
		cmocka_unit_test(no_room),         cmocka_unit_test(not_ours),
		cmocka_unit_test(locks),           cmocka_unit_test(reopened_locks_are_apart),
		cmocka_unit_test(walk_and_remove),
	};

	return cmocka_run_group_tests_name("object", tests, group_setup, group_teardown);
}
