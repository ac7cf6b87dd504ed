/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * emit.c - room and emission
 *
 * A handler is called only when every blocking edge has room for all it may emit, so emission itself cannot fail and
 * cannot stop in the middle: either all edges get the record within this batch, or, on a dropping edge that is full
 * and on a detached one, it is counted as dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "rt.h"

static bool blocks(const struct sz_edge *e)
{
	return e->overflow == SZ_OVERFLOW_BLOCK && !(e->lane->peer_flags & SZ_LANE_ENDED);
}

void sz_room_reset(struct sz_stage *s)
{
	s->room_bytes = s->room_records = 0;
}

/*
 * Least free room over all blocking edges, enough for bytes and records or as much as a look at the consumers' pages
 * gives. Edges of the failed port always keep one envelope's space to themselves.
 */
static void measure_room(struct sz_stage *s, uint64_t bytes, uint64_t records)
{
	uint64_t least_bytes = UINT64_MAX, least_records = UINT64_MAX;

	for (uint32_t i = 0; i < s->n_edges; i++) {
		struct sz_edge *e = &s->edges[i];
		struct sz_lane *lane = e->lane;
		bool failed = is_failed_edge(s, e);
		uint64_t want_bytes = failed ? s->fail_space : bytes,
			 want_records = failed ? 1 : records;
		uint64_t free_bytes, free_records;

		e->starved = false;
		if (!blocks(e))
			continue;
		if (sz_lane_room(lane, want_bytes, want_records) < 0) {
			/* poisoned: full until the launcher has dealt with it */
			least_bytes = least_records = 0;
			e->starved = true;
			sz_ring_bell(s);
			continue;
		}
		if (!blocks(e))
			continue; /* the refresh showed that it is detached */
		free_bytes = lane->limit_bytes - (lane->pos - lane->peer_pos);
		free_records = lane->limit_records - (lane->records - lane->peer_records);
		e->starved = free_bytes < want_bytes || free_records < want_records;
		if (failed) {
			/* Not part of the budget, but without it nothing may be handled. */
			if (e->starved)
				least_bytes = least_records = 0;
			continue;
		}
		if (free_bytes < least_bytes)
			least_bytes = free_bytes;
		if (free_records < least_records)
			least_records = free_records;
	}
	s->room_bytes = least_bytes;
	s->room_records = least_records;
}

static bool take_room(struct sz_stage *s, uint64_t bytes, uint64_t records)
{
	if (sz_unlikely(s->room_bytes < bytes || s->room_records < records)) {
		measure_room(s, bytes, records);
		if (s->room_bytes < bytes || s->room_records < records) {
			s->waiting.room = true;
			sz_room_reset(s);
			return false;
		}
	}
	return true;
}

/* Room on every blocking edge of one port? */
static bool port_room(struct sz_stage *s, uint32_t port, uint64_t bytes)
{
	const struct sz_port_edges *p = &s->port[port];
	bool room = true;

	for (uint32_t i = 0; i < p->count; i++) {
		struct sz_edge *e = s->by_port[p->first + i];
		int rc = blocks(e) ? sz_lane_room(e->lane, bytes, 1) : 1;

		if (rc < 0)
			sz_ring_bell(s);
		e->starved = rc != 1 && blocks(e);
		room &= !e->starved;
	}
	s->waiting.room |= !room;
	return room;
}

bool sz_room_for_call(struct sz_stage *s, uint32_t len)
{
	uint32_t emits = s->ops->emits;
	uint64_t space;

	if (s->n_edges == 0)
		return true;
	if (emits == SZ_EMITS_IF_ROOM) /* an envelope always has its room */
		return !s->failed_port || port_room(s, s->failed_port, s->fail_space);
	if (emits == SZ_EMITS_INPUT) {
		emits = 1;
		space = sz_record_space(len);
	} else {
		space = emits * sz_record_space(s->wiring->max_out);
	}
	return take_room(s, space, emits);
}

bool sz_can_emit(struct sz_stage *s, uint32_t len)
{
	return s->n_edges == 0 || take_room(s, sz_record_space(len), 1);
}

bool sz_can_emit_on(struct sz_stage *s, uint32_t port, uint32_t len)
{
	return port_room(s, port, sz_record_space(len));
}

bool sz_wired(const struct sz_stage *s, uint32_t port)
{
	return port < SZ_PORTS_MAX && s->port[port].count > 0;
}

void sz_emit_time(struct sz_stage *s, uint64_t time_ns)
{
	s->emit_time_ns = time_ns;
}

/* The lane of an edge that takes a record of len now, or NULL: the edge drops it. */
static struct sz_lane *lane_for(struct sz_edge *e, uint32_t len)
{
	struct sz_lane *lane = e->lane;

