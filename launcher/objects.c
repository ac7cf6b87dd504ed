/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objects.c - claim a pipeline's name, create everything or nothing, remove
 *
 * ctl is made first and locked; whoever holds the lock owns all objects of that name. It stays SZ_P_CREATING until
 * the last object is whole, so that a launcher killed on the way leaves something that is removed without a question.
 */
#include "pipeline.h"
#include <bsd/string.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <streamz/object.h>
#include "log.h"

const char *worker_name(const struct worker *w)
{
	return w->stage->name;
}

void pipeline_set_state(struct pipeline *p, enum sz_pipeline_state state)
{
	sz_store_release(&p->ctl->state, (uint32_t)state); /* pairs: readers of ctl load it first */
}

static int refuse_system(const char *what, int rc)
{
	if (rc == -ENOSPC)
		log_error("%s: no room in /dev/shm: remove dead pipelines (streamz ls, streamz rm) "
			  "or enlarge it (mount -o remount,size=... /dev/shm)",
			  what);
	else
		log_error("%s: %s", what, strerror(-rc));
	return EXIT_SYSTEM;
}

/* The name must still lead to what we have locked: another launcher may have removed it meanwhile. */
static bool still_named(const char *name, int fd)
{
	struct stat ours, theirs;
	int now = sz_object_open(name, 0);
	bool same = now >= 0 && fstat(fd, &ours) == 0 && fstat(now, &theirs) == 0 &&
		    ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;

	if (now >= 0)
		close(now);
	return same;
}

static int map_ctl(struct pipeline *p)
{
	struct stat st;
	void *map;
	int fd;

	if (fstat(p->lock_fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(*p->ctl))
		return -EBADMSG;
	/* Not by lock_fd: a mapping keeps its open file description alive, and with it the lock, in every child. */
	fd = sz_object_reopen(p->lock_fd, 1);
	if (fd < 0)
		return fd;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -ENOMEM;
	p->ctl = map;
	return 0;
}

static void unmap_ctl(struct pipeline *p)
{
	struct stat st;

	if (p->ctl && fstat(p->lock_fd, &st) == 0)
		munmap(p->ctl, (size_t)st.st_size);
	p->ctl = NULL;
}

int pipeline_refuse_live(const char *name, int fd)
{
	struct sz_ctl *ctl = mmap(NULL, sizeof(*ctl), PROT_READ, MAP_SHARED, fd, 0);
	struct stat st;
	int32_t pid = 0;

	if (ctl != MAP_FAILED) {
		if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(*ctl))
			pid = ctl->launcher_pid;
		munmap(ctl, sizeof(*ctl));
	}
	if (pid > 0)
		log_error("pipeline \"%s\" is running, its launcher is process %d: stop that first "
			  "(kill %d), or give this one another name with --name",
			  name, pid, pid);
	else
		log_error(
			"pipeline \"%s\" is just being started by another launcher: give this one "
			"another name with --name",
			name);
	return EXIT_WRONG;
}

/*
 * Open and lock ctl, or create and lock it. p->lock_fd is set; *created says which.
 * Return: 0 or the exit status.
 */
static int claim_name(struct pipeline *p, const char *name, bool *created)
{
	for (int i = 0; i < 100; i++) {
		int fd = sz_object_open(name, 1), rc;

		*created = fd == -ENOENT;
		if (*created)
			fd = sz_object_create(name, p->plan->ctl.object_bytes);
		if (fd == -EEXIST)
			continue;
		if (fd < 0)
			return refuse_system(name, fd);
		rc = sz_object_lock(fd);
		if (rc == -EAGAIN) {
			rc = pipeline_refuse_live(p->plan->name, fd);
			close(fd);
			return rc;
		}
		if (rc) {
			close(fd);
			return refuse_system(name, rc);
		}
		if (still_named(name, fd)) {
			p->lock_fd = fd;
			p->claimed = true;
			return 0;
		}
		close(fd);
	}
	log_error("%s comes and goes: is another launcher starting \"%s\" again and again?", name,
		  p->plan->name);
	return EXIT_SYSTEM;
}

/* Creating */

