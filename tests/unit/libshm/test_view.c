/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_view.c - the view and the audit, on a small pipeline built by hand
 *
 *	in (file) -> pick (filter, two workers) -> out (file), pick.failed -> dead (file)
 *
 * Workers: 0 in, 1 pick/0, 2 pick/1, 3 out, 4 dead. Lanes: 0 1 in:pick, 2 3 pick:out, 4 5 pick.failed:dead. The books
 * balance; each test of the audit changes one number and sees which lines no longer hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <streamz/object.h>
#include <streamz/view.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORKERS      5
#define LANES        6
#define EDGES        3
#define CAP          8192u
#define MAX_RECORD   256u
#define OWN_COUNTERS 1
/* Positions run over 2^32 on the way. */
#define START 0xfffffff0ull

static const struct sz_ctl_stage stages[] = {
	{ .name = "in", .type = "file", .role = SZ_SOURCE, .first_worker = 0, .n_workers = 1 },
	{ .name = "pick",
	  .type = "filter",
	  .role = SZ_TRANSFORM,
	  .first_worker = 1,
	  .n_workers = 2 },
	{ .name = "out", .type = "file", .role = SZ_SINK, .first_worker = 3, .n_workers = 1 },
	{ .name = "dead", .type = "file", .role = SZ_SINK, .first_worker = 4, .n_workers = 1 },
};

static const struct sz_ctl_edge edges[EDGES] = {
	{ .from_stage = 0, .to_stage = 1, .first_lane = 0, .n_lanes = 2, .max_record = MAX_RECORD },
	{ .from_stage = 1, .to_stage = 2, .first_lane = 2, .n_lanes = 2, .max_record = MAX_RECORD },
	{ .from_stage = 1,
	  .to_stage = 3,
	  .port = "failed",
	  .first_lane = 4,
	  .n_lanes = 2,
	  .max_record = MAX_RECORD,
	  .overflow = SZ_OVERFLOW_DROP_NEWEST },
};

static const struct sz_ctl_lane lanes[LANES] = {
	{ .edge = 0, .producer = 0, .consumer = 1, .producer_out = 0, .cap_bytes = CAP },
	{ .edge = 0, .producer = 0, .consumer = 2, .producer_out = 1, .cap_bytes = CAP },
	{ .edge = 1, .producer = 1, .consumer = 3, .consumer_in = 0, .cap_bytes = CAP },
	{ .edge = 1, .producer = 2, .consumer = 3, .consumer_in = 1, .cap_bytes = CAP },
	{ .edge = 2,
	  .producer = 1,
	  .consumer = 4,
	  .producer_out = 1,
	  .consumer_in = 0,
	  .producer_edge = 1,
	  .cap_bytes = CAP },
	{ .edge = 2,
	  .producer = 2,
	  .consumer = 4,
	  .producer_out = 1,
	  .consumer_in = 1,
	  .producer_edge = 1,
	  .cap_bytes = CAP },
};

/* published, consumed: what is left in between is written to the data area. */
static const struct {
	uint32_t published, consumed;
} flow[LANES] = { { 60, 50 }, { 40, 40 }, { 45, 45 }, { 36, 30 }, { 2, 2 }, { 3, 3 } };

static const struct {
	uint32_t n_in, n_out, n_edges;
} shape[WORKERS] = { { 0, 2, 1 }, { 1, 2, 2 }, { 1, 2, 2 }, { 2, 0, 0 }, { 2, 0, 0 } };

/* Writable views of everything, for breaking it. */
struct fake {
	char name[33];
	int ctl_fd;
	struct sz_ctl *ctl;
	struct sz_ledger ledger[WORKERS];
	struct sz_stats stats[WORKERS];
	struct sz_lane producer[LANES], consumer[LANES];
	struct sz_view *view;
};

static int create(const struct fake *f, enum sz_object kind, uint32_t index, uint64_t bytes)
{
	char name[SZ_OBJECT_NAME_MAX];
	int fd;

	assert_int_equal(sz_object_name(name, f->name, getuid(), kind, index), 0);
	fd = sz_object_create(name, bytes);
	assert_true(fd >= 0);
	return fd;
}

static void make_ctl(struct fake *f)
{
	struct sz_ctl c = {
		.magic = SZ_CTL_MAGIC,
		.abi = SZ_ABI,
		.uid = getuid(),
		.n_stages = COUNT(stages),
		.n_workers = WORKERS,
		.n_edges = EDGES,
		.n_lanes = LANES,
		.start_ns = 1,
		.state = SZ_P_STOPPED,
		.runs = 1,
	};
	uint64_t bytes = sz_ctl_layout(&c);

	snprintf(c.pipeline, sizeof(c.pipeline), "%s", f->name);
	snprintf(c.graph, sizeof(c.graph), "a.conf");
	f->ctl_fd = create(f, SZ_OBJ_CTL, 0, bytes);
	f->ctl = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f->ctl_fd, 0);
	assert_ptr_not_equal(f->ctl, MAP_FAILED);
	*f->ctl = c;
	memcpy(SZ_CTL_STAGES(f->ctl), stages, sizeof(stages));
	memcpy(SZ_CTL_EDGES(f->ctl), edges, sizeof(edges));
	memcpy(SZ_CTL_LANES(f->ctl), lanes, sizeof(lanes));
	for (uint32_t i = 0; i < WORKERS; i++)
		SZ_CTL_WORKERS(f->ctl)
	[i] = (struct sz_ctl_worker){
		.stage = i == 0  ? 0
			 : i < 3 ? 1
				 : i - 1,
		.number = i == 2,
		.state = SZ_W_STOPPED,
		.generation = 1,
	};
}

