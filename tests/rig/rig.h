/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rig.h - one stage in the test's own process, with lanes to feed and to read, a settable clock, and sudden death
 *
 * rig_crash() ends a life as SIGKILL does: whatever was not committed is forgotten, recovery runs as in the launcher,
 * the next life takes up the ledger.
 */
#ifndef STREAMZ_TESTS_RIG_H
#define STREAMZ_TESTS_RIG_H

#include "../../stages/rt/rt.h"

#define RIG_EDGES  8
#define RIG_INPUTS 8

struct rig_edge {
	const char *port; /* "" the default port */
	enum sz_overflow overflow;
	uint64_t limit_bytes, limit_records; /* 0: 64 KiB, no limit */
};

struct rig_config {
	const struct sz_stage_ops *ops;
	const char *const *options; /* "key=value", ends with NULL; NULL: none */
	uint32_t inputs;
	struct rig_edge edges[RIG_EDGES]; /* port NULL ends */
	uint64_t arena_bytes, journal_bytes;
	uint32_t max_record; /* 0: 1024 */
	uint64_t seed;
};

struct rig {
	struct rig_config config;
	uint32_t n_edges, generation;
	int page_fd, stats_fd, in_fd[RIG_INPUTS], out_fd[RIG_EDGES];
	struct sz_lane in[RIG_INPUTS]; /* producer's ends */
	struct sz_lane out[RIG_EDGES]; /* consumer's ends */
	const struct sz_wiring *wiring;
	struct sz_stage stage;
};

extern uint64_t rig_now_ns; /* the clock; starts at 1 s */

int rig_open(struct rig *r, const struct rig_config *config);
void rig_close(struct rig *r);
/* End this life without a word, recover, begin the next. Return: what sz_rt_start() says. */
int rig_crash(struct rig *r);

/* Publish a record on an input. Return: 0, -ENOSPC. */
int rig_put(struct rig *r, uint32_t input, const void *data, uint32_t len);
int rig_puts(struct rig *r, uint32_t input, const char *text);
void rig_end(struct rig *r, uint32_t input);

/* Turns until it has to wait or has ended. */
enum sz_turn rig_run(struct rig *r);

/* Take a record of an edge: its length, or -1: none, -2: ended. */
int rig_get(struct rig *r, uint32_t edge, char *buf, uint32_t size);
/* All that is there, joined with '|', as a string in a static buffer. */
const char *rig_drain(struct rig *r, uint32_t edge);

uint64_t rig_counter(const struct rig *r, enum sz_counter c);
uint64_t rig_edge_counter(const struct rig *r, uint32_t edge, enum sz_edge_counter c);
uint64_t rig_own_counter(const struct rig *r, uint32_t index);

#endif
