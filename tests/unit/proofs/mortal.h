/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mortal.h - a stage on the rig that dies at a chosen point, and the comparison with a run in which nobody died
 *
 * A point lies before and after each call that a handler makes into the runtime (emit, journal, hold, count, timer) and
 * that the loop makes to commit, to wake and to submit: rules.mk wraps these functions. Between two points a handler
 * touches its state and its arena only, which is as good as dead with it.
 */
#ifndef STREAMZ_TESTS_MORTAL_H
#define STREAMZ_TESTS_MORTAL_H

#include "../../rig/rig.h"

struct mortal_step {
	uint32_t input;
	const char *text;    /* a record; NULL: none */
	uint64_t advance_ns; /* then the clock moves on */
	bool end;            /* the input ends, after text */
	bool and_next;       /* the next step follows before the stage gets a turn */
	bool hold_output;    /* the output is not read after this step */
};

struct mortal_script {
	struct rig_config config;
	const struct mortal_step *steps;
	uint32_t n_steps;
	uint32_t n_own; /* counters of its own to compare */
	/* What the kernel and the launcher do for a dead process: close its descriptors, kill its children. */
	void (*last_rites)(struct sz_stage *s);
	bool turns_need_luck; /* a life cannot make progress in one turn: no run with a death after every turn */
};

/*
 * Play the script undisturbed; then once for each point, with a death there and a second one a few points into the
 * next life; then with a death after every turn. Outputs and counters must be the same. Ends the test if not.
 * Return: the undisturbed output of all edges, "edge0\nedge1…", in a static buffer.
 */
const char *mortal_play(const struct mortal_script *script);

#endif
