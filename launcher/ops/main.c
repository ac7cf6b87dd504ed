/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c - streamz VERB: look at pipelines and clear up after them */
#include <errno.h>
#include <string.h>

#include "../graph/nearest.h"
#include "ops.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct verb *const verbs[] = {
	&verb_ls, &verb_stat, &verb_audit, &verb_rm, &verb_types,
};

static void print_overview(FILE *to)
{
	fputs("usage: streamz VERB [OPTION...] [PIPELINE]\n\n", to);
	for (size_t i = 0; i < COUNT(verbs); i++)
		fprintf(to, "  %-7s %s\n", verbs[i]->name, verbs[i]->summary);
	fputs("\nstreamz VERB --help tells more of a verb, streamz --version which version this "
	      "is.\n",
	      to);
}

static const struct verb *find(const char *name)
{
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

static int no_such_verb(const char *name)
{
	char hint[HINT_SIZE];
	struct nearest near;

	nearest_init(&near, name);
	for (size_t i = 0; i < COUNT(verbs); i++)
		nearest_try(&near, verbs[i]->name);
	nearest_hint(&near, hint, sizeof(hint));
	say("no verb \"%s\"%s", name, hint[0] ? hint : ": see streamz --help");
	return EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
	const struct verb *v;

	if (argc < 2) {
		print_overview(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("streamz " SZ_VERSION);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		v = argc > 2 ? find(argv[2]) : NULL;
		if (argc > 2 && !v)
			return no_such_verb(argv[2]);
		if (v)
			print_help(v);
		else
			print_overview(stdout);
		return EXIT_OK;
	}
	v = find(argv[1]);
	if (!v)
		return no_such_verb(argv[1]);
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(v);
			return EXIT_OK;
		}
	}
	return v->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status = dispatch(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		if (errno != EPIPE)
			say("cannot write: %s", strerror(errno));
		return EXIT_SYSTEM;
	}
	return status;
}
