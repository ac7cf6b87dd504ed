/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - one worker with its page, statistics, input and outputs, and models of its peers
 *
 *   producer model -> [in lane] -> worker (the life under test) -> [out lanes] -> consumer models
 *
 * Everything the worker should ever do follows from the case alone (struct expected), so that any image of the memory
 * can be judged: recover, go on to the end, compare. The peers' private state travels with an image, as peers live on
 * when a worker dies.
 */
#ifndef TESTS_CRASH_WORLD_H
#define TESTS_CRASH_WORLD_H

#include <streamz/contract.h>

#include "step.h"

enum {
	OUT_MAX = 3,
	RECORDS_MAX = 40,
	CELLS = 2, /* so few that a batch journals one of them twice */
	BATCH = 3,
	OWN_COUNTERS = 1,
	MAX_IN = 1000,
	MAX_OUT = MAX_IN + 8,
};

struct world_case {
	const char *name;
	unsigned n_out;
	bool journaled;
	uint64_t start_pos;
	unsigned n_records;
	unsigned len_scale; /* payloads are so many times the lengths of the table */
	uint64_t in_limit;  /* bytes a producer may fill, 0: all of the lane */
	uint64_t in_limit_records;
	uint64_t out_limit, out_limit_records;
	unsigned feed_first;     /* records in the input before the life begins */
	unsigned feed, drain;    /* most records a peer moves when the worker has nothing to do */
	unsigned batches_before; /* committed before the stepping begins */
	bool peers_parked;       /* peers sleep: publishing includes waking */
	bool deep;               /* depth 2 in the short form as well */
};

/* What the worker is made of: the real functions, or copies with one rule broken. */
enum broken {
	REAL,
	COPY, /* the test's copies, nothing broken: what is found below is found because of the break */
	EPOCH_BEFORE_SLOT,
	SLOT_IN_PLACE,
	TAIL_BEFORE_EPOCH,
	HEAD_BEFORE_EPOCH,
	STATE_NOT_JOURNALED,
	COUNTED_AFTER_OVERWRITE,
	COUNTED_BEFORE_ENTRY,
	OLDEST_FIRST,
	WORD_NOT_RESET,
	WORD_RESET_FIRST,
	NOT_REPUBLISHED,
	STATS_NOT_REPUBLISHED,
	END_NOT_COMMITTED,
	CLAIM_AFTER_WRITE,
	BROKEN_COUNT
};

struct object {
	int fd;
	uint8_t *map;
	size_t bytes;
};

/* What the peers know that is not in shared memory. Stored behind the watched memory in every image. */
struct peers {
	uint32_t fed;
	uint32_t got[OUT_MAX];
};

struct small_state {
	uint64_t last; /* records handled */
	uint64_t sum;
	uint64_t log_len;
};

struct arena {
	uint64_t cell[CELLS];
	char name[13];
	char pad[3];
	uint8_t log[RECORDS_MAX]; /* append-only: not journaled */
};

struct expected_record {
	uint32_t len;
	uint64_t pos;
	uint8_t data[MAX_OUT];
};

struct expected {
	unsigned n[OUT_MAX];
	struct expected_record out[OUT_MAX][RECORDS_MAX];
	struct small_state small[RECORDS_MAX + 1]; /* after so many records */
	struct arena arena[RECORDS_MAX + 1];
	uint64_t n_out_by[RECORDS_MAX + 1]; /* records emitted after so many taken */
};

struct world {
	const struct world_case *c;
	const struct expected *want;
	enum broken broken;
	bool other_way; /* this life journals in other pieces: a replay need not repeat itself */
	bool consequences_only; /* judge by what comes out, not by looking for the broken rule itself */
	struct object page, stats_object, in_object, out_object[OUT_MAX];
	struct step_watch watch[4 + 3 * (1 + OUT_MAX)];
	unsigned n_watch;
	size_t watched_bytes, image_bytes;
	struct peers peers;
	struct sz_lane feeder, drainer[OUT_MAX]; /* the peers' ends */
	struct sz_lane tap[OUT_MAX];
	struct sz_lane in, out[OUT_MAX]; /* the worker's ends */
	struct sz_lane in_recovery, out_recovery[OUT_MAX];
	struct sz_stats stats;
	struct sz_ledger l; /* of the current life */
	char error[160];
};

void expected_make(struct expected *want, const struct world_case *c);

/* Fresh objects, the peers' first records in them. */
void world_create(struct world *w, const struct world_case *c, const struct expected *want,
		  enum broken broken);
void world_destroy(struct world *w);

/* Image: watched memory and the peers. */
void world_save(const struct world *w, uint8_t *image);
void world_load(struct world *w, const uint8_t *image);
/* Hash of what recovery can see of an image: all but the lanes' data. */
uint64_t world_hash_control(const struct world *w, const uint8_t *image);

/* The peers do what they can. Return: records moved; <0: what they saw is wrong, see error. */
int world_peers(struct world *w);

/* A life begins: attach the page, seek the lanes. Return: 0, -errno. */
int world_attach(struct world *w);
void world_detach(struct world *w);
/*
 * world_work() - the worker, until the end or until max_batches are committed
 * @ask:	called when there is nothing to do; returns 0 to give up
 * Return: 1 ended, 0 not, -errno
 */
int world_work(struct world *w, unsigned max_batches, int (*ask)(struct world *w));
int world_recover(struct world *w);

/* Say what is wrong, once; always returns false. */
bool world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Judges; false: w->error says what is wrong
 */
/* Of any image: whole slot, nothing published ahead of the epoch, taps get what was published. */
bool world_check_raw(struct world *w);
/* Right after recovery, with the page attached. */
bool world_check_recovered(struct world *w);
/* After a life has ended. */
bool world_check_end(struct world *w);

/* broken.c: the test's own copies; they do what w->broken says. */
void broken_commit(struct world *w);
int broken_journal(struct world *w, const void *at, size_t len);
void broken_overwritten(struct world *w); /* after the overwrite that broken_journal() announced */
int broken_recover(struct world *w);
uint8_t *broken_reserve(struct world *w, struct sz_lane *lane, uint32_t len);
void broken_written(struct world *w, struct sz_lane *lane, uint32_t len);

#endif
