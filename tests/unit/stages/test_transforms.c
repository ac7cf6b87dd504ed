/* SPDX-License-Identifier: BSD-2-Clause */
/* filter, map, delay, pass, null, generate */
#include "common.h"

#define MS 1000000ull

static const struct rig_edge three[] = { { .port = "" }, { .port = "rest" }, { .port = "failed" } };

struct filter_case {
	const char *options[4];
	const char *kept, *rest;
};

static void test_filter(void **state)
{
	static const struct filter_case cases[] = {
		{ { "match=b" }, "abc|b", "xyz||a.c" },
		{ { "match=b", "invert=true" }, "xyz||a.c", "abc|b" },
		{ { "regex=^a.c$" }, "abc|a.c", "xyz||b" },
		{ { "regex=^$" }, "", "abc|xyz|b|a.c" }, /* the empty record is kept */
		{ { "match=a.c" }, "a.c", "abc|xyz||b" },
		{ { "match=not there" }, "", "abc|xyz||b|a.c" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig_config config = { .ops = &sz_stage_filter,
					     .options = cases[i].options,
					     .inputs = 1 };
		struct rig r;

		memcpy(config.edges, three, sizeof(three));
		assert_int_equal(rig_open(&r, &config), 0);
		rig_puts(&r, 0, "abc");
		rig_puts(&r, 0, "xyz");
		rig_puts(&r, 0, "");
		rig_puts(&r, 0, "b");
		rig_puts(&r, 0, "a.c");
		rig_end(&r, 0);
		assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
		assert_string_equal(rig_drain(&r, 0), cases[i].kept);
		assert_string_equal(rig_drain(&r, 1), cases[i].rest);
		assert_int_equal(rig_counter(&r, SZ_C_HANDLED), 5);
		sz_stage_filter.fini(&r.stage);
		rig_close(&r);
	}
}

static void test_filter_match_limit_is_a_failure(void **state)
{
	static const char *const options[] = { "regex=(*LIMIT_MATCH=5)(a+)+$", NULL };
	struct rig_config config = { .ops = &sz_stage_filter, .options = options, .inputs = 1 };
	struct rig r;

	memcpy(config.edges, three, sizeof(three));
	assert_int_equal(rig_open(&r, &config), 0);
	rig_puts(&r, 0, "aaaaaaaaaaaaaaaaaaaaaaab");
	rig_puts(&r, 0, "a");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "a");
	assert_non_null(strstr(rig_drain(&r, 2), "match limit reached"));
	assert_int_equal(rig_counter(&r, SZ_C_FAILED), 1);
	sz_stage_filter.fini(&r.stage);
	rig_close(&r);
}

