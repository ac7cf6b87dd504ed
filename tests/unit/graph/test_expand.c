/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_expand.c - what values stand for: quotes, escapes, """, variables and where they are looked up
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "catalogue.h"

/* Parse a graph whose stage f has match=VALUE. Return: the graph; *value is f's match. */
static struct graph *parse_value(const char *value, const char *const *sets, size_t set_count,
				 const struct sz_value **match)
{
	static char text[600000];
	struct test_world world = { 0 };
	struct graph_input in;
	struct graph *g;

	snprintf(text, sizeof(text),
		 "let A=alpha B=beta NIL='' Q='a \"b\" ''c''' NESTED=\"${A}-${B}\"\n"
		 "source a stdin\nstage f filter match=%s\nsink z null\na -> f -> z\n",
		 value);
	in = test_input(&world, "dir/test.conf", text);
	in.sets = sets;
	in.set_count = set_count;
	g = graph_parse(&in);
	assert_non_null(g);
	*match = g->error_count ? NULL : graph_option(&g->stages[1].opts, "match");
	return g;
}

static const struct {
	const char *value, *expected; /* NULL: a mistake */
	size_t len;                   /* if not that of expected */
} rows[] = {
	{ "x", "x", 0 },
	{ "a,b=c->d.e", "a,b=c->d.e", 0 },
	{ "'a b'", "a b", 0 },
	{ "'it''s'", "it's", 0 },
	{ "''''", "'", 0 },
	{ "''", "", 0 },
	{ "a'b'\"c\"d", "abcd", 0 },
	{ "\"a\\tb\\nc\\\\d\\\"e\\$f\\r\"", "a\tb\nc\\d\"e$f\r", 0 },
	{ "\"a\\0b\"", "a\0b", 3 },
	{ "\"\\0\"", "\0", 1 },
	{ "'\\n ${A} $B'", "\\n ${A} $B", 0 },
	{ "$A", "$A", 0 },
	{ "$", "$", 0 },
	{ "\"$\"", "$", 0 },
	{ "${A}", "alpha", 0 },
	{ "x${A}y${B}z", "xalphaybetaz", 0 },
	{ "\"x ${A} y\"", "x alpha y", 0 },
	{ "\"\\${A}\"", "${A}", 0 },
	{ "${NESTED}", "alpha-beta", 0 },
	{ "${Q}", "a \"b\" 'c'", 0 }, /* not lexed again */
	{ "${NIL}", "", 0 },
	{ "x${NIL}y", "xy", 0 },
	{ "${NIL:-default}", "default", 0 },
	{ "${A:-default}", "alpha", 0 },
	{ "${NOPE:-default}", "default", 0 },
	{ "${NOPE:-}", "", 0 },
	{ "${NOPE:-a b}", "a b", 0 },
	{ "${NOPE:-${B}}", "beta", 0 },
	{ "${NOPE:-${NOPE2:-<${A}>}}", "<alpha>", 0 },
	{ "\"${NOPE:-a\\tb}\"", "a\tb", 0 },
	{ "${HOME}", "/home/test", 0 },
	{ "${EMPTY:-was empty}", "was empty", 0 },
	{ "${HERE}", "dir", 0 },
	{ "\"\"\"raw ${A} \\n 'x'\"\"\"", "raw ${A} \\n 'x'", 0 },
	{ "\"\"\"\n  a\n    b\n\n  c\n  \"\"\"", "a\n  b\n\nc", 0 },
	{ "\"\"\"\n\ta\n\t b\"\"\"", "a\n b", 0 },
	{ "\"\"\"\n  a\n b\n\"\"\"", " a\nb", 0 },
	{ "\"\"\"\n\n  a\n\n\"\"\"", "\na\n", 0 },
	{ "\"\"\"first\n  a\n  b\n\"\"\"", "first\na\nb", 0 },
	{ "\"\"\"\n\"\"\"", "", 0 },
	{ "\"\"\"\n\n\"\"\"", "", 0 },
	{ "\"\"\"\r\n  a\r\n  b\r\n  \"\"\"", "a\nb", 0 },
	{ "\"\"\"\n\ta\n        b\n\"\"\"", "\ta\n        b", 0 }, /* nothing in common */
	{ "\"\"\"say \"hi\"\"\"\"", "say \"hi\"", 0 },
	{ "${NOPE}", NULL, 0 },
	{ "${}", NULL, 0 },
	{ "${A", NULL, 0 },
	{ "\"${A\"", NULL, 0 },
	{ "${A:default}", NULL, 0 },
	{ "${A-default}", NULL, 0 },
	{ "${a${A}}", NULL, 0 },
	{ "${:-x}", NULL, 0 },
	{ "${BELL}", NULL, 0 },
	{ "\"\\x41\"", NULL, 0 },
	{ "${X:-${X:-${X:-${X:-${X:-${X:-${X:-${X:-8}}}}}}}}", "8", 0 },
	{ "${X:-${X:-${X:-${X:-${X:-${X:-${X:-${X:-${X:-9}}}}}}}}}", NULL, 0 },
};

static void test_rows(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sz_value *v;
		struct graph *g = parse_value(rows[i].value, NULL, 0, &v);
		size_t len = rows[i].len ? rows[i].len
					 : strlen(rows[i].expected ? rows[i].expected : "");

		if (!v != !rows[i].expected)
			print_error("row %zu: %s\n", i, rows[i].value);
		assert_int_equal(!v, !rows[i].expected);
		if (v) {
			if (v->len != len || memcmp(v->text, rows[i].expected, len) != 0)
				print_error("row %zu: %s gives %s\n", i, rows[i].value, v->text);
			assert_int_equal(v->len, len);
			assert_memory_equal(v->text, rows[i].expected, len + 1);
		} else {
			assert_int_equal(g->error_count, 1);
		}
		graph_free(g);
	}
}

static void test_set_comes_first(void **state)
{
	static const char *const sets[] = { "A=from set", "HOME=h", "A=last", "EQ=a=b" };
	const struct sz_value *v;
	struct graph *g = parse_value("${A}/${HOME}/${EQ}", sets, 4, &v);

	assert_non_null(v);
	assert_string_equal(v->text, "last/h/a=b");
	graph_free(g);
}

static void test_bad_sets(void **state)
{
	static const char *const bad[] = { "A", "=x", "1=x", "HERE=x", "A=\x01", "stage=x", "" };
	const struct sz_value *v;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct graph *g = parse_value("x", bad + i, 1, &v);

		assert_int_equal(g->error_count, 1);
		graph_free(g);
	}
}

/* Doubling a variable in each line must hit a limit, not memory. */
static void test_explosion(void **state)
{
	struct test_world world = { 0 };
	struct graph_input in;
	struct graph *g;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int i;

	fprintf(f, "let V0=0123456789\n");
	for (i = 1; i < 60; i++)
		fprintf(f, "let V%d=${V%d}${V%d}\n", i, i - 1, i - 1);
	fclose(f);
	in = test_input(&world, "boom.conf", text);
	g = graph_parse(&in);
	assert_non_null(g);
	assert_true(g->error_count > 0);
	graph_free(g);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_set_comes_first),
		cmocka_unit_test(test_bad_sets),
		cmocka_unit_test(test_explosion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