static void make_worker(struct fake *f, uint32_t w)
{
	static const struct sz_stat_desc own[OWN_COUNTERS] = {
		{ .name = "matched", .unit = "records", .help = "records that matched" },
	};
	uint32_t n_counters = sz_counter_count(shape[w].n_edges, OWN_COUNTERS);
	struct sz_stat_desc desc[64];
	uint32_t n = sz_stats_describe(desc, shape[w].n_edges, own, OWN_COUNTERS);
	struct sz_page_plan plan = {
		.worker_index = w,
		.n_in = shape[w].n_in,
		.n_out = shape[w].n_out,
		.n_counters = n_counters,
		.state_bytes = 16,
	};
	int fd = create(f, SZ_OBJ_PAGE, w, sz_page_plan_bytes(&plan));

	assert_int_equal(sz_page_format(fd, &plan), 0);
	assert_int_equal(sz_ledger_attach(&f->ledger[w], fd, 1), 0);
	close(fd);
	fd = create(f, SZ_OBJ_STATS, w, sz_stats_plan_bytes(n));
	assert_int_equal(sz_stats_format(fd, w, n_counters, desc, n), 0);
	assert_int_equal(sz_stats_attach(&f->stats[w], fd, 1), 0);
	close(fd);
}

static void make_lane(struct fake *f, uint32_t i)
{
	int fd = create(f, SZ_OBJ_LANE, i, SZ_LANE_DATA_AT + CAP);
	struct sz_lane *tx = &f->producer[i], *rx = &f->consumer[i];
	struct sz_record r = { .len = 0 };

	assert_int_equal(sz_lane_format(fd, i, CAP, CAP, UINT64_MAX, MAX_RECORD, START), 0);
	assert_int_equal(sz_lane_attach(tx, fd, SZ_LANE_PRODUCER), 0);
	assert_int_equal(sz_lane_attach(rx, fd, SZ_LANE_CONSUMER), 0);
	close(fd);
	sz_lane_seek(tx, START, 0);
	sz_lane_seek(rx, START, 0);
	for (uint32_t n = 0; n < flow[i].published; n++) {
		assert_int_equal(sz_lane_room(tx, sz_record_space(n % 100), 1), 1);
		memset(sz_lane_reserve(tx, n % 100), 'x', n % 100);
		sz_lane_commit(tx, n % 100, SZ_RECORD_DATA, 1);
		sz_end_publish(tx->own, sz_lane_word(tx), tx->records);
		if (n >= flow[i].consumed)
			continue;
		assert_int_equal(sz_lane_peek(rx, &r), 1);
		sz_lane_release(rx, r.len);
		sz_end_publish(rx->own, sz_lane_word(rx), rx->records);
	}
	f->ledger[lanes[i].producer].out[lanes[i].producer_out] =
		(struct sz_lane_mark){ sz_lane_word(tx), tx->records };
	f->ledger[lanes[i].consumer].in[lanes[i].consumer_in] =
		(struct sz_lane_mark){ sz_lane_word(rx), rx->records };
}

static void commit(struct fake *f, uint32_t w)
{
	static const uint64_t gauges[SZ_G_FIXED] = { [SZ_G_SLEEPS] = 7 };

	f->ledger[w].next->run_state = SZ_RUN_RUNNING;
	sz_ledger_commit(&f->ledger[w]);
	sz_stats_publish(&f->stats[w], f->ledger[w].counters, gauges);
}

static void set_edge(struct fake *f, uint32_t w, uint32_t k, uint64_t published, uint64_t dropped)
{
	uint64_t *c = f->ledger[w].counters + sz_counter_edge(k, 0);

	c[SZ_E_OFFERED] = published + dropped;
	c[SZ_E_PUBLISHED] = published;
	c[SZ_E_DROPPED_NEWEST] = dropped;
}

