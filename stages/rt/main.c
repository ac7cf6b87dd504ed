/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c - the main() of every stage program; the command line is in contract.h */
#include <bsd/unistd.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rt.h"

static void usage(FILE *to, const char *program)
{
	fprintf(to,
		"usage: %s --describe\n"
		"       %s --check --wiring=FD\n"
		"       %s --wiring=FD\n\n"
		"A program of stages for streamz. It is started by streamz-launch(1), which hands "
		"it its wiring.\n"
		"  --describe    print the stage types in it, their options and ports\n"
		"  --check       check the options in the wiring and say what the stage needs\n"
		"  --wiring=FD   descriptor of the wiring\n"
		"  --help        this text\n",
		program, program, program);
}

static const struct sz_stage_ops *find_type(const struct sz_stage_ops *const *types,
					    const char *name, enum sz_role role)
{
	for (; *types; types++)
		if ((*types)->role == role && strcmp((*types)->name, name) == 0)
			return *types;
	return NULL;
}

/*
 * In a graph a plug-in or executable is named by its path; its first type of the role is meant. A program that holds
 * one type only needs no further name.
 */
static const struct sz_stage_ops *wired_type(const struct sz_stage_ops *const *types,
					     const struct sz_wiring *w)
{
	const char *name = sz_wire_text(w, w->type);

	if (!strchr(name, '/'))
		return find_type(types, name, (enum sz_role)w->role);
	for (; *types; types++)
		if ((uint32_t)(*types)->role == w->role)
			return *types;
	return NULL;
}

static int worker_main(const struct sz_stage_ops *ops, const struct sz_wiring *w)
{
	static struct sz_stage stage;
	struct sz_stage *s = &stage;
	char error[SZ_VALUE_ERROR_SIZE];
	const char *option;
	int rc;

	rc = sz_rt_attach(s, ops, w);
	if (rc) {
		fprintf(stderr, "streamz: %s/%s: cannot attach to the pipeline: %s\n",
			sz_wire_text(w, w->pipeline), sz_wire_text(w, w->stage), strerror(-rc));
		return SZ_EXIT_SYSTEM;
	}
	/*
	 * We hold our page's lock: a launcher that comes after this waits for us. One that came before it has recovered
	 * the page and voids our io_uring instance with all that its completion queue says.
	 */
	if (getppid() != w->launcher_pid) {
		sz_rt_detach(s);
		return SZ_EXIT_STOPPED;
	}
	rc = sz_values_parse(ops, w, &s->values, error, &option);
	if (rc)
		sz_give_up(s, "option%s%s: %s", *option ? " " : "s", option, error);
	setproctitle("-streamz: %s/%s/%u", sz_pipeline_name(s), sz_stage_name(s), w->worker);
	signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an EPIPE */
	sz_attention_init();
	rc = sz_rt_start(s);
	if (rc)
		sz_give_up(s, "cannot start: %s", s->error_text[0] ? s->error_text : strerror(-rc));
	rc = sz_rt_run(s);
	sz_rt_detach(s);
	return rc;
}

int sz_stage_main(int argc, char **argv, const struct sz_stage_ops *const *types)
{
	enum { DESCRIBE = 256, CHECK, WIRING, HELP };
	static const struct option options[] = {
		{ "describe", no_argument, NULL, DESCRIBE },
		{ "check", no_argument, NULL, CHECK },
		{ "wiring", required_argument, NULL, WIRING },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	const struct sz_stage_ops *ops;
	const struct sz_wiring *w;
	bool check = false;
	int c, fd = -1, rc;

	setproctitle_init(argc, argv, environ);
	for (const struct sz_stage_ops *const *t = types; *t; t++) {
		if ((*t)->api != SZ_STAGE_API) {
			fprintf(stderr,
				"%s: type %s is built for stage API %u, this runtime speaks %u: "
				"build it again\n",
				argv[0], (*t)->name, (*t)->api, SZ_STAGE_API);
			return SZ_EXIT_USAGE;
		}
		if ((*t)->role == SZ_SOURCE ? !(*t)->produce : !(*t)->record) {
			fprintf(stderr, "%s: type %s has no .%s: every %s needs one\n", argv[0],
				(*t)->name, (*t)->role == SZ_SOURCE ? "produce" : "record",
				sz_role_name((*t)->role));
			return SZ_EXIT_USAGE;
		}
		if ((*t)->ring_entries && !(*t)->complete) {
			fprintf(stderr, "%s: type %s asks for I/O and has no .complete\n", argv[0],
				(*t)->name);
			return SZ_EXIT_USAGE;
		}
	}
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case DESCRIBE: return sz_describe_main(types);
		case CHECK: check = true; break;
		case WIRING: fd = atoi(optarg); break;
		case HELP: usage(stdout, argv[0]); return 0;
		default: usage(stderr, argv[0]); return SZ_EXIT_USAGE;
		}
	}
	if (fd < 0 || optind != argc) {
		usage(stderr, argv[0]);
		return SZ_EXIT_USAGE;
	}
	rc = sz_wiring_attach(fd, &w);
	if (rc) {
		fprintf(stderr, "%s: descriptor %d is not a wiring of this version: %s\n", argv[0],
			fd, strerror(-rc));
		return SZ_EXIT_USAGE;
	}
	ops = wired_type(types, w);
	if (!ops) {
		fprintf(stderr, "%s: no %s type \"%s\" in this program\n", argv[0],
			sz_role_name((enum sz_role)w->role), sz_wire_text(w, w->type));
		return SZ_EXIT_USAGE;
	}
	return check ? sz_check_main(ops, w) : worker_main(ops, w);
}
