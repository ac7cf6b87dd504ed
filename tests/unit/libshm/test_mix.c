/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <streamz/mix.h>

/* What splitmix64.c prints. */
static void test_the_published_sequence(void **state)
{
	static const struct {
		uint64_t seed, numbers[3];
	} rows[] = {
		{ 0, { 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f } },
		{ 1234567, { 6457827717110365317, 3203168211198807973, 9817491932198370423u } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint64_t k = 0; k < 3; k++)
			assert_int_equal(sz_mix64(rows[i].seed + k * SZ_MIX64_STEP),
					 rows[i].numbers[k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_published_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
