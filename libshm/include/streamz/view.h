/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.h - looking at a pipeline from outside, alive or dead, and checking its books
 *
 * A view attaches everything read-only and needs nobody's cooperation: a stopped, hung or dead pipeline reads the
 * same. What it shows is a snapshot in private memory, taken by sz_view_refresh(): every name in it is terminated,
 * every index in range, whatever stands in shared memory. Objects that are missing or broken (a pipeline is being
 * made or removed, a life went wild) are marked one by one and never stop the rest.
 *
 * Counters come from the ledger where it can be read: one committed slot, read whole between two looks at the epoch,
 * so the numbers of one worker belong together and are exact, also while it runs and after it was killed before it
 * could copy them out. Else they come from the statistics. Gauges are only there.
 */
#ifndef STREAMZ_VIEW_H
#define STREAMZ_VIEW_H

#include <streamz/contract.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SZ_VIEW_NONE     UINT32_MAX
#define SZ_VIEW_NAME_MAX 144 /* of a worker or an edge, NUL included */

/**
 * struct sz_view_worker - one worker in a snapshot
 * @stats_error:	0, or why its statistics cannot be read: -ENOENT, -EBADMSG, -errno
 * @page_error:		likewise its stage page
 * @torn:		the gauges were being written all the time, or their writer died at it
 * @exact:		the counters are those of a committed slot
 * @epoch:		of that slot
 * @run_state:		enum sz_run_state of that slot; SZ_RUN_FRESH if there is none
 * @n_edges:		outgoing edges of its stage
 * @edges:		their indices in the topology, in the order of its counters
 * @n_counters:		as the topology and its objects agree; SZ_C_FIXED at least
 * @n_values:		n_counters and the gauges; SZ_G_FIXED gauges at least
 * @desc:		of the values; copied, terminated. The first sz_counter_count(n_edges, 0) and the last
 *			SZ_G_FIXED are those of stats.h, between them stand the stage's own counters.
 * @values:		0 where nothing could be read
 */
struct sz_view_worker {
	int stats_error, page_error;
	bool torn, exact;
	uint64_t epoch;
	uint32_t run_state;
	uint32_t n_edges;
	const uint32_t *edges;
	uint32_t n_counters, n_values;
	const struct sz_stat_desc *desc;
	const uint64_t *values;
};

/**
 * struct sz_view_lane - one lane in a snapshot
 * @error:		0, or why it cannot be read; then the rest is 0 but the capacity
 * @cap_records:	most records it takes, by its record limit or its bytes
 * @published:		records before the tail
 * @consumed:		records before the head
 * @fill_bytes:		headers and padding included; may be one batch old on either side while workers run
 * @tail_flags:		SZ_LANE_ENDED, SZ_LANE_POISONED of the producer
 * @head_flags:		of the consumer
 */
struct sz_view_lane {
	int error;
	uint64_t cap_bytes, cap_records;
	uint64_t published, consumed;
	uint64_t fill_bytes, fill_records;
	uint32_t tail_flags, head_flags;
};

/* One edge in a snapshot: sums over its producers' counters and over its lanes. */
struct sz_view_edge {
	uint64_t offered, offered_bytes, published, dropped_newest, dropped_detached, outbox;
	uint64_t fill_bytes, cap_bytes, fill_records, cap_records;
};

/**
 * struct sz_view - a pipeline, as it was at the last refresh
 * @ctl:	private, checked copy: SZ_CTL_STAGES(view->ctl) and so on are safe
 * @live:	its launcher lives
 * @removed:	its name is gone: what is seen has ended or was removed
 * @workers:	ctl->n_workers
 * @lanes:	ctl->n_lanes
 * @edges:	ctl->n_edges
 * @time_ns:	CLOCK_REALTIME of the refresh
 */
struct sz_view {
	const struct sz_ctl *ctl;
	bool live, removed;
	const struct sz_view_worker *workers;
	const struct sz_view_lane *lanes;
	const struct sz_view_edge *edges;
	uint64_t time_ns;
	struct sz_view_private *private_;
};

/**
 * sz_view_open() - attach to a pipeline and take the first snapshot
 * @pipeline:	its name
 * @uid:	of its owner
 * @view:	set on success; free with sz_view_close()
 *
 * Return: 0; -ENOENT: no such pipeline; -EBADMSG: its ctl is not whole (being made, damaged, or of another ABI);
 * -EPERM: its ctl belongs to another user; -ENAMETOOLONG; -ENOMEM; -errno of opening ctl. Other objects do not matter here.
 */
int sz_view_open(const char *pipeline, unsigned uid, struct sz_view **view);

/**
 * sz_view_refresh() - take a new snapshot
 *
 * Pointers into the old one stay valid, their contents change; view->workers[].desc may move when a missing object
 * has come. Return: 0; -EBADMSG: ctl is no longer whole, or of another shape (the old snapshot stays); -errno.
 */
int sz_view_refresh(struct sz_view *view);
void sz_view_close(struct sz_view *view);