/* Workers that read more than they handled hold the rest; pick drops one failed record a worker. */
static void make_counters(struct fake *f)
{
	static const struct {
		uint64_t in, handled, failed, held, out;
	} c[WORKERS] = { { 101, 100, 0, 1, 100 },
			 { 50, 45, 3, 2, 45 },
			 { 40, 36, 4, 0, 36 },
			 { 75, 75, 0, 0, 75 },
			 { 5, 5, 0, 0, 5 } };

	for (uint32_t w = 0; w < WORKERS; w++) {
		f->ledger[w].counters[SZ_C_RECORDS_IN] = c[w].in;
		f->ledger[w].counters[SZ_C_HANDLED] = c[w].handled;
		f->ledger[w].counters[SZ_C_FAILED] = c[w].failed;
		f->ledger[w].counters[SZ_C_HELD] = c[w].held;
		f->ledger[w].counters[SZ_C_RECORDS_OUT] = c[w].out;
	}
	set_edge(f, 0, 0, 100, 0);
	set_edge(f, 1, 0, 45, 0);
	set_edge(f, 2, 0, 36, 0);
	set_edge(f, 1, 1, 2, 1);
	set_edge(f, 2, 1, 3, 1);
	f->ledger[2].counters[sz_counter_count(2, 0)] = 36; /* its own: matched */
}

static int setup(void **state)
{
	static unsigned serial;
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->name, sizeof(f->name), "test-view-%d-%u", getpid(), serial++);
	make_ctl(f);
	for (uint32_t w = 0; w < WORKERS; w++)
		make_worker(f, w);
	for (uint32_t i = 0; i < LANES; i++)
		make_lane(f, i);
	make_counters(f);
	for (uint32_t w = 0; w < WORKERS; w++)
		commit(f, w);
	assert_int_equal(sz_view_open(f->name, getuid(), &f->view), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;

	sz_view_close(f->view);
	for (uint32_t w = 0; w < WORKERS; w++) {
		sz_ledger_detach(&f->ledger[w]);
		sz_stats_detach(&f->stats[w]);
	}
	for (uint32_t i = 0; i < LANES; i++) {
		sz_lane_detach(&f->producer[i]);
		sz_lane_detach(&f->consumer[i]);
	}
	munmap(f->ctl, f->ctl->object_bytes);
	close(f->ctl_fd);
	assert_true(sz_object_remove_all(f->name, getuid()) > 0);
	free(f);
	return 0;
}

/* Accessors */

static void test_names(void **state)
{
	struct fake *f = *state;
	char buf[SZ_VIEW_NAME_MAX];

	assert_string_equal(sz_view_worker_name(f->view, 0, buf), "in");
	assert_string_equal(sz_view_worker_name(f->view, 2, buf), "pick/1");
	assert_string_equal(sz_view_edge_name(f->view, 0, buf), "in:pick");
	assert_string_equal(sz_view_edge_name(f->view, 2, buf), "pick.failed:dead");
	assert_string_equal(sz_pipeline_state_name(SZ_P_DRAINING), "draining");
	assert_string_equal(sz_pipeline_state_name(99), "?");
	assert_string_equal(sz_worker_state_name(SZ_W_BACKOFF), "backoff");
	assert_string_equal(sz_worker_state_name(99), "?");
}

static void test_values(void **state)
{
	struct fake *f = *state;
	const struct sz_view *v = f->view;
	const struct sz_view_worker *w = &v->workers[2];

	assert_true(w->exact);
	assert_int_equal(w->epoch, 1);
	assert_int_equal(w->run_state, SZ_RUN_RUNNING);
	assert_int_equal(w->n_edges, 2);
	assert_int_equal(w->edges[1], 2);
	assert_int_equal(sz_view_counter(v, 0, SZ_C_RECORDS_IN), 101);
	assert_int_equal(sz_view_counter(v, 1, SZ_C_FAILED), 3);
	assert_int_equal(sz_view_edge_counter(v, 2, 1, SZ_E_DROPPED_NEWEST), 1);
	assert_int_equal(sz_view_gauge(v, 2, SZ_G_SLEEPS), 7);
	assert_int_equal(w->n_counters, sz_counter_count(2, OWN_COUNTERS));
	assert_string_equal(w->desc[sz_counter_count(2, 0)].name, "matched");
	assert_int_equal(w->values[sz_counter_count(2, 0)], 36);
}

static void test_lanes_and_edges(void **state)
{
	struct fake *f = *state;
	const struct sz_view *v = f->view;
	uint64_t bytes = 0;

	for (uint32_t n = 50; n < 60; n++)
		bytes += sz_record_space(n % 100);
	assert_int_equal(v->lanes[0].error, 0);
	assert_int_equal(v->lanes[0].published, 60);
	assert_int_equal(v->lanes[0].consumed, 50);
	assert_int_equal(v->lanes[0].fill_records, 10);
	assert_int_equal(v->lanes[0].fill_bytes, bytes);
	assert_int_equal(v->lanes[0].cap_bytes, CAP);
	assert_true(v->lanes[0].cap_records == UINT64_MAX);
	assert_int_equal(v->edges[0].published, 100);
	assert_int_equal(v->edges[0].fill_records, 10);
	assert_int_equal(v->edges[0].cap_bytes, 2 * CAP);
	assert_int_equal(v->edges[2].offered, 7);
	assert_int_equal(v->edges[2].dropped_newest, 2);
	/* lanes 10 + 6, held 1 + 2 */
	assert_int_equal(sz_view_records_held(v), 19);
	assert_int_equal(sz_view_unfinished_sources(v), 1);
}

