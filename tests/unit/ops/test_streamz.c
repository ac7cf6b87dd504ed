/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_streamz.c - the tool as its users meet it: arguments, exit statuses, what goes to which stream
 *
 * Runs the program itself, ../bin/streamz from this test or $STREAMZ. Real pipelines are looked at by the system tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <streamz/contract.h>
#include <streamz/object.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OUTPUT_MAX   65536

static char program[PATH_MAX];
static char folder[] = "/tmp/test-streamz-XXXXXX";
static char host[64];
static char pipeline[33];

/* What a stage program could print, and what it must not be able to do to a manual page. */
static const char description[] = "type\tfile\tsource\t0\tlines of a file\n"
				  "port\tfailed\tlines too long\n"
				  "option\tpath\tpath\t1\t\\N\t0\t0\t\\N\tthe file\n"
				  "end\n"
				  "type\todd\tstage\t1\t.Sh \\\\fB\n"
				  "option\tmode\tenum\t8\ta\t0\t0\ta|b\t'in a\n"
				  "option\twait\ttime\t0\t10ms\t0\t3600000000000\t\\N\thow long\n"
				  "option\tcase.\tstring\t4\t\\N\t0\t0\t\\N\t\\N\n"
				  "end\n"
				  "type\tfile\tsink\t0\t\\N\n"
				  "end\n";

struct output {
	int status; /* -1: killed */
	char out[OUTPUT_MAX], err[OUTPUT_MAX];
};

static void slurp(const char *name, char text[OUTPUT_MAX])
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, OUTPUT_MAX - 1);

	assert_true(n >= 0);
	close(fd);
	text[n] = 0;
}

/* args: words separated by blanks; "PIPELINE" stands for the one of this test. */
static void run(const char *args, struct output *o)
{
	char words[512], out[96], err[96], *argv[16] = { program }, *rest = words;
	int argc = 1, status;
	pid_t pid;

	snprintf(words, sizeof(words), "%s", args);
	for (char *word; (word = strsep(&rest, " ")) && argc < 15;)
		if (*word)
			argv[argc++] = strcmp(word, "PIPELINE") == 0 ? pipeline : word;
	snprintf(out, sizeof(out), "%s/out", folder);
	snprintf(err, sizeof(err), "%s/err", folder);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!freopen(out, "w", stdout) || !freopen(err, "w", stderr))
			_exit(99);
		execv(program, argv);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	o->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	slurp(out, o->out);
	slurp(err, o->err);
}

static const struct {
	const char *args;
	int status;
	const char *out, *err; /* what is in there; NULL: nothing is */
} table[] = {
	{ "", 100, NULL, "usage: streamz VERB" },
	{ "--help", 0, "usage: streamz VERB", NULL },
	{ "help", 0, "usage: streamz VERB", NULL },
	{ "help rm", 0, "usage: streamz rm [--force] PIPELINE...", NULL },
	{ "help rmm", 100, NULL, "did you mean \"rm\"?" },
	{ "--version", 0, "streamz ", NULL },
	{ "statt", 100, NULL, "no verb \"statt\": did you mean \"stat\"?" },
	{ "qqqqqqqq", 100, NULL, "no verb \"qqqqqqqq\": see streamz --help" },
	{ "ls --help", 0, "usage: streamz ls [--json]", NULL },
	{ "stat --help", 0, "usage: streamz stat", NULL },
	{ "audit --help", 0, "usage: streamz audit", NULL },
	{ "types --help", 0, "usage: streamz types", NULL },
	{ "ls extra", 100, NULL, "usage: streamz ls" },
	{ "ls --nonsense", 100, NULL, "usage: streamz ls" },
	{ "ls --json", 0, "\"schema\": \"streamz.ls/1\"", NULL },
	{ "stat a b", 100, NULL, "usage: streamz stat" },
	{ "stat no-such-pipeline-here", 100, NULL, "no pipeline \"no-such-pipeline-here\"" },
	{ "audit no-such-pipeline-here", 100, NULL, "no pipeline \"no-such-pipeline-here\"" },
	{ "rm no-such-pipeline-here", 100, NULL, "no pipeline \"no-such-pipeline-here\"" },
	{ "rm a/b", 100, NULL, "no pipeline \"a/b\"" },
	{ "rm", 100, NULL, "usage: streamz rm" },
	{ "types", 0, "odd   stage   .Sh \\fB\n", NULL },
	{ "types file", 0, "source file: lines of a file\n", NULL },
	{ "types file", 0, "sink file\n", NULL },
	{ "types file", 0, "path    PATH   required", NULL },
	{ "types odd", 0, "case.NAME  TEXT   -", NULL },
	{ "types odd", 0, "wait       TIME   10ms     0 to 1h  how long\n", NULL },
	{ "types fiel", 100, NULL, "no type \"fiel\": did you mean \"file\"?" },
	{ "types --json odd", 0, "\"may_lose\": true", NULL },
	{ "types --json --man", 100, NULL, "usage: streamz types" },
	{ "types --man", 0, ".Sh SOURCES\n.Ss \"file\"\nLines of a file.\n", NULL },
	{ "types --man", 0, "\n\\&.Sh \\efB.\n", NULL },
	{ "types --man", 0, "\n\\&'in a.\n", NULL },
	{ "types --man", 0, ".Sh SINKS\n.Ss \"file\"\n", NULL },
	{ "types ./no/such/program", 111, NULL, "./no/such/program: No such file" },
	{ "types /bin/false", 111, NULL, "/bin/false --describe exited with status 1" },
	{ "types /bin/echo", 111, NULL, "/bin/echo --describe: type 1: malformed description" },
	{ "types /bin/true", 111, NULL, "/bin/true --describe names no types" },
	{ "types ./no/such/plugin.so", 111, NULL, "expected a shared object" },
};

