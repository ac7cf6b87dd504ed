/* SPDX-License-Identifier: BSD-2-Clause */
/* view_impl.h - what view.c and audit.c share */
#ifndef SZ_VIEW_IMPL_H
#define SZ_VIEW_IMPL_H

#include <streamz/view.h>

/* One worker's objects. ledger.next, and what points into it, is the copy of the committed slot. */
struct worker_objects {
	bool have_stats, have_page;
	struct sz_stats stats;
	struct sz_ledger ledger;
	struct sz_stat_desc *desc; /* n_values */
	uint64_t *values;          /* n_values: what the view shows */
	uint64_t *published;       /* n_values: as the statistics have it */
	uint32_t *edges;
	uint32_t n_edges, n_in, n_out; /* by the topology */
	uint32_t n_counters, n_values;
};

struct lane_object {
	bool attached;
	struct sz_lane lane;
};

struct sz_view_private {
	char pipeline[40];
	unsigned uid;
	int ctl_fd;
	const struct sz_ctl *ctl_map;
	size_t ctl_bytes;
	struct sz_ctl *ctl, *ctl_next;
	struct worker_objects *workers_of;
	struct lane_object *lanes_of;
	struct sz_view_worker *workers;
	struct sz_view_lane *lanes;
	struct sz_view_edge *edges;
};

static inline uint64_t mark_pos(const struct sz_lane_mark *m)
{
	return sz_word_pos(m->word);
}

/* What an end has published. The count is stored before the position, so it may be a batch ahead of it. */
static inline void end_read(const struct sz_lane_end *end, struct sz_lane_mark *m)
{
	m->word = sz_load_acquire(&end->pos); /* pairs: sz_end_publish() */
	m->records = sz_load_relaxed(&end->records);
}

/* Read one worker again: statistics, then the slot. */
void sz_view_read_worker(struct sz_view *view, uint32_t worker);

/* One mark of a committed slot that may be changing. Return: 0, -EAGAIN. */
int sz_view_read_mark(const struct sz_ledger *l, const struct sz_lane_mark *in_next,
		      struct sz_lane_mark *mark);

#endif
