/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stage.h - how to write a stage
 *
 * A stage is a table of functions (struct sz_stage_ops). The runtime owns the loop: it takes records from the inputs,
 * calls the handler, commits what the handler emitted and changed together with the input's position, wakes the
 * neighbours, submits I/O, sleeps. A handler neither blocks nor sleeps, and it may be killed at any instruction: what
 * it did since the last commit then never happened, and its successor is given the same records again.
 *
 * Three places to keep things
 *   sz_state()	small, fixed size, part of every commit: change it freely. After a kill it is as last committed.
 *   sz_arena()	large, shared memory. Call sz_journal() before overwriting committed bytes, or use a region
 *			append-only: bytes beyond a length kept in the state do not exist, and space is reused only after
 *			the commit that gave it up (sz_committed_state() tells what is committed).
 *   sz_private()	heap memory of this life: caches, compiled patterns, library handles. init() rebuilds it.
 *
 * docs/STAGES.md is the tutorial; streamz-stages(7) lists the built-in types.
 */
#ifndef STREAMZ_STAGE_H
#define STREAMZ_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <streamz/catalog.h>
#include <streamz/lane.h>
#include <streamz/option.h>
#include <streamz/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bumped when struct sz_stage_ops or the meaning of a call changes. */
#define SZ_STAGE_API 1u

struct sz_stage;
struct sz_plan;

/*
 * What handlers return. A negative errno means that this record failed: the runtime writes an envelope to the port
 * "failed" and goes on with the next one; where the type has no such port the stage gives up.
 */
enum sz_result {
	SZ_OK = 0,
	/* not finished: commit, then call again with the same record (the cursor is in the state) */
	SZ_AGAIN = 1,
	SZ_WAIT =
		2, /* not now: call again when the deadline (sz_wait_until) has passed, a request completed, or there
			 is the room that sz_can_emit() did not find */
	/* a source: nothing more to come. Others: this record was the last one wanted (as head does) */
	SZ_DONE = 3,
	/* not this record yet: it stays in its lane, the other inputs go on; asked again each turn */
	SZ_SKIP = 4,
};

/* .emits: at most one record a call on each port, no longer than the record being handled. */
#define SZ_EMITS_INPUT 0u
/*
 * .emits: no room is guaranteed, so a full output does not keep input away. The handler asks sz_can_emit() before each
 * record it emits; what it cannot emit it keeps, or it returns SZ_WAIT to be called again when there is room.
 */
#define SZ_EMITS_IF_ROOM UINT32_MAX

/**
 * struct sz_stage_ops - a stage type
 * @api:		SZ_STAGE_API
 * @name:		the TYPE in graph.conf
 * @role:		what it may be declared as
 * @type_flags:		SZ_TYPE_*
 * @summary:		one line for `streamz types`
 * @options:		ends with a NULL name; NULL: none
 * @ports:		named ports; index 1 is the first of them, 0 the default port. NULL: none
 * @counters:		counters of its own, sz_count(); kind SZ_STAT_COUNTER
 * @n_counters:		how many
 * @state_bytes:	size of the small state, at most SZ_STATE_MAX; zeroed at the very first start
 * @private_bytes:	size of sz_private(), zeroed in every life
 * @emits:		most records a call emits on any one port, each at most max_out long, or SZ_EMITS_INPUT. The
 *			runtime calls a handler only when every blocking output has that room. SZ_EMITS_IF_ROOM: the
 *			handler looks itself
 * @journal_per_call:	most journal bytes a call uses: the sum of sz_journal_cost() of what it saves
 * @ring_entries:	> 0: it does I/O and may have so many requests in flight (< SZ_INFLIGHT_MAX - 1)
 * @plan:		check the options, say what is needed. Runs in a process of its own before anything starts;
 *			may look at files, must not change anything. NULL: nothing to check
 * @init:		a life begins: open files, compile patterns, take up what sz_state() says
 * @record:		handle one record. NULL for sources
 * @produce:		sources: emit some records if there are any. Called again and again
 * @complete:		a request of this life has completed with what the system call would have returned; changes the
 *			state, asks for more I/O, emits nothing
 * @tick:		the time set by sz_timer() has come; it is not set any more. Comes before input: while a tick is
 *			due, or has returned SZ_AGAIN or SZ_WAIT, record and produce are not called. SZ_DONE: no more
 *			input wanted, a source: nothing more to come
 * @idle:		no input is waiting and the runtime is about to sleep: pass on what was held back for efficiency.
 *			Returns SZ_OK if it did something that wants a commit, SZ_WAIT if not, SZ_DONE: no more input
 *			wanted
 * @finish:		all inputs have ended: emit what is left. SZ_AGAIN and SZ_WAIT as usual, SZ_OK: all done
 * @fini:		an orderly end of the process; not called when it is killed
 */
