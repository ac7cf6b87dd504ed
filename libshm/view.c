/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.c - snapshots of a pipeline that other processes may be changing, making or removing
 *
 * Nothing in shared memory is used twice: it is copied, the copy is checked, the copy is used.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <streamz/clock.h>
#include <streamz/object.h>

#include "view_impl.h"

#define CTL_BYTES_MAX (64u << 20)
#define SLOT_TRIES    10000
#define LANE_TRIES    100

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Names */

static const char *const pipeline_states[] = {
	[SZ_P_CREATING] = "creating", [SZ_P_RUNNING] = "running", [SZ_P_DRAINING] = "draining",
	[SZ_P_STOPPING] = "stopping", [SZ_P_ENDED] = "ended",     [SZ_P_STOPPED] = "stopped",
	[SZ_P_FAILED] = "failed",
};

static const char *const worker_states[] = {
	[SZ_W_NEW] = "new",         [SZ_W_STARTING] = "starting",
	[SZ_W_RUNNING] = "running", [SZ_W_RECOVERING] = "recovering",
	[SZ_W_BACKOFF] = "backoff", [SZ_W_ENDED] = "ended",
	[SZ_W_STOPPED] = "stopped", [SZ_W_GAVE_UP] = "gave-up",
};

static const char *const overflows[] = {
	[SZ_OVERFLOW_BLOCK] = "block",
	[SZ_OVERFLOW_DROP_NEWEST] = "drop_newest",
};

const char *sz_pipeline_state_name(uint32_t state)
{
	return state < COUNT(pipeline_states) ? pipeline_states[state] : "?";
}

const char *sz_worker_state_name(uint32_t state)
{
	return state < COUNT(worker_states) ? worker_states[state] : "?";
}

const char *sz_overflow_name(uint32_t overflow)
{
	return overflow < COUNT(overflows) ? overflows[overflow] : "?";
}

const char *sz_view_state_name(const struct sz_view *view)
{
	uint32_t state = view->ctl->state;

	if (!view->live && state != SZ_P_ENDED && state != SZ_P_STOPPED && state != SZ_P_FAILED)
		return "dead";
	return sz_pipeline_state_name(state);
}

char *sz_view_worker_name(const struct sz_view *view, uint32_t worker, char buf[SZ_VIEW_NAME_MAX])
{
	const struct sz_ctl_worker *w = &SZ_CTL_WORKERS(view->ctl)[worker];
	const struct sz_ctl_stage *s = &SZ_CTL_STAGES(view->ctl)[w->stage];

	if (s->n_workers > 1)
		snprintf(buf, SZ_VIEW_NAME_MAX, "%s/%u", s->name, w->number);
	else
		snprintf(buf, SZ_VIEW_NAME_MAX, "%s", s->name);
	return buf;
}

char *sz_view_edge_name(const struct sz_view *view, uint32_t edge, char buf[SZ_VIEW_NAME_MAX])
{
	const struct sz_ctl_edge *e = &SZ_CTL_EDGES(view->ctl)[edge];
	const struct sz_ctl_stage *s = SZ_CTL_STAGES(view->ctl);

	snprintf(buf, SZ_VIEW_NAME_MAX, "%s%s%s:%s", s[e->from_stage].name, e->port[0] ? "." : "",
		 e->port, s[e->to_stage].name);
	return buf;
}

/* Objects */

