/* SPDX-License-Identifier: BSD-2-Clause */
/* file as a sink: modes, deaths after every turn, outputs that others touch, a full disk */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"

#define RECORDS 300

static int open_sink(struct rig *r, const char *path, const char *a, const char *b)
{
	static const char *options[4]; /* the rig looks at it in every life */

	options[0] = option_in_folder("path", path);
	options[1] = a;
	options[2] = a ? b : NULL;
	return rig_open(r, &(struct rig_config){ .ops = &sz_stage_file_sink,
						 .options = options,
						 .inputs = 2,
						 .arena_bytes = 1 << 20 });
}

/* A folder's file that holds this text, and nothing beside it that was not there. */
static void check_file(const char *name, const char *text)
{
	assert_string_equal(read_file(in_folder(name), NULL), text);
}

static void finish(struct rig *r)
{
	rig_end(r, 0);
	rig_end(r, 1);
	run_to_end(r, 0, 0, NULL);
	rig_close(r);
	close_all_in_folder();
}

static void run(struct rig *r)
{
	for (int i = 0; i < 10; i++)
		sz_rt_turn(&r->stage);
}

static void test_each_mode(void **state)
{
	static const struct {
		const char *mode, *during, *after;
	} cases[] = {
		{ "mode=append", "before\none\n\n", "before\none\n\n" },
		{ "mode=truncate", "one\n\n", "one\n\n" },
		{ "mode=replace", "before\n", "one\n\n" },
	};
	struct rig r;

	for (size_t i = 0; i < 3; i++) {
		write_file(in_folder("modes"), "before\n", 7);
		assert_int_equal(open_sink(&r, "modes", cases[i].mode, NULL), 0);
		rig_puts(&r, 0, "one");
		run(&r);
		rig_puts(&r, 1, "");
		run(&r);
		check_file("modes", cases[i].during);
		assert_int_equal(rig_counter(&r, SZ_C_RECORDS_OUT), 2);
		assert_int_equal(rig_counter(&r, SZ_C_BYTES_OUT), 3);
		assert_int_equal(rig_counter(&r, SZ_C_HELD), 0);
		finish(&r);
		check_file("modes", cases[i].after);
	}
	assert_int_equal(open_sink(&r, "modes", "mode=new", NULL), -EEXIST);
	assert_non_null(strstr(r.stage.error_text, "exists already"));
	rig_close(&r);
	close_all_in_folder();
	assert_int_equal(open_sink(&r, "fresh", "mode=new", NULL), 0);
	rig_puts(&r, 0, "x");
	finish(&r);
	check_file("fresh", "x\n");
}

/* A death after turn k, for each k, and deaths after every third turn from there. */
static void test_deaths(void **state)
{
	static const char *const modes[] = { "mode=append", "mode=truncate", "mode=replace",
					     "mode=new" };
	static char want[RECORDS * 1010], line[1010];

	for (size_t m = 0; m < 4; m++) {
		unsigned turns = 1;

		for (unsigned at = 0; at <= turns; at++) {
			struct rig r;
			unsigned took, fed = 0;
			size_t len = 0;

			unlink(in_folder("deaths"));
			if (m < 3)
				write_file(in_folder("deaths"), "before\n", 7);
			if (m == 0)
				len = (size_t)sprintf(want, "before\n");
			assert_int_equal(open_sink(&r, "deaths", modes[m], NULL), 0);
			for (took = 1;; took++) {
				/* a few at a time, of any length, so that there are many chunks */
				for (unsigned i = 0; i < 20 && fed < RECORDS; i++, fed++) {
					int n = sprintf(line, "%u %*s", fed, (int)(fed * 37 % 1000),
							"");

					if (rig_put(&r, 0, line, (uint32_t)n) < 0)
						break;
					len += (size_t)sprintf(want + len, "%s\n", line);
				}
				if (fed == RECORDS) {
					rig_end(&r, 0);
					rig_end(&r, 1);
				}
				if (sz_rt_turn(&r.stage) == SZ_TURN_ENDED)
					break;
				if (at && took >= at && (took - at) % (at % 2 ? 3 : 1000) == 0)
					assert_int_equal(die(&r), 0);
				assert_true(took < 10000);
			}
			assert_int_equal(rig_counter(&r, SZ_C_RECORDS_OUT), RECORDS);
			assert_int_equal(rig_counter(&r, SZ_C_HELD), 0);
			/* killed after the last commit: nothing is done twice */
			assert_int_equal(die(&r), 0);
			assert_int_equal(sz_rt_turn(&r.stage), SZ_TURN_ENDED);
			rig_close(&r);
			close_all_in_folder();
			check_file("deaths", want);
			if (at == 0)
				turns = took;
		}
	}
}