static void test_life(void **state)
{
	struct fake *f = *state;

	assert_int_equal(sz_view_is_live(f->view), 0);
	assert_string_equal(sz_view_state_name(f->view), "stopped");
	f->ctl->state = SZ_P_RUNNING;
	assert_int_equal(sz_view_refresh(f->view), 0);
	assert_string_equal(sz_view_state_name(f->view), "dead");
	assert_int_equal(sz_object_lock(f->ctl_fd), 0);
	assert_int_equal(sz_view_is_live(f->view), 1);
	assert_int_equal(sz_view_refresh(f->view), 0);
	assert_true(f->view->live);
	assert_string_equal(sz_view_state_name(f->view), "running");
	assert_int_equal(sz_view_worker_is_live(f->view, 1), 0);
	assert_int_equal(sz_view_worker_is_live(f->view, 99), -ENOENT);
}

static void test_refresh_follows(void **state)
{
	struct fake *f = *state;

	f->ledger[3].counters[SZ_C_BYTES_OUT] = 12345;
	f->ledger[3].next->run_state = SZ_RUN_ENDED;
	sz_ledger_commit(&f->ledger[3]); /* killed before its statistics are written */
	assert_int_equal(sz_view_refresh(f->view), 0);
	assert_int_equal(sz_view_counter(f->view, 3, SZ_C_BYTES_OUT), 12345);
	assert_int_equal(f->view->workers[3].run_state, SZ_RUN_ENDED);
	/* A commit that was filled but not made true does not show. */
	f->ledger[3].counters[SZ_C_BYTES_OUT] = 99999;
	memcpy(f->ledger[3].slots[1], f->ledger[3].next, 64);
	assert_int_equal(sz_view_refresh(f->view), 0);
	assert_int_equal(sz_view_counter(f->view, 3, SZ_C_BYTES_OUT), 12345);
}

/* The audit */

struct seen {
	unsigned checks, failures;
	enum sz_audit_kind kind; /* of the last failure */
	char name[sizeof(((struct sz_audit_check *)0)->name)];
	char why[120];
	uint64_t left, right;
	bool exact;
	unsigned kinds; /* failed */
};

static void note(void *ctx, const struct sz_audit_check *c)
{
	struct seen *s = ctx;
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->n_terms; i++)
		sum += c->terms[i].value;
	assert_true(sum == c->right);
	s->checks++;
	if (c->holds)
		return;
	s->failures++;
	s->kinds |= 1u << c->kind;
	s->kind = c->kind;
	s->left = c->left;
	s->right = c->right;
	s->exact = c->exact;
	snprintf(s->name, sizeof(s->name), "%s", c->name);
	snprintf(s->why, sizeof(s->why), "%s", c->why);
}

static struct seen audit(struct fake *f)
{
	struct sz_audit_result r;
	struct seen s = { 0 };

	assert_int_equal(sz_audit(f->view, note, &s, &r), 0);
	assert_int_equal(r.checks, s.checks);
	assert_int_equal(r.failures, s.failures);
	return s;
}

static void expect(struct fake *f, enum sz_audit_kind kind, const char *name, int64_t difference)
{
	struct seen s = audit(f);

	assert_int_equal(s.failures, 1);
	assert_int_equal(s.kind, kind);
	assert_string_equal(s.name, name);
	assert_int_equal((int64_t)(s.left - s.right), difference);
}

static void test_audit_clean(void **state)
{
	struct fake *f = *state;
	struct seen s = audit(f);

	assert_int_equal(s.failures, 0);
	/* input 5, taken 4, edge and published 5 each, statistics 5, three a lane */
	assert_int_equal(s.checks, 5 + 4 + 5 + 5 + 5 + 3 * LANES);
	/* The same while it lives: nothing in it moves, so every line is an equation. */
	assert_int_equal(sz_object_lock(f->ctl_fd), 0);
	assert_int_equal(audit(f).failures, 0);
}

/* One number of a worker's committed slot (and its statistics), and the one line that no longer holds. */
static const struct {
	uint32_t worker, counter;
	int by;
	enum sz_audit_kind kind;
	const char *name;
	int difference;
} numbers[] = {
	{ 0, SZ_C_RECORDS_IN, 1, SZ_AUDIT_INPUT, "in", 1 },
	{ 0, SZ_C_HELD, 1, SZ_AUDIT_INPUT, "in", -1 },
	{ 1, SZ_C_HANDLED, 1, SZ_AUDIT_INPUT, "pick/0", -1 },
	{ 2, SZ_C_FAILED, -1, SZ_AUDIT_INPUT, "pick/1", 1 },
	{ 3, SZ_C_HANDLED, -5, SZ_AUDIT_INPUT, "out", 5 },
	{ 1, SZ_C_FIXED + SZ_E_OFFERED, 1, SZ_AUDIT_EDGE, "pick:out of pick/0", 1 },
	{ 0, SZ_C_FIXED + SZ_E_OUTBOX, 3, SZ_AUDIT_EDGE, "in:pick", -3 },
	{ 2, SZ_C_FIXED + SZ_E_FIXED + SZ_E_DROPPED_NEWEST, -1, SZ_AUDIT_EDGE,
	  "pick.failed:dead of pick/1", 1 },
	{ 2, SZ_C_FIXED + SZ_E_FIXED + SZ_E_DROPPED_DETACHED, 2, SZ_AUDIT_EDGE,
	  "pick.failed:dead of pick/1", -2 },
};