/* /dev/shm is everybody's: somebody else's object under our name is not followed, he could cut it short under us. */
static int object_open(const struct sz_view_private *p, enum sz_object kind, uint32_t index)
{
	char name[SZ_OBJECT_NAME_MAX];
	int rc = sz_object_name(name, p->pipeline, p->uid, kind, index), fd;
	struct stat st;

	if (rc)
		return rc;
	fd = sz_object_open(name, 0);
	if (fd < 0)
		return fd;
	rc = fstat(fd, &st) < 0 ? -errno : st.st_uid != p->uid ? -EPERM : 0;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

/* ctl */

static int ctl_copy(const struct sz_view_private *p, struct sz_ctl *to)
{
	memcpy(to, p->ctl_map, p->ctl_bytes);
	if (sz_ctl_check(to, p->ctl_bytes) || to->uid != p->uid ||
	    strcmp(to->pipeline, p->pipeline) != 0)
		return -EBADMSG;
	return 0;
}

static int ctl_open(struct sz_view_private *p)
{
	struct stat st;
	void *map;

	p->ctl_fd = object_open(p, SZ_OBJ_CTL, 0);
	if (p->ctl_fd < 0)
		return p->ctl_fd;
	if (fstat(p->ctl_fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(struct sz_ctl) || st.st_size > (off_t)CTL_BYTES_MAX)
		return -EBADMSG;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, p->ctl_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	p->ctl_map = map;
	p->ctl_bytes = (size_t)st.st_size;
	p->ctl = malloc(p->ctl_bytes);
	p->ctl_next = malloc(p->ctl_bytes);
	if (!p->ctl || !p->ctl_next)
		return -ENOMEM;
	return ctl_copy(p, p->ctl);
}

/* The topology never changes: what was allocated for the first copy fits every later one. */
static int ctl_refresh(struct sz_view_private *p)
{
	struct sz_ctl *fresh = p->ctl_next, *old = p->ctl;
	int rc = ctl_copy(p, fresh);

	if (rc)
		return rc;
	if (fresh->n_stages != old->n_stages || fresh->n_workers != old->n_workers ||
	    fresh->n_edges != old->n_edges || fresh->n_lanes != old->n_lanes ||
	    memcmp(SZ_CTL_EDGES(fresh), SZ_CTL_EDGES(old),
		   p->ctl_bytes - (size_t)fresh->edges_at) != 0)
		return -EBADMSG;
	for (uint32_t i = 0; i < fresh->n_workers; i++)
		if (SZ_CTL_WORKERS(fresh)[i].stage != SZ_CTL_WORKERS(old)[i].stage)
			return -EBADMSG;
	p->ctl_next = old;
	p->ctl = fresh;
	return 0;
}

static int worker_edges(const struct sz_ctl *c, uint32_t stage, struct worker_objects *o)
{
	const struct sz_ctl_edge *e = SZ_CTL_EDGES(c);
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_edges; i++)
		n += e[i].from_stage == stage;
	if (n > SZ_LANES_MAX)
		return -EBADMSG;
	o->edges = calloc(n ? n : 1, sizeof(*o->edges));
	if (!o->edges)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_edges; i++)
		if (e[i].from_stage == stage)
			o->edges[o->n_edges++] = i;
	return 0;
}

/* What sz_ctl_check() leaves open: do lanes, edges and workers tell the same story? */
static int topology(struct sz_view_private *p)
{
	const struct sz_ctl *c = p->ctl;
	const struct sz_ctl_lane *l = SZ_CTL_LANES(c);
	const struct sz_ctl_edge *e = SZ_CTL_EDGES(c);
	const struct sz_ctl_worker *w = SZ_CTL_WORKERS(c);

	for (uint32_t i = 0; i < c->n_workers; i++) {
		int rc = worker_edges(c, w[i].stage, &p->workers_of[i]);

		if (rc)
			return rc;
	}
	for (uint32_t i = 0; i < c->n_lanes; i++) {
		struct worker_objects *from = &p->workers_of[l[i].producer];

		if (w[l[i].producer].stage != e[l[i].edge].from_stage ||
		    w[l[i].consumer].stage != e[l[i].edge].to_stage ||
		    l[i].producer_edge >= from->n_edges ||
		    from->edges[l[i].producer_edge] != l[i].edge)
			return -EBADMSG;
		from->n_out++;
		p->workers_of[l[i].consumer].n_in++;
	}
	for (uint32_t i = 0; i < c->n_lanes; i++)
		if (l[i].producer_out >= p->workers_of[l[i].producer].n_out ||
		    l[i].consumer_in >= p->workers_of[l[i].consumer].n_in)
			return -EBADMSG;
	return 0;
}

/* Workers */