/* Bytes are bytes: NUL and what is no UTF-8. */
static void test_filter_binary(void **state)
{
	static const char *const options[] = { "regex=\\x00\\xff", NULL };
	struct rig_config config = { .ops = &sz_stage_filter, .options = options, .inputs = 1 };
	char buf[8];
	struct rig r;

	memcpy(config.edges, three, sizeof(three));
	assert_int_equal(rig_open(&r, &config), 0);
	rig_put(&r, 0, "a\0\xff", 3);
	rig_put(&r, 0, "a\xff", 2);
	rig_run(&r);
	assert_int_equal(rig_get(&r, 0, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "a\0\xff", 3);
	assert_int_equal(rig_get(&r, 0, buf, sizeof(buf)), -1);
	sz_stage_filter.fini(&r.stage);
	rig_close(&r);
}

struct map_case {
	const char *options[4];
	const char *in, *out;
};

static void test_map(void **state)
{
	static const struct map_case cases[] = {
		{ { "regex=(\\w+) (\\w+)", "replace=$2 $1" }, "one two three", "two one three" },
		{ { "regex=(?<a>\\w+) (\\w+)", "replace=${2}-${a}$$" }, "one two", "two-one$" },
		{ { "regex=o", "replace=0" }, "foo boo", "f0o boo" },
		{ { "regex=o", "replace=0", "all=true" }, "foo boo", "f00 b00" },
		{ { "regex=x*", "replace=-", "all=true" }, "ab", "-a-b-" },
		{ { "regex=(a)|(b)", "replace=<$1$2>", "all=true" }, "cab", "c<a><b>" },
		{ { "regex=nothing", "replace=x" }, "unchanged", "unchanged" },
		{ { "regex=^.*$", "replace=" }, "all of it", "" },
		{ { "regex=^$", "replace=was empty" }, "", "was empty" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;

		assert_int_equal(
			rig_open(&r, &(struct rig_config){ .ops = &sz_stage_map,
							   .options = cases[i].options,
							   .inputs = 1,
							   .edges = { { .port = "" },
								      { .port = "failed" } } }),
			0);
		rig_puts(&r, 0, cases[i].in);
		rig_run(&r);
		assert_string_equal(rig_drain(&r, 0), cases[i].out);
		assert_int_equal(rig_counter(&r, SZ_C_HANDLED), 1);
		sz_stage_map.fini(&r.stage);
		rig_close(&r);
	}
}

/* One byte becomes ten; max_record is 1024. */
static void test_map_growth(void **state)
{
	static const char *const options[] = { "regex=x", "replace=0123456789", "all=true", NULL };
	static char in[1024], out[2048];
	struct rig r;

	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_map,
							    .options = options,
							    .inputs = 1,
							    .edges = { { .port = "" },
								       { .port = "failed" } } }),
			 0);
	memset(in, 'x', sizeof(in));
	in[102] = in[103] = in[104] = in[105] = 'y';
	assert_int_equal(rig_put(&r, 0, in, 106), 0); /* exactly 1024 */
	assert_int_equal(rig_put(&r, 0, "xy", 2), 0);
	in[105] = 'x';
	assert_int_equal(rig_put(&r, 0, in, 106), 0); /* 1033 */
	in[105] = 'y';
	in[106] = 'y';
	assert_int_equal(rig_put(&r, 0, in, 107), 0); /* 1025 */
	rig_run(&r);
	assert_int_equal(rig_get(&r, 0, out, sizeof(out)), 1024);
	assert_memory_equal(out + 1010, "0123456789yyyy", 14);
	assert_int_equal(rig_get(&r, 0, out, sizeof(out)), 11);
	assert_int_equal(rig_get(&r, 0, out, sizeof(out)), -1);
	assert_int_equal(rig_counter(&r, SZ_C_FAILED), 2);
	assert_non_null(strstr(rig_drain(&r, 1), "longer than max_record (1024 bytes)"));
	sz_stage_map.fini(&r.stage);
	rig_close(&r);
}

static void test_map_match_limit(void **state)
{
	static const char *const options[] = { "regex=(*LIMIT_MATCH=5)(a+)+$", "replace=x", NULL };
	struct rig r;

	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_map,
							    .options = options,
							    .inputs = 1,
							    .edges = { { .port = "" },
								       { .port = "failed" } } }),
			 0);
	rig_puts(&r, 0, "aaaaaaaaaaaaaaaaaaaaaaab");
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "");
	assert_non_null(strstr(rig_drain(&r, 1), "match limit reached"));
	sz_stage_map.fini(&r.stage);
	rig_close(&r);
}

static void test_delay(void **state)
{
	static const char *const options[] = { "time=10ms", NULL };
	struct rig r;

	rig_now_ns = 1000 * MS;
	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_delay,
							    .options = options,
							    .inputs = 1,
							    .edges = { { .port = "" } } }),
			 0);
	rig_puts(&r, 0, "a");
	rig_puts(&r, 0, "b");
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_int_equal(r.stage.waiting.until_ns, 1010 * MS);
	assert_string_equal(rig_drain(&r, 0), "");
	rig_now_ns += 9 * MS;
	rig_run(&r);
	assert_string_equal(rig_drain(&r, 0), "");
	rig_now_ns += 1 * MS;
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_string_equal(rig_drain(&r, 0), "a");
	assert_int_equal(r.stage.waiting.until_ns, 1020 * MS);
	rig_now_ns += 10 * MS;
	rig_end(&r, 0);
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_string_equal(rig_drain(&r, 0), "b");
	rig_close(&r);
}

/* Within time and time + jitter, not always the same, and the same again for the same seed. */
static void test_delay_jitter(void **state)
{
	static const char *const options[] = { "time=10ms", "jitter=10ms", NULL };
	uint64_t due[2][50], different = 0;

	for (int run = 0; run < 2; run++) {
		struct rig r;

		rig_now_ns = 1000 * MS;
		assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_delay,
								    .options = options,
								    .inputs = 1,
								    .edges = { { .port = "" } },
								    .seed = 5 }),
				 0);
		for (int i = 0; i < 50; i++)
			rig_puts(&r, 0, "a");
		for (int i = 0; i < 50; i++) {
			assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
			due[run][i] = r.stage.waiting.until_ns - rig_now_ns;
			assert_in_range(due[run][i], 10 * MS, 20 * MS);
			different += i && due[run][i] != due[run][i - 1];
			rig_now_ns = r.stage.waiting.until_ns;
		}
		rig_close(&r);
	}
	assert_true(different > 50);
	assert_memory_equal(due[0], due[1], sizeof(due[0]));
}

