/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TALLY_H
#define TALLY_H

#include <streamz/stage.h>

extern const struct sz_stage_ops tally;

#endif