struct sz_stage_ops {
	uint32_t api;
	enum sz_role role;
	const char *name;
	const char *summary;
	unsigned type_flags;
	const struct sz_option *options;
	const struct sz_port *ports;
	const struct sz_stat_desc *counters;
	uint32_t n_counters;
	uint32_t state_bytes;
	uint32_t private_bytes;
	uint32_t emits;
	uint32_t journal_per_call;
	uint32_t ring_entries;
	int (*plan)(struct sz_plan *plan);
	int (*init)(struct sz_stage *s);
	int (*record)(struct sz_stage *s, const struct sz_record *r);
	int (*produce)(struct sz_stage *s);
	int (*complete)(struct sz_stage *s, uint32_t request, int result);
	int (*tick)(struct sz_stage *s);
	int (*idle)(struct sz_stage *s);
	int (*finish)(struct sz_stage *s);
	void (*fini)(struct sz_stage *s);
};

/**
 * sz_stage_main() - the whole main() of a stage program
 * @types:	ends with NULL
 *
 * Return: the process's exit status (contract.h).
 */
int sz_stage_main(int argc, char **argv, const struct sz_stage_ops *const *types);

/* A plug-in (.so) exports this: its types, ending with NULL. */
extern const struct sz_stage_ops *const sz_stage_types[];

/*
 * plan(): options and needs
 */