static void test_pass_and_null(void **state)
{
	struct rig r;
	char buf[8];

	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_pass,
							    .inputs = 1,
							    .edges = { { .port = "" } } }),
			 0);
	rig_put(&r, 0, "\0\n\xff", 3);
	rig_put(&r, 0, "", 0);
	rig_run(&r);
	assert_int_equal(rig_get(&r, 0, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "\0\n\xff", 3);
	assert_int_equal(rig_get(&r, 0, buf, sizeof(buf)), 0);
	rig_close(&r);

	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_null, .inputs = 2 }),
			 0);
	rig_puts(&r, 0, "abc");
	rig_puts(&r, 1, "de");
	rig_end(&r, 0);
	rig_end(&r, 1);
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_OUT), 2);
	assert_int_equal(rig_counter(&r, SZ_C_BYTES_OUT), 5);
	assert_int_equal(rig_counter(&r, SZ_C_BYTES_IN), 5);
	rig_close(&r);
}

static void test_generate_rate_and_burst(void **state)
{
	static const char *const options[] = { "count=12", "rate=10/s", "burst=5", NULL };
	struct rig r;

	rig_now_ns = 1000 * MS;
	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_generate,
							    .options = options,
							    .edges = { { .port = "" } } }),
			 0);
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_string_equal(rig_drain(&r, 0), "0|1|2|3|4");
	assert_int_equal(r.stage.waiting.until_ns, 1500 * MS);
	rig_now_ns = 1499 * MS;
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_int_equal(rig_crash(&r), 0);
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_string_equal(rig_drain(&r, 0), "");
	rig_now_ns = 2100 * MS; /* late: what is due comes at once */
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	assert_string_equal(rig_drain(&r, 0), "5|6|7|8|9|10|11");
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_IN), 12);
	rig_close(&r);
}

static void generate(const char *seed, bool deaths, struct text *to)
{
	const char *const options[] = { "count=500", "size=40", seed, NULL };
	struct rig r;

	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_generate,
							    .options = options,
							    .edges = { { .port = "",
									 .limit_records = 7 } } }),
			 0);
	run_to_end(&r, deaths ? 1 : 0, 1, to);
	assert_int_equal(rig_counter(&r, SZ_C_RECORDS_OUT), 500);
	rig_close(&r);
}

static void test_generate_is_stable(void **state)
{
	struct text a = { 0 }, b = { 0 }, c = { 0 };

	generate("seed=3", false, &a);
	generate("seed=3", true, &b);
	generate("seed=-4", false, &c);
	assert_int_equal(a.len, 500 * 41);
	for (size_t i = 0; i < a.len; i += 41)
		assert_int_equal(a.at[i + 40], '\n');
	assert_string_equal(a.at, b.at);
	assert_int_equal(c.len, a.len);
	assert_string_not_equal(a.at, c.at);
	free(a.at);
	free(b.at);
	free(c.at);
}

/* Without a count it ends when it is drained. */
static void test_generate_without_end(void **state)
{
	struct rig r;

	assert_int_equal(rig_open(&r, &(struct rig_config){ .ops = &sz_stage_generate,
							    .edges = { { .port = "",
									 .limit_records = 10 } } }),
			 0);
	assert_int_equal(rig_run(&r), SZ_TURN_WAIT);
	assert_true(r.stage.waiting.room);
	assert_string_equal(rig_drain(&r, 0), "0|1|2|3|4|5|6|7|8|9");
	r.stage.done = true; /* as the runtime's loop does when told to drain */
	assert_int_equal(rig_run(&r), SZ_TURN_ENDED);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filter_match_limit_is_a_failure),
		cmocka_unit_test(test_filter_binary),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_map_growth),
		cmocka_unit_test(test_map_match_limit),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_delay_jitter),
		cmocka_unit_test(test_pass_and_null),
		cmocka_unit_test(test_generate_rate_and_burst),
		cmocka_unit_test(test_generate_is_stable),
		cmocka_unit_test(test_generate_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
