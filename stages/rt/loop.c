/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop.c - turns, commits, the run state
 *
 * Crash points of a turn (docs/RECOVERY.md): before the epoch store nothing of it happened; after it everything has,
 * and recovery publishes; after publication only wakes and submissions are missing: recovery wakes everybody, and init()
 * submits what the state says was wanted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "rt.h"

#define BATCH_MAX   1024u
#define BATCH_START 64u
/* a consumer starts on the first records while the next are made */
#define PRODUCE_MAX_BYTES (128u << 10)
#define TURN_LONG_NS      1000000ull /* a turn should not take longer: neighbours wait for its commit */
#define TURN_SHORT_NS     250000ull
#define STATS_EVERY_NS    10000000ull
#define STOP_WAIT_NS      2000000000ull

static enum sz_run_state run_state(const struct sz_stage *s)
{
	return (enum sz_run_state)s->ledger.next->run_state;
}

static void set_run_state(struct sz_stage *s, enum sz_run_state to)
{
	s->ledger.next->run_state = to;
	s->dirty = true;
}

void sz_ring_bell(const struct sz_stage *s)
{
	uint64_t one = 1;

	if (s->wiring->bell_fd >= 0 && write(s->wiring->bell_fd, &one, sizeof(one)) < 0)
		return; /* the launcher is gone or has not looked yet: either way it will look */
}

static void mark_lanes(struct sz_lane *lanes, struct sz_lane_mark *marks, uint32_t n,
		       uint8_t *changed)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t word = sz_lane_word(&lanes[i]);

		changed[i] |= marks[i].word != word;
		marks[i].word = word;
		marks[i].records = lanes[i].records;
	}
}

static void publish_lanes(struct sz_lane *lanes, const struct sz_lane_mark *marks, uint32_t n,
			  const uint8_t *changed)
{
	for (uint32_t i = 0; i < n; i++)
		if (changed[i])
			sz_end_publish(lanes[i].own, marks[i].word, marks[i].records);
	/* Crash point "published n lanes": recovery publishes all of them again. */
}

void sz_rt_commit(struct sz_stage *s)
{
	struct sz_ledger *l = &s->ledger;
	int rc;

	mark_lanes(s->in, l->in, s->n_in, s->in_changed);
	mark_lanes(s->out, l->out, s->n_out, s->out_changed);
	l->next->cq_head = s->io.cq_pos;
	l->next->committed_ns = s->now_ns;
	l->counters[SZ_C_COMMITS]++;
	sz_ledger_commit(l);
	publish_lanes(s->out, l->out, s->n_out, s->out_changed);
	publish_lanes(s->in, l->in, s->n_in, s->in_changed);
	sz_wake_peers(s, run_state(s) == SZ_RUN_ENDED);
	s->dirty = false;
	if (s->ops->ring_entries) {
		rc = sz_io_submit(&s->io);
		if (rc)
			sz_give_up(s, "io_uring refuses requests: %s", strerror(-rc));
	}
	if (s->now_ns >= s->stats_due_ns) {
		s->stats_due_ns = s->now_ns + STATS_EVERY_NS;
		sz_gauges_update(s);
	}
}

/*
 * What a handler's return means where there is no record of an input: completions, timers, production, finish.
 * Return: true if it made progress.
 */
static bool outcome(struct sz_stage *s, int rc, const char *what)
{
	if (rc < 0)
		sz_give_up(s, "%s failed: %s", what,
			   s->error_text[0] ? s->error_text : strerror(-rc));
	if (rc > SZ_SKIP)
		sz_give_up(s, "%s returned %d, which means nothing", what, rc);
	if (rc == SZ_WAIT) {
		s->waiting.io = true;
		return false;
	}
	s->dirty = true;
	return true;
}

static bool completions(struct sz_stage *s)
{
	bool progress = false;
	uint32_t request;
	int result;

	while (sz_io_next(&s->io, &request, &result)) {
		s->emit_time_ns = s->now_ns;
		outcome(s, s->ops->complete(s, request, result), "completion of a request");
		s->dirty = progress = true;
	}
	return progress;
}