	if (sz_unlikely(lane->peer_flags & SZ_LANE_ENDED)) {
		e->counters[SZ_E_DROPPED_DETACHED]++;
		return NULL;
	}
	if (e->overflow == SZ_OVERFLOW_DROP_NEWEST &&
	    sz_lane_room(lane, sz_record_space(len), 1) != 1) {
		if (lane->peer_flags & SZ_LANE_ENDED)
			e->counters[SZ_E_DROPPED_DETACHED]++;
		else
			e->counters[SZ_E_DROPPED_NEWEST]++;
		return NULL;
	}
	return lane;
}

static inline void emit_on(struct sz_stage *s, struct sz_edge *e, const void *data, uint32_t len)
{
	struct sz_lane *lane;

	e->counters[SZ_E_OFFERED]++;
	e->counters[SZ_E_OFFERED_BYTES] += len;
	lane = lane_for(e, len);
	if (!lane)
		return;
	SZ_ASSERT(len <= lane->max_record && sz_lane_has_room(lane, sz_record_space(len), 1));
	if (len)
		memcpy(sz_lane_reserve(lane, len), data, len);
	else
		sz_lane_reserve(lane, 0);
	sz_lane_commit(lane, len, SZ_RECORD_DATA, s->emit_time_ns);
	e->counters[SZ_E_PUBLISHED]++;
}

static inline void account(struct sz_stage *s, uint32_t port, uint32_t len)
{
	uint64_t space = sz_record_space(len);

	if (!s->failed_port || port != s->failed_port) {
		s->room_bytes -= s->room_bytes < space ? s->room_bytes : space;
		s->room_records -= s->room_records > 0;
		s->ledger.counters[SZ_C_RECORDS_OUT]++;
		s->ledger.counters[SZ_C_BYTES_OUT] += len;
	} else {
		sz_room_reset(s); /* measure again whether another envelope fits */
	}
	s->dirty = true;
}

void sz_emit(struct sz_stage *s, uint32_t port, const void *data, uint32_t len)
{
	const struct sz_port_edges *p = &s->port[port];

	SZ_ASSERT(port < s->n_ports);
	for (uint32_t i = 0; i < p->count; i++)
		emit_on(s, s->by_port[p->first + i], data, len);
	account(s, port, len);
}

/*
 * The record is built in the first edge's lane and copied to the others from there. Where that edge cannot take it,
 * or where there is none, it is built in a scratch buffer.
 */
static uint8_t *scratch(struct sz_stage *s, uint32_t len)
{
	static uint8_t *buf;
	static uint32_t size;

	if (len > size) {
		free(buf);
		size = len < 65536 ? 65536 : len;
		buf = malloc(size);
		SZ_ASSERT(buf);
	}
	return buf;
}

uint8_t *sz_reserve(struct sz_stage *s, uint32_t port, uint32_t len)
{
	const struct sz_port_edges *p = &s->port[port];

	SZ_ASSERT(port < s->n_ports);
	if (p->count > 0 && blocks(s->by_port[p->first])) {
		SZ_ASSERT(len <= s->by_port[p->first]->lane->max_record &&
			  sz_lane_has_room(s->by_port[p->first]->lane, sz_record_space(len), 1));
		return sz_lane_reserve(s->by_port[p->first]->lane, len);
	}
	return scratch(s, len);
}

void sz_commit(struct sz_stage *s, uint32_t port, uint32_t len)
{
	const struct sz_port_edges *p = &s->port[port];
	uint32_t i = 0;
	const uint8_t *data;

	if (p->count > 0 && blocks(s->by_port[p->first])) {
		struct sz_edge *e = s->by_port[p->first];

		data = e->lane->data + (e->lane->pos & e->lane->mask) + SZ_RECORD_HEADER;
		sz_lane_commit(e->lane, len, SZ_RECORD_DATA, s->emit_time_ns);
		e->counters[SZ_E_OFFERED]++;
		e->counters[SZ_E_OFFERED_BYTES] += len;
		e->counters[SZ_E_PUBLISHED]++;
		i = 1;
	} else {
		data = scratch(s, len);
	}
	for (; i < p->count; i++)
		emit_on(s, s->by_port[p->first + i], data, len);
	account(s, port, len);
}

bool sz_all_outputs_closed(struct sz_stage *s)
{
	bool any = false;

	for (uint32_t i = 0; i < s->n_edges; i++) {
		struct sz_edge *e = &s->edges[i];

		if (is_failed_edge(s, e))
			continue;
		if (!(e->lane->peer_flags & SZ_LANE_ENDED))
			return false;
		any = true;
	}
	return any;
}
