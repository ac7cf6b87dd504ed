/* SPDX-License-Identifier: BSD-2-Clause */
/* api.c - the small calls of stage.h */
#include <streamz/mix.h>

#include "rt.h"

const struct sz_value *sz_option(const struct sz_stage *s, const char *name)
{
	return sz_value_of(s->ops, s->values, name);
}

const char *sz_pipeline_name(const struct sz_stage *s)
{
	return sz_wire_text(s->wiring, s->wiring->pipeline);
}

const char *sz_stage_name(const struct sz_stage *s)
{
	return sz_wire_text(s->wiring, s->wiring->stage);
}

uint32_t sz_worker_number(const struct sz_stage *s)
{
	return s->wiring->worker;
}

uint32_t sz_worker_count(const struct sz_stage *s)
{
	return s->wiring->n_workers;
}

uint32_t sz_max_in(const struct sz_stage *s)
{
	return s->wiring->max_in;
}

uint32_t sz_max_out(const struct sz_stage *s)
{
	return s->wiring->max_out;
}

uint32_t sz_input(const struct sz_stage *s)
{
	SZ_ASSERT(s->current);
	return s->current_in;
}

uint32_t sz_input_count(const struct sz_stage *s)
{
	return s->n_in;
}

const char *sz_input_stage(const struct sz_stage *s, uint32_t input)
{
	const struct sz_wire_lane *wires = sz_wire_at(s->wiring, s->wiring->in_at);

	SZ_ASSERT(input < s->n_in);
	return sz_wire_text(s->wiring, wires[input].peer);
}

bool sz_input_ended(const struct sz_stage *s, uint32_t input)
{
	SZ_ASSERT(input < s->n_in);
	return s->in_ended[input];
}

bool sz_first_life(const struct sz_stage *s)
{
	return s->first_life;
}

bool sz_draining(const struct sz_stage *s)
{
	return s->draining;
}

void *sz_state(struct sz_stage *s)
{
	return s->ledger.state;
}

const void *sz_committed_state(const struct sz_stage *s)
{
	const uint8_t *slot = (const uint8_t *)sz_ledger_slot(&s->ledger);

	return slot + ((const uint8_t *)s->ledger.state - (const uint8_t *)s->ledger.next);
}

void *sz_private(struct sz_stage *s)
{
	return s->private_area;
}

void *sz_arena(struct sz_stage *s)
{
	return s->ledger.arena;
}

uint64_t sz_arena_bytes(const struct sz_stage *s)
{
	return s->ledger.h.arena_bytes;
}

void sz_journal(struct sz_stage *s, const void *at, size_t len)
{
	int rc = sz_ledger_journal(&s->ledger, at, len);

	SZ_ASSERT(rc == 0);
}

void sz_count(struct sz_stage *s, uint32_t counter, uint64_t n)
{
	SZ_ASSERT(counter < s->ops->n_counters);
	s->ledger.counters[sz_counter_count(s->n_edges, counter)] += n;
}

void sz_hold(struct sz_stage *s, int64_t n)
{
	s->ledger.counters[SZ_C_HELD] += (uint64_t)n;
	s->ledger.counters[SZ_C_HANDLED] -= (uint64_t)n;
}

void sz_count_in(struct sz_stage *s, uint64_t records, uint64_t bytes)
{
	s->ledger.counters[SZ_C_RECORDS_IN] += records;
	s->ledger.counters[SZ_C_BYTES_IN] += bytes;
	s->ledger.counters[SZ_C_HANDLED] += records;
}

void sz_count_out(struct sz_stage *s, uint64_t records, uint64_t bytes)
{
	s->ledger.counters[SZ_C_RECORDS_OUT] += records;
	s->ledger.counters[SZ_C_BYTES_OUT] += bytes;
}

void sz_progress(struct sz_stage *s, uint64_t done, uint64_t total)
{
	s->gauges[SZ_G_PROGRESS] = done;
	s->gauges[SZ_G_PROGRESS_TOTAL] = total;
}

uint64_t sz_now(const struct sz_stage *s)
{
	return s->now_ns;
}

uint64_t sz_random(struct sz_stage *s)
{
	uint64_t number = sz_mix64(s->ledger.next->random);

	s->ledger.next->random += SZ_MIX64_STEP;
	return number;
}

/* Lemire, "Fast Random Integer Generation in an Interval", 2019. */
uint64_t sz_random_below(struct sz_stage *s, uint64_t n)
{
	unsigned __int128 m = (unsigned __int128)sz_random(s) * n;

	if ((uint64_t)m < n) {
		uint64_t floor = -n % n;

		while ((uint64_t)m < floor)
			m = (unsigned __int128)sz_random(s) * n;
	}
	return (uint64_t)(m >> 64);
}

void sz_wait_until(struct sz_stage *s, uint64_t time_ns)
{
	if (!s->waiting.until_ns || time_ns < s->waiting.until_ns)
		s->waiting.until_ns = time_ns;
}

void sz_timer(struct sz_stage *s, uint64_t time_ns)
{
	s->ledger.next->timer_ns = time_ns;
	s->dirty = true;
}

static void check_request(const struct sz_stage *s, uint32_t request)
{
	SZ_ASSERT(request < s->ops->ring_entries);
	SZ_ASSERT(!s->io.request[request].queued && !s->io.request[request].submitted);
}

void sz_io_read(struct sz_stage *s, uint32_t request, int fd, void *buf, uint32_t len,
		uint64_t offset, unsigned flags)
{
	check_request(s, request);
	sz_io_queue(&s->io, request, SZ_IO_READ, fd, buf, len, offset, flags);
}

void sz_io_write(struct sz_stage *s, uint32_t request, int fd, const void *buf, uint32_t len,
		 uint64_t offset, unsigned flags)
{
	check_request(s, request);
	sz_io_queue(&s->io, request, SZ_IO_WRITE, fd, (void *)(uintptr_t)buf, len, offset, flags);
}

void sz_io_sync(struct sz_stage *s, uint32_t request, int fd, unsigned flags)
{
	check_request(s, request);
	sz_io_queue(&s->io, request, SZ_IO_SYNC, fd, NULL, 0, 0, flags);
}

void sz_io_poll(struct sz_stage *s, uint32_t request, int fd, short events, unsigned flags)
{
	check_request(s, request);
	sz_io_queue(&s->io, request, SZ_IO_POLL, fd, NULL, (uint16_t)events, 0, flags);
}

void sz_io_cancel(struct sz_stage *s, uint32_t request)
{
	SZ_ASSERT(request < s->ops->ring_entries);
	if (s->io.request[request].submitted)
		sz_io_queue_cancel(&s->io, request);
}

int sz_io_recovered(struct sz_stage *s, uint32_t request, int *result)
{
	SZ_ASSERT(request < s->ops->ring_entries);
	if (s->io.recovered[request] < 0)
		return 0;
	*result = s->io.recovered[request];
	return 1;
}

uint32_t sz_io_inflight(const struct sz_stage *s)
{
	return s->io.inflight + s->io.queued;
}