static enum sz_ended_by ended_by(const struct sz_stage *s)
{
	if (s->draining)
		return SZ_ENDED_BY_DRAIN;
	for (uint32_t i = 0; i < s->n_in; i++)
		if (!s->in_ended[i])
			return SZ_ENDED_BY_ITSELF;
	return s->n_in ? SZ_ENDED_BY_INPUTS : SZ_ENDED_BY_ITSELF;
}

/* Nothing more is taken or made. The turn ends with that: it is committed before finish() does anything. */
static void begin_finish(struct sz_stage *s)
{
	s->done = true;
	for (uint32_t i = 0; i < s->n_in; i++)
		s->in[i].own_flags |= SZ_LANE_ENDED;
	s->ledger.next->ended_by = ended_by(s);
	set_run_state(s, SZ_RUN_FINISHING);
}

static bool timer(struct sz_stage *s)
{
	uint64_t due = s->ledger.next->timer_ns;

	s->tick_due = false;
	if (!due)
		return false;
	if (due > s->now_ns) {
		sz_wait_until(s, due);
		return false;
	}
	s->tick_due = true;
	if (!sz_room_for_call(s, s->wiring->max_out))
		return false;
	s->ledger.next->timer_ns = 0;
	s->emit_time_ns = s->now_ns;
	int rc = s->ops->tick(s);
	if (rc == SZ_AGAIN || rc == SZ_WAIT)
		s->ledger.next->timer_ns = due; /* not finished */
	else
		s->tick_due = false;
	if (rc == SZ_DONE)
		begin_finish(s);
	return outcome(s, rc, "tick");
}

/* Space that what was emitted so far takes in a lane, one edge a record. */
static uint64_t emitted_space(const struct sz_stage *s)
{
	const uint64_t *c = s->ledger.counters;

	return c[SZ_C_BYTES_OUT] + c[SZ_C_RECORDS_OUT] * SZ_RECORD_HEADER;
}

static bool produce(struct sz_stage *s)
{
	uint64_t start = emitted_space(s);
	bool progress = false;

	for (uint32_t n = 0; n < s->batch_limit && emitted_space(s) - start < PRODUCE_MAX_BYTES;
	     n++) {
		int rc;

		if (!sz_room_for_call(s, s->wiring->max_out))
			break;
		s->emit_time_ns = s->now_ns;
		rc = s->ops->produce(s);
		if (rc == SZ_DONE) {
			s->done = true;
			return true;
		}
		if (!outcome(s, rc, "reading"))
			break;
		progress = true;
		if (rc == SZ_AGAIN)
			break;
	}
	return progress;
}

/*
 * Records of one lane. The record being handled is named in the page before its handler runs, for the launcher to know
 * what a crash was about. Return: true if any was handled or the handler asks for a commit.
 */
static bool take_batch(struct sz_stage *s, struct sz_lane *lane, uint32_t index, uint32_t *taken)
{
	struct sz_last_words *words = &s->ledger.live->words;
	uint64_t bytes_limit = lane->limit_bytes / 8, start = lane->pos, bytes = 0, failed = 0;
	uint64_t *c = s->ledger.counters;
	uint64_t journal_per_call = s->ops->journal_per_call;
	struct sz_record r;
	uint32_t n = 0;
	bool again = false;
	int rc = 0;

	sz_store_relaxed(&words->lane, index);
	s->current = &r;
	s->current_in = index;
	while (n < s->batch_limit && lane->pos - start < bytes_limit) {
		int got = sz_lane_peek(lane, &r);

		if (got <= 0) {
			if (got < 0)
				sz_ring_bell(s);
			break;
		}
		if (!sz_room_for_call(s, r.len))
			break;
		if (journal_per_call &&
		    s->ledger.h.journal_bytes - s->ledger.journal_used < journal_per_call) {
			again = true; /* a commit empties the journal */
			break;
		}
		sz_store_relaxed(&words->pos, lane->pos);
		s->emit_time_ns = r.time_ns;
		rc = s->ops->record(s, &r);
		if (sz_unlikely(rc != SZ_OK)) {
			if (rc == SZ_AGAIN || rc == SZ_WAIT || rc == SZ_SKIP)
				break;
			if (rc > SZ_SKIP)
				sz_give_up(s, "record() returned %d, which means nothing", rc);
			if (rc < 0) {
				sz_fail_current(s, -rc);
				failed++;
			}
		}
		sz_lane_release(lane, r.len);
		bytes += r.len;
		n++;
		if (rc == SZ_DONE)
			break;
	}
	s->current = NULL;
	sz_store_relaxed(&words->lane, SZ_LANES_MAX);
	c[SZ_C_RECORDS_IN] += n;
	c[SZ_C_BYTES_IN] += bytes;
	c[SZ_C_HANDLED] += n - failed;
	c[SZ_C_FAILED] += failed;
	*taken = n;
	s->done |= rc == SZ_DONE;
	if (rc == SZ_WAIT)
		s->waiting.io = true;
	s->in_skipped[index] = rc == SZ_SKIP;
	again |= rc == SZ_AGAIN;
	s->dirty |= n > 0 || again;
	return n > 0 || again;
}

