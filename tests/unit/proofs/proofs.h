/* SPDX-License-Identifier: BSD-2-Clause */
/* proofs.h - stages written to prove the stage API; patterns to copy, not types of the product */
#ifndef STREAMZ_TESTS_PROOFS_H
#define STREAMZ_TESTS_PROOFS_H

#include <streamz/stage.h>

extern const struct sz_stage_ops proof_window, proof_command, proof_outbox, proof_split, proof_work,
	proof_merge;

/* What the kernel and the launcher do when a worker with a running command dies. */
void proof_command_bury(struct sz_stage *s);

#endif