/* Does the launcher hold ctl's lock now? Return: 1, 0, -errno. */
int sz_view_is_live(const struct sz_view *view);
/* Does a process hold the worker's page? Return: 1, 0, -errno (-ENOENT: the page is gone). */
int sz_view_worker_is_live(const struct sz_view *view, uint32_t worker);

/* "STAGE", or "STAGE/2" in a stage of several workers. Return: @buf. */
char *sz_view_worker_name(const struct sz_view *view, uint32_t worker, char buf[SZ_VIEW_NAME_MAX]);
/* "from:to" or "from.port:to". Return: @buf. */
char *sz_view_edge_name(const struct sz_view *view, uint32_t edge, char buf[SZ_VIEW_NAME_MAX]);
/* "creating", "running", ... as of ctl alone; "?" for a number that means nothing. */
const char *sz_pipeline_state_name(uint32_t state);
const char *sz_worker_state_name(uint32_t state);
/* As a graph says it: "block", ... */
const char *sz_overflow_name(uint32_t overflow);
/* "dead" if the launcher went without saying why, else the name of ctl's state: "stopped" and "failed" are resumable. */
const char *sz_view_state_name(const struct sz_view *view);

static inline uint64_t sz_view_counter(const struct sz_view *view, uint32_t worker,
				       enum sz_counter c)
{
	return view->workers[worker].values[c];
}

/* edge: index among the worker's edges */
static inline uint64_t sz_view_edge_counter(const struct sz_view *view, uint32_t worker,
					    uint32_t edge, enum sz_edge_counter c)
{
	return view->workers[worker].values[sz_counter_edge(edge, c)];
}

static inline uint64_t sz_view_gauge(const struct sz_view *view, uint32_t worker, enum sz_gauge g)
{
	const struct sz_view_worker *w = &view->workers[worker];

	return w->values[w->n_values - SZ_G_FIXED + g];
}

/* Records inside the pipeline: in lanes, in outboxes, held by workers. */
uint64_t sz_view_records_held(const struct sz_view *view);
/* Source workers that have not ended. */
uint32_t sz_view_unfinished_sources(const struct sz_view *view);

/*
 * The audit: the equations of docs/ARCHITECTURE.md, "Counting", one by one
 */
enum sz_audit_kind {
	SZ_AUDIT_OBJECT, /* an object is missing or broken: not a line, but no line can be checked without it */
	SZ_AUDIT_INPUT,     /* a worker: taken = handled + failed + held */
	SZ_AUDIT_TAKEN,     /* a worker: taken = consumed from its lanes */
	SZ_AUDIT_EDGE,      /* an edge's producer: offered = published + dropped + outbox */
	SZ_AUDIT_PUBLISHED, /* an edge's producer: published = written to its lanes */
	SZ_AUDIT_LANE,      /* a lane: published = consumed + fill, fill counted record by record */
	SZ_AUDIT_TAIL,      /* a lane: the ledger's tail = the published tail */
	SZ_AUDIT_HEAD,      /* a lane: the ledger's head = the published head */
	SZ_AUDIT_STATISTICS, /* a worker: the ledger's counters = the statistics */
	SZ_AUDIT_KINDS
};

#define SZ_AUDIT_TERMS_MAX 4

/**
 * struct sz_audit_check - one line, checked
 * @what:	the line as a formula, static
 * @worker:	index or SZ_VIEW_NONE, likewise @edge, @lane
 * @name:	of the worker, edge or lane
 * @left:	value of the left side, @left_name its name
 * @right:	sum of the right side, @terms of it named one by one
 * @slack:	left may be above right by that much: what may be on its way while workers run. 0: an equation
 * @exact:	everything was read at one moment; a difference cannot come from looking
 * @holds:	right <= left <= right + slack, and nothing is wrong with what was counted
 * @why:	"" or what else is wrong, e.g. a record header that makes no sense
 */
struct sz_audit_check {
	enum sz_audit_kind kind;
	const char *what;
	uint32_t worker, edge, lane;
	char name[2 * SZ_VIEW_NAME_MAX + 16];
	const char *left_name;
	uint64_t left, right;
	unsigned n_terms;
	struct {
		const char *name;
		uint64_t value;
	} terms[SZ_AUDIT_TERMS_MAX];
	uint64_t slack;
	bool exact, holds;
	char why[120];
};

struct sz_audit_result {
	uint32_t checks, failures;
};

/**
 * sz_audit() - check every line
 * @view:	is refreshed first, and again where a running pipeline makes that necessary
 * @check:	called for each; may be NULL
 * @result:	how many were made and how many did not hold
 *
 * A worker's own lines are taken from one committed slot and exact at any time. A lane's two ends belong to two
 * processes: where they move too fast to be seen at one moment, 0 <= published - consumed <= capacity is checked. The
 * positions in the lane and the statistics follow the ledger and are held to equality only where their worker is
 * known to be at rest and recovered.
 *
 * Return: 0, -errno of sz_view_refresh().
 */
int sz_audit(struct sz_view *view, void (*check)(void *ctx, const struct sz_audit_check *c),
	     void *ctx, struct sz_audit_result *result);

#ifdef __cplusplus
}
#endif
#endif
