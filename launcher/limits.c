/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limits.c - the plan's sum, held against the pipeline's memory=, the free /dev/shm and the cgroup's limit
 *
 * Going over the cgroup's limit would not fail an allocation but kill a process, so it is looked at beforehand. What
 * the page cache holds of files can be reclaimed and does not count as used.
 */
#include <bsd/string.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <streamz/object.h>
#include "launch.h"
#include "log.h"
#include "plan.h"

#define PATH_SIZE   2048
#define DESCRIPTORS 18 /* its own and those of a moment */

/* The files of cgroup v2, and of v1. */
struct version {
	const char *limit, *used;
	const char *reclaimable[2]; /* fields of memory.stat */
};

static const struct version versions[] = {
	{ "memory.max", "memory.current", { "inactive_file", "active_file" } },
	{ "memory.limit_in_bytes",
	  "memory.usage_in_bytes",
	  { "total_inactive_file", "total_active_file" } },
};

static bool read_u64(const char *dir, const char *name, uint64_t *value)
{
	char path[2 * PATH_SIZE + 64], text[64] = "", *end;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	*value = strtoull(text, &end, 10); /* "max": no limit */
	return end != text;
}

static uint64_t reclaimable(const char *dir, const struct version *v)
{
	char path[2 * PATH_SIZE + 64], name[64];
	uint64_t sum = 0, value;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	f = fopen(path, "re");
	while (f && fscanf(f, "%63s %" SCNu64, name, &value) == 2)
		if (strcmp(name, v->reclaimable[0]) == 0 || strcmp(name, v->reclaimable[1]) == 0)
			sum += value;
	if (f)
		fclose(f);
	return sum;
}

struct room {
	uint64_t bytes, limit;
	char dir[PATH_SIZE];
};

/* Walk from our group up to the root: every limit on the way counts. */
static void look_up(char *dir, size_t root_len, const struct version *v, struct room *least)
{
	for (;;) {
		uint64_t limit, used;

		if (read_u64(dir, v->limit, &limit) && read_u64(dir, v->used, &used)) {
			uint64_t free_up = reclaimable(dir, v), room;

			used -= free_up < used ? free_up : used;
			room = used < limit ? limit - used : 0;
			if (room < least->bytes) {
				least->bytes = room;
				least->limit = limit;
				strlcpy(least->dir, dir, sizeof(least->dir));
			}
		}
		if (strlen(dir) <= root_len)
			return;
		*strrchr(dir, '/') = '\0';
	}
}

/* Our group in a hierarchy: its path in /proc/self/cgroup. Return: false if the hierarchy is not there. */
static bool own_group(bool v2, char *group, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_SIZE];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *path;

		line[strcspn(line, "\n")] = '\0';
		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		found = v2 ? controllers[1] == '\0' : strcmp(controllers + 1, "memory") == 0;
		if (found)
			strlcpy(group, path, size);
	}
	if (f)
		fclose(f);
	return found;
}

/* Look at one mount of a memory hierarchy. @root: what part of the hierarchy is mounted there. */
static void look_at_mount(const char *root, const char *mount, bool v2, struct room *least)
{
	char group[PATH_SIZE], dir[PATH_SIZE * 2];
	const char *below = group;
	size_t root_len = strlen(root);

	if (!own_group(v2, group, sizeof(group)))
		return;
	if (root_len > 1 && strncmp(group, root, root_len) == 0)
		below = group + root_len;
	snprintf(dir, sizeof(dir), "%s%s", mount, strcmp(below, "/") == 0 ? "" : below);
	look_up(dir, strlen(mount), v2 ? &versions[0] : &versions[1], least);
}

static void cgroup_room(struct room *least)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;

	least->bytes = UINT64_MAX;
	while (f && getline(&line, &size, f) > 0) {
		char root[PATH_SIZE], mount[PATH_SIZE], *rest = strstr(line, " - ");
		bool v2 = rest && strncmp(rest, " - cgroup2 ", 11) == 0;

		if (!rest || sscanf(line, "%*s %*s %*s %2047s %2047s", root, mount) != 2)
			continue;
		if (v2 || (strncmp(rest, " - cgroup ", 10) == 0 && strstr(rest, "memory")))
			look_at_mount(root, mount, v2, least);
	}
	free(line);
	if (f)
		fclose(f);
}