static void test_audit_counters(void **state)
{
	struct fake *f = *state;

	for (size_t i = 0; i < COUNT(numbers); i++) {
		uint64_t *c = &f->ledger[numbers[i].worker].counters[numbers[i].counter];

		*c += (uint64_t)(int64_t)numbers[i].by;
		commit(f, numbers[i].worker);
		expect(f, numbers[i].kind, numbers[i].name, numbers[i].difference);
		*c -= (uint64_t)(int64_t)numbers[i].by;
		commit(f, numbers[i].worker);
		assert_int_equal(audit(f).failures, 0);
	}
}

/* More taken and handled than the lanes gave: only the lanes know. */
static void test_audit_taken(void **state)
{
	struct fake *f = *state;

	f->ledger[3].counters[SZ_C_RECORDS_IN] += 2;
	f->ledger[3].counters[SZ_C_HANDLED] += 2;
	commit(f, 3);
	expect(f, SZ_AUDIT_TAKEN, "out", 2);
}

static void test_audit_published(void **state)
{
	struct fake *f = *state;
	uint64_t *edge = f->ledger[0].counters + sz_counter_edge(0, 0);

	edge[SZ_E_OFFERED]--;
	edge[SZ_E_PUBLISHED]--;
	commit(f, 0);
	expect(f, SZ_AUDIT_PUBLISHED, "in:pick", -1);
}

/* A record less in the lane than the ends say: one header swallows the next record. */
static void test_audit_fill(void **state)
{
	struct fake *f = *state;
	struct sz_lane *tx = &f->producer[0];
	struct sz_record_header *h =
		(void *)(tx->data + (f->consumer[0].pos & tx->mask)); /* 50 bytes, then 51 */

	h->len += (uint32_t)sz_record_space(51);
	expect(f, SZ_AUDIT_LANE, "in:pick lane 0", 1);
	/* and too long for anything */
	h->len = MAX_RECORD + 1;
	assert_int_equal(audit(f).failures, 1);
	assert_non_null(strstr(audit(f).why, "impossible header"));
	h->len = 50;
	h->kind = SZ_RECORD_KINDS;
	expect(f, SZ_AUDIT_LANE, "in:pick lane 0", 10);
	h->kind = SZ_RECORD_DATA;
	h->zero = 1;
	expect(f, SZ_AUDIT_LANE, "in:pick lane 0", 10);
	h->zero = 0;
	assert_int_equal(audit(f).failures, 0);
	/* The last record ends beyond the tail. */
	h = (void *)(tx->data + ((tx->pos - sz_record_space(59)) & tx->mask));
	h->len += 8;
	expect(f, SZ_AUDIT_LANE, "in:pick lane 0", 10);
}

static void test_audit_ends_apart(void **state)
{
	struct fake *f = *state;
	struct seen s;

	f->ledger[0].out[0].word += 2 * CAP;
	commit(f, 0);
	s = audit(f);
	assert_int_equal(s.kinds, 1u << SZ_AUDIT_LANE | 1u << SZ_AUDIT_TAIL);
	assert_int_equal(s.failures, 2);
	assert_int_equal(f->view->lanes[0].error, -EBADMSG);
}

/* Published words behind the ledger: wrong after a recovery, what a kill leaves before it. */
static void test_audit_words(void **state)
{
	struct fake *f = *state;
	struct sz_lane_end *tail = sz_lane_producer_end(&f->producer[3]);
	struct sz_lane_end *head = sz_lane_consumer_end(&f->consumer[0]);

	tail->records--;
	expect(f, SZ_AUDIT_TAIL, "pick:out lane 3", 1);
	tail->pos -= sz_record_space(35);
	expect(f, SZ_AUDIT_TAIL, "pick:out lane 3", 1);
	SZ_CTL_WORKERS(f->ctl)[2].state = SZ_W_RUNNING;
	assert_int_equal(audit(f).failures, 0);
	tail->records += 2;
	expect(f, SZ_AUDIT_TAIL, "pick:out lane 3", -1);
	tail->records--;
	tail->pos += sz_record_space(35);
	head->records -= 3;
	expect(f, SZ_AUDIT_HEAD, "in:pick lane 0", 3);
}