/* Room for n_counters and n_gauges values, described as stats.h has it until statistics say more. */
static int values_alloc(struct worker_objects *o, uint32_t n_counters, uint32_t n_gauges)
{
	uint32_t n = n_counters + n_gauges;
	struct sz_stat_desc *desc = calloc(n, sizeof(*desc));
	uint64_t *values = calloc(n, sizeof(*values));
	uint64_t *published = calloc(n, sizeof(*published));

	if (!desc || !values || !published) {
		free(desc);
		free(values);
		free(published);
		return -ENOMEM;
	}
	free(o->desc);
	free(o->values);
	free(o->published);
	o->desc = desc;
	o->values = values;
	o->published = published;
	o->n_counters = n_counters;
	o->n_values = n;
	return 0;
}

static int values_default(struct worker_objects *o)
{
	int rc = values_alloc(o, sz_counter_count(o->n_edges, 0), SZ_G_FIXED);

	if (!rc)
		sz_stats_describe(o->desc, o->n_edges, NULL, 0);
	return rc;
}

static int stats_attach(struct sz_view_private *p, uint32_t worker)
{
	struct worker_objects *o = &p->workers_of[worker];
	struct sz_stats *s = &o->stats;
	int fd = object_open(p, SZ_OBJ_STATS, worker), rc;

	if (fd < 0)
		return fd;
	rc = sz_stats_attach(s, fd, 0);
	close(fd);
	if (rc)
		return rc;
	if (s->h.worker_index != worker || s->h.n_counters < sz_counter_count(o->n_edges, 0) ||
	    s->h.n_stats - s->h.n_counters < SZ_G_FIXED ||
	    (o->have_page && o->ledger.h.n_counters != s->h.n_counters))
		rc = -EBADMSG;
	if (!rc)
		rc = values_alloc(o, s->h.n_counters, s->h.n_stats - s->h.n_counters);
	if (rc) {
		sz_stats_detach(s);
		return rc;
	}
	memcpy(o->desc, s->desc, o->n_values * sizeof(*o->desc));
	for (uint32_t i = 0; i < o->n_values; i++) {
		struct sz_stat_desc *d = &o->desc[i];

		d->name[sizeof(d->name) - 1] = 0;
		d->unit[sizeof(d->unit) - 1] = 0;
		d->help[sizeof(d->help) - 1] = 0;
	}
	o->have_stats = true;
	return 0;
}

static int page_attach(struct sz_view_private *p, uint32_t worker)
{
	struct worker_objects *o = &p->workers_of[worker];
	struct sz_ledger *l = &o->ledger;
	int fd = object_open(p, SZ_OBJ_PAGE, worker), rc;

	if (fd < 0)
		return fd;
	/* The slot it copies may be changing under its eyes: one that is not whole may be whole the next time. */
	for (int i = 0; (rc = sz_ledger_attach(l, fd, 0)) == -EBADMSG && i < LANE_TRIES; i++)
		;
	close(fd);
	if (rc)
		return rc;
	if (l->h.worker_index != worker || l->h.n_in != o->n_in || l->h.n_out != o->n_out ||
	    l->h.n_counters < sz_counter_count(o->n_edges, 0) ||
	    (o->have_stats && l->h.n_counters != o->n_counters)) {
		sz_ledger_detach(l);
		return -EBADMSG;
	}
	o->have_page = true;
	return 0;
}

static void copy_words(void *to, const void *from, size_t bytes)
{
	uint64_t *t = to;
	const uint64_t *f = from;

	for (size_t i = 0; i < bytes / sizeof(*t); i++)
		t[i] = sz_load_relaxed(&f[i]);
}

/*
 * slot[epoch & 1] is left alone until the commit after the next: while the epoch stays, the copy is whole. Between
 * the store of an epoch and the first store to the slot before it the worker passes its full fence before waking.
 */
static int slot_read(const struct sz_ledger *l)
{
	for (int i = 0; i < SLOT_TRIES; i++) {
		uint64_t e = sz_load_acquire(&l->live->epoch); /* pairs: sz_ledger_commit() */

		copy_words(l->next, l->slots[e & 1], l->h.slot_bytes);
		sz_fence_acquire();
		if (sz_load_relaxed(&l->live->epoch) == e && l->next->epoch == e &&
		    l->next->run_state <= SZ_RUN_ENDED)
			return 0;
		sz_pause();
	}
	return -EAGAIN;
}

