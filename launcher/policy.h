/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.h - what follows a death: decisions without actions, so that they can be tested without processes
 */
#ifndef LAUNCHER_POLICY_H
#define LAUNCHER_POLICY_H

#include "pipeline.h"

enum verdict {
	VERDICT_ENDED,   /* it has done all it had to do */
	VERDICT_STOPPED, /* the pipeline is being stopped: no further life in this run */
	VERDICT_RESTART, /* after wait_ns */
	VERDICT_GIVE_UP
};

/**
 * struct death - what is known of a life that is over and recovered
 * @status:	as waitpid() gives it
 * @run_state:	committed
 * @progress:	it took or put out records; commits alone do not count
 * @by_us:	killed by the launcher, for its own reasons
 * @stopping:	the pipeline is being stopped
 * @now_ns:	CLOCK_MONOTONIC
 * @random:	for the jitter
 */
struct death {
	int status;
	enum sz_run_state run_state;
	bool progress, by_us, stopping;
	uint64_t now_ns;
	uint32_t random;
};

#define POLICY_REASON_SIZE 160

/**
 * policy_judge() - decide what follows; the worker's restart counts are brought up to date
 * @wait_ns:	for VERDICT_RESTART
 * @reason:	for VERDICT_GIVE_UP, in words
 */
enum verdict policy_judge(struct worker *w, const struct death *death, uint64_t *wait_ns,
			  char reason[POLICY_REASON_SIZE]);

#endif
