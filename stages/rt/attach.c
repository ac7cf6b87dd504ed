/* SPDX-License-Identifier: BSD-2-Clause */
/* attach.c - from a wiring to a stage that can run: map everything, take up the committed slot */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <streamz/clock.h>
#include <streamz/object.h>

#include "rt.h"

#define SPIN_ROUNDS 2000u

static int attach_lanes(struct sz_lane **out, const struct sz_wire_lane *wires, uint32_t n,
			enum sz_lane_side side, const struct sz_lane_mark *marks)
{
	struct sz_lane *lanes = calloc(n + 1, sizeof(*lanes));

	if (!lanes)
		return -ENOMEM;
	*out = lanes;
	for (uint32_t i = 0; i < n; i++) {
		int rc = sz_lane_attach(&lanes[i], wires[i].fd, side);

		if (rc)
			return rc;
		close(wires[i].fd);
		sz_lane_seek(&lanes[i], marks[i].word, marks[i].records);
	}
	return 0;
}

static int port_index(const struct sz_stage_ops *ops, const char *name)
{
	if (!*name)
		return 0;
	for (int i = 0; ops->ports && ops->ports[i].name; i++)
		if (strcmp(ops->ports[i].name, name) == 0)
			return i + 1;
	return -ENOENT;
}

/* Edges in wiring order, and the same grouped by port. */
static int attach_edges(struct sz_stage *s)
{
	const struct sz_wire_edge *wires = sz_wire_at(s->wiring, s->wiring->edges_at);
	uint32_t at = 0;
	int failed = port_index(s->ops, "failed");

	s->edges = calloc(s->n_edges + 1, sizeof(*s->edges));
	s->by_port = calloc(s->n_edges + 1, sizeof(*s->by_port));
	if (!s->edges || !s->by_port)
		return -ENOMEM;
	s->failed_port = failed > 0 ? (uint32_t)failed : 0;
	s->n_ports = 1;
	while (s->ops->ports && s->n_ports < SZ_PORTS_MAX && s->ops->ports[s->n_ports - 1].name)
		s->n_ports++;
	for (uint32_t i = 0; i < s->n_edges; i++) {
		int port = port_index(s->ops, sz_wire_text(s->wiring, wires[i].port));

		if (port < 0 || port >= SZ_PORTS_MAX || wires[i].n_out != 1)
			return -EBADMSG;
		s->edges[i] = (struct sz_edge){
			.port = (uint32_t)port,
			.overflow = (enum sz_overflow)wires[i].overflow,
			.lane = &s->out[wires[i].first_out],
			.counters = s->ledger.counters + sz_counter_edge(i, SZ_E_OFFERED),
		};
		if (is_failed_edge(s, &s->edges[i])) {
			uint64_t space = sz_record_space(s->edges[i].lane->max_record);

			if (space > s->fail_space)
				s->fail_space = space;
		}
	}
	for (uint32_t port = 0; port < SZ_PORTS_MAX; port++) {
		s->port[port].first = at;
		for (uint32_t i = 0; i < s->n_edges; i++)
			if (s->edges[i].port == port)
				s->by_port[at++] = &s->edges[i];
		s->port[port].count = at - s->port[port].first;
	}
	return 0;
}

/* What one call may emit has to fit into every blocking edge, or the stage would wait for room for ever. */
int sz_rt_check_emits(struct sz_stage *s)
{
	bool counted = s->ops->emits != SZ_EMITS_INPUT && s->ops->emits != SZ_EMITS_IF_ROOM;
	uint64_t records = counted ? s->ops->emits : 1,
		 bytes = records * sz_record_space(s->wiring->max_out);

	for (uint32_t i = 0; i < s->n_edges; i++) {
		const struct sz_edge *e = &s->edges[i];

		if (e->overflow != SZ_OVERFLOW_BLOCK || is_failed_edge(s, e))
			continue;
		if (bytes > e->lane->limit_bytes || records > e->lane->limit_records)
			return sz_error(s, -E2BIG,
					"it may emit %llu records of %u bytes at once, which no "
					"edge leaving it has room for: "
					"raise buffer= there, or lower max_record= here",
					(unsigned long long)records, s->wiring->max_out);
	}
	return 0;
}