static void test_touched_by_others(void **state)
{
	struct rig r;
	FILE *f;

	assert_int_equal(open_sink(&r, "grown", NULL, NULL), 0);
	rig_puts(&r, 0, "mine");
	run(&r);
	f = fopen(in_folder("grown"), "a");
	fputs("not mine\n", f);
	fclose(f);
	assert_int_equal(die(&r), -ESTALE);
	assert_non_null(strstr(r.stage.error_text,
			       "has grown to 14 bytes by somebody else; this stage wrote up to 5"));
	rig_close(&r);
	close_all_in_folder();
	check_file("grown", "mine\nnot mine\n");

	assert_int_equal(open_sink(&r, "cut", NULL, NULL), 0);
	rig_puts(&r, 0, "mine");
	run(&r);
	assert_int_equal(truncate(in_folder("cut"), 2), 0);
	assert_int_equal(die(&r), -ESTALE);
	assert_non_null(
		strstr(r.stage.error_text, "was cut to 2 bytes by somebody else; 5 were written"));
	rig_close(&r);
	close_all_in_folder();

	assert_int_equal(open_sink(&r, "other", NULL, NULL), 0);
	rig_puts(&r, 0, "mine");
	run(&r);
	assert_int_equal(rename(in_folder("other"), in_folder("away")), 0);
	write_file(in_folder("other"), "mine\n", 5);
	assert_int_equal(die(&r), -ESTALE);
	assert_non_null(
		strstr(r.stage.error_text, "is not the file that was written before: put it back"));
	rig_close(&r);
	close_all_in_folder();
}

static void test_max_size(void **state)
{
	struct rig r;

	assert_int_equal(open_sink(&r, "limited", "max_size=10", NULL), 0);
	rig_puts(&r, 0, "1234");
	rig_puts(&r, 0, "6789"); /* 10 bytes with their newlines */
	run(&r);
	check_file("limited", "1234\n6789\n");
	rig_puts(&r, 0, "");
	assert_non_null(strstr(gives_up(&r), "limited is full: max_size=10"));
	check_file("limited", "1234\n6789\n");
	/* As it says: move it away, and start again. */
	assert_int_equal(rename(in_folder("limited"), in_folder("moved")), 0);
	assert_int_equal(die(&r), 0);
	run(&r);
	check_file("limited", "\n");
	check_file("moved", "1234\n6789\n");
	rig_puts(&r, 0, "5678");
	run(&r);
	assert_int_equal(die(&r), 0); /* a death in between */
	check_file("limited", "\n5678\n");
	rig_puts(&r, 0, "123456");
	assert_non_null(strstr(gives_up(&r), "limited is full: max_size=10"));
	rig_close(&r);
	close_all_in_folder();
}

static void test_create_with_the_first_record(void **state)
{
	struct rig r;

	assert_int_equal(open_sink(&r, "late", "create=record", NULL), 0);
	run(&r);
	assert_int_equal(access(in_folder("late"), F_OK), -1);
	assert_int_equal(die(&r), 0);
	rig_puts(&r, 0, "now");
	run(&r);
	check_file("late", "now\n");
	assert_int_equal(die(&r), 0);
	rig_puts(&r, 0, "and then");
	finish(&r);
	check_file("late", "now\nand then\n");

	assert_int_equal(open_sink(&r, "never", "create=record", NULL), 0);
	finish(&r);
	assert_int_equal(access(in_folder("never"), F_OK), -1);
}

/* On a tmpfs of 64 KiB, where this program may mount one: what arrives is held until there is room. */
static void test_full_disk(void **state)
{
	static char filler[40960], line[1001];
	struct rig r;

	mkdir(in_folder("disk"), 0700);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", in_folder("disk"), "tmpfs", 0, "size=64k") < 0)
		skip();
	write_file(in_folder("disk/filler"), filler, sizeof(filler));
	memset(line, 'x', 1000);
	rig_now_ns = 1000000000;
	assert_int_equal(open_sink(&r, "disk/out", NULL, NULL), 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(rig_puts(&r, 0, line), 0);
	run(&r);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 40);
	assert_true(rig_counter(&r, SZ_C_HELD) > 0);
	assert_true(r.stage.waiting.until_ns > rig_now_ns); /* it probes, and does not spin */
	assert_int_equal(die(&r), 0);
	run(&r);
	assert_int_equal(unlink(in_folder("disk/filler")), 0);
	for (int i = 0; i < 20; i++) {
		rig_now_ns += 6000000000;
		run(&r);
	}
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_OUT), 40);
	finish(&r);
	size_t len;
	read_file(in_folder("disk/out"), &len);
	assert_int_equal(len, 40 * 1001);
	assert_int_equal(umount(in_folder("disk")), 0);
}

static jmp_buf *death; /* in the next fsync() */

/* Ours comes before the one of the C library. */
int fsync(int fd)
{
	if (death)
		longjmp(*death, 1);
	return (int)syscall(SYS_fsync, fd);
}

/* Renaming cannot be undone, so that it is due is committed before: a death behind it is not the loss of the file. */
static void test_death_behind_the_rename(void **state)
{
	jmp_buf here;
	struct rig r;

	(void)state;
	assert_int_equal(open_sink(&r, "renamed", "mode=replace", NULL), 0);
	assert_int_equal(rig_puts(&r, 0, "all there is"), 0);
	rig_end(&r, 0);
	rig_end(&r, 1);
	death = &here;
	if (setjmp(here) == 0) {
		run_to_end(&r, 0, 0, NULL);
		fail_msg("it ended without a fsync of the folder");
	}
	death = NULL;
	check_file("renamed", "all there is\n");
	assert_int_equal(die(&r), 0);
	run_to_end(&r, 0, 0, NULL);
	check_file("renamed", "all there is\n");
	finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_mode),
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_touched_by_others),
		cmocka_unit_test(test_max_size),
		cmocka_unit_test(test_create_with_the_first_record),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_death_behind_the_rename),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
