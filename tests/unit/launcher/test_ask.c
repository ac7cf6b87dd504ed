/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stage program says to --check, believed only as far as it makes sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "plan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Answers with $ANSWER and exits with $STATUS. */
static char script[] = "/tmp/test-ask-XXXXXX";
static const char script_text[] = "#!/bin/sh\n"
				  "[ -z \"$FLOOD\" ] || exec head -c \"$FLOOD\" /dev/zero\n"
				  "[ -z \"$SUICIDE\" ] || kill -s \"$SUICIDE\" $$\n"
				  "printf %s \"$ANSWER\"\n"
				  "exit \"$STATUS\"\n";

static int write_script(void **state)
{
	int fd = mkstemp(script);

	if (fd < 0 || write(fd, script_text, strlen(script_text)) < 0 || fchmod(fd, 0700) < 0)
		return -1;
	return close(fd);
}

static int remove_script(void **state)
{
	return unlink(script);
}

static const struct sz_option no_options[1];
static const struct sz_port no_ports[1];
static const struct sz_type source = {
	.name = "src", .role = SZ_SOURCE, .ports = no_ports, .options = no_options
};
static const struct sz_type sink = {
	.name = "snk", .role = SZ_SINK, .ports = no_ports, .options = no_options
};

static const struct sz_type *resolve(void *ctx, const char *name, enum sz_role role,
				     const char **error)
{
	return role == SZ_SOURCE ? &source : &sink;
}

struct asked {
	struct program program;
	struct plan_stage stage;
	struct plan *plan;
	char *said; /* diagnostics */
	size_t said_len;
};

static void ask_program(struct asked *a, const char *path)
{
	static const char text[] = "pipeline p\nsource a src\nsink z snk\na -> z\n";
	const struct graph_input in = {
		.file_name = "g", .text = text, .text_len = strlen(text), .resolve_type = resolve
	};
	FILE *to;

	memset(a, 0, sizeof(*a));
	a->plan = calloc(1, sizeof(*a->plan));
	assert_non_null(a->plan);
	a->plan->graph = graph_parse(&in);
	assert_non_null(a->plan->graph);
	assert_int_equal(a->plan->graph->error_count, 0);
	a->plan->name = "p";
	a->program.path = path;
	a->stage.name = "a";
	a->stage.type = &source;
	a->stage.role = SZ_SOURCE;
	a->stage.program = &a->program;
	plan_ask(a->plan, &a->stage);
	to = open_memstream(&a->said, &a->said_len);
	assert_non_null(to);
	graph_print_diags(a->plan->graph, to);
	fclose(to);
}

static void ask(struct asked *a, const char *answer, const char *status)
{
	setenv("ANSWER", answer, 1);
	setenv("STATUS", status, 1);
	ask_program(a, script);
}

static void asked_free(struct asked *a)
{
	free(a->said);
	graph_free(a->plan->graph);
	plan_free(a->plan);
}

static const char *const malformed[] = {
	"need",
	"need\tstate",
	"need\tstate\t",
	"need\tsta", /* cut off */
	"need\tstate\t-1",
	"need\tstate\t+1",
	"need\tstate\t 1",
	"need\tstate\t0x10",
	"need\tstate\t1 ",
	"need\tstate\t1\t",
	"need\tstate\t1\t2\t3",
	"need\tstate\t18446744073709551616",
	"need\tstate\t18446744073709551615",
	"need\tjournal\t18446744073709551615",
	"need\tarena\t4294967296",
	"need\tring\t4097",
	"need\troom\t1048577",
	"need\tmagic\t1",
	"need\t\t1",
	"needs\tstate\t1",
	" need\tstate\t1",
	"need state 1",
	"\tneed\tstate\t1",
	"max_out",
	"max_out\t",
	"max_out\tmany",
	"max_out\t4294967295",
	"max_out\t1\t2",
	"counter",
	"counter\tname",
	"counter\tname\tunit",
	"counter\tone_name_that_is_much_longer_than_what_there_is_room_for\tunit\thelp",
	"counter\tname\tone_unit_that_is_much_longer_than_there_is_room_for\thelp",
	"claim",
	"claim\tread",
	"claim\tappend\tfile:/x",
	"claim\tREAD\tfile:/x",
	"size",
	"size\t",
	"size\t9223372036854775808",
	"size\t1\t2",
	"note",
	"error",
	"error\tpath",
	"hello",
	"exe\tc",
	"\r",
};

static void test_malformed_lines(void **state)
{
	for (size_t i = 0; i < COUNT(malformed); i++) {
		char answer[400], expected[400];
		struct asked a;

		/* Whatever stands around it, and with or without the end of the line. */
		snprintf(answer, sizeof(answer), "%s%s%s", i % 2 ? "need\tstate\t8\n" : "",
			 malformed[i], i % 3 ? "\nneed\tarena\t4096\n" : "");
		snprintf(expected, sizeof(expected),
			 "source \"a\": its program said \"%s\": expected", malformed[i]);
		for (char *c = expected; *c; c++)
			if (*c < ' ')
				*c = '?'; /* as a terminal is spared it */
		ask(&a, answer, "0");
		if (a.plan->graph->error_count != 1 || !strstr(a.said, expected))
			fail_msg("\"%s\": %zu errors\n%s", answer, a.plan->graph->error_count,
				 a.said);
		asked_free(&a);
	}
}

