/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <streamz/catalog.h>

static const struct sz_port ports[] = {
	{ "rest", "what does not match" },
	{ "failed", "tab\there" },
	{ NULL, NULL },
};
static const struct sz_port no_ports[1];
static const struct sz_option options[] = {
	{ "match", SZ_OPT_STRING, NULL, 0, 0, NULL, "a text", SZ_OPT_REQUIRED },
	{ "mode", SZ_OPT_ENUM, "a", 0, 0, "a|b", "back\\slash\nand line", 0 },
	{ "size", SZ_OPT_SIZE, "64K", 1, INT64_MAX, NULL, "", 0 },
	{ "empty", SZ_OPT_STRING, "", INT64_MIN, 0, NULL, NULL, 0 },
	{ "case.", SZ_OPT_STRING, NULL, 0, 0, NULL, "prefix", SZ_OPT_PREFIX | SZ_OPT_MAY_LOSE },
	{ NULL, SZ_OPT_STRING, NULL, 0, 0, NULL, NULL, 0 },
};
static const struct sz_option no_options[1];
static const struct sz_type types[] = {
	{ "filter", SZ_TRANSFORM, SZ_TYPE_DYNAMIC_PORTS, "keep what matches", ports, options },
	{ "null", SZ_SINK, 0, NULL, no_ports, no_options },
};

static void same_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

static void same_type(const struct sz_type *a, const struct sz_type *b)
{
	size_t i;

	assert_string_equal(a->name, b->name);
	assert_int_equal(a->role, b->role);
	assert_int_equal(a->flags, b->flags);
	same_text(a->summary, b->summary);
	for (i = 0; a->ports[i].name; i++) {
		assert_string_equal(a->ports[i].name, b->ports[i].name);
		same_text(a->ports[i].help, b->ports[i].help);
	}
	assert_null(b->ports[i].name);
	for (i = 0; a->options[i].name; i++) {
		const struct sz_option *x = a->options + i, *y = b->options + i;

		assert_string_equal(x->name, y->name);
		assert_int_equal(x->type, y->type);
		assert_int_equal(x->flags, y->flags);
		assert_int_equal(x->min, y->min);
		assert_int_equal(x->max, y->max);
		same_text(x->def, y->def);
		same_text(x->choices, y->choices);
		same_text(x->help, y->help);
	}
	assert_null(b->options[i].name);
}

static void test_round_trip(void **state)
{
	char *text = NULL;
	size_t len = 0, i;
	FILE *f = open_memstream(&text, &len);
	struct sz_type *type;

	for (i = 0; i < 2; i++)
		assert_int_equal(sz_type_write(f, types + i), 0);
	fclose(f);
	f = fmemopen(text, len, "r");
	for (i = 0; i < 2; i++) {
		assert_int_equal(sz_type_read(f, &type), 1);
		same_type(types + i, type);
		sz_type_free(type);
	}
	assert_int_equal(sz_type_read(f, &type), 0);
	fclose(f);
	free(text);
}

static void test_write_error(void **state)
{
	FILE *f = fopen("/dev/full", "w");

	assert_non_null(f);
	setbuf(f, NULL);
	assert_int_equal(sz_type_write(f, types), -EIO);
	fclose(f);
	sz_type_free(NULL);
}

/* Text of a type, cut or changed. */
static int read_text(const char *text, size_t len)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, len, "r");
	struct sz_type *type = NULL;
	int r = sz_type_read(f, &type);

	if (r == 1)
		sz_type_free(type);
	else
		assert_null(type);
	fclose(f);
	return r;
}

