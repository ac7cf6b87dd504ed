/* SPDX-License-Identifier: BSD-2-Clause */
/* file as a source: lines at every edge, patterns, files that change between two lives, deaths after every turn */
#include <errno.h>
#include <unistd.h>

#include "common.h"

#define CHUNK 131072u /* the size of one read */

static int open_source(struct rig *r, const char *path)
{
	static const char *options[2]; /* the rig looks at it in every life */
	static const struct rig_edge edges[] = { { .port = "", .limit_bytes = 65536 },
						 { .port = "failed" } };
	struct rig_config config = { .ops = &sz_stage_file_source,
				     .options = options,
				     .arena_bytes = 1 << 17 };

	options[0] = option_in_folder("path", path);
	memcpy(config.edges, edges, sizeof(edges));
	return rig_open(r, &config);
}

/* A few turns: some records, not all. */
static void run_some(struct rig *r, struct text *to)
{
	for (int i = 0; i < 4; i++)
		assert_int_not_equal(sz_rt_turn(&r->stage), SZ_TURN_ENDED);
	take(r, 0, to);
	assert_true(to->len > 0);
}

static void test_small_files(void **state)
{
	static const struct {
		const char *text, *records;
		uint64_t n;
	} cases[] = {
		{ "", "", 0 },
		{ "a\n", "a\n", 1 },
		{ "a", "a\n", 1 },
		{ "\n", "\n", 1 },
		{ "\n\na", "\n\na\n", 3 },
		{ "a\nb\n", "a\nb\n", 2 },
		{ "a\r\nb", "a\r\nb\n", 2 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text got = { 0 };
		struct rig r;

		write_file(in_folder("small"), cases[i].text, strlen(cases[i].text));
		assert_int_equal(open_source(&r, "small"), 0);
		run_to_end(&r, 0, 0, &got);
		assert_string_equal(got.at ? got.at : "", cases[i].records);
		assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), cases[i].n);
		rig_close(&r);
		free(got.at);
	}
}

/* Lines of all lengths, and one that ends right before, at and after the end of a read. */
static size_t make_big(char *text, size_t size, int shift)
{
	size_t n = 0;

	for (unsigned i = 0; n < size - 2000; i++) {
		size_t len = (i * 7919) % 1000;

		for (size_t k = 0; k < len; k++)
			text[n + k] = (char)('a' + (i + k) % 26);
		text[n + len] = '\n';
		n += len + 1;
	}
	for (size_t edge = CHUNK; edge < n; edge += CHUNK)
		text[edge + (size_t)(shift + 2) - 2] = '\n';
	return n;
}

static void test_edges_of_reads(void **state)
{
	static char text[5 * CHUNK];

	for (int shift = -2; shift <= 1; shift++) {
		size_t len = make_big(text, sizeof(text), shift);
		struct text got = { 0 };
		struct rig r;

		if (shift == 1)
			len--; /* no final newline */
		write_file(in_folder("big"), text, len);
		assert_int_equal(open_source(&r, "big"), 0);
		run_to_end(&r, 0, 0, &got);
		assert_int_equal(got.len, len + (shift == 1));
		assert_memory_equal(got.at, text, len);
		assert_int_equal(rig_counter(&r, SZ_C_FAILED), 0);
		rig_close(&r);
		free(got.at);
	}
	/* exactly one read, and one byte more and less */
	memset(text, 'x', sizeof(text));
	for (size_t i = 99; i < sizeof(text); i += 100)
		text[i] = '\n';
	for (size_t len = CHUNK - 1; len <= CHUNK + 1; len++) {
		struct text got = { 0 };
		struct rig r;

		write_file(in_folder("big"), text, len);
		assert_int_equal(open_source(&r, "big"), 0);
		run_to_end(&r, 0, 0, &got);
		assert_int_equal(got.len, len + 1);
		assert_memory_equal(got.at, text, len);
		rig_close(&r);
		free(got.at);
	}
}

static void test_long_lines_fail_with_size_and_position(void **state)
{
	static char text[600000];
	struct text got = { 0 }, failed = { 0 };
	size_t n = 0;
	struct rig r;

	memcpy(text, "short\n", 6);
	n = 6;
	memset(text + n, 'l', 1024); /* as long as may be */
	n += 1024;
	text[n++] = '\n';
	memset(text + n, 'm', 1025); /* at 1031 */
	n += 1025;
	text[n++] = '\n';
	memset(text + n, 'h', 400000); /* at 2057, longer than the window of reads */
	n += 400000;
	text[n++] = '\n';
	memcpy(text + n, "short again\n", 12);
	n += 12;
	memset(text + n, 'e', 2000); /* at 402070, ends with the file */
	n += 2000;
	write_file(in_folder("long"), text, n);
	assert_int_equal(open_source(&r, "long"), 0);
	run_to_end(&r, 0, 0, &got);
	take(&r, 1, &failed);
	assert_int_equal(got.len, 6 + 1025 + 12);
	assert_memory_equal(got.at, "short\nlll", 9);
	assert_memory_equal(got.at + got.len - 13, "\nshort again\n", 13);
	assert_non_null(
		strstr(failed.at,
		       "line of 1025 bytes at offset 1031 is longer than max_record (1024)"));
	assert_non_null(strstr(failed.at, "line of 400000 bytes at offset 2057 is longer"));
	assert_non_null(strstr(failed.at, "line of 2000 bytes at offset 402070 is longer"));
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 6);
	assert_int_equal(rig_counter(&r, SZ_C_FAILED), 3);
	assert_int_equal(rig_counter(&r, SZ_C_HANDLED), 3);
	rig_close(&r);
	free(got.at);
	free(failed.at);
}