/* Ask the inputs in turn until one makes progress. *retry: one has ended, and what was skipped may have waited for it. */
static bool ask_inputs(struct sz_stage *s, bool *retry)
{
	bool progress = false, any_ended = false, any_skipped = false;

	memset(s->in_skipped, 0, s->n_in * sizeof(*s->in_skipped));
	for (uint32_t k = 0; k < s->n_in && !progress; k++) {
		uint32_t i = (s->next_in + k) % s->n_in, taken = 0;
		struct sz_record probe;

		if (s->in_ended[i])
			continue;
		progress = take_batch(s, &s->in[i], i, &taken);
		if (progress)
			s->next_in = i + 1; /* fair turns */
		else if (sz_lane_peek(&s->in[i], &probe) == 0 && sz_lane_ended(&s->in[i]))
			s->in_ended[i] = any_ended = true;
		any_skipped |= s->in_skipped[i];
		if (s->waiting.room || s->waiting.io)
			break;
	}
	*retry = any_ended && any_skipped;
	return progress;
}

static bool take_input(struct sz_stage *s)
{
	bool progress, retry, all_ended = true;

	do {
		progress = ask_inputs(s, &retry);
	} while (!progress && retry);
	for (uint32_t i = 0; i < s->n_in; i++)
		all_ended &= s->in_ended[i];
	if (all_ended)
		s->done = true;
	if (!progress && !all_ended && !s->waiting.room && !s->waiting.io)
		s->waiting.input = true;
	return progress || all_ended;
}

/* The batch grows while turns are short and full, and shrinks when they are long. */
static void adapt_batch(struct sz_stage *s, bool slept)
{
	uint64_t took = s->now_ns - s->turn_start_ns;

	if (slept)
		return;
	if (took > TURN_LONG_NS && s->batch_limit > 1)
		s->batch_limit /= 2;
	else if (took < TURN_SHORT_NS && s->batch_limit < BATCH_MAX)
		s->batch_limit *= 2;
}

static bool running(struct sz_stage *s)
{
	bool progress = s->ops->role == SZ_SOURCE ? produce(s) : take_input(s);

	if (!progress && s->ops->idle && !s->waiting.room) {
		int rc = s->ops->idle(s);

		s->done |= rc == SZ_DONE;
		if (rc == SZ_OK)
			s->dirty = progress = true;
	}

	/* Nobody wants what this stage makes: as with head, that is a reason to end, not a failure. */
	if (!s->done && s->n_edges && sz_all_outputs_closed(s))
		s->done = true;
	if (!s->done)
		return progress;
	begin_finish(s);
	return true;
}

static bool finishing(struct sz_stage *s)
{
	if (s->ops->finish) {
		if (!sz_room_for_call(s, s->wiring->max_out))
			return false;
		s->emit_time_ns = s->now_ns;
		int rc = s->ops->finish(s);
		if (rc != SZ_OK && rc != SZ_DONE)
			return outcome(s, rc, "the end");
	}
	if (s->io.inflight || s->io.queued) {
		s->waiting.io = true;
		return false;
	}
	for (uint32_t i = 0; i < s->n_out; i++)
		s->out[i].own_flags |= SZ_LANE_ENDED;
	set_run_state(s, SZ_RUN_ENDED);
	return true;
}

enum sz_turn sz_rt_turn(struct sz_stage *s)
{
	bool progress = false, slept = s->turn_start_ns == 0;
	enum sz_run_state began = run_state(s);

