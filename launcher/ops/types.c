/* SPDX-License-Identifier: BSD-2-Clause */
/* types.c - streamz types: the stage types and their options, as the stage program describes them */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"

extern char **environ;

struct types {
	struct sz_type **type;
	size_t count;
};

static const char *text(const char *s)
{
	return s ? s : "";
}

/* The stage program */

#define HOST_MAX (PATH_MAX + 64)

/* $STREAMZ_STAGE; beside ourselves, as built; ../libexec/streamz, as installed. */
static void host_program(char path[HOST_MAX])
{
	static const char *const places[] = { "streamz-stage", "../libexec/streamz/streamz-stage" };
	const char *env = getenv("STREAMZ_STAGE");
	char self[PATH_MAX], *slash;
	ssize_t n;

	if (env && *env) {
		snprintf(path, HOST_MAX, "%s", env);
		return;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = 0;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, HOST_MAX, "%s%s", self, places[i]);
		if (access(path, X_OK) == 0)
			return;
	}
	snprintf(path, HOST_MAX, "%s%s", self, places[0]);
}

/* Start PROGRAM [--plugin=FILE] --describe. Return: the reading end of its output, -errno. */
static int start(const char *program, const char *plugin, pid_t *pid)
{
	char describe[] = "--describe", option[HOST_MAX], path[HOST_MAX];
	char *argv[] = { path, option, describe, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], rc;

	snprintf(path, sizeof(path), "%s", program);
	snprintf(option, sizeof(option), "--plugin=%s", plugin ? plugin : "");
	if (!plugin) {
		argv[1] = describe;
		argv[2] = NULL;
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	rc = posix_spawn_file_actions_init(&actions);
	if (!rc) {
		rc = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
		if (!rc)
			rc = posix_spawn(pid, path, &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(ends[1]);
	if (rc) {
		close(ends[0]);
		return -rc;
	}
	return ends[0];
}

static int add(struct types *t, struct sz_type *type)
{
	struct sz_type **grown = realloc(t->type, (t->count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	t->type = grown;
	t->type[t->count++] = type;
	return 0;
}

static int read_all(int fd, struct types *t)
{
	FILE *from = fdopen(fd, "r");
	struct sz_type *type;
	int rc;

	if (!from) {
		close(fd);
		return -ENOMEM;
	}
	while ((rc = sz_type_read(from, &type)) == 1) {
		rc = add(t, type);
		if (rc) {
			sz_type_free(type);
			break;
		}
	}
	fclose(from);
	return rc;
}

static int by_role_and_name(const void *a, const void *b)
{
	const struct sz_type *x = *(struct sz_type *const *)a, *y = *(struct sz_type *const *)b;

	if (x->role != y->role)
		return x->role < y->role ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int describe(const char *program, const char *plugin, struct types *t)
{
	int status = 0, fd, rc;
	pid_t pid;

	fd = start(program, plugin, &pid);
	if (fd < 0) {
		say("cannot run %s: %s", program, strerror(-fd));
		return EXIT_SYSTEM;
	}
	rc = read_all(fd, t);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		say("%s --describe failed", program);
		return EXIT_SYSTEM;
	}
	if (rc) {
		say("%s --describe: %s", program,
		    rc == -EBADMSG ? "what it prints is no description of types" : strerror(-rc));
		return EXIT_SYSTEM;
	}
	if (t->count)
		qsort(t->type, t->count, sizeof(*t->type), by_role_and_name);
	return EXIT_OK;
}

/* What a type is called on the command line decides who describes it: NAME the host, FILE.so the host, PATH itself. */
static int load(const char *name, struct types *t)
{
	char host[HOST_MAX];
	size_t n = name ? strlen(name) : 0;

	host_program(host);
	if (!name || !strchr(name, '/'))
		return describe(host, NULL, t);
	if (n > 3 && strcmp(name + n - 3, ".so") == 0)
		return describe(host, name, t);
	return describe(name, NULL, t);
}

/* Words */

const char *option_type_word(const struct sz_option *o)
{
	static const char *const words[] = {
		[SZ_OPT_STRING] = "TEXT",
		[SZ_OPT_PATH] = "PATH",
		[SZ_OPT_BOOL] = "true|false",
		[SZ_OPT_INT] = "NUMBER",
		[SZ_OPT_SIZE] = "SIZE",
		[SZ_OPT_TIME] = "TIME",
		[SZ_OPT_PERCENT] = "PERCENT",
		[SZ_OPT_RATE] = "RATE",
		[SZ_OPT_ENUM] = "WORD",
		[SZ_OPT_REGEX] = "REGEX",
		[SZ_OPT_LIMIT] = "LIMIT",
		[SZ_OPT_BACKOFF] = "TIME..TIME",
		[SZ_OPT_COUNT_PER_TIME] = "COUNT/TIME",
	};

	return o->type == SZ_OPT_ENUM ? o->choices : words[o->type];
}

static void bound(const struct sz_option *o, int64_t n, char *buf, size_t size)
{
	switch (o->type) {
	case SZ_OPT_SIZE: sz_format_size((uint64_t)n, buf, size); break;
	case SZ_OPT_TIME:
	case SZ_OPT_BACKOFF: sz_format_time((uint64_t)n, buf, size); break;
	case SZ_OPT_PERCENT: snprintf(buf, size, "%g%%", (double)n / 1000); break;
	case SZ_OPT_RATE: snprintf(buf, size, "%.12g/s", (double)n / 1000); break;
	default: snprintf(buf, size, "%" PRId64, n);
	}
}

char *option_range(const struct sz_option *o, char *buf, size_t size)
{
	char low[40], high[40];

	buf[0] = 0;
	/* Not to be negative goes without saying. */
	if (o->min == 0 && (o->max == 0 || o->max == INT64_MAX))
		return buf;
	if (o->min == INT64_MIN && o->max == INT64_MAX)
		return buf;
	bound(o, o->min, low, sizeof(low));
	bound(o, o->max, high, sizeof(high));
	if (o->max == INT64_MAX)
		snprintf(buf, size, "at least %s", low);
	else if (o->min == INT64_MIN)
		snprintf(buf, size, "at most %s", high);
	else
		snprintf(buf, size, "%s to %s", low, high);
	return buf;
}

/* Text */

static void print_list(const struct types *t)
{
	struct table table;

	table_begin(&table, 3);
	for (size_t i = 0; i < t->count; i++) {
		table_word(&table, t->type[i]->name);
		table_word(&table, sz_role_name(t->type[i]->role));
		table_word(&table, text(t->type[i]->summary));
	}
	table_print(&table, "lll", 0);
}

static void print_options(const struct sz_type *type)
{
	static const char *const names[] = { "OPTION", "VALUE", "DEFAULT", "RANGE", "" };
	struct table t;
	char range[100];

	if (!type->options->name)
		return;
	puts("\noptions:");
	table_begin(&t, 5);
	for (size_t i = 0; i < 5; i++)
		table_word(&t, names[i]);
	for (const struct sz_option *o = type->options; o->name; o++) {
		size_t n = strlen(o->name);
		bool prefix = o->flags & SZ_OPT_PREFIX;

		table_cell(&t, "%s%s", o->name,
			   !prefix                      ? ""
			   : n && o->name[n - 1] == '.' ? "NAME"
							: ".NAME");
		table_word(&t, option_type_word(o));
		table_word(&t, o->flags & SZ_OPT_REQUIRED ? "required" : o->def ? o->def : "-");
		table_word(&t, option_range(o, range, sizeof(range)));
		table_cell(&t, "%s%s", text(o->help),
			   o->flags & SZ_OPT_SECRET ? " (file:PATH or env:NAME)" : "");
	}
	table_print(&t, "lllll", 2);
}

static void print_ports(const struct sz_type *type)
{
	struct table t;

	if (!type->ports->name && !(type->flags & SZ_TYPE_DYNAMIC_PORTS))
		return;
	puts("\nports:");
	table_begin(&t, 2);
	for (const struct sz_port *p = type->ports; p->name; p++) {
		table_cell(&t, ".%s", p->name);
		table_word(&t, text(p->help));
	}
	if (type->flags & SZ_TYPE_DYNAMIC_PORTS) {
		table_word(&t, ".NAME");
		table_word(&t, "made by options");
	}
	table_print(&t, "ll", 2);
}

static void print_type(const struct sz_type *type)
{
	printf("%s %s%s%s\n", sz_role_name(type->role), type->name,
	       type->summary && *type->summary ? ": " : "", text(type->summary));
	print_options(type);
	print_ports(type);
}

/* JSON */

static json_t *option_json(const struct sz_option *o)
{
	char range[100];
	json_t *j = json_pack("{s:s, s:s, s:b, s:b, s:b, s:b}", "name", o->name, "value",
			      option_type_word(o), "required", (o->flags & SZ_OPT_REQUIRED) != 0,
			      "prefix", (o->flags & SZ_OPT_PREFIX) != 0, "secret",
			      (o->flags & SZ_OPT_SECRET) != 0, "may_lose",
			      (o->flags & SZ_OPT_MAY_LOSE) != 0);

	json_object_set_new(j, "default", o->def ? json_string(o->def) : json_null());
	option_range(o, range, sizeof(range));
	json_object_set_new(j, "range", range[0] ? json_string(range) : json_null());
	json_object_set_new(j, "help", json_string(text(o->help)));
	return j;
}

static json_t *type_json(const struct sz_type *t)
{
	json_t *options = json_array(), *ports = json_array();

	for (const struct sz_option *o = t->options; o->name; o++)
		json_array_append_new(options, option_json(o));
	for (const struct sz_port *p = t->ports; p->name; p++)
		json_array_append_new(ports, json_pack("{s:s, s:s}", "name", p->name, "help",
						       text(p->help)));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "name", t->name, "role",
			 sz_role_name(t->role), "summary", text(t->summary), "options", options,
			 "ports", ports, "dynamic_ports", (t->flags & SZ_TYPE_DYNAMIC_PORTS) != 0);
}

static int print_json(const struct types *t)
{
	json_t *array = json_array();

	for (size_t i = 0; i < t->count; i++)
		json_array_append_new(array, type_json(t->type[i]));
	return json_print(json_pack("{s:s, s:o}", "schema", "streamz.types/1", "types", array));
}

/* Keep the types of that name. Return: how many. */
static size_t select_name(struct types *t, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->type[i]->name, name) == 0) {
			struct sz_type *hit = t->type[i];

			t->type[i] = t->type[kept];
			t->type[kept++] = hit;
		}
	}
	for (size_t i = kept; i < t->count; i++)
		sz_type_free(t->type[i]);
	t->count = kept;
	return kept;
}

static int no_such_type(const struct types *t, const char *name)
{
	const char **words = calloc(t->count ? t->count : 1, sizeof(*words)), *near = NULL;

	for (size_t i = 0; words && i < t->count; i++)
		words[i] = t->type[i]->name;
	if (words)
		near = nearest(name, words, t->count);
	if (near)
		say("no type \"%s\": did you mean \"%s\"?", name, near);
	else
		say("no type \"%s\": streamz types lists them", name);
	free(words);
	return EXIT_USAGE;
}

static bool has_name(const struct types *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->type[i]->name, name) == 0)
			return true;
	return false;
}

