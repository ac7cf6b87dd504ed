/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <streamz/option.h>

#define SEC INT64_C(1000000000)
#define K   INT64_C(1024)

struct row {
	struct sz_option opt;
	const char *text;
	int result;
	int64_t num, num2, records;
	const char *error; /* all of it */
};

#define OPT(t, ...)                                            \
	{                                                      \
		.name = "x", .type = SZ_OPT_##t, ##__VA_ARGS__ \
	}

static const struct row rows[] = {
	{ OPT(STRING), "", 0, 0, 0, 0, NULL },
	{ OPT(STRING), "any text", 0, 0, 0, 0, NULL },
	{ OPT(REGEX), "a(b", 0, 0, 0, 0, NULL },
	{ OPT(PATH), "a/b", 0, 0, 0, 0, NULL },
	{ OPT(PATH), "", -EINVAL, 0, 0, 0, "the file name is empty" },

	{ OPT(BOOL), "true", 0, 1, 0, 0, NULL },
	{ OPT(BOOL), "false", 0, 0, 0, 0, NULL },
	{ OPT(BOOL), "True", -EINVAL, 0, 0, 0, "\"True\" is not a switch: expected true or false" },
	{ OPT(BOOL), "1", -EINVAL, 0, 0, 0, "\"1\" is not a switch: expected true or false" },

	{ OPT(INT), "0", 0, 0, 0, 0, NULL },
	{ OPT(INT), "-5", 0, -5, 0, 0, NULL },
	{ OPT(INT), "007", 0, 7, 0, 0, NULL },
	{ OPT(INT), "9223372036854775807", 0, INT64_MAX, 0, 0, NULL },
	{ OPT(INT), "9223372036854775808", -ERANGE, 0, 0, 0,
	  "\"9223372036854775808\" is too large a number" },
	{ OPT(INT), "", -EINVAL, 0, 0, 0, "\"\" is not a whole number: expected digits, as in 10" },
	{ OPT(INT), "-", -EINVAL, 0, 0, 0,
	  "\"-\" is not a whole number: expected digits, as in 10" },
	{ OPT(INT), "+5", -EINVAL, 0, 0, 0,
	  "\"+5\" is not a whole number: expected digits, as in 10" },
	{ OPT(INT), "1 ", -EINVAL, 0, 0, 0,
	  "\"1 \" is not a whole number: expected digits, as in 10" },
	{ OPT(INT, .min = 1, .max = 10), "11", -ERANGE, 0, 0, 0,
	  "11 is out of range: expected 1 to 10" },
	{ OPT(INT, .min = -3, .max = 3), "-3", 0, -3, 0, 0, NULL },
	{ OPT(INT, .min = -3, .max = 3), "-4", -ERANGE, 0, 0, 0,
	  "-4 is out of range: expected -3 to 3" },
	{ OPT(INT, .min = 1, .max = INT64_MAX), "0", -ERANGE, 0, 0, 0,
	  "0 is out of range: expected at least 1" },
	{ OPT(INT, .min = 1, .max = 10), "99999999999999999999", -ERANGE, 0, 0, 0,
	  "99999999999999999999 is out of range: expected 1 to 10" },

	{ OPT(SIZE), "0", 0, 0, 0, 0, NULL },
	{ OPT(SIZE), "512", 0, 512, 0, 0, NULL },
	{ OPT(SIZE), "64K", 0, 64 * K, 0, 0, NULL },
	{ OPT(SIZE), "4M", 0, 4 * K *K, 0, 0, NULL },
	{ OPT(SIZE), "1G", 0, K *K *K, 0, 0, NULL },
	{ OPT(SIZE), "8589934591G", 0, INT64_C(8589934591) << 30, 0, 0, NULL },
	{ OPT(SIZE), "8589934592G", -ERANGE, 0, 0, 0, "\"8589934592G\" is too large a number" },
	{ OPT(SIZE), "12q", -EINVAL, 0, 0, 0,
	  "\"12q\" is not a size: expected a number with K, M or G, as in 64K" },
	{ OPT(SIZE), "64k", -EINVAL, 0, 0, 0,
	  "\"64k\" is not a size: its unit is a capital letter, as in 64K" },
	{ OPT(SIZE), "K", -EINVAL, 0, 0, 0,
	  "\"K\" is not a size: expected a number with K, M or G, as in 64K" },
	{ OPT(SIZE), "-1", -EINVAL, 0, 0, 0,
	  "\"-1\" is not a size: expected a number with K, M or G, as in 64K" },
	{ OPT(SIZE), "1KB", -EINVAL, 0, 0, 0,
	  "\"1KB\" is not a size: expected a number with K, M or G, as in 64K" },
	{ OPT(SIZE, .min = 1, .max = 64 * K), "0", -ERANGE, 0, 0, 0,
	  "0 is out of range: expected 1 to 64K" },
	{ OPT(SIZE, .min = 1, .max = 64 * K), "65K", -ERANGE, 0, 0, 0,
	  "65K is out of range: expected 1 to 64K" },
	{ OPT(SIZE, .min = 1, .max = 64 * K), "64K", 0, 64 * K, 0, 0, NULL },

	{ OPT(TIME), "0", 0, 0, 0, 0, NULL },
	{ OPT(TIME), "500us", 0, 500000, 0, 0, NULL },
	{ OPT(TIME), "5ms", 0, 5000000, 0, 0, NULL },
	{ OPT(TIME), "10s", 0, 10 * SEC, 0, 0, NULL },
	{ OPT(TIME), "2m", 0, 120 * SEC, 0, 0, NULL },
	{ OPT(TIME), "2h", 0, 7200 * SEC, 0, 0, NULL },
	{ OPT(TIME), "1d", 0, 86400 * SEC, 0, 0, NULL },
	{ OPT(TIME), "7ns", 0, 7, 0, 0, NULL },
	{ OPT(TIME), "106752d", -ERANGE, 0, 0, 0, "\"106752d\" is too large a number" },
	{ OPT(TIME), "10", -EINVAL, 0, 0, 0,
	  "\"10\" has no unit: expected us, ms, s, m, h or d, as in 10s" },
	{ OPT(TIME), "soon", -EINVAL, 0, 0, 0,
	  "\"soon\" is not a time: expected a number with us, ms, s, m, h or d, as in 10s" },
	{ OPT(TIME), "1m30s", -EINVAL, 0, 0, 0,
	  "\"1m30s\" is not a time: expected a number with us, ms, s, m, h or d, as in 10s" },
	{ OPT(TIME, .min = 1000000, .max = 60 * SEC), "2m", -ERANGE, 0, 0, 0,
	  "2m is out of range: expected 1ms to 1m" },

	{ OPT(PERCENT), "80%", 0, 80000, 0, 0, NULL },
	{ OPT(PERCENT), "12.5%", 0, 12500, 0, 0, NULL },
	{ OPT(PERCENT), "0.001%", 0, 1, 0, 0, NULL },
	{ OPT(PERCENT), "0.0001%", -EINVAL, 0, 0, 0,
	  "\"0.0001%\" is too fine: a percentage has at most three decimals, as in 12.5%" },
	{ OPT(PERCENT), "80", -EINVAL, 0, 0, 0,
	  "\"80\" has no % sign: expected a percentage, as in 80%" },
	{ OPT(PERCENT), ".5%", -EINVAL, 0, 0, 0,
	  "\".5%\" is not a percentage: expected a number with %, as in 80%" },
	{ OPT(PERCENT), "5.%", -EINVAL, 0, 0, 0,
	  "\"5.%\" is not a percentage: expected a number with %, as in 80%" },
	{ OPT(PERCENT, .min = 500, .max = 100000), "0.4%", -ERANGE, 0, 0, 0,
	  "0.4% is out of range: expected 0.5% to 100%" },
	{ OPT(PERCENT), "9223372036854776%", -ERANGE, 0, 0, 0,
	  "\"9223372036854776%\" is too large a number" },

	{ OPT(RATE), "1000", 0, 1000000, 0, 0, NULL },
	{ OPT(RATE), "1000/s", 0, 1000000, 0, 0, NULL },
	{ OPT(RATE), "60/m", 0, 1000, 0, 0, NULL },
	{ OPT(RATE), "1/m", 0, 17, 0, 0, NULL },
	{ OPT(RATE), "3600/h", 0, 1000, 0, 0, NULL },
	{ OPT(RATE), "1/h", -ERANGE, 0, 0, 0, "\"1/h\" is too slow: expected at least 2/h" },
	{ OPT(RATE), "0", -ERANGE, 0, 0, 0, "a rate of 0 lets nothing pass: expected 1 or more" },
	{ OPT(RATE, .min = 0, .max = 5000), "0", 0, 0, 0, 0, NULL },
	{ OPT(RATE, .min = 1000, .max = 5000), "6/s", -ERANGE, 0, 0, 0,
	  "6/s is out of range: expected 1/s to 5/s" },
	{ OPT(RATE), "5/d", -EINVAL, 0, 0, 0,
	  "\"5/d\" is not a rate: expected a number a second, minute or hour, as in 1000/s, 60/m "
	  "or "
	  "10/h" },

	{ OPT(ENUM, .choices = "a|bc|d"), "a", 0, 0, 0, 0, NULL },
	{ OPT(ENUM, .choices = "a|bc|d"), "d", 0, 2, 0, 0, NULL },
	{ OPT(ENUM, .choices = "a|bc|d"), "b", -EINVAL, 0, 0, 0,
	  "\"b\" is not a choice: expected a, bc or d" },
	{ OPT(ENUM, .choices = "a|bc|d"), "a|bc", -EINVAL, 0, 0, 0,
	  "\"a|bc\" is not a choice: expected a, bc or d" },
	{ OPT(ENUM, .choices = "a|bc|d"), "", -EINVAL, 0, 0, 0,
	  "\"\" is not a choice: expected a, bc or d" },

	{ OPT(LIMIT), "10000", 0, 0, 0, 10000, NULL },
	{ OPT(LIMIT), "64M", 0, 0, 64 * K *K, 0, NULL },
	{ OPT(LIMIT), "10000,64M", 0, 0, 64 * K *K, 10000, NULL },
	{ OPT(LIMIT), "64M,10000", 0, 0, 64 * K *K, 10000, NULL },
	{ OPT(LIMIT), "0", -ERANGE, 0, 0, 0,
	  "\"0\" is out of range: expected at least 1 record or 1K" },
	{ OPT(LIMIT), "5,0K", -ERANGE, 0, 0, 0,
	  "\"5,0K\" is out of range: expected at least 1 record or 1K" },
	{ OPT(LIMIT), "10,20", -EINVAL, 0, 0, 0,
	  "\"10,20\" is not a limit: expected records, bytes or both, as in 10000, 64M or "
	  "10000,64M" },
	{ OPT(LIMIT), "1,2K,3", -EINVAL, 0, 0, 0,
	  "\"1,2K,3\" is not a limit: expected records, bytes or both, as in 10000, 64M or "
	  "10000,64M" },
	{ OPT(LIMIT), "5,", -EINVAL, 0, 0, 0,
	  "\"5,\" is not a limit: expected records, bytes or both, as in 10000, 64M or 10000,64M" },
	{ OPT(LIMIT), ",", -EINVAL, 0, 0, 0,
	  "\",\" is not a limit: expected records, bytes or both, as in 10000, 64M or 10000,64M" },

	{ OPT(BACKOFF), "100ms..30s", 0, SEC / 10, 30 * SEC, 0, NULL },
	{ OPT(BACKOFF), "0..1s", 0, 0, SEC, 0, NULL },
	{ OPT(BACKOFF), "1s..1s", 0, SEC, SEC, 0, NULL },
	{ OPT(BACKOFF), "1s", -EINVAL, 0, 0, 0,
	  "\"1s\" is not a back-off: expected the first and the longest wait, as in 100ms..30s" },
	{ OPT(BACKOFF), "1..5s", -EINVAL, 0, 0, 0,
	  "\"1..5s\" is not a back-off: expected two times with their units, as in 100ms..30s" },
	{ OPT(BACKOFF), "5s..1s", -EINVAL, 0, 0, 0,
	  "\"5s..1s\" is the wrong way round: expected the first wait, then the longest, as in "
	  "100ms..30s" },

	{ OPT(COUNT_PER_TIME), "5/10s", 0, 5, 10 * SEC, 0, NULL },
	{ OPT(COUNT_PER_TIME), "5", -EINVAL, 0, 0, 0,
	  "\"5\" is not a count per time: expected a number, / and a time, as in 5/10s" },
	{ OPT(COUNT_PER_TIME), "5/0", -ERANGE, 0, 0, 0,
	  "\"5/0\" has a period of 0: expected a time such as 10s" },
	{ OPT(COUNT_PER_TIME), "0/1s", -ERANGE, 0, 0, 0,
	  "\"0/1s\" counts to 0: expected 1 or more" },
	{ OPT(COUNT_PER_TIME, .min = 0, .max = 9), "0/1s", 0, 0, SEC, 0, NULL },

	{ OPT(STRING, .flags = SZ_OPT_SECRET), "file:/run/key", 0, 0, 0, 0, NULL },
	{ OPT(INT, .flags = SZ_OPT_SECRET), "env:API_KEY", 0, 0, 0, 0, NULL },
	{ OPT(STRING, .flags = SZ_OPT_SECRET), "hunter2", -EINVAL, 0, 0, 0,
	  "a secret does not stand in the graph: expected where to find it, file:PATH or "
	  "env:NAME" },
	{ OPT(STRING, .flags = SZ_OPT_SECRET), "file:", -EINVAL, 0, 0, 0,
	  "the file name after file: is missing" },
	{ OPT(STRING, .flags = SZ_OPT_SECRET), "env:1X", -EINVAL, 0, 0, 0,
	  "env: takes the name of an environment variable, as in env:API_KEY" },
	{ OPT(STRING, .flags = SZ_OPT_SECRET), "env:", -EINVAL, 0, 0, 0,
	  "env: takes the name of an environment variable, as in env:API_KEY" },
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static void test_values(void **state)
{
	size_t i;

	for (i = 0; i < ROW_COUNT; i++) {
		const struct row *r = rows + i;
		struct sz_value v = { .num = -77, .given = -1 };
		char error[SZ_VALUE_ERROR_SIZE] = "";
		int result = sz_value_parse(&r->opt, r->text, strlen(r->text), &v, error);

		if (result != r->result)
			print_error("row %zu, \"%s\": %s\n", i, r->text, error);
		assert_int_equal(result, r->result);
		if (r->error)
			assert_string_equal(error, r->error);
		if (result) {
			/* Nothing is set on failure. */
			assert_int_equal(v.num, -77);
			assert_int_equal(v.given, -1);
			continue;
		}
		assert_int_equal(v.num, r->num);
		assert_int_equal(v.num2, r->num2);
		assert_int_equal(v.records, r->records);
		assert_int_equal(v.given, 1);
		assert_ptr_equal(v.text, r->text);
		assert_int_equal(v.len, strlen(r->text));
	}
}

static void test_nul(void **state)
{
	struct sz_option string = OPT(STRING), path = OPT(PATH);
	char error[SZ_VALUE_ERROR_SIZE];
	struct sz_value v;

	assert_int_equal(sz_value_parse(&string, "a\0b", 3, &v, error), 0);
	assert_int_equal(v.len, 3);
	assert_int_equal(sz_value_parse(&path, "a\0b", 3, &v, error), -EINVAL);
	assert_string_equal(error, "the value holds a NUL byte: expected a file name");
}

static void test_error_is_readable(void **state)
{
	struct sz_option opt = OPT(INT);
	char error[SZ_VALUE_ERROR_SIZE], text[512];
	struct sz_value v;
	size_t i;

	/* Long values are cut between characters, control characters replaced. */
	for (i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "ü", 2);
	text[i] = '\0';
	text[0] = '\x1b';
	text[1] = 'x';
	assert_int_equal(sz_value_parse(&opt, text, strlen(text), &v, error), -EINVAL);
	assert_non_null(strstr(error, "\"?xü"));
	assert_non_null(strstr(error, "ü...\" is not"));
	assert_true(strlen(error) < 160);
}

static void test_find(void **state)
{
	static const struct sz_option table[] = {
		{ .name = "case", .flags = SZ_OPT_PREFIX },
		{ .name = "env.", .flags = SZ_OPT_PREFIX },
		{ .name = "case.exact" },
		{ .name = "path" },
		{ .name = NULL },
	};

	assert_ptr_equal(sz_option_find(table, "path"), table + 3);
	assert_ptr_equal(sz_option_find(table, "case.red"), table);
	assert_ptr_equal(sz_option_find(table, "case.exact"), table + 2);
	assert_ptr_equal(sz_option_find(table, "env.HOME"), table + 1);
	assert_null(sz_option_find(table, "case"));
	assert_null(sz_option_find(table, "case."));
	assert_null(sz_option_find(table, "env."));
	assert_null(sz_option_find(table, "environment"));
	assert_null(sz_option_find(table, "paths"));
	assert_null(sz_option_find(table, ""));
	assert_null(sz_option_find(NULL, "x"));
}

static void test_format(void **state)
{
	static const struct {
		uint64_t n;
		const char *size, *time;
	} formats[] = {
		{ 0, "0", "0" },
		{ 1, "1", "1ns" },
		{ 1000, "1000", "1us" },
		{ 1024, "1K", "1024ns" },
		{ 1536, "1536", "1536ns" },
		{ 1500000000, "1500000000", "1500ms" },
		{ UINT64_C(1) << 30, "1G", "1073741824ns" },
		{ UINT64_C(3) << 40, "3072G", "3298534883328ns" },
		{ UINT64_C(3600000000000), "3515625000K", "1h" },
		{ UINT64_MAX, "18446744073709551615", "18446744073709551615ns" },
	};
	char buf[32];
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		assert_string_equal(sz_format_size(formats[i].n, buf, sizeof(buf)),
				    formats[i].size);
		assert_string_equal(sz_format_time(formats[i].n, buf, sizeof(buf)),
				    formats[i].time);
	}
}

/* What is formatted is read back as the same number. */
static void test_format_round_trip(void **state)
{
	struct sz_option size = OPT(SIZE), time = OPT(TIME);
	char buf[32], error[SZ_VALUE_ERROR_SIZE];
	int64_t n = 1;
	struct sz_value v;

	for (; n < INT64_MAX / 3; n = n * 3 - (n & 1)) {
		sz_format_size((uint64_t)n, buf, sizeof(buf));
		assert_int_equal(sz_value_parse(&size, buf, strlen(buf), &v, error), 0);
		assert_int_equal(v.num, n);
		sz_format_time((uint64_t)n, buf, sizeof(buf));
		assert_int_equal(sz_value_parse(&time, buf, strlen(buf), &v, error), 0);
		assert_int_equal(v.num, n);
	}
}

static void test_type_names(void **state)
{
	int type;

	for (type = SZ_OPT_STRING; type <= SZ_OPT_COUNT_PER_TIME; type++)
		assert_string_not_equal(sz_option_type_name((enum sz_option_type)type), "a value");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_error_is_readable),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_round_trip),
		cmocka_unit_test(test_type_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
