/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * audit.c - the equations of docs/ARCHITECTURE.md, "Counting", checked
 *
 * Why most lines are equations even while the pipeline runs: counters and positions of a worker stand in one slot
 * and became true together. A lane is between two slots. Read consumer, producer, records, consumer: if the consumer
 * has not moved, what lies between the two marks cannot have been overwritten (the producer writes only from its
 * mark up to the published head plus the capacity, and the published head is at most the consumer's mark), and was
 * counted whole. If it keeps moving, the bounds are left: the first look at the consumer cannot be ahead of the
 * producer, and the producer not more than the capacity ahead of the last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "view_impl.h"

#define LIVE_TRIES  5
#define STILL_TRIES 50
#define PAUSE_NS    1000000

struct audit {
	struct sz_view *view;
	void (*report)(void *ctx, const struct sz_audit_check *c);
	void *ctx;
	struct sz_audit_result result;
};

static void term(struct sz_audit_check *c, const char *name, uint64_t value)
{
	c->terms[c->n_terms].name = name;
	c->terms[c->n_terms++].value = value;
	c->right += value;
}

static void judge(struct sz_audit_check *c)
{
	c->holds = !c->why[0] && c->left - c->right <= c->slack;
}

static void pause_ns(long ns)
{
	struct timespec t = { .tv_nsec = ns };

	nanosleep(&t, NULL);
}

/* Its last life has been recovered, and there will be no other while this launcher runs (or none runs). */
static bool is_settled(const struct sz_view *view, uint32_t worker)
{
	return sz_worker_is_settled(SZ_CTL_WORKERS(view->ctl)[worker].state);
}

/* Worker lines */

static void worker_input(struct sz_view *view, uint32_t w, uint32_t k, struct sz_audit_check *c)
{
	c->what = "taken = handled + failed + held";
	c->left_name = "taken";
	c->left = sz_view_counter(view, w, SZ_C_RECORDS_IN);
	term(c, "handled", sz_view_counter(view, w, SZ_C_HANDLED));
	term(c, "failed", sz_view_counter(view, w, SZ_C_FAILED));
	term(c, "held", sz_view_counter(view, w, SZ_C_HELD));
}

static uint64_t marks_sum(const struct sz_view *view, uint32_t w, uint32_t edge)
{
	const struct sz_ctl_lane *l = SZ_CTL_LANES(view->ctl);
	const struct sz_ledger *ledger = &view->private_->workers_of[w].ledger;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < view->ctl->n_lanes; i++) {
		bool counts = edge == SZ_VIEW_NONE ? l[i].consumer == w
						   : l[i].producer == w && l[i].edge == edge;

		if (!counts)
			continue;
		if (!view->workers[w].exact)
			sum += edge == SZ_VIEW_NONE ? view->lanes[i].consumed
						    : view->lanes[i].published;
		else
			sum += edge == SZ_VIEW_NONE ? ledger->in[l[i].consumer_in].records
						    : ledger->out[l[i].producer_out].records;
	}
	return sum;
}

static void worker_taken(struct sz_view *view, uint32_t w, uint32_t k, struct sz_audit_check *c)
{
	c->what = "taken = consumed from its lanes";
	c->left_name = "taken";
	c->left = sz_view_counter(view, w, SZ_C_RECORDS_IN);
	term(c, "consumed", marks_sum(view, w, SZ_VIEW_NONE));
}

static void worker_edge(struct sz_view *view, uint32_t w, uint32_t k, struct sz_audit_check *c)
{
	c->what = "offered = published + dropped + outbox";
	c->left_name = "offered";
	c->left = sz_view_edge_counter(view, w, k, SZ_E_OFFERED);
	term(c, "published", sz_view_edge_counter(view, w, k, SZ_E_PUBLISHED));
	term(c, "dropped_newest", sz_view_edge_counter(view, w, k, SZ_E_DROPPED_NEWEST));
	term(c, "dropped_detached", sz_view_edge_counter(view, w, k, SZ_E_DROPPED_DETACHED));
	term(c, "outbox", sz_view_edge_counter(view, w, k, SZ_E_OUTBOX));
}