static void test_arguments(void **state)
{
	static struct output o;

	for (size_t i = 0; i < COUNT(table); i++) {
		run(table[i].args, &o);
		if (o.status != table[i].status ||
		    !strstr(o.out, table[i].out ? table[i].out : "") ||
		    !strstr(o.err, table[i].err ? table[i].err : "") ||
		    (!table[i].out && o.out[0]) || (!table[i].err && o.err[0]))
			fail_msg("streamz %s: status %d, stdout:\n%s\nstderr:\n%s", table[i].args,
				 o.status, o.out, o.err);
	}
}

static void test_full_output(void **state)
{
	char command[PATH_MAX + 64];

	snprintf(command, sizeof(command), "'%s' types > /dev/full 2>/dev/null", program);
	assert_int_equal(WEXITSTATUS(system(command)), 111);
}

static int make_ctl(void)
{
	char name[SZ_OBJECT_NAME_MAX];
	int fd;

	assert_int_equal(sz_object_name(name, pipeline, getuid(), SZ_OBJ_CTL, 0), 0);
	fd = sz_object_create(name, 4096);
	assert_true(fd >= 0);
	return fd;
}

/* A ctl that says nothing: shown as broken, removed only by force, and not while somebody lives in it. */
static void test_broken_pipeline(void **state)
{
	static struct output o;
	int fd = make_ctl();

	run("ls", &o);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.out, pipeline));
	assert_non_null(strstr(o.out, "broken"));
	run("stat PIPELINE", &o);
	assert_int_equal(o.status, 111);
	assert_non_null(strstr(o.err, "damaged"));
	run("rm PIPELINE", &o);
	assert_int_equal(o.status, 1);
	assert_non_null(strstr(o.err, "--force"));
	assert_int_equal(sz_object_lock(fd), 0);
	run("rm --force PIPELINE", &o);
	assert_int_equal(o.status, 1);
	assert_non_null(strstr(o.err, "is alive"));
	close(fd);
	run("rm --force PIPELINE", &o);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.out, "");
	run("rm --force PIPELINE", &o);
	assert_int_equal(o.status, 100);
}

static int setup(void **state)
{
	const char *env = getenv("STREAMZ");
	char self[PATH_MAX - 64], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *f;

	if (n <= 0 || !mkdtemp(folder))
		return -1;
	self[n] = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	if (env)
		snprintf(program, sizeof(program), "%s", env);
	else
		snprintf(program, sizeof(program), "%s/../bin/streamz", self);
	snprintf(pipeline, sizeof(pipeline), "test-ops-%d", getpid());
	snprintf(host, sizeof(host), "%s/host", folder);
	f = fopen(host, "w");
	if (!f)
		return -1;
	fprintf(f, "#!/bin/sh\ncat <<'END'\n%sEND\n", description);
	fclose(f);
	return chmod(host, 0700) || setenv("STREAMZ_STAGE", host, 1);
}

static int teardown(void **state)
{
	static const char *const files[] = { "host", "out", "err" };
	char path[96];

	for (size_t i = 0; i < COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	sz_object_remove_all(pipeline, getuid());
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_full_output),
		cmocka_unit_test(test_broken_pipeline),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