int sz_view_read_mark(const struct sz_ledger *l, const struct sz_lane_mark *in_next,
		      struct sz_lane_mark *mark)
{
	size_t at = (size_t)((const uint8_t *)in_next - (const uint8_t *)l->next);

	for (int i = 0; i < SLOT_TRIES; i++) {
		uint64_t e = sz_load_acquire(&l->live->epoch); /* pairs: sz_ledger_commit() */
		const uint8_t *slot = l->slots[e & 1];

		copy_words(mark, slot + at, sizeof(*mark));
		sz_fence_acquire();
		if (sz_load_relaxed(&l->live->epoch) == e)
			return 0;
		sz_pause();
	}
	return -EAGAIN;
}

void sz_view_read_worker(struct sz_view *view, uint32_t worker)
{
	struct sz_view_private *p = view->private_;
	struct worker_objects *o = &p->workers_of[worker];
	struct sz_view_worker *w = &p->workers[worker];

	w->stats_error = o->have_stats ? 0 : stats_attach(p, worker);
	w->page_error = o->have_page ? 0 : page_attach(p, worker);
	w->torn = o->have_stats && sz_stats_read(&o->stats, o->published) != 0;
	memcpy(o->values, o->published, o->n_values * sizeof(*o->values));
	w->exact = false;
	if (o->have_page) {
		if (slot_read(&o->ledger) == 0) {
			uint32_t n =
				o->have_stats ? o->n_counters : sz_counter_count(o->n_edges, 0);

			memcpy(o->values, o->ledger.counters, n * sizeof(*o->values));
			w->exact = true;
			w->epoch = o->ledger.next->epoch;
			w->run_state = o->ledger.next->run_state;
		} else {
			w->page_error = -EBADMSG;
		}
	}
	w->n_edges = o->n_edges;
	w->edges = o->edges;
	w->n_counters = o->n_counters;
	w->n_values = o->n_values;
	w->desc = o->desc;
	w->values = o->values;
}

/* Lanes */

static int lane_attach(struct sz_view_private *p, uint32_t index)
{
	const struct sz_ctl_lane *c = &SZ_CTL_LANES(p->ctl)[index];
	struct lane_object *o = &p->lanes_of[index];
	int fd = object_open(p, SZ_OBJ_LANE, index), rc;

	if (fd < 0)
		return fd;
	rc = sz_lane_attach(&o->lane, fd, SZ_LANE_OBSERVER);
	close(fd);
	if (rc)
		return rc;
	if (o->lane.lane_index != index || sz_lane_cap_bytes(&o->lane) != c->cap_bytes) {
		sz_lane_detach(&o->lane);
		return -EBADMSG;
	}
	o->attached = true;
	return 0;
}

/* Both ends as published; seen at one moment if the consumer did not move meanwhile. Return: 0, -EBADMSG. */
static int ends_read(const struct sz_lane *lane, struct sz_lane_mark *tail,
		     struct sz_lane_mark *head)
{
	struct sz_lane_mark after;

	for (int i = 0; i < LANE_TRIES; i++) {
		end_read(sz_lane_consumer_end(lane), head);
		end_read(sz_lane_producer_end(lane), tail);
		end_read(sz_lane_consumer_end(lane), &after);
		if (after.word != head->word)
			continue;
		return mark_pos(tail) - mark_pos(head) > sz_lane_cap_bytes(lane) ? -EBADMSG : 0;
	}
	return 0;
}