/* The edge whose lanes take most, for people who have to make something smaller. */
static void largest_edge(const struct plan *p, char *buf, size_t size)
{
	char name[PLAN_EDGE_NAME_SIZE], bytes[32];
	uint64_t most = 0;
	uint32_t found = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < p->n_edges; i++) {
		if (p->edges[i].cap_bytes * p->edges[i].n_lanes > most) {
			most = p->edges[i].cap_bytes * p->edges[i].n_lanes;
			found = i;
		}
	}
	if (most)
		snprintf(buf, size, "; the largest edge is %s with %s",
			 plan_edge_name(p, found, name),
			 sz_format_size(most, bytes, sizeof(bytes)));
}

static char *in_mib(uint64_t bytes, char *buf, size_t size)
{
	snprintf(buf, size, "%.1f MiB", (double)bytes / (1 << 20));
	return buf;
}

void plan_check_memory(struct plan *p)
{
	const struct graph_opt *o = graph_opt_find(&p->graph->opts, "memory");
	uint64_t total = plan_total_bytes(p);
	char edge[200], a[32], b[32];

	if (!o || !o->value.text || total <= (uint64_t)o->value.num)
		return;
	largest_edge(p, edge, sizeof(edge));
	graph_report(
		p->graph, GRAPH_ERROR, o->loc,
		"the plan takes %s (%s of shared memory, %u processes of 4 MiB)%s: make buffer= or "
		"max_record= smaller, or raise memory=",
		in_mib(total, a, sizeof(a)), in_mib(p->shared_bytes, b, sizeof(b)), p->n_workers,
		edge);
}

void plan_warn_ipc(void)
{
	const char *session = getenv("XDG_SESSION_ID"), *user = getenv("USER");
	char linger[300];

	if (!session || !user || getuid() < 1000 || access("/run/systemd/system", F_OK) != 0)
		return;
	snprintf(linger, sizeof(linger), "/var/lib/systemd/linger/%s", user);
	if (access(linger, F_OK) != 0)
		log_say("systemd may remove shared memory when you log out (RemoveIPC=yes is its "
			"default): loginctl enable-linger %s prevents that",
			user);
}

/*
 * What the launcher has open at once: five for each worker (page, statistics, ring, pidfd, the pipe that tells why it
 * could not be started) and one for each lane.
 */
static int refuse_descriptors(const struct plan *p)
{
	rlim_t need = DESCRIPTORS + (rlim_t)p->n_workers * 5 + p->n_lanes;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return 0;
	if (limit.rlim_max >= need) {
		limit.rlim_cur = need;
		if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
			return 0;
	}
	log_error("the plan needs %" PRIu64 " open files, this process may have %" PRIu64
		  ": raise the limit (ulimit -n)",
		  (uint64_t)need, (uint64_t)limit.rlim_max);
	return EXIT_SYSTEM;
}

int plan_refused(const struct plan *p)
{
	uint64_t total = plan_total_bytes(p), need = p->shared_bytes, space;
	char edge[200], a[32], b[32], c[32];
	struct room cgroup;
	int rc;

	rc = refuse_descriptors(p);
	if (rc)
		return rc;
	largest_edge(p, edge, sizeof(edge));
	in_mib(total, a, sizeof(a));
	rc = sz_object_space(&space);
	if (rc) {
		log_error("/dev/shm: %s: expected a tmpfs for shared memory: mount one there",
			  strerror(-rc));
		return EXIT_SYSTEM;
	}
	if (need > space) {
		log_error("the plan needs %s of shared memory, /dev/shm has %s free%s: make "
			  "buffer= or max_record= smaller, remove dead pipelines (streamz ls, "
			  "streamz rm), or enlarge it (mount -o remount,size=... /dev/shm)",
			  in_mib(need, b, sizeof(b)), in_mib(space, c, sizeof(c)), edge);
		return EXIT_SYSTEM;
	}
	cgroup_room(&cgroup);
	if (total > cgroup.bytes) {
		log_error("the plan takes %s, the memory limit of the control group %s (%s) leaves "
			  "%s%s: make buffer= or max_record= smaller, or raise the limit",
			  a, cgroup.dir, in_mib(cgroup.limit, b, sizeof(b)),
			  in_mib(cgroup.bytes, c, sizeof(c)), edge);
		return EXIT_SYSTEM;
	}
	return 0;
}