static int attach_ctl(struct sz_stage *s)
{
	struct stat st;
	void *map;

	if (s->wiring->ctl_fd < 0)
		return 0;
	if (fstat(s->wiring->ctl_fd, &st) < 0)
		return -errno;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, s->wiring->ctl_fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	s->ctl = map;
	return sz_ctl_check(s->ctl, (uint64_t)st.st_size);
}

/*
 * The lock is this life's sign of life. It is taken on a description of its own, since the inherited one is shared
 * with the launcher; whoever holds it is alive, so a second life of the same worker cannot start.
 */
static int lock_page(int page_fd)
{
	int fd = sz_object_reopen(page_fd, 1);
	int rc;

	if (fd < 0)
		return fd;
	rc = sz_object_lock(fd);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

static int check_sizes(const struct sz_stage *s)
{
	const struct sz_page_header *h = &s->ledger.h;
	const struct sz_wiring *w = s->wiring;

	if (h->n_in != w->n_in || h->n_out != w->n_out ||
	    h->n_counters != sz_counter_count(w->n_edges, s->ops->n_counters) ||
	    s->stats.h.n_counters != h->n_counters ||
	    s->stats.h.n_stats != h->n_counters + SZ_G_FIXED ||
	    s->ops->ring_entries >= SZ_IO_WATCH || h->state_bytes < s->ops->state_bytes ||
	    h->journal_bytes < s->ops->journal_per_call)
		return -EBADMSG;
	return 0;
}

int sz_rt_attach(struct sz_stage *s, const struct sz_stage_ops *ops, const struct sz_wiring *w)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->ops = ops;
	s->wiring = w;
	s->n_in = w->n_in;
	s->n_out = w->n_out;
	s->n_edges = w->n_edges;
	s->lock_fd = lock_page(w->page_fd);
	rc = s->lock_fd < 0 ? s->lock_fd : 0;
	if (!rc)
		rc = sz_ledger_attach(&s->ledger, w->page_fd, 1);
	if (!rc)
		rc = sz_stats_attach(&s->stats, w->stats_fd, 1);
	if (!rc)
		rc = attach_ctl(s);
	if (!rc)
		rc = check_sizes(s);
	if (!rc)
		rc = attach_lanes(&s->in, sz_wire_at(w, w->in_at), w->n_in, SZ_LANE_CONSUMER,
				  s->ledger.in);
	if (!rc)
		rc = attach_lanes(&s->out, sz_wire_at(w, w->out_at), w->n_out, SZ_LANE_PRODUCER,
				  s->ledger.out);
	if (!rc)
		rc = attach_edges(s);
	if (!rc)
		rc = sz_io_open(&s->io, w->flags & SZ_WIRE_PLAIN ? -1 : w->ring_fd,
				w->ring_params ? sz_wire_at(w, w->ring_params) : NULL,
				s->ledger.live, w->generation, ops->ring_entries,
				s->ledger.next->cq_head);
	if (rc)
		return rc;
	s->private_area = calloc(1, ops->private_bytes + 1);
	s->in_ended = calloc(2 * w->n_in + 1, sizeof(*s->in_ended));
	s->out_changed = calloc(2 * (w->n_out + w->n_in) + 1, 1);
	if (!s->private_area || !s->in_ended || !s->out_changed)
		return -ENOMEM;
	s->in_skipped = s->in_ended + w->n_in;
	s->in_changed = s->out_changed + w->n_out;
	s->out_unwoken = s->in_changed + w->n_in;
	s->in_unwoken = s->out_unwoken + w->n_out;
	s->first_life = s->ledger.next->run_state == SZ_RUN_FRESH;
	if (s->first_life)
		s->ledger.next->random = w->seed;
	s->ledger.live->words.text_len = 0;
	s->started_ns = sz_clock_ns(CLOCK_MONOTONIC);
	sz_spinner_init(&s->spinner, w->flags & SZ_WIRE_SPIN ? SPIN_ROUNDS : 0);
	return 0;
}

void sz_rt_detach(struct sz_stage *s)
{
	for (uint32_t i = 0; i < s->n_in; i++)
		sz_lane_detach(&s->in[i]);
	for (uint32_t i = 0; i < s->n_out; i++)
		sz_lane_detach(&s->out[i]);
	sz_io_close(&s->io);
	sz_stats_detach(&s->stats);
	sz_ledger_detach(&s->ledger);
	free(s->in);
	free(s->out);
	free(s->edges);
	free(s->by_port);
	free(s->in_ended);
	free(s->out_changed);
	free(s->private_area);
	free(s->values);
}
