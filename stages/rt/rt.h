/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rt.h - the runtime's private view of a stage
 *
 * One turn of the loop (loop.c): completions, timer, a batch of input (or of production), commit, publication, wakes,
 * submission. Between two commits everything a handler does lies in three places: the image of the next slot, lanes
 * beyond their tails, and the arena with its journal. So a turn has exactly one point at which it becomes true.
 *
 *   RUNNING --(all inputs ended | source returned SZ_DONE)--> FINISHING --(finish() returned SZ_OK, no request in
 *   flight)--> ENDED; each arrow is a commit. Moved by turn() alone.
 */
#ifndef STREAMZ_RT_H
#define STREAMZ_RT_H

#include <signal.h>
#include <streamz/contract.h>
#include <streamz/stage.h>

#include "../uring/io.h"

/* Guarantees of our own code, always checked. Never for what a peer can write. */
#define SZ_ASSERT(cond)                                              \
	do {                                                         \
		if (sz_unlikely(!(cond)))                            \
			sz_assert_failed(#cond, __FILE__, __LINE__); \
	} while (0)
void sz_assert_failed(const char *cond, const char *file, int line) __attribute__((noreturn));

struct sz_edge {
	uint32_t port;
	enum sz_overflow overflow;
	struct sz_lane *lane;
	uint64_t *counters; /* SZ_E_FIXED of them, in the image */
	bool starved;       /* lacked room when it was last measured */
};

struct sz_port_edges {
	uint32_t first, count; /* in sz_stage.by_port */
};

/* What a turn that made no progress waits for. */
struct sz_waiting {
	bool input;        /* records on any input but the skipped ones */
	bool io;           /* a completion */
	bool room;         /* every blocking output needs room: watch those that lack it */
	uint64_t until_ns; /* CLOCK_REALTIME, 0: none */
};

struct sz_stage {
	const struct sz_stage_ops *ops;
	const struct sz_wiring *wiring;
	struct sz_value *values; /* parallel to ops->options */
	const struct sz_ctl *ctl;
	struct sz_ledger ledger;
	struct sz_stats stats;
	struct sz_io io;
	void *private_area;
	int lock_fd; /* open as long as this life lasts */

	struct sz_lane *in;
	uint32_t n_in, next_in;
	bool *in_ended, *in_skipped;
	struct sz_lane *out;
	uint32_t n_out;
	struct sz_edge *edges;
	uint32_t n_edges;
	struct sz_edge **by_port;
	struct sz_port_edges port[SZ_PORTS_MAX];
	uint32_t n_ports;     /* that the type has, the default one included */
	uint32_t failed_port; /* 0: none */

	uint64_t now_ns, turn_start_ns;
	uint64_t emit_time_ns;
	/* known to be free on every blocking edge but the failed ones */
	uint64_t room_bytes, room_records;
	uint64_t fail_space; /* what one envelope takes */
	uint32_t batch_limit;
	bool draining, first_life, dirty, done;
	bool tick_due;       /* a tick is due or unfinished: no input before it */
	uint32_t current_in; /* input of the record being handled */
	struct sz_waiting waiting;
	char error_text[256];
	const struct sz_record *current;

	uint64_t gauges[SZ_G_FIXED];
	uint64_t stats_due_ns;
	struct sz_spinner spinner;
	uint64_t unwoken_since_ns; /* oldest publication a parked peer was not woken for, 0: none */
	uint8_t *out_changed, *in_changed, *out_unwoken, *in_unwoken;
	uint64_t started_ns; /* CLOCK_MONOTONIC */
};

/* Does it lead from the failed port? */
static inline bool is_failed_edge(const struct sz_stage *s, const struct sz_edge *e)
{
	return s->failed_port && e->port == s->failed_port;
}

/* setup.c */
/* All options of a type, wired or by default; freed by the caller. Return: 0; or -EINVAL, -ERANGE, -ENOMEM, @error set,
 * and @option: the one that is wrong, "" where none is. */
int sz_values_parse(const struct sz_stage_ops *ops, const struct sz_wiring *w,
		    struct sz_value **out, char error[SZ_VALUE_ERROR_SIZE], const char **option);
/* The value of a declared option; values are parallel to ops->options. */
const struct sz_value *sz_value_of(const struct sz_stage_ops *ops, const struct sz_value *values,
				   const char *name);
int sz_check_main(const struct sz_stage_ops *ops, const struct sz_wiring *w);
int sz_describe_main(const struct sz_stage_ops *const *types);

/* attach.c */
int sz_rt_attach(struct sz_stage *s, const struct sz_stage_ops *ops, const struct sz_wiring *w);
void sz_rt_detach(struct sz_stage *s);
/* 0, -E2BIG with sz_error() set. */
int sz_rt_check_emits(struct sz_stage *s);

/* loop.c */
int sz_rt_run(struct sz_stage *s);
/* One turn without sleeping. SZ_TURN_WAIT: s->waiting says for what. */
enum sz_turn { SZ_TURN_PROGRESS, SZ_TURN_WAIT, SZ_TURN_ENDED };
enum sz_turn sz_rt_turn(struct sz_stage *s);
int sz_rt_start(struct sz_stage *s);
void sz_rt_commit(struct sz_stage *s);
/* Make the launcher look at this worker. */
void sz_ring_bell(const struct sz_stage *s);

/* emit.c */
/* Room for a handler call about a record of len bytes? If not, s->waiting.room is set. */
bool sz_room_for_call(struct sz_stage *s, uint32_t len);
void sz_room_reset(struct sz_stage *s);
bool sz_all_outputs_closed(struct sz_stage *s);

/* fail.c */
void sz_fail_current(struct sz_stage *s, int error);

/* sleep.c */
void sz_wake_peers(struct sz_stage *s, bool all);
void sz_sleep(struct sz_stage *s);
void sz_gauges_update(struct sz_stage *s);
void sz_attention_init(void);
bool sz_attention_taken(void);
uint64_t sz_clock_now(void);
/* Tests set it; NULL: CLOCK_REALTIME. */
extern uint64_t (*sz_clock_hook)(void);

#endif