static void test_audit_statistics(void **state)
{
	struct fake *f = *state;
	uint64_t counters[64];

	memcpy(counters, f->ledger[2].counters, f->ledger[2].h.n_counters * sizeof(*counters));
	counters[sz_counter_count(2, 0)]--;
	sz_stats_publish(&f->stats[2], counters, NULL);
	expect(f, SZ_AUDIT_STATISTICS, "pick/1", 1);
	SZ_CTL_WORKERS(f->ctl)[2].state = SZ_W_RUNNING;
	assert_int_equal(audit(f).failures, 0);
	counters[sz_counter_count(2, 0)] += 2;
	sz_stats_publish(&f->stats[2], counters, NULL);
	expect(f, SZ_AUDIT_STATISTICS, "pick/1", -1);
}

/* Objects that are missing or broken */

static void reopen(struct fake *f)
{
	sz_view_close(f->view);
	f->view = NULL;
	assert_int_equal(sz_view_open(f->name, getuid(), &f->view), 0);
}

static void remove_object(struct fake *f, enum sz_object kind, uint32_t index)
{
	char name[SZ_OBJECT_NAME_MAX];

	assert_int_equal(sz_object_name(name, f->name, getuid(), kind, index), 0);
	assert_int_equal(sz_object_remove(name), 0);
}

static void test_missing_statistics(void **state)
{
	struct fake *f = *state;

	remove_object(f, SZ_OBJ_STATS, 2);
	reopen(f);
	assert_int_equal(f->view->workers[2].stats_error, -ENOENT);
	assert_true(f->view->workers[2].exact);
	assert_int_equal(sz_view_counter(f->view, 2, SZ_C_RECORDS_IN), 40);
	assert_int_equal(sz_view_gauge(f->view, 2, SZ_G_SLEEPS), 0);
	assert_int_equal(f->view->workers[1].stats_error, 0);
	expect(f, SZ_AUDIT_OBJECT, "pick/1", 0);
}

static void test_missing_page(void **state)
{
	struct fake *f = *state;

	remove_object(f, SZ_OBJ_PAGE, 1);
	reopen(f);
	assert_int_equal(f->view->workers[1].page_error, -ENOENT);
	assert_false(f->view->workers[1].exact);
	assert_int_equal(sz_view_counter(f->view, 1, SZ_C_RECORDS_IN), 50);
	assert_int_equal(f->view->lanes[0].fill_records, 10);
	expect(f, SZ_AUDIT_OBJECT, "pick/0", 0);
}

static void test_missing_everything(void **state)
{
	struct fake *f = *state;
	struct seen s;

	for (uint32_t i = 0; i < WORKERS; i++) {
		remove_object(f, SZ_OBJ_STATS, i);
		remove_object(f, SZ_OBJ_PAGE, i);
	}
	for (uint32_t i = 0; i < LANES; i++)
		remove_object(f, SZ_OBJ_LANE, i);
	reopen(f);
	assert_int_equal(sz_view_records_held(f->view), 0);
	assert_int_equal(f->view->edges[0].cap_bytes, 2 * CAP);
	s = audit(f);
	assert_int_equal(s.failures, 2 * WORKERS + LANES);
	assert_int_equal(s.kinds, 1u << SZ_AUDIT_OBJECT);
}

static void test_removed(void **state)
{
	struct fake *f = *state;
	char name[SZ_OBJECT_NAME_MAX];
	int fd;

	remove_object(f, SZ_OBJ_CTL, 0);
	assert_int_equal(sz_view_refresh(f->view), 0);
	assert_true(f->view->removed);
	assert_int_equal(sz_view_counter(f->view, 1, SZ_C_RECORDS_IN), 50);
	assert_int_equal(sz_object_name(name, f->name, getuid(), SZ_OBJ_CTL, 0), 0);
	/* Being made: there, and empty. */
	fd = sz_object_create(name, SZ_PAGE_BYTES);
	assert_true(fd >= 0);
	close(fd);
	sz_view_close(f->view);
	f->view = NULL;
	assert_int_equal(sz_view_open(f->name, getuid(), &f->view), -EBADMSG);
}

/* Each byte range of a header that decides how it is read: a change must be refused, not followed. */

static void refuse_ctl(struct fake *f, void *field, const void *value, size_t size)
{
	struct sz_view *v;
	char saved[64];

	memcpy(saved, field, size);
	memcpy(field, value, size);
	assert_int_equal(sz_view_open(f->name, getuid(), &v), -EBADMSG);
	assert_int_equal(sz_view_refresh(f->view), -EBADMSG);
	memcpy(field, saved, size);
	assert_int_equal(sz_view_refresh(f->view), 0);
}

