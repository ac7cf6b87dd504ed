/* SPDX-License-Identifier: BSD-2-Clause */
/* rm.c - streamz rm: remove what a dead pipeline left behind */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <streamz/object.h>

#include "ops.h"

/*
 * Become its owner, as a launcher that resumes would: neither can then take it from under the other. Return: a
 * descriptor that holds the lock, or an exit status, negative.
 */
static int own(const char *pipeline)
{
	char name[SZ_OBJECT_NAME_MAX];
	struct stat st;
	int fd, rc;

	if (sz_object_name(name, pipeline, getuid(), SZ_OBJ_CTL, 0))
		return -no_such_pipeline(pipeline);
	fd = sz_object_open(name, 1);
	if (fd == -ENOENT || fd == -EINVAL)
		return -no_such_pipeline(pipeline);
	if (fd < 0) {
		say("%s: %s", pipeline, strerror(-fd));
		return -EXIT_SYSTEM;
	}
	rc = sz_object_lock(fd);
	if (rc == -EAGAIN) {
		say("%s is alive: stop it first (SIGTERM to its launcher drains it)", pipeline);
		rc = -EXIT_NO;
	} else if (rc) {
		say("%s: cannot lock it: %s", pipeline, strerror(-rc));
		rc = -EXIT_SYSTEM;
	} else if (fstat(fd, &st) < 0 || st.st_nlink == 0) {
		rc = -no_such_pipeline(pipeline); /* removed while we were at it */
	}
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

/* Workers that outlive their launcher for a moment still write to what would be removed. */
static int workers_gone(const struct sz_view *v)
{
	char name[SZ_VIEW_NAME_MAX];

	for (uint32_t i = 0; i < v->ctl->n_workers; i++) {
		if (sz_view_worker_is_live(v, i) == 1) {
			say("%s: worker %s (pid %d) is still alive", v->ctl->pipeline,
			    sz_view_worker_name(v, i, name), SZ_CTL_WORKERS(v->ctl)[i].pid);
			return EXIT_NO;
		}
	}
	return EXIT_OK;
}

static int nothing_lost(const struct sz_view *v)
{
	uint64_t held = sz_view_records_held(v);
	uint32_t open = sz_view_unfinished_sources(v), broken = 0;

	for (uint32_t i = 0; i < v->ctl->n_workers; i++)
		broken += !v->workers[i].exact;
	for (uint32_t i = 0; i < v->ctl->n_lanes; i++)
		broken += v->lanes[i].error != 0;
	/* What was never complete never ran. */
	if (v->ctl->state == SZ_P_CREATING || (held == 0 && open == 0 && broken == 0))
		return EXIT_OK;
	if (held)
		say("%s holds %" PRIu64 " record%s", v->ctl->pipeline, held, held == 1 ? "" : "s");
	if (open)
		say("%s: %u source%s not at the end of %s input", v->ctl->pipeline, open,
		    open == 1 ? " is" : "s are", open == 1 ? "its" : "their");
	if (broken)
		say("%s: %u of its objects are missing or broken, what they held is unknown",
		    v->ctl->pipeline, broken);
	/* "-e": from the command line, under a name that will not come again. */
	if (v->ctl->graph[0] && v->ctl->graph[0] != '-')
		say("to go on: streamz-launch --resume %s", v->ctl->graph);
	say("to lose it: streamz rm --force %s", v->ctl->pipeline);
	return EXIT_NO;
}

static int check(const char *pipeline, bool force)
{
	struct sz_view *v;
	int rc = sz_view_open(pipeline, getuid(), &v);

	if (rc == -EBADMSG && force)
		return EXIT_OK;
	if (rc == -EBADMSG) {
		say("%s: its ctl object is damaged or of another version of streamz", pipeline);
		say("to remove it whatever it holds: streamz rm --force %s", pipeline);
		return EXIT_NO;
	}
	if (rc) {
		say("%s: %s", pipeline, strerror(-rc));
		return EXIT_SYSTEM;
	}
	rc = workers_gone(v);
	if (!rc && !force)
		rc = nothing_lost(v);
	sz_view_close(v);
	return rc;
}

static int remove_one(const char *pipeline, bool force)
{
	int fd = own(pipeline), rc;

	if (fd < 0)
		return -fd;
	rc = check(pipeline, force);
	if (!rc) {
		int n = sz_object_remove_all(pipeline, getuid());

		if (n < 0) {
			say("%s: cannot remove it: %s", pipeline, strerror(-n));
			rc = EXIT_SYSTEM;
		}
	}
	close(fd);
	return rc;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	int c, rc = EXIT_OK;
	bool force = false;

	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c != 'f')
			return usage(&verb_rm);
		force = true;
	}
	if (optind == argc)
		return usage(&verb_rm);
	for (int i = optind; i < argc; i++) {
		int one = remove_one(argv[i], force);

		if (one > rc)
			rc = one;
	}
	return rc;
}

const struct verb verb_rm = {
	.name = "rm",
	.synopsis = "[--force] PIPELINE...",
	.summary = "remove what dead pipelines left behind",
	.help = "  -f, --force   also where records are held or sources are not at their end\n",
	.run = run,
};
