/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stdin - lines from the launcher's standard input
 *
 * A pipe cannot be read twice, so what was read lies in the arena before anything else happens:
 *   1. the state says that `wanted` bytes are asked for at `filled` (committed), then the read is submitted into the ring;
 *   2. its completion moves filled and clears wanted, in one commit.
 * Killed between 1 and 2, the next life finds either the completion, whose bytes are in the ring, or none, and asks
 * again. Ring space is reused only when the commit that consumed it is out. A file is read at offsets (stdstream.h).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "builtin.h"
#include "lines.h"
#include "stdstream.h"

#define READ_BYTES 65536u
enum { STDIN_READ = 0, STDIN_REQUESTS };

struct stdin_state {
	struct lines_state lines;
	uint64_t filled;
	struct stdstream stream;
	uint32_t wanted; /* bytes asked for at filled, 0: none */
	uint32_t eof;
};

struct stdin_private {
	struct lines lines;
};

static void arrived(struct stdin_state *st, int result)
{
	st->wanted = 0;
	if (result == 0)
		st->eof = 1;
	else
		st->filled += (uint64_t)result;
}

static int stdin_init(struct sz_stage *s)
{
	struct stdin_private *p = sz_private(s);
	struct stdin_state *st = sz_state(s);
	int result;

	p->lines = (struct lines){
		.base = sz_arena(s),
		.mask = sz_arena_bytes(s) - 1,
		.scanned = st->lines.consumed,
		.max = sz_max_out(s),
		.name = "stdin",
	};
	if (st->wanted && sz_io_recovered(s, STDIN_READ, &result))
		arrived(st, result);
	st->wanted = 0;
	return stdstream_open(s, &st->stream, STDIN_FILENO, st->filled);
}

static void ask(struct sz_stage *s)
{
	const struct stdin_state *committed = sz_committed_state(s);
	struct stdin_private *p = sz_private(s);
	struct stdin_state *st = sz_state(s);
	uint64_t room = p->lines.mask + 1 - (st->filled - committed->lines.consumed);

	if (st->wanted || room == 0)
		return; /* no room: a commit is due that makes some */
	st->wanted = room < READ_BYTES ? (uint32_t)room : READ_BYTES;
	sz_io_read(s, STDIN_READ, STDIN_FILENO, p->lines.base + (st->filled & p->lines.mask),
		   st->wanted,
		   st->stream.positional ? st->stream.base + st->filled : SZ_IO_AT_OWN_POSITION, 0);
}

static int stdin_produce(struct sz_stage *s)
{
	struct stdin_private *p = sz_private(s);
	struct stdin_state *st = sz_state(s);
	bool over = st->eof;

	if (sz_draining(s) && !st->eof) {
		if (st->wanted) {
			sz_io_cancel(s, STDIN_READ);
			return SZ_WAIT;
		}
		over = true; /* what was read is emitted, the beginning of a line included */
	}
	switch (lines_emit(s, &p->lines, &st->lines, st->filled, over)) {
	case LINES_EMITTED: return SZ_OK;
	case LINES_END: return SZ_DONE;
	case LINES_MORE: break;
	}
	ask(s);
	return SZ_WAIT;
}

static int stdin_complete(struct sz_stage *s, uint32_t request, int result)
{
	struct stdin_state *st = sz_state(s);

	(void)request;
	if (result >= 0) {
		arrived(st, result);
		return SZ_OK;
	}
	st->wanted = 0; /* called back, or interrupted: asked for again, unless draining */
	if (result == -ECANCELED || result == -EINTR || result == -EAGAIN)
		return SZ_OK;
	return sz_error(s, result, "standard input: %s", strerror(-result));
}

static int stdin_plan(struct sz_plan *p)
{
	sz_plan_arena(p, lines_ring_bytes(sz_plan_max_in(p), READ_BYTES));
	sz_plan_claim(p, true, "stdin");
	return 0;
}

static const struct sz_port stdin_ports[] = {
	{ "failed", "lines longer than max_record, by size and position" },
	{ NULL, NULL },
};

const struct sz_stage_ops sz_stage_stdin = {
	.api = SZ_STAGE_API,
	.name = "stdin",
	.role = SZ_SOURCE,
	.summary = "lines from standard input",
	.ports = stdin_ports,
	.state_bytes = sizeof(struct stdin_state),
	.private_bytes = sizeof(struct stdin_private),
	.emits = 1,
	.ring_entries = STDIN_REQUESTS,
	.plan = stdin_plan,
	.init = stdin_init,
	.produce = stdin_produce,
	.complete = stdin_complete,
};
