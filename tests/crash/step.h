/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * step.h - run a function in a child one instruction at a time and see every image its memory goes through
 *
 * A process killed with SIGKILL leaves exactly the stores it has executed: what shared memory looks like between two
 * instructions is what a successor finds if the kill falls there. So instead of killing a process at random and
 * hoping, the stepper stops it after every instruction and reports each one that changed the watched memory.
 */
#ifndef TESTS_CRASH_STEP_H
#define TESTS_CRASH_STEP_H

#include <stddef.h>
#include <stdint.h>

/* Watched memory as the parent has it mapped; the child writes it through a mapping of the same pages. */
struct step_watch {
	uint8_t *at;
	size_t len;
};

/**
 * struct step_plan - what to step
 * @watch, @n_watch:	memory to look at
 * @child:	runs in the child; its return is the exit status
 * @changed:	runs in the parent after an instruction that changed watched memory; other than 0: SIGKILL the child now
 * @asked:	runs in the parent when the child calls step_ask()
 * @max_steps:	more is an endless loop
 */
struct step_plan {
	const struct step_watch *watch;
	unsigned n_watch;
	int (*child)(void *ctx);
	int (*changed)(void *ctx, uint64_t step);
	void (*asked)(void *ctx);
	void *ctx;
	uint64_t max_steps;
};

struct step_result {
	uint64_t steps;
	uint64_t changes;
	int exit_status; /* of the child, -1: it was killed by @changed */
};

/* Return: 0, -ELOOP: max_steps passed, -ECHILD: the child died of a signal, -errno of fork and ptrace. */
int step_run(const struct step_plan *plan, struct step_result *result);

/* In the child: hand over to the parent's asked(). Costs a few steps. */
void step_ask(void);

/* Copy the watched memory to an image and back. */
size_t step_image_bytes(const struct step_watch *watch, unsigned n_watch);
void step_pack(const struct step_watch *watch, unsigned n_watch, uint8_t *image);
void step_unpack(const struct step_watch *watch, unsigned n_watch, const uint8_t *image);

uint64_t step_hash(const void *bytes, size_t len, uint64_t seed);

/* A set of hashes; zero-initialised is empty. */
struct step_set {
	uint64_t *slot;
	size_t size, used;
};

/* Return: 1 it is new, 0 it was there. Aborts without memory. */
int step_set_add(struct step_set *set, uint64_t hash);
void step_set_free(struct step_set *set);

/* Images in the order they were met, equal ones once. */
struct step_store {
	struct step_set seen;
	uint8_t **image;
	uint64_t *step;
	size_t n, room, image_bytes;
};

/* Return: 1 it is new, 0 it was there. */
int step_store_add(struct step_store *store, const uint8_t *image, uint64_t step);
void step_store_free(struct step_store *store);

#endif