	memset(&s->waiting, 0, sizeof(s->waiting));
	for (uint32_t i = 0; i < s->n_edges; i++)
		s->edges[i].starved = false; /* what an older turn lacked is not waited for */
	s->now_ns = sz_clock_now();
	adapt_batch(s, slept);
	s->turn_start_ns = s->now_ns;
	if (s->io.inflight || s->io.watching)
		progress |= completions(s);
	s->dirty |= sz_io_wants_commit(&s->io, s->ledger.next->cq_head);
	if (s->ops->tick && began == SZ_RUN_RUNNING)
		progress |= timer(s);
	if (run_state(s) == SZ_RUN_RUNNING && !s->tick_due)
		progress |= running(s);
	else if (began == SZ_RUN_FINISHING)
		progress |= finishing(s);
	if (s->dirty || s->io.pending)
		sz_rt_commit(s);
	if (run_state(s) == SZ_RUN_ENDED)
		return SZ_TURN_ENDED;
	if (!progress && s->io.inflight)
		s->waiting.io = true;
	return progress ? SZ_TURN_PROGRESS : SZ_TURN_WAIT;
}

/* Begin a life: init, then a commit that says so; the launcher takes the first commit for readiness. */
int sz_rt_start(struct sz_stage *s)
{
	int rc = sz_rt_check_emits(s);

	s->now_ns = sz_clock_now();
	s->batch_limit = BATCH_START;
	if (!rc && run_state(s) != SZ_RUN_ENDED && s->ops->init)
		rc = s->ops->init(s);
	if (rc < 0)
		return rc;
	if (run_state(s) == SZ_RUN_FRESH)
		s->ledger.next->run_state = SZ_RUN_RUNNING;
	if (run_state(s) == SZ_RUN_RUNNING)
		s->ledger.next->ended_by = SZ_ENDED_BY_NOTHING;
	sz_rt_commit(s);
	sz_ring_bell(s);
	return 0;
}

static enum sz_command command(const struct sz_stage *s)
{
	if (getppid() != s->wiring->launcher_pid)
		return SZ_CMD_STOP;
	return s->ctl ? (enum sz_command)sz_load_acquire(&s->ctl->command) : SZ_CMD_RUN;
}

/*
 * Stop: the last commit already says where to go on. Requests in flight are called back and their results committed,
 * so that what the outside has seen or given is not in doubt when the instance goes away with a dead launcher.
 */
static int stop(struct sz_stage *s)
{
	uint64_t give_up_ns = sz_clock_now() + STOP_WAIT_NS;

	for (uint32_t i = 0; i < s->ops->ring_entries; i++)
		if (s->io.request[i].submitted)
			sz_io_queue_cancel(&s->io, i);
	if (s->io.pending)
		sz_io_submit(&s->io);
	while (s->io.inflight && sz_clock_now() < give_up_ns) {
		memset(&s->waiting, 0, sizeof(s->waiting));
		s->waiting.io = true;
		sz_wait_until(s, give_up_ns);
		if (completions(s)) {
			/* Requests that the handlers asked for in answer are not submitted: no commit, no submission. */
			for (uint32_t i = 0; i < s->ops->ring_entries; i++)
				s->io.request[i].queued = false;
			s->io.queued = 0;
			s->io.pending = false;
			sz_rt_commit(s);
		} else {
			sz_sleep(s);
		}
	}
	sz_gauges_update(s);
	return SZ_EXIT_STOPPED;
}

int sz_rt_run(struct sz_stage *s)
{
	for (;;) {
		enum sz_turn turn;

		if (sz_attention_taken()) {
			switch (command(s)) {
			case SZ_CMD_STOP: return stop(s);
			case SZ_CMD_DRAIN:
				s->draining = s->ops->role == SZ_SOURCE;
				if (s->draining && !s->ops->ring_entries)
					s->done = true;
				break;
			case SZ_CMD_RUN: break;
			}
		}
		turn = sz_rt_turn(s);
		if (turn == SZ_TURN_ENDED)
			break;
		if (turn == SZ_TURN_WAIT) {
			sz_sleep(s);
			s->turn_start_ns = 0;
		}
	}
	sz_wake_peers(s, true);
	sz_gauges_update(s);
	if (s->ops->fini)
		s->ops->fini(s);
	return SZ_EXIT_ENDED;
}