static void test_patterns_in_name_order(void **state)
{
	struct text got = { 0 };
	struct rig r;

	write_file(in_folder("p-10.log"), "ten\n", 4);
	write_file(in_folder("p-2.log"), "two",
		   3); /* its last line does not run into the next file */
	write_file(in_folder("p-1.log"), "one\n", 4);
	write_file(in_folder("p-0.log"), "", 0);
	write_file(in_folder("p-3.txt"), "not me\n", 7);
	assert_int_equal(open_source(&r, "p-*.log"), 0);
	run_to_end(&r, 0, 0, &got);
	assert_string_equal(got.at, "one\nten\ntwo\n");
	rig_close(&r);
	free(got.at);
}

/* One death after each turn, and deaths after every fourth turn. */
static void test_deaths(void **state)
{
	static char text[3 * CHUNK];
	size_t len = make_big(text, sizeof(text), 0);
	unsigned turns;

	memset(text + 50000, 'z', 3000); /* a line that fails */
	write_file(in_folder("d-1"), text, len - 1);
	write_file(in_folder("d-2"), text, len);
	struct text want = { 0 };
	struct rig r;
	assert_int_equal(open_source(&r, "d-*"), 0);
	turns = run_to_end(&r, 0, 0, &want);
	uint64_t failed = rig_counter(&r, SZ_C_FAILED);
	assert_int_equal(failed, 2);
	rig_close(&r);
	for (unsigned at = 1; at <= turns; at++) {
		struct text got = { 0 };

		assert_int_equal(open_source(&r, "d-*"), 0);
		run_to_end(&r, at, at % 8 == 0 ? 4 : 0, &got);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.at, want.at, want.len);
		assert_int_equal(rig_counter(&r, SZ_C_FAILED), failed);
		rig_close(&r);
		free(got.at);
	}
	free(want.at);
}

/* A file that is another one, or shorter, when the next life opens it. */
static void test_changed_between_lives(void **state)
{
	static char text[200000];
	struct text got = { 0 };
	struct rig r;

	memset(text, 'x', sizeof(text));
	for (size_t i = 99; i < sizeof(text); i += 100)
		text[i] = '\n';
	write_file(in_folder("changes"), text, sizeof(text));
	assert_int_equal(open_source(&r, "changes"), 0);
	run_some(&r, &got);
	assert_int_equal(rename(in_folder("changes"), in_folder("moved")), 0);
	write_file(in_folder("changes"), text, sizeof(text));
	assert_int_equal(die(&r), 0);
	assert_non_null(
		strstr(gives_up(&r), "was replaced by another file while it was being read"));
	rig_close(&r);

	assert_int_equal(open_source(&r, "changes"), 0);
	run_some(&r, &got);
	assert_int_equal(truncate(in_folder("changes"), 1000), 0);
	assert_int_equal(die(&r), 0);
	assert_non_null(strstr(gives_up(&r), "was cut to 1000 bytes"));
	rig_close(&r);

	assert_int_equal(open_source(&r, "changes"), 0);
	assert_int_equal(unlink(in_folder("changes")), 0);
	assert_non_null(strstr(gives_up(&r), "No such file"));
	rig_close(&r);
	free(got.at);
}

static void test_drain_ends_at_a_line(void **state)
{
	struct text got = { 0 };
	static char text[400000];
	struct rig r;

	memset(text, 'x', sizeof(text));
	for (size_t i = 99; i < sizeof(text); i += 100)
		text[i] = '\n';
	write_file(in_folder("drained"), text, sizeof(text));
	assert_int_equal(open_source(&r, "drained"), 0);
	run_some(&r, &got);
	r.stage.draining = true;
	run_to_end(&r, 0, 0, &got);
	assert_true(got.len > 0 && got.len < sizeof(text) && got.len % 100 == 0);
	rig_close(&r);
	free(got.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_files),
		cmocka_unit_test(test_edges_of_reads),
		cmocka_unit_test(test_long_lines_fail_with_size_and_position),
		cmocka_unit_test(test_patterns_in_name_order),
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_changed_between_lives),
		cmocka_unit_test(test_drain_ends_at_a_line),
	};

	return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