static void test_corrupt_ctl(void **state)
{
	struct fake *f = *state;
	struct sz_ctl *c = f->ctl;
	uint32_t big = UINT32_MAX, one = 1;
	uint64_t far = UINT64_MAX - 63;

	refuse_ctl(f, &c->magic, &far, sizeof(far));
	refuse_ctl(f, &c->abi, &big, sizeof(big));
	refuse_ctl(f, &c->uid, &big, sizeof(big));
	refuse_ctl(f, &c->object_bytes, &far, sizeof(far));
	refuse_ctl(f, &c->n_workers, &big, sizeof(big));
	refuse_ctl(f, &c->n_lanes, &one, sizeof(one));
	refuse_ctl(f, &c->lanes_at, &far, sizeof(far));
	refuse_ctl(f, &c->pipeline, "x", 2);
	refuse_ctl(f, &SZ_CTL_WORKERS(c)[1].stage, &big, sizeof(big));
	refuse_ctl(f, &SZ_CTL_EDGES(c)[1].to_stage, &big, sizeof(big));
	refuse_ctl(f, &SZ_CTL_EDGES(c)[1].from_stage, &(uint32_t){ 0 }, sizeof(big));
	refuse_ctl(f, &SZ_CTL_LANES(c)[4].producer, &big, sizeof(big));
	refuse_ctl(f, &SZ_CTL_LANES(c)[4].producer_edge, &big, sizeof(big));
	refuse_ctl(f, &SZ_CTL_LANES(c)[4].producer_out, &(uint32_t){ 2 }, sizeof(big));
	refuse_ctl(f, &SZ_CTL_LANES(c)[0].consumer_in, &one, sizeof(one));
}