static void fill_processes(const struct plan *plan, struct sz_ctl *c)
{
	struct sz_ctl_worker *workers = SZ_CTL_WORKERS(c);

	for (uint32_t i = 0; i < plan->n_stages; i++) {
		const struct plan_stage *s = &plan->stages[i];
		struct sz_ctl_stage *to = &SZ_CTL_STAGES(c)[i];

		strlcpy(to->name, s->name, sizeof(to->name));
		strlcpy(to->type, s->type_name, sizeof(to->type));
		to->role = s->role;
		to->first_worker = s->first_worker;
		to->n_workers = s->n_workers;
		to->implicit = !s->origin;
	}
	for (uint32_t i = 0; i < plan->n_workers; i++)
		workers[i] = (struct sz_ctl_worker){
			.stage = plan->workers[i].stage,
			.number = plan->workers[i].number,
		};
}

static void fill_connections(const struct plan *plan, struct sz_ctl *c)
{
	struct sz_ctl_lane *lanes = SZ_CTL_LANES(c);

	for (uint32_t i = 0; i < plan->n_edges; i++) {
		const struct plan_edge *e = &plan->edges[i];
		struct sz_ctl_edge *to = &SZ_CTL_EDGES(c)[i];

		to->from_stage = e->from;
		to->to_stage = e->to;
		strlcpy(to->port, e->port, sizeof(to->port));
		to->overflow = e->overflow;
		to->first_lane = e->first_lane;
		to->n_lanes = e->n_lanes;
		to->max_record = e->max_record;
	}
	for (uint32_t i = 0; i < plan->n_lanes; i++) {
		const struct plan_lane *l = &plan->lanes[i];

		lanes[i] = (struct sz_ctl_lane){
			.edge = l->edge,
			.producer = l->producer,
			.consumer = l->consumer,
			.producer_out = l->producer_out,
			.consumer_in = l->consumer_in,
			.producer_edge = l->producer_edge,
			.cap_bytes = plan->edges[l->edge].cap_bytes,
		};
	}
}

static void fill_ctl(struct pipeline *p)
{
	const struct plan *plan = p->plan;
	struct sz_ctl *c = p->ctl;

	*c = plan->ctl;
	c->abi = SZ_ABI;
	c->uid = p->uid;
	c->shape = plan->shape;
	c->start_ns = sz_clock_ns(CLOCK_REALTIME);
	c->state = SZ_P_CREATING;
	c->launcher_pid = getpid();
	c->runs = 1;
	strlcpy(c->pipeline, plan->name, sizeof(c->pipeline));
	strlcpy(c->graph, plan->file, sizeof(c->graph));
	fill_processes(plan, c);
	fill_connections(plan, c);
	sz_store_release(&c->magic, SZ_CTL_MAGIC); /* pairs: sz_ctl_check() in whoever opens it */
}

/* We own the name: what stands in the way is rubbish of a pipeline whose ctl was removed by hand. */
static int create_object(const struct pipeline *p, enum sz_object kind, uint32_t index,
			 uint64_t bytes, int *fd)
{
	char name[SZ_OBJECT_NAME_MAX];
	int rc = sz_object_name(name, p->plan->name, p->uid, kind, index);

	if (!rc)
		rc = sz_object_create(name, bytes);
	if (rc == -EEXIST) {
		sz_object_remove(name);
		rc = sz_object_create(name, bytes);
	}
	if (rc < 0)
		return refuse_system(name, rc);
	*fd = rc;
	return 0;
}

static int create_worker(struct pipeline *p, struct worker *w)
{
	uint32_t n_counters = w->plan->page.n_counters;
	struct sz_stat_desc *desc = calloc(n_counters + SZ_G_FIXED, sizeof(*desc));
	uint32_t n = 0;
	int rc;

	if (!desc)
		return refuse_system(worker_name(w), -ENOMEM);
	n = sz_stats_describe(desc, w->stage->n_edges, w->stage->own, w->stage->n_own);
	rc = create_object(p, SZ_OBJ_PAGE, w->index, w->plan->page_bytes, &w->page_fd);
	if (!rc)
		rc = create_object(p, SZ_OBJ_STATS, w->index, w->plan->stats_bytes, &w->stats_fd);
	if (!rc) {
		int error = sz_page_format(w->page_fd, &w->plan->page);

		if (!error)
			error = sz_stats_format(w->stats_fd, w->index, n_counters, desc, n);
		if (!error)
			error = worker_map(w);
		if (error)
			rc = refuse_system(worker_name(w), error);
	}
	free(desc);
	return rc;
}

