/* SPDX-License-Identifier: BSD-2-Clause */
/* types.c - streamz types: the stage types and their options, as the stage program describes them */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../catalog.h"
#include "../graph/nearest.h"
#include "ops.h"

/* What is shown, of a catalogue that outlives it. */
struct types {
	const struct sz_type **type;
	size_t count;
};

static const char *text(const char *s)
{
	return s ? s : "";
}

static int by_role_and_name(const void *a, const void *b)
{
	const struct sz_type *x = *(const struct sz_type *const *)a;
	const struct sz_type *y = *(const struct sz_type *const *)b;

	if (x->role != y->role)
		return x->role < y->role ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int list(struct catalog *c, struct types *t)
{
	size_t count = 0;

	while (catalog_list(c, count))
		count++;
	t->type = calloc(count + 1, sizeof(*t->type));
	if (!t->type) {
		say("%s", strerror(ENOMEM));
		return EXIT_SYSTEM;
	}
	for (t->count = 0; t->count < count; t->count++)
		t->type[t->count] = catalog_list(c, t->count);
	qsort(t->type, t->count, sizeof(*t->type), by_role_and_name);
	return EXIT_OK;
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

	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->type[i]->name, name) == 0)
			t->type[kept++] = t->type[i];
	return kept;
}

static int no_such_type(const struct types *t, const char *name)
{
	char hint[HINT_SIZE];
	struct nearest near;

	nearest_init(&near, name);
	for (size_t i = 0; i < t->count; i++)
		nearest_try(&near, t->type[i]->name);
	nearest_hint(&near, hint, sizeof(hint));
	say("no type \"%s\"%s", name, hint[0] ? hint : ": streamz types lists them");
	return EXIT_USAGE;
}

static int show(struct types *t, const char *name, bool json, bool man)
{
	if (name && !strchr(name, '/')) {
		size_t kept = select_name(t, name);

		if (!kept)
			return no_such_type(t, name);
		t->count = kept;
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
	char error[PROGRAM_ERROR_SIZE];
	struct types t = { NULL, 0 };
	bool json = false, man = false;
	struct catalog *catalog;
	const char *name;
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
	name = argv[optind];
	catalog = catalog_open(name && strchr(name, '/') ? name : NULL, error);
	if (!catalog) {
		say("%s", error);
		return EXIT_SYSTEM;
	}
	rc = list(catalog, &t);
	if (!rc)
		rc = show(&t, name, json, man);
	free(t.type);
	catalog_free(catalog);
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