static int show(struct types *t, const char *name, bool json, bool man)
{
	bool path = name && strchr(name, '/');

	if (name && !path) {
		if (!has_name(t, name))
			return no_such_type(t, name);
		select_name(t, name);
	}
	if (json)
		return print_json(t);
	if (man)
		types_man(t->type, t->count);
	else if (!name)
		print_list(t);
	for (size_t i = 0; name && !man && i < t->count; i++) {
		if (i)
			putchar('\n');
		print_type(t->type[i]);
	}
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "man", no_argument, NULL, 'm' },
		{ NULL, 0, NULL, 0 },
	};
	struct types t = { NULL, 0 };
	bool json = false, man = false;
	int c, rc;

	while ((c = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		switch (c) {
		case 'j': json = true; break;
		case 'm': man = true; break;
		default: return usage(&verb_types);
		}
	}
	if (argc - optind > 1 || (json && man))
		return usage(&verb_types);
	rc = load(argv[optind], &t);
	if (!rc)
		rc = show(&t, argv[optind], json, man);
	for (size_t i = 0; i < t.count; i++)
		sz_type_free(t.type[i]);
	free(t.type);
	return rc;
}

const struct verb verb_types = {
	.name = "types",
	.synopsis = "[--json | --man] [TYPE]",
	.summary = "list the stage types, or show one with its options and ports",
	.help = "  -j, --json   JSON, schema streamz.types/1\n"
		"  --man        mdoc(7) sections, from which streamz-stages(7) is made\n"
		"\n"
		"TYPE is a name from the list, or the path of a plug-in (FILE.so) or of a stage "
		"program.\n",
	.run = run,
};