static void worker_published(struct sz_view *view, uint32_t w, uint32_t k, struct sz_audit_check *c)
{
	c->what = "published = written to its lanes";
	c->left_name = "published";
	c->left = sz_view_edge_counter(view, w, k, SZ_E_PUBLISHED);
	term(c, "written", marks_sum(view, w, view->workers[w].edges[k]));
}

/*
 * The statistics are copies of some earlier commit: a counter in them is never ahead of the ledger's, and the same
 * where the worker's last life was recovered.
 */
static void worker_statistics(struct sz_view *view, uint32_t w, uint32_t k,
			      struct sz_audit_check *c)
{
	const struct worker_objects *o = &view->private_->workers_of[w];
	bool settled = is_settled(view, w);
	uint32_t odd = SZ_C_RECORDS_IN;

	for (uint32_t i = 0; i < o->n_counters; i++) {
		if (settled ? o->published[i] == o->values[i]
			    : o->published[i] <= o->values[i] || o->desc[i].kind == SZ_STAT_GAUGE)
			continue;
		odd = i;
		break;
	}
	c->what = "the ledger's counters = the statistics";
	c->left_name = o->desc[odd].name;
	c->left = o->values[odd];
	term(c, "statistics", o->published[odd]);
	c->slack = settled ? 0 : UINT64_MAX / 2;
}

/* Lane lines */

/* Records in [from, to), counted by walking their headers. Return: 0, the position of a bad one in *bad: -EBADMSG. */
static int walk(const struct sz_lane *lane, uint64_t from, uint64_t to, uint64_t *count,
		uint64_t *bad)
{
	uint64_t n = 0;

	while (from != to) {
		const uint8_t *at = lane->data + (from & lane->mask);
		uint64_t word0 = sz_load_relaxed((const uint64_t *)(const void *)at);

		if (!sz_lane_header_fits(lane, word0, to - from)) {
			*bad = from;
			return -EBADMSG;
		}
		from += sz_record_space((uint32_t)word0);
		n++;
	}
	*count = n;
	return 0;
}

static const struct sz_lane_end *end_of(const struct sz_lane *lane, bool producer)
{
	return producer ? sz_lane_producer_end(lane) : sz_lane_consumer_end(lane);
}

/* Where an end stands: its worker's ledger, or, failing that, what it has published. */
static void end_mark(const struct sz_view *view, uint32_t index, bool producer,
		     struct sz_lane_mark *m)
{
	const struct sz_ctl_lane *l = &SZ_CTL_LANES(view->ctl)[index];
	uint32_t w = producer ? l->producer : l->consumer;
	const struct sz_ledger *ledger = &view->private_->workers_of[w].ledger;
	const struct sz_lane_mark *next =
		producer ? &ledger->out[l->producer_out] : &ledger->in[l->consumer_in];

	if (!view->workers[w].exact || sz_view_read_mark(ledger, next, m) != 0)
		end_read(end_of(&view->private_->lanes_of[index].lane, producer), m);
}

static uint64_t capacity_records(const struct sz_lane *lane)
{
	return sz_lane_cap_bytes(lane) / SZ_RECORD_HEADER;
}