static int create_lane(struct pipeline *p, uint32_t index)
{
	const struct plan_edge *e = &p->plan->edges[p->plan->lanes[index].edge];
	struct lane *l = &p->lanes[index];
	int rc = create_object(p, SZ_OBJ_LANE, index, SZ_LANE_DATA_AT + e->cap_bytes, &l->fd);
	int error = 0;

	if (rc)
		return rc;
	error = sz_lane_format(l->fd, index, e->cap_bytes, e->limit_bytes, e->limit_records,
			       e->max_record, 0);
	if (!error)
		error = lane_map(l);
	return error ? refuse_system("a lane", error) : 0;
}

static int create_all(struct pipeline *p)
{
	int rc = map_ctl(p);

	if (rc)
		return refuse_system("ctl", rc);
	fill_ctl(p);
	for (uint32_t i = 0; !rc && i < p->plan->n_workers; i++)
		rc = create_worker(p, &p->workers[i]);
	for (uint32_t i = 0; !rc && i < p->plan->n_lanes; i++)
		rc = create_lane(p, i);
	return rc;
}

uint64_t worker_records(const struct worker *w)
{
	const struct sz_slot *slot = sz_ledger_slot(&w->page);
	const struct sz_lane_mark *marks = (const void *)(slot + 1);
	const uint64_t *counters = (const void *)(marks + w->plan->n_in + w->plan->n_out);

	return counters[SZ_C_RECORDS_IN] + counters[SZ_C_RECORDS_OUT];
}

int worker_map(struct worker *w)
{
	return sz_ledger_attach(&w->page, w->page_fd, 0);
}

int lane_map(struct lane *l)
{
	uint8_t *map = mmap(NULL, SZ_LANE_DATA_AT, PROT_READ, MAP_SHARED, l->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	l->map = map;
	l->producer = (const void *)(map + SZ_PAGE_BYTES);
	l->consumer = (const void *)(map + 2 * SZ_PAGE_BYTES);
	return 0;
}

void lane_unmap(struct lane *l)
{
	if (l->map)
		munmap((void *)(uintptr_t)l->map, SZ_LANE_DATA_AT);
	l->map = NULL;
}

/* Opening */

static int prepare(struct pipeline *p, const struct plan *plan)
{
	memset(p, 0, sizeof(*p));
	p->plan = plan;
	p->uid = geteuid();
	p->lock_fd = p->ctl_fd = p->bell_fd = -1;
	p->workers = calloc(plan->n_workers, sizeof(*p->workers));
	p->lanes = calloc(plan->n_lanes + 1, sizeof(*p->lanes));
	p->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!p->workers || !p->lanes || p->bell_fd < 0)
		return refuse_system("starting", p->bell_fd < 0 ? -errno : -ENOMEM);
	for (uint32_t i = 0; i < plan->n_workers; i++) {
		struct worker *w = &p->workers[i];

		w->index = i;
		w->plan = &plan->workers[i];
		w->stage = &plan->stages[w->plan->stage];
		w->page_fd = w->stats_fd = w->ring_fd = w->pidfd = w->exec_fd = w->helper_fd = -1;
	}
	for (uint32_t i = 0; i < plan->n_lanes; i++)
		p->lanes[i].fd = -1;
	return 0;
}

/*
 * A ctl was there and nobody holds it. Return: 0 and *usable, or the exit status.
 */