static void lane_read(struct sz_view *view, uint32_t index)
{
	struct sz_view_private *p = view->private_;
	const struct sz_ctl_lane *c = &SZ_CTL_LANES(p->ctl)[index];
	const struct worker_objects *from = &p->workers_of[c->producer];
	const struct worker_objects *to = &p->workers_of[c->consumer];
	const struct sz_lane *lane = &p->lanes_of[index].lane;
	struct sz_view_lane v = { .cap_bytes = c->cap_bytes, .cap_records = UINT64_MAX };
	struct sz_lane_mark tail, head;

	v.error = p->lanes_of[index].attached ? 0 : lane_attach(p, index);
	if (v.error)
		goto out;
	v.cap_bytes = lane->limit_bytes;
	v.cap_records = lane->limit_records;
	if (!view->live && p->workers[c->producer].exact && p->workers[c->consumer].exact) {
		/* Nobody may have published what was committed last. */
		tail = from->ledger.out[c->producer_out];
		head = to->ledger.in[c->consumer_in];
		if (mark_pos(&tail) - mark_pos(&head) > sz_lane_cap_bytes(lane))
			v.error = -EBADMSG;
	} else {
		v.error = ends_read(lane, &tail, &head);
	}
	if (v.error)
		goto out;
	v.published = tail.records;
	v.consumed = head.records;
	v.tail_flags = (uint32_t)(tail.word & SZ_LANE_FLAGS);
	v.head_flags = (uint32_t)(head.word & SZ_LANE_FLAGS);
	v.fill_bytes = mark_pos(&tail) - mark_pos(&head);
	if (v.fill_bytes > sz_lane_cap_bytes(lane))
		v.fill_bytes = sz_lane_cap_bytes(lane);
	/* The counts are stored before the positions: either may be a batch ahead of what it belongs to. */
	if (tail.records - head.records < 1ull << 63)
		v.fill_records = tail.records - head.records;
	if (v.fill_records > v.fill_bytes / SZ_RECORD_HEADER)
		v.fill_records = v.fill_bytes / SZ_RECORD_HEADER;
out:
	p->lanes[index] = v;
}

/* Edges */

static void edges_sum(struct sz_view_private *p)
{
	const struct sz_ctl *c = p->ctl;

	memset(p->edges, 0, c->n_edges * sizeof(*p->edges));
	for (uint32_t w = 0; w < c->n_workers; w++) {
		const struct worker_objects *o = &p->workers_of[w];

		for (uint32_t k = 0; k < o->n_edges; k++) {
			struct sz_view_edge *e = &p->edges[o->edges[k]];
			const uint64_t *v = &o->values[sz_counter_edge(k, 0)];

			e->offered += v[SZ_E_OFFERED];
			e->offered_bytes += v[SZ_E_OFFERED_BYTES];
			e->published += v[SZ_E_PUBLISHED];
			e->dropped_newest += v[SZ_E_DROPPED_NEWEST];
			e->dropped_detached += v[SZ_E_DROPPED_DETACHED];
			e->outbox += v[SZ_E_OUTBOX];
		}
	}
	for (uint32_t i = 0; i < c->n_lanes; i++) {
		struct sz_view_edge *e = &p->edges[SZ_CTL_LANES(c)[i].edge];
		const struct sz_view_lane *l = &p->lanes[i];

		e->fill_bytes += l->fill_bytes;
		e->cap_bytes += l->cap_bytes;
		e->fill_records += l->fill_records;
		if (l->cap_records > UINT64_MAX - e->cap_records)
			e->cap_records = UINT64_MAX;
		else
			e->cap_records += l->cap_records;
	}
}

/* The view */

int sz_view_is_live(const struct sz_view *view)
{
	return sz_object_is_live(view->private_->ctl_fd);
}

int sz_view_worker_is_live(const struct sz_view *view, uint32_t worker)
{
	int fd = object_open(view->private_, SZ_OBJ_PAGE, worker), rc;

	if (fd < 0)
		return fd;
	rc = sz_object_is_live(fd);
	close(fd);
	return rc;
}

int sz_view_refresh(struct sz_view *view)
{
	struct sz_view_private *p = view->private_;
	struct stat st;
	int rc, live;

	/* Before ctl is read: a launcher that dies in between leaves a state that was true while it lived. */
	live = sz_view_is_live(view);
	if (live < 0)
		return live;
	rc = ctl_refresh(p);
	if (rc)
		return rc;
	view->ctl = p->ctl;
	view->live = live;
	view->removed = fstat(p->ctl_fd, &st) == 0 && st.st_nlink == 0;
	view->time_ns = sz_clock_ns(CLOCK_REALTIME);
	for (uint32_t i = 0; i < p->ctl->n_workers; i++)
		sz_view_read_worker(view, i);
	for (uint32_t i = 0; i < p->ctl->n_lanes; i++)
		lane_read(view, i);
	edges_sum(p);
	return 0;
}