static void lane_fill(struct sz_view *view, uint32_t i, uint32_t k, struct sz_audit_check *c)
{
	const struct sz_lane *lane = &view->private_->lanes_of[i].lane;
	struct sz_lane_mark head, tail, after;
	uint64_t fill = 0, bad = 0;
	int rc = 0;

	c->what = "published = consumed + fill";
	c->left_name = "published";
	for (int n = 0; n < STILL_TRIES; n++) {
		end_mark(view, i, false, &head);
		end_mark(view, i, true, &tail);
		if (mark_pos(&tail) - mark_pos(&head) <= sz_lane_cap_bytes(lane))
			rc = walk(lane, mark_pos(&head), mark_pos(&tail), &fill, &bad);
		else
			rc = -ERANGE;
		sz_fence_acquire();
		end_mark(view, i, false, &after);
		c->exact = mark_pos(&after) == mark_pos(&head) && after.records == head.records;
		if (c->exact)
			break;
		pause_ns(PAUSE_NS / 20);
	}
	c->left = tail.records;
	term(c, "consumed", head.records);
	if (!c->exact) {
		/* What it was ahead of the first look is not what it was ahead of the last. */
		c->slack = capacity_records(lane) + (after.records - head.records);
		return;
	}
	if (rc == -ERANGE)
		snprintf(c->why, sizeof(c->why),
			 "the ends are %" PRIu64 " bytes apart, the lane holds %" PRIu64,
			 mark_pos(&tail) - mark_pos(&head), sz_lane_cap_bytes(lane));
	else if (rc)
		snprintf(c->why, sizeof(c->why),
			 "the record at position %" PRIu64 " has an impossible header", bad);
	else
		term(c, "fill", fill);
}

/* A published word lags behind the ledger it is copied from, by no more than the lane holds. */
static void lane_word(struct sz_view *view, uint32_t i, bool producer, struct sz_audit_check *c)
{
	const struct sz_ctl_lane *l = &SZ_CTL_LANES(view->ctl)[i];
	const struct sz_lane *lane = &view->private_->lanes_of[i].lane;
	bool settled = is_settled(view, producer ? l->producer : l->consumer);
	struct sz_lane_mark word, mark;
	uint64_t lag;

	end_read(end_of(lane, producer), &word);
	end_mark(view, i, producer, &mark);
	lag = mark_pos(&mark) - mark_pos(&word);
	c->left_name = "ledger";
	c->left = mark.records;
	term(c, "published", word.records);
	c->slack = settled ? 0 : capacity_records(lane);
	if (lag > (settled ? 0 : sz_lane_cap_bytes(lane)))
		snprintf(c->why, sizeof(c->why), "published position %" PRIu64 ", ledger %" PRIu64,
			 mark_pos(&word), mark_pos(&mark));
}

static void lane_tail(struct sz_view *view, uint32_t i, uint32_t k, struct sz_audit_check *c)
{
	c->what = "the ledger's tail = the published tail";
	lane_word(view, i, true, c);
}

static void lane_head(struct sz_view *view, uint32_t i, uint32_t k, struct sz_audit_check *c)
{
	c->what = "the ledger's head = the published head";
	lane_word(view, i, false, c);
}

/* Driver */

static void emit(struct audit *a, const struct sz_audit_check *c)
{
	a->result.checks++;
	a->result.failures += !c->holds;
	if (a->report)
		a->report(a->ctx, c);
}

typedef void line_fn(struct sz_view *view, uint32_t subject, uint32_t k, struct sz_audit_check *c);

static void name_of(const struct sz_view *view, struct sz_audit_check *c)
{
	char who[SZ_VIEW_NAME_MAX] = "", edge[SZ_VIEW_NAME_MAX] = "";

	if (c->worker != SZ_VIEW_NONE)
		sz_view_worker_name(view, c->worker, who);
	if (c->edge != SZ_VIEW_NONE)
		sz_view_edge_name(view, c->edge, edge);
	if (c->lane != SZ_VIEW_NONE)
		snprintf(c->name, sizeof(c->name), "%s lane %u", edge, c->lane);
	else if (c->edge != SZ_VIEW_NONE && strchr(who, '/'))
		snprintf(c->name, sizeof(c->name), "%s of %s", edge, who);
	else
		snprintf(c->name, sizeof(c->name), "%s", edge[0] ? edge : who);
}