static void test_a_long_line_is_shown_in_part(void **state)
{
	char answer[5000];
	struct asked a;

	memset(answer, 'x', sizeof(answer) - 1);
	answer[sizeof(answer) - 1] = '\0';
	ask(&a, answer, "0");
	assert_int_equal(a.plan->graph->error_count, 1);
	assert_true(a.said_len < 400);
	asked_free(&a);
}

static void test_more_counters_than_there_may_be(void **state)
{
	enum { MOST = 256 };
	char answer[(MOST + 1) * 24];
	struct asked a;
	size_t used = 0;

	for (int i = 0; i <= MOST; i++)
		used += (size_t)snprintf(answer + used, sizeof(answer) - used,
					 "counter\tc%d\tu\th\n", i);
	ask(&a, answer, "0");
	assert_int_equal(a.plan->graph->error_count, 1);
	assert_non_null(strstr(a.said, "c256"));
	assert_int_equal(a.stage.n_own, MOST);
	asked_free(&a);
}

static void test_what_makes_sense(void **state)
{
	static const char answer[] =
		"need\tstate\t24\nneed\tjournal\t64\n\nneed\tarena\t4294967295\n"
		"need\tring\t4096\nneed\troom\t1048576\nmax_out\t100\n"
		"size\t9223372036854775807\n"
		"counter\tmatched\trecords\tthat\tmatched\n"
		"claim\tread\tfile:/a\tb\nclaim\twrite\tfile:/c\nnote\tone\ttwo";
	struct asked a;

	ask(&a, answer, "0");
	assert_string_equal(a.said, "");
	assert_int_equal(a.stage.state_bytes, 24);
	assert_int_equal(a.stage.journal_bytes, 64);
	assert_int_equal(a.stage.arena_bytes, UINT32_MAX);
	assert_int_equal(a.stage.ring_entries, 4096);
	assert_int_equal(a.stage.room, 1 << 20);
	assert_int_equal(a.stage.max_out, 100);
	assert_int_equal(a.stage.size, INT64_MAX);
	assert_int_equal(a.stage.n_own, 1);
	assert_string_equal(a.stage.own[0].name, "matched");
	assert_string_equal(a.stage.own[0].help, "that\tmatched");
	assert_string_equal(a.stage.claims->name, "file:/c");
	assert_true(a.stage.claims->write);
	assert_string_equal(a.stage.claims->next->name, "file:/a\tb");
	assert_false(a.stage.claims->next->write);
	assert_int_equal(a.plan->n_notes, 1);
	assert_string_equal(a.plan->notes[0], "a: one\ttwo");
	asked_free(&a);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *answer, *status, *said;
	} rows[] = {
		{ "error\tpath\tno\tsuch file", "100", "source \"a\": path: no?such file" },
		{ "error\t\tnothing to do\n", "100", "source \"a\": nothing to do" },
		{ "error\tpath\tbad\n", "0", "source \"a\": path: bad" },
		{ "", "3", "exited with status 3 without saying why" },
		{ "need\tstate\t8\n", "100", "exited with status 100 without saying why" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct asked a;

		ask(&a, rows[i].answer, rows[i].status);
		if (a.plan->graph->error_count != 1 || !strstr(a.said, rows[i].said))
			fail_msg("row %zu: %zu errors\n%s", i, a.plan->graph->error_count, a.said);
		asked_free(&a);
	}
}

static void test_programs_that_misbehave(void **state)
{
	struct asked a;

	ask_program(&a, "/no/such/program");
	assert_int_equal(a.plan->graph->error_count, 1);
	assert_non_null(strstr(a.said, "cannot execute /no/such/program: No such file"));
	asked_free(&a);

	setenv("SUICIDE", "SEGV", 1);
	ask(&a, "", "0");
	unsetenv("SUICIDE");
	assert_int_equal(a.plan->graph->error_count, 1);
	assert_non_null(strstr(a.said, "was killed by signal 11"));
	asked_free(&a);

	/* More than it may say: it is not heard to the end. */
	setenv("FLOOD", "100000000000", 1);
	ask_program(&a, script);
	unsetenv("FLOOD");
	assert_int_equal(a.plan->graph->error_count, 1);
	assert_non_null(strstr(a.said, "--check said more than 4 MiB"));
	asked_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_malformed_lines),
		cmocka_unit_test(test_a_long_line_is_shown_in_part),
		cmocka_unit_test(test_more_counters_than_there_may_be),
		cmocka_unit_test(test_what_makes_sense),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_programs_that_misbehave),
	};

	return cmocka_run_group_tests(tests, write_script, remove_script);
}