const struct sz_value *sz_plan_option(const struct sz_plan *p, const char *name);
enum sz_role sz_plan_role(const struct sz_plan *p);
const char *sz_plan_pipeline(const struct sz_plan *p);
const char *sz_plan_stage(const struct sz_plan *p);
/* The pipeline goes on where it was stopped: files that it made exist, those it has read may be gone. */
bool sz_plan_resuming(const struct sz_plan *p);
/* Longest record that can arrive, bytes; for a source, what it should keep its records to. */
uint32_t sz_plan_max_in(const struct sz_plan *p);
/* Longest record this stage will emit; max_in if not said. A max_record= in the graph overrides it. */
void sz_plan_max_out(struct sz_plan *p, uint32_t bytes);
void sz_plan_arena(struct sz_plan *p, uint64_t bytes);
/* Room for a whole batch's overwrites; a multiple of .journal_per_call, so many calls fit into one commit. */
void sz_plan_journal(struct sz_plan *p, uint64_t bytes);
/* A source: how much there is to read, for progress. */
void sz_plan_size(struct sz_plan *p, uint64_t bytes);
/* A thing of which the graph may have only one writer, and no reader beside it: "file:/abs/path". */
void sz_plan_claim(struct sz_plan *p, bool write, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Worth saying at the start. */
void sz_plan_note(struct sz_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Refuse: the message names what, what was expected and what to do. Return: -EINVAL, for `return sz_plan_error(…)`. */
int sz_plan_error(struct sz_plan *p, const char *option, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Who am I, what was I given
 */
const struct sz_value *sz_option(const struct sz_stage *s, const char *name);
const char *sz_pipeline_name(const struct sz_stage *s);
const char *sz_stage_name(const struct sz_stage *s);
uint32_t sz_worker_number(const struct sz_stage *s);
uint32_t sz_worker_count(const struct sz_stage *s);
uint32_t sz_max_in(const struct sz_stage *s);
uint32_t sz_max_out(const struct sz_stage *s);
/*
 * Inputs, numbered in the order of the graph. sz_input(): that of the record being handled; only in record().
 * sz_input_stage(): who sends there. sz_input_ended(): nothing more comes from it; as seen in this life, so a handler
 * that waits for one input and skips the others is asked again when that input ends.
 */
uint32_t sz_input(const struct sz_stage *s);
uint32_t sz_input_count(const struct sz_stage *s);
const char *sz_input_stage(const struct sz_stage *s, uint32_t input);
bool sz_input_ended(const struct sz_stage *s, uint32_t input);
/* 1 in the very first life, that is, nothing was ever committed. */
bool sz_first_life(const struct sz_stage *s);
/* An orderly end was asked for: a source returns SZ_DONE when what it has already read is emitted. */
bool sz_draining(const struct sz_stage *s);

/*
 * Keeping things
 */
void *sz_state(struct sz_stage *s);
const void *sz_committed_state(const struct sz_stage *s);
void *sz_private(struct sz_stage *s);
/* The arena is mapped twice, back to back: a ring buffer of sz_arena_bytes() bytes never has to wrap. */
void *sz_arena(struct sz_stage *s);
uint64_t sz_arena_bytes(const struct sz_stage *s);
/* Save arena bytes before their first overwrite in this call. Aborts if more than .journal_per_call is used. */
void sz_journal(struct sz_stage *s, const void *at, size_t len);
/* Add to a counter of its own. Part of the commit. */
void sz_count(struct sz_stage *s, uint32_t counter, uint64_t n);
/* Records that were taken and are kept: n more (or fewer) of them are neither handled nor failed. */
void sz_hold(struct sz_stage *s, int64_t n);

/*
 * Output. Port 0 is the default port, 1… those of .ports. Every edge leaving the port gets the record.
 */
/* Is the port wired? Saves work for an unwired one. */
bool sz_wired(const struct sz_stage *s, uint32_t port);
/* Emit a copy, with the ingest time of the record being handled (a source: now). */
void sz_emit(struct sz_stage *s, uint32_t port, const void *data, uint32_t len);
/* The same in two steps without the copy; len at commit may be shorter. No other emit on any port in between. */
uint8_t *sz_reserve(struct sz_stage *s, uint32_t port, uint32_t len);
void sz_commit(struct sz_stage *s, uint32_t port, uint32_t len);
/* Set the ingest time of what is emitted next, CLOCK_REALTIME; until the handler returns. */
void sz_emit_time(struct sz_stage *s, uint64_t time_ns);
/*
 * Room for one more record of len bytes on every blocking edge, beyond the .emits that are guaranteed? For handlers that
 * emit as much as fits: sources, flushes.
 */
bool sz_can_emit(struct sz_stage *s, uint32_t len);
/* The same for the edges of one port alone: a stage that chooses the port by its room. */
bool sz_can_emit_on(struct sz_stage *s, uint32_t port, uint32_t len);
/* Sources and sinks: count records that came from, or were delivered, outside. */
void sz_count_in(struct sz_stage *s, uint64_t records, uint64_t bytes);
void sz_count_out(struct sz_stage *s, uint64_t records, uint64_t bytes);
/* A source's progress through an input whose size is known, bytes. Not part of the commit. */
void sz_progress(struct sz_stage *s, uint64_t done, uint64_t total);

/*
 * Failing
 */
/* The text for the negative errno about to be returned; without it strerror() speaks. Return: error. */
int sz_error(struct sz_stage *s, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * Send something other than the record being handled to the failed port: a source's unreadable piece, a held record.
 * Needs the room of one record of the failed port, which every call has. data may be NULL.
 */
void sz_fail(struct sz_stage *s, int error, const void *data, uint32_t len, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* This stage cannot go on, and a restart would not help. Never returns. The text reaches the launcher and the log. */
void sz_give_up(struct sz_stage *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
/* A line on stderr: "streamz: PIPELINE/STAGE: text". */
void sz_log(const struct sz_stage *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Time and chance. Both come from the runtime so that tests can set them.
 */
uint64_t sz_now(const struct sz_stage *s); /* CLOCK_REALTIME in ns, read once a turn */
uint64_t sz_random(struct sz_stage *s); /* 64 bits; the generator's state is part of the commit */
uint64_t sz_random_below(struct sz_stage *s, uint64_t n); /* uniform in [0, n), n > 0 */
/* With SZ_WAIT: call again at this time at the latest. Published, so that nobody takes the stage for hung. */
void sz_wait_until(struct sz_stage *s, uint64_t time_ns);
/* Call tick at this time; 0: not. Part of the commit. */
void sz_timer(struct sz_stage *s, uint64_t time_ns);

/*
 * I/O. Requests are numbered by the stage, 0 … .ring_entries - 1; one of a number in flight at a time. They are
 * submitted after the commit that ends this turn: what a request is for belongs into the state before it is asked for.
 * Buffers of requests that are not SZ_IO_VOLATILE lie in the arena and are reused only after the commit that follows
 * the completion.
 *
 * After a kill: a request of the dead life was completed or cancelled before the next life starts. init() asks
 * sz_io_recovered() for each request that the state says was wanted, and submits again what has no result.
 */
/* repeatable: nobody wants the result after the death of who asked */
#define SZ_IO_VOLATILE        (1u << 0)
#define SZ_IO_AT_OWN_POSITION UINT64_MAX

void sz_io_read(struct sz_stage *s, uint32_t request, int fd, void *buf, uint32_t len,
		uint64_t offset, unsigned flags);
void sz_io_write(struct sz_stage *s, uint32_t request, int fd, const void *buf, uint32_t len,
		 uint64_t offset, unsigned flags);
void sz_io_sync(struct sz_stage *s, uint32_t request, int fd, unsigned flags);
/* Completes with the events that are there: POLLIN of a pidfd says that the process has ended. */
void sz_io_poll(struct sz_stage *s, uint32_t request, int fd, short events, unsigned flags);
void sz_io_cancel(struct sz_stage *s, uint32_t request);
/* 1 and *result (>= 0) if a request of that number of an earlier life has succeeded and was not committed. */
int sz_io_recovered(struct sz_stage *s, uint32_t request, int *result);
/* Requests asked for and not completed. */
uint32_t sz_io_inflight(const struct sz_stage *s);

#ifdef __cplusplus
}
#endif
#endif