static void *table(uint32_t count, size_t each)
{
	return calloc(count ? count : 1, each);
}

int sz_view_open(const char *pipeline, unsigned uid, struct sz_view **out)
{
	struct sz_view *view = calloc(1, sizeof(*view));
	struct sz_view_private *p = calloc(1, sizeof(*p));
	int rc = -ENOMEM;

	if (!view || !p) {
		free(view);
		free(p);
		return rc;
	}
	view->private_ = p;
	p->ctl_fd = -1;
	p->uid = uid;
	rc = -ENAMETOOLONG;
	if (strlen(pipeline) >= sizeof(p->pipeline))
		goto fail;
	memcpy(p->pipeline, pipeline, strlen(pipeline) + 1);
	rc = ctl_open(p);
	if (rc)
		goto fail;
	view->ctl = p->ctl;
	rc = -ENOMEM;
	p->workers_of = table(p->ctl->n_workers, sizeof(*p->workers_of));
	p->lanes_of = table(p->ctl->n_lanes, sizeof(*p->lanes_of));
	view->workers = p->workers = table(p->ctl->n_workers, sizeof(*p->workers));
	view->lanes = p->lanes = table(p->ctl->n_lanes, sizeof(*p->lanes));
	view->edges = p->edges = table(p->ctl->n_edges, sizeof(*p->edges));
	if (!p->workers_of || !p->lanes_of || !p->workers || !p->lanes || !p->edges)
		goto fail;
	rc = topology(p);
	for (uint32_t i = 0; !rc && i < p->ctl->n_workers; i++)
		rc = values_default(&p->workers_of[i]);
	if (!rc)
		rc = sz_view_refresh(view);
	if (rc)
		goto fail;
	*out = view;
	return 0;
fail:
	sz_view_close(view);
	return rc;
}

void sz_view_close(struct sz_view *view)
{
	struct sz_view_private *p;

	if (!view)
		return;
	p = view->private_;
	/* allocated after ctl was read: NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	for (uint32_t i = 0; p->workers_of && i < p->ctl->n_workers; i++) {
		struct worker_objects *o = &p->workers_of[i];

		sz_stats_detach(&o->stats);
		sz_ledger_detach(&o->ledger);
		free(o->desc);
		free(o->values);
		free(o->published);
		free(o->edges);
	}
	/* allocated after ctl was read: NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
	for (uint32_t i = 0; p->lanes_of && i < p->ctl->n_lanes; i++)
		sz_lane_detach(&p->lanes_of[i].lane);
	if (p->ctl_map)
		munmap((void *)(uintptr_t)p->ctl_map, p->ctl_bytes);
	if (p->ctl_fd >= 0)
		close(p->ctl_fd);
	free(p->ctl);
	free(p->ctl_next);
	free(p->workers_of);
	free(p->lanes_of);
	free(p->workers);
	free(p->lanes);
	free(p->edges);
	free(p);
	free(view);
}

uint64_t sz_view_records_held(const struct sz_view *view)
{
	uint64_t held = 0;

	for (uint32_t i = 0; i < view->ctl->n_workers; i++)
		held += sz_view_counter(view, i, SZ_C_HELD);
	for (uint32_t i = 0; i < view->ctl->n_edges; i++)
		held += view->edges[i].outbox + view->edges[i].fill_records;
	return held;
}

uint32_t sz_view_unfinished_sources(const struct sz_view *view)
{
	const struct sz_ctl_stage *s = SZ_CTL_STAGES(view->ctl);
	uint32_t n = 0;

	for (uint32_t i = 0; i < view->ctl->n_workers; i++)
		n += s[SZ_CTL_WORKERS(view->ctl)[i].stage].role == SZ_SOURCE &&
		     view->workers[i].run_state != SZ_RUN_ENDED;
	return n;
}