static int judge_left_over(struct pipeline *p, enum left_over left_over, bool *usable)
{
	struct stat st;
	uint64_t held;
	int rc = map_ctl(p);
	bool whole = !rc && fstat(p->lock_fd, &st) == 0 &&
		     sz_ctl_check(p->ctl, (uint64_t)st.st_size) == 0;

	*usable = false;
	if (left_over == LEFT_FRESH) {
		held = whole ? pipeline_left_records(p->plan->name, p->uid) : 0;
		log_say("--fresh: removing what is left of \"%s\": %" PRIu64 " record%s "
			"it held %s lost",
			p->plan->name, held, held == 1 ? "" : "s", held == 1 ? "is" : "are");
		return 0;
	}
	if (!whole) {
		/* Killed between creating ctl and filling it: empty, or all zeros. */
		if (fstat(p->lock_fd, &st) == 0 && st.st_size == 0)
			return 0;
		if (!rc && p->ctl->magic == 0)
			return 0;
		log_error("/dev/shm/streamz.%s.%u.ctl is damaged or of another version of streamz: "
			  "run the version that made it, or give up what it holds with --fresh",
			  p->plan->name, p->uid);
		return EXIT_SYSTEM;
	}
	*usable = sz_pipeline_is_resumable(p->ctl->state);
	return 0;
}

/* Remove a left-over and claim the name anew. */
static int start_over(struct pipeline *p, const char *name)
{
	bool created;
	int rc;

	unmap_ctl(p);
	rc = sz_object_remove_all(p->plan->name, p->uid);
	close(p->lock_fd);
	p->lock_fd = -1;
	p->claimed = false;
	if (rc < 0)
		return refuse_system("removing the left-overs", rc);
	rc = claim_name(p, name, &created);
	if (!rc && !created) {
		/* Not ours: never remove it. */
		p->claimed = false;
		log_error("another launcher has just started \"%s\"", p->plan->name);
		return EXIT_WRONG;
	}
	return rc;
}

static int open_objects(struct pipeline *p, enum left_over left_over)
{
	char name[SZ_OBJECT_NAME_MAX];
	bool created, usable = false;
	int rc = sz_object_name(name, p->plan->name, p->uid, SZ_OBJ_CTL, 0);

	if (rc)
		return refuse_system(p->plan->name, rc);
	rc = claim_name(p, name, &created);
	if (!rc && !created) {
		p->keep = true; /* until it is known that nothing in it matters */
		rc = judge_left_over(p, left_over, &usable);
		if (!rc && !usable)
			rc = start_over(p, name);
		p->keep = rc || usable;
	}
	if (rc)
		return rc;
	if (usable)
		return pipeline_resume(p);
	rc = plan_refused(p->plan);
	return rc ? rc : create_all(p);
}

int pipeline_open(struct pipeline *p, const struct plan *plan, enum left_over left_over)
{
	int rc = prepare(p, plan);

	if (!rc)
		rc = open_objects(p, left_over);
	if (!rc) {
		struct sz_ctl_worker *shown = SZ_CTL_WORKERS(p->ctl);

		for (uint32_t i = 0; i < plan->n_workers; i++) {
			p->workers[i].shown = &shown[i];
			p->workers[i].state = (enum sz_worker_state)shown[i].state;
		}
		p->ctl_fd = sz_object_reopen(p->lock_fd, 0);
		if (p->ctl_fd < 0)
			rc = refuse_system("ctl", p->ctl_fd);
	}
	if (!rc)
		rc = rings_create(p);
	if (!rc && p->resumed)
		rc = pipeline_recover_all(p);
	if (rc)
		pipeline_close(p, !p->keep);
	return rc;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void pipeline_close(struct pipeline *p, bool remove)
{
	for (uint32_t i = 0; p->workers && i < p->plan->n_workers; i++) {
		struct worker *w = &p->workers[i];

		sz_ledger_detach(&w->page);
		close_fd(&w->page_fd);
		close_fd(&w->stats_fd);
		close_fd(&w->ring_fd);
		close_fd(&w->pidfd);
		close_fd(&w->exec_fd);
		close_fd(&w->helper_fd);
	}
	for (uint32_t i = 0; p->lanes && i < p->plan->n_lanes; i++) {
		lane_unmap(&p->lanes[i]);
		close_fd(&p->lanes[i].fd);
	}
	unmap_ctl(p);
	if (remove && p->claimed) {
		int rc = sz_object_remove_all(p->plan->name, p->uid);

		if (rc < 0)
			log_error("removing the objects of \"%s\": %s", p->plan->name,
				  strerror(-rc));
	}
	close_fd(&p->ctl_fd);
	close_fd(&p->bell_fd);
	close_fd(&p->lock_fd); /* last: until here the name is ours */
	free(p->workers);
	free(p->lanes);
	p->workers = NULL;
	p->lanes = NULL;
}