#define HEAD "type\tx\tsink\t0\ts\n"

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"\n",
		"nonsense\n",
		"end\n",
		"type\n",
		"type\tx\tsink\t0\ts", /* no newline */
		HEAD,                  /* no end */
		HEAD "end\t\n",
		HEAD "else\nend\n",
		HEAD HEAD "end\n",
		"type\t\tsink\t0\ts\nend\n",
		"type\t\\N\tsink\t0\ts\nend\n",
		"type\t1x\tsink\t0\ts\nend\n",
		"type\tx-\tsink\t0\ts\nend\n",
		"type\txxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\tsink\t0\ts\nend\n",
		"type\tx\tdrain\t0\ts\nend\n",
		"type\tx\tsink\tg\ts\nend\n",
		"type\tx\tsink\t\ts\nend\n",
		"type\tx\tsink\t123456789\ts\nend\n",
		"type\tx\tsink\t0\ts\textra\nend\n",
		"type\tx\tsink\t0\tbad\\escape\nend\n",
		"type\tx\tsink\t0\ttrailing\\\nend\n",
		HEAD "port\nend\n",
		HEAD "port\t\\N\t\\N\nend\n",
		HEAD "port\tp\th\nport\tp\th\nend\n",
		HEAD "option\to\tstring\t0\t\\N\t0\t0\t\\N\nend\n",
		HEAD "option\to\ttext\t0\t\\N\t0\t0\t\\N\th\nend\n",
		HEAD "option\to\tstring\t0\t\\N\tx\t0\t\\N\th\nend\n",
		HEAD "option\to\tstring\t0\t\\N\t0\t99999999999999999999\t\\N\th\nend\n",
		HEAD "option\to\tint\t0\t\\N\t5\t4\t\\N\th\nend\n",   /* min > max */
		HEAD "option\to\tint\t0\tx\t0\t0\t\\N\th\nend\n",     /* bad default */
		HEAD "option\to\tenum\t0\t\\N\t0\t0\t\\N\th\nend\n",  /* no choices */
		HEAD "option\to\tint\t0\t\\N\t0\t0\ta|b\th\nend\n",   /* choices */
		HEAD "option\to.x\tint\t0\t\\N\t0\t0\t\\N\th\nend\n", /* dot */
		HEAD "option\to\tint\t0\t\\N\t0\t0\t\\N\th\n"
		     "option\to\tint\t0\t\\N\t0\t0\t\\N\th\nend\n", /* twice */
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int r = read_text(bad[i], strlen(bad[i]));

		if (r != -EBADMSG)
			print_error("row %zu: %s", i, bad[i]);
		assert_int_equal(r, -EBADMSG);
	}
	assert_int_equal(read_text(HEAD "end\n", strlen(HEAD "end\n")), 1);
	assert_int_equal(read_text("type\tx\ty\0\n", 10), -EBADMSG);
}

/* Every prefix of a good text is refused or is the end, none is taken for a type. */
static void test_cut(void **state)
{
	char *text = NULL;
	size_t len = 0, i;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(sz_type_write(f, types), 0);
	fclose(f);
	for (i = 1; i < len; i++)
		assert_int_equal(read_text(text, i), -EBADMSG);
	assert_int_equal(read_text(text, len), 1);
	free(text);
}

static void test_limits(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int i;

	fputs(HEAD, f);
	for (i = 0; i < SZ_PORTS_MAX; i++)
		fprintf(f, "port\tp%d\th\n", i);
	fputs("end\n", f);
	fclose(f);
	assert_int_equal(read_text(text, len), -EBADMSG);
	free(text);

	text = NULL;
	f = open_memstream(&text, &len);
	fputs(HEAD, f);
	for (i = 0; i < 257; i++)
		fprintf(f, "option\to%d\tint\t0\t\\N\t0\t0\t\\N\th\n", i);
	fputs("end\n", f);
	fclose(f);
	assert_int_equal(read_text(text, len), -EBADMSG);
	free(text);

	/* A line that does not end. */
	text = malloc(200000);
	memset(text, 'x', 200000);
	assert_int_equal(read_text(text, 200000), -EBADMSG);
	free(text);
}

static void test_role_names(void **state)
{
	assert_string_equal(sz_role_name(SZ_SOURCE), "source");
	assert_string_equal(sz_role_name(SZ_TRANSFORM), "stage");
	assert_string_equal(sz_role_name(SZ_SINK), "sink");
	assert_string_equal(sz_role_name((enum sz_role)7), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_write_error),
		cmocka_unit_test(test_malformed),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_limits),     cmocka_unit_test(test_role_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