/* A line that does not hold in a running pipeline is looked at again: it may have been caught between two looks. */
static void line(struct audit *a, const struct sz_audit_check *blank, line_fn *fn, uint32_t k)
{
	uint32_t subject = blank->lane != SZ_VIEW_NONE ? blank->lane : blank->worker;
	struct sz_audit_check c;

	for (int i = 0; i < LIVE_TRIES; i++) {
		c = *blank;
		name_of(a->view, &c);
		c.exact = c.lane != SZ_VIEW_NONE || a->view->workers[c.worker].exact;
		fn(a->view, subject, k, &c);
		judge(&c);
		if (c.holds || !a->view->live)
			break;
		pause_ns(PAUSE_NS);
		if (sz_view_refresh(a->view))
			break;
	}
	emit(a, &c);
}

static void broken(struct audit *a, struct sz_audit_check c, const char *what, int error)
{
	c.kind = SZ_AUDIT_OBJECT;
	c.what = "every object is there and whole";
	c.left_name = what;
	name_of(a->view, &c);
	snprintf(c.why, sizeof(c.why), "%s: %s", what,
		 error == -ENOENT    ? "missing"
		 : error == -EBADMSG ? "broken"
				     : strerror(-error));
	emit(a, &c);
}

static const struct sz_audit_check nothing = {
	.worker = SZ_VIEW_NONE,
	.edge = SZ_VIEW_NONE,
	.lane = SZ_VIEW_NONE,
};

static void audit_worker(struct audit *a, uint32_t w)
{
	const struct sz_view_worker *v = &a->view->workers[w];
	const struct worker_objects *o = &a->view->private_->workers_of[w];
	struct sz_audit_check c = nothing;

	c.worker = w;
	if (v->page_error)
		broken(a, c, "stage page", v->page_error);
	if (v->stats_error)
		broken(a, c, "statistics", v->stats_error);
	if (v->page_error && v->stats_error)
		return;
	c.kind = SZ_AUDIT_INPUT;
	line(a, &c, worker_input, 0);
	c.kind = SZ_AUDIT_TAKEN;
	if (o->n_in && (v->exact || !a->view->live))
		line(a, &c, worker_taken, 0);
	for (uint32_t k = 0; k < v->n_edges; k++) {
		c.edge = v->edges[k];
		c.kind = SZ_AUDIT_EDGE;
		line(a, &c, worker_edge, k);
		c.kind = SZ_AUDIT_PUBLISHED;
		if (v->exact || !a->view->live)
			line(a, &c, worker_published, k);
	}
	c.edge = SZ_VIEW_NONE;
	c.kind = SZ_AUDIT_STATISTICS;
	if (v->exact && o->have_stats)
		line(a, &c, worker_statistics, 0);
}

static void audit_lane(struct audit *a, uint32_t i)
{
	const struct sz_ctl_lane *l = &SZ_CTL_LANES(a->view->ctl)[i];
	struct sz_audit_check c = nothing;

	c.lane = i;
	c.edge = l->edge;
	if (!a->view->private_->lanes_of[i].attached) {
		broken(a, c, "lane", a->view->lanes[i].error);
		return;
	}
	c.kind = SZ_AUDIT_LANE;
	line(a, &c, lane_fill, 0);
	c.kind = SZ_AUDIT_TAIL;
	if (a->view->workers[l->producer].exact)
		line(a, &c, lane_tail, 0);
	c.kind = SZ_AUDIT_HEAD;
	if (a->view->workers[l->consumer].exact)
		line(a, &c, lane_head, 0);
}

int sz_audit(struct sz_view *view, void (*check)(void *ctx, const struct sz_audit_check *c),
	     void *ctx, struct sz_audit_result *result)
{
	struct audit a = { .view = view, .report = check, .ctx = ctx };
	int rc = sz_view_refresh(view);

	if (rc)
		return rc;
	for (uint32_t i = 0; i < view->ctl->n_workers; i++)
		audit_worker(&a, i);
	for (uint32_t i = 0; i < view->ctl->n_lanes; i++)
		audit_lane(&a, i);
	*result = a.result;
	return 0;
}