/* The object is mapped, changed, and the view opened again: the object is marked, all else is there. */
static void corrupt(struct fake *f, enum sz_object kind, uint32_t index, size_t at, uint32_t value)
{
	char name[SZ_OBJECT_NAME_MAX];
	uint32_t *word;
	int fd;

	assert_int_equal(sz_object_name(name, f->name, getuid(), kind, index), 0);
	fd = sz_object_open(name, 1);
	assert_true(fd >= 0);
	word = mmap(NULL, SZ_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(word, MAP_FAILED);
	close(fd);
	word[at / sizeof(*word)] = value;
	munmap(word, SZ_PAGE_BYTES);
}

static void test_corrupt_statistics(void **state)
{
	static const size_t fields[] = {
		offsetof(struct sz_stats_header, magic),
		offsetof(struct sz_stats_header, abi),
		offsetof(struct sz_stats_header, worker_index),
		offsetof(struct sz_stats_header, object_bytes),
		offsetof(struct sz_stats_header, n_stats),
		offsetof(struct sz_stats_header, n_counters),
		offsetof(struct sz_stats_header, values_at),
	};
	struct fake *f = *state;

	for (size_t i = 0; i < COUNT(fields); i++) {
		uint32_t saved = ((uint32_t *)f->stats[1].map)[fields[i] / 4];

		corrupt(f, SZ_OBJ_STATS, 1, fields[i], 0xfff0);
		reopen(f);
		assert_int_equal(f->view->workers[1].stats_error, -EBADMSG);
		assert_int_equal(sz_view_counter(f->view, 1, SZ_C_RECORDS_IN), 50);
		expect(f, SZ_AUDIT_OBJECT, "pick/0", 0);
		corrupt(f, SZ_OBJ_STATS, 1, fields[i], saved);
	}
	/* Nobody's text is trusted to end. */
	memset((void *)(uintptr_t)f->stats[1].desc, 'a',
	       sizeof(struct sz_stat_desc) - sizeof(char[64]));
	reopen(f);
	assert_int_equal(strlen(f->view->workers[1].desc[0].name), 47);
}

static void test_corrupt_page(void **state)
{
	static const size_t fields[] = {
		offsetof(struct sz_page_header, magic),
		offsetof(struct sz_page_header, worker_index),
		offsetof(struct sz_page_header, n_in),
		offsetof(struct sz_page_header, n_out),
		offsetof(struct sz_page_header, n_counters),
		offsetof(struct sz_page_header, slots_at),
	};
	struct fake *f = *state;

	for (size_t i = 0; i < COUNT(fields); i++) {
		uint32_t saved = ((uint32_t *)f->ledger[1].map)[fields[i] / 4];

		corrupt(f, SZ_OBJ_PAGE, 1, fields[i], 0xfff0);
		reopen(f);
		assert_int_equal(f->view->workers[1].page_error, -EBADMSG);
		assert_int_equal(sz_view_counter(f->view, 1, SZ_C_RECORDS_IN), 50);
		corrupt(f, SZ_OBJ_PAGE, 1, fields[i], saved);
	}
	/* The slot is not the one the epoch means: found at a refresh, too. */
	reopen(f);
	sz_store_release(&f->ledger[1].live->epoch, 40);
	assert_int_equal(sz_view_refresh(f->view), 0);
	assert_int_equal(f->view->workers[1].page_error, -EBADMSG);
	assert_false(f->view->workers[1].exact);
	assert_int_equal(sz_view_counter(f->view, 1, SZ_C_RECORDS_IN), 50);
}

static void test_corrupt_lane(void **state)
{
	static const size_t fields[] = {
		offsetof(struct sz_lane_header, magic),
		offsetof(struct sz_lane_header, abi),
		offsetof(struct sz_lane_header, lane_index),
		offsetof(struct sz_lane_header, object_bytes),
		offsetof(struct sz_lane_header, cap_bytes),
		offsetof(struct sz_lane_header, limit_bytes),
		offsetof(struct sz_lane_header, max_record),
	};
	struct fake *f = *state;

	for (size_t i = 0; i < COUNT(fields); i++) {
		uint32_t saved = ((uint32_t *)f->producer[2].map)[fields[i] / 4];

		corrupt(f, SZ_OBJ_LANE, 2, fields[i], 0xfff0);
		reopen(f);
		assert_int_equal(f->view->lanes[2].error, -EBADMSG);
		assert_int_equal(f->view->lanes[2].fill_records, 0);
		assert_int_equal(f->view->lanes[3].fill_records, 6);
		expect(f, SZ_AUDIT_OBJECT, "pick:out lane 2", 0);
		corrupt(f, SZ_OBJ_LANE, 2, fields[i], saved);
	}
}

/* Any words of any object are any numbers: whatever the view says of it, it says it. */

struct image {
	uint32_t *map, *saved;
	size_t words;
};

static struct image image_of(struct fake *f, enum sz_object kind, uint32_t index)
{
	char name[SZ_OBJECT_NAME_MAX];
	struct image m = { NULL, NULL, 0 };
	struct stat st;
	int fd;

	assert_int_equal(sz_object_name(name, f->name, getuid(), kind, index), 0);
	fd = sz_object_open(name, 1);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	m.words = (size_t)st.st_size / sizeof(*m.map);
	m.map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(m.map, MAP_FAILED);
	close(fd);
	m.saved = malloc((size_t)st.st_size);
	assert_non_null(m.saved);
	memcpy(m.saved, m.map, (size_t)st.st_size);
	return m;
}

static uint32_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Mostly words that mean something, and mostly near to what they were. */
static void disturb(struct image *m, uint64_t *seed)
{
	size_t at = draw(seed) % (draw(seed) % 2 ? m->words : 128);
	uint32_t *word = &m->map[at];

	switch (draw(seed) % 4) {
	case 0: *word = draw(seed) << 1 | (draw(seed) & 1); break;
	case 1: *word ^= 1u << draw(seed) % 32; break;
	case 2: *word += draw(seed) % 17 - 8; break;
	default: *word = UINT32_MAX;
	}
}

static void test_noise(void **state)
{
	struct fake *f = *state;
	struct image m[1 + 2 * WORKERS + LANES];
	uint64_t seed = 1;
	size_t n = 0;

	m[n++] = image_of(f, SZ_OBJ_CTL, 0);
	for (uint32_t i = 0; i < WORKERS; i++) {
		m[n++] = image_of(f, SZ_OBJ_PAGE, i);
		m[n++] = image_of(f, SZ_OBJ_STATS, i);
	}
	for (uint32_t i = 0; i < LANES; i++)
		m[n++] = image_of(f, SZ_OBJ_LANE, i);
	for (int round = 0; round < 1500; round++) {
		struct sz_audit_result r;
		struct sz_view *v;

		for (uint32_t k = draw(&seed) % 4; k < 4; k++)
			disturb(&m[draw(&seed) % n], &seed);
		sz_audit(f->view, NULL, NULL, &r);              /* attached before it happened */
		if (sz_view_open(f->name, getuid(), &v) == 0) { /* and after */
			sz_view_records_held(v);
			sz_audit(v, NULL, NULL, &r);
			sz_view_close(v);
		}
		for (size_t i = 0; i < n; i++)
			memcpy(m[i].map, m[i].saved, m[i].words * sizeof(*m[i].map));
	}
	assert_int_equal(audit(f).failures, 0);
	while (n--) {
		munmap(m[n].map, m[n].words * sizeof(*m[n].map));
		free(m[n].saved);
	}
}

static void test_open_errors(void **state)
{
	struct sz_view *v;
	char name[64];

	assert_int_equal(sz_view_open("test-view-nowhere", getuid(), &v), -ENOENT);
	memset(name, 'a', sizeof(name));
	name[63] = 0;
	assert_int_equal(sz_view_open(name, getuid(), &v), -ENAMETOOLONG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_names),
		T(test_values),
		T(test_lanes_and_edges),
		T(test_life),
		T(test_refresh_follows),
		T(test_audit_clean),
		T(test_audit_counters),
		T(test_audit_taken),
		T(test_audit_published),
		T(test_audit_fill),
		T(test_audit_ends_apart),
		T(test_audit_words),
		T(test_audit_statistics),
		T(test_missing_statistics),
		T(test_missing_page),
		T(test_missing_everything),
		T(test_removed),
		T(test_corrupt_ctl),
		T(test_corrupt_statistics),
		T(test_corrupt_page),
		T(test_corrupt_lane),
		T(test_noise),
		cmocka_unit_test(test_open_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
