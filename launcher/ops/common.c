/* SPDX-License-Identifier: BSD-2-Clause */
/* common.c - finding pipelines, messages, and the words for what ctl says */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <streamz/clock.h>
#include <streamz/object.h>

#include "../graph/nearest.h"
#include "ops.h"

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("streamz: ", stderr);
	vfprintf(stderr, format, args);
	putc('\n', stderr);
	va_end(args);
}

int usage(const struct verb *v)
{
	fprintf(stderr, "usage: streamz %s %s\n", v->name, v->synopsis);
	return EXIT_USAGE;
}

void print_help(const struct verb *v)
{
	printf("usage: streamz %s %s\n\n%s\n\n%s", v->name, v->synopsis, v->summary, v->help);
}

/* Names */

int names_add(struct names *list, const char *name)
{
	char **grown = realloc(list->name, (list->count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	list->name = grown;
	list->name[list->count] = strdup(name);
	if (!list->name[list->count])
		return -ENOMEM;
	list->count++;
	return 0;
}

void names_free(struct names *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->name[i]);
	free(list->name);
	memset(list, 0, sizeof(*list));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int found(void *ctx, const char *pipeline)
{
	return names_add(ctx, pipeline);
}

int pipelines(struct names *list)
{
	int rc;

	memset(list, 0, sizeof(*list));
	rc = sz_object_each(getuid(), found, list);
	if (rc) {
		names_free(list);
		return rc;
	}
	if (list->count)
		qsort(list->name, list->count, sizeof(*list->name), by_name);
	return 0;
}

/* Pipelines */

static void list_them(const struct names *list)
{
	fputs("streamz: there are:", stderr);
	for (size_t i = 0; i < list->count; i++)
		fprintf(stderr, " %s", list->name[i]);
	putc('\n', stderr);
}

int no_such_pipeline(const char *name)
{
	char hint[HINT_SIZE];
	struct nearest near;
	struct names list;

	if (pipelines(&list) || list.count == 0) {
		say("no pipeline \"%s\": there is none", name);
		return EXIT_USAGE;
	}
	nearest_init(&near, name);
	for (size_t i = 0; i < list.count; i++)
		nearest_try(&near, list.name[i]);
	say("no pipeline \"%s\"%s", name, nearest_hint(&near, hint, sizeof(hint)));
	if (!near.found[0])
		list_them(&list);
	names_free(&list);
	return EXIT_USAGE;
}

static int only_pipeline(struct names *list)
{
	int rc = pipelines(list);

	if (rc) {
		say("cannot read /dev/shm: %s", strerror(-rc));
		return EXIT_SYSTEM;
	}
	if (list->count == 1)
		return EXIT_OK;
	if (list->count == 0) {
		say("there is no pipeline");
	} else {
		say("which pipeline?");
		list_them(list);
	}
	names_free(list);
	return EXIT_USAGE;
}

int open_view(const char *name, struct sz_view **view)
{
	struct names list = { NULL, 0 };
	int rc;

	if (!name) {
		rc = only_pipeline(&list);
		if (rc)
			return rc;
		name = list.name[0];
	}
	rc = sz_view_open(name, getuid(), view);
	if (rc == -ENOENT || rc == -ENAMETOOLONG || rc == -EINVAL) {
		rc = no_such_pipeline(name);
	} else if (rc == -EBADMSG) {
		say("%s: its ctl object is damaged, of another version of streamz, or being made",
		    name);
		rc = EXIT_SYSTEM;
	} else if (rc) {
		say("%s: %s", name, strerror(-rc));
		rc = EXIT_SYSTEM;
	}
	names_free(&list);
	return rc;
}

static bool should_have_process(uint32_t state)
{
	return state == SZ_W_STARTING || state == SZ_W_RUNNING;
}

const char *worker_state(const struct sz_view *view, uint32_t worker)
{
	uint32_t state = SZ_CTL_WORKERS(view->ctl)[worker].state;

	if (view->live || state == SZ_W_NEW || sz_worker_is_settled(state))
		return sz_worker_state_name(state);
	return sz_view_worker_is_live(view, worker) == 1 ? "stopping" : "dead";
}

int worker_pid(const struct sz_view *view, uint32_t worker)
{
	const struct sz_ctl_worker *w = &SZ_CTL_WORKERS(view->ctl)[worker];

	if (!should_have_process(w->state) ||
	    (!view->live && sz_view_worker_is_live(view, worker) != 1))
		return 0;
	return w->pid;
}

/* Output */

json_t *json_u64(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

int json_print(json_t *j)
{
	int rc = j ? json_dumpf(j, stdout, JSON_INDENT(2)) : -1;

	json_decref(j);
	if (rc) {
		say("cannot write JSON");
		return EXIT_SYSTEM;
	}
	putchar('\n');
	return EXIT_OK;
}

char *human_bytes(uint64_t bytes, char *buf, size_t size)
{
	static const char units[] = "KMGTPE";
	double n = (double)bytes;
	int u = -1;

	if (bytes < 1024) {
		snprintf(buf, size, "%u", (unsigned)bytes);
		return buf;
	}
	while (n >= 1023.95 && units[u + 1]) {
		n /= 1024;
		u++;
	}
	/* at least 1024: u is not -1: NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
	snprintf(buf, size, n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[u]);
	return buf;
}

char *human_time(uint64_t time_ns, char *buf, size_t size)
{
	time_t t = sz_timespec(time_ns).tv_sec;
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(buf, size, "?");
	return buf;
}
