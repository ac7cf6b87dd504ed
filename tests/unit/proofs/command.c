/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * command - collect records, run a command with the batch on its stdin, its lines are the output
 *
 *   COLLECT --(N records, T after the first, no room, the end)--> SEALED --(the command has ended)--> ENDED
 *      ^----------------------------(all its lines are emitted)---------------------------------------'
 *
 * Invariants
 *   C1  The command starts only when the sealed batch is committed; so a life that finds SEALED runs it again for the
 *       very same batch. What a dead life's command has said was never committed.
 *   C2  The output is taken whole into the arena before a line of it is emitted: even a command that says something
 *       else each time is exact.
 *   C3  The batch's bytes are overwritten only when the commit that let go of them is out.
 *   C4  The command's pipes and process belong to a life: the launcher kills a dead worker's process group before the
 *       next life begins.
 * Nothing blocks: the pipes are read and written by requests, the process's end is the poll of its pidfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proofs.h"

#define IN_BYTES  16384u
#define OUT_BYTES 65536u

enum phase { COLLECT, SEALED, ENDED };
enum { REQ_WRITE, REQ_READ, REQ_EXIT, REQUESTS };

struct command {
	uint32_t phase;
	uint32_t records, in_bytes, out_bytes;
	uint32_t cursor; /* ENDED: bytes of the output emitted, of the batch failed */
	int32_t status;  /* of the command, as waitpid() gives it */
};

struct running {
	pid_t pid; /* 0: none */
	int in, out, pidfd;
	uint32_t written, got;
	bool exited, eof, too_much;
	int status;
};

static uint8_t *batch(struct sz_stage *s)
{
	return sz_arena(s);
}

static uint8_t *output(struct sz_stage *s)
{
	return (uint8_t *)sz_arena(s) + IN_BYTES;
}

static int init(struct sz_stage *s)
{
	struct command *c = sz_state(s);
	struct running *run = sz_private(s);

	run->in = run->out = run->pidfd = -1;
	if (c->phase != COLLECT)
		sz_timer(s, sz_now(s));
	return 0;
}

static void seal(struct sz_stage *s, struct command *c)
{
	c->phase = SEALED;
	sz_timer(s, sz_now(s));
}

static int record(struct sz_stage *s, const struct sz_record *r)
{
	const struct command *committed = sz_committed_state(s);
	struct command *c = sz_state(s);

	if (c->phase != COLLECT)
		return SZ_WAIT;
	if (c->in_bytes == 0 && committed->in_bytes)
		return SZ_AGAIN; /* C3 */
	if (c->in_bytes + r->len + 1 > IN_BYTES) {
		if (!c->records)
			return sz_error(s, -EMSGSIZE, "longer than a batch");
		seal(s, c);
		return SZ_AGAIN;
	}
	memcpy(batch(s) + c->in_bytes, r->data, r->len);
	batch(s)[c->in_bytes + r->len] = '\n';
	c->in_bytes += r->len + 1;
	sz_hold(s, 1);
	if (++c->records == (uint32_t)sz_option(s, "records")->num)
		seal(s, c);
	else if (c->records == 1)
		sz_timer(s, sz_now(s) + (uint64_t)sz_option(s, "time")->num);
	return SZ_OK;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void ask_write(struct sz_stage *s, struct running *run)
{
	const struct command *c = sz_state(s);

	if (run->written < c->in_bytes)
		sz_io_write(s, REQ_WRITE, run->in, batch(s) + run->written,
			    c->in_bytes - run->written, SZ_IO_AT_OWN_POSITION, SZ_IO_VOLATILE);
	else
		close_fd(&run->in);
}

static void ask_read(struct sz_stage *s, struct running *run)
{
	uint32_t room = OUT_BYTES - run->got;

	run->too_much |= room == 0;
	if (run->too_much)
		run->got = 0, room = OUT_BYTES; /* read on, so that it ends */
	sz_io_read(s, REQ_READ, run->out, output(s) + run->got, room, SZ_IO_AT_OWN_POSITION,
		   SZ_IO_VOLATILE);
}

static int spawn(const char *text, struct running *run)
{
	char *const argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			       (char *)(uintptr_t)text, NULL };
	posix_spawn_file_actions_t actions;
	int in[2], out[2], rc;
	posix_spawnattr_t attr;
	sigset_t set;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		rc = -errno;
		close(in[0]);
		close(in[1]);
		return rc;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawnattr_init(&attr);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGPIPE); /* ignored by the runtime */
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = -posix_spawn(&run->pid, "/bin/sh", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	run->in = in[1];
	run->out = out[0];
	return rc;
}

static int start(struct sz_stage *s)
{
	struct running *run = sz_private(s);
	int rc;

	*run = (struct running){ .in = -1, .out = -1, .pidfd = -1 };
	rc = spawn(sz_option(s, "command")->text, run);
	if (rc)
		return sz_error(s, rc, "cannot run the command: %s", strerror(-rc));
	run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
	if (run->pidfd < 0)
		return sz_error(s, -errno, "cannot watch the command: %s", strerror(errno));
	ask_write(s, run);
	ask_read(s, run);
	sz_io_poll(s, REQ_EXIT, run->pidfd, POLLIN, SZ_IO_VOLATILE);
	return SZ_OK;
}

static int complete(struct sz_stage *s, uint32_t request, int result)
{
	struct running *run = sz_private(s);
	struct command *c = sz_state(s);

	switch (request) {
	case REQ_WRITE:
		if (result < 0 && result != -EPIPE)
			return result;
		/* A command need not read all of it. */
		run->written = result < 0 ? c->in_bytes : run->written + (uint32_t)result;
		ask_write(s, run);
		break;
	case REQ_READ:
		if (result < 0)
			return result;
		run->got += (uint32_t)result;
		run->eof = result == 0;
		if (!run->eof)
			ask_read(s, run);
		break;
	case REQ_EXIT:
		if (result < 0 || waitpid(run->pid, &run->status, WNOHANG) != run->pid)
			return -ECHILD;
		run->exited = true;
		run->pid = 0;
		break;
	}
	if (!run->eof || !run->exited || sz_io_inflight(s))
		return SZ_OK;
	close_fd(&run->in);
	close_fd(&run->out);
	close_fd(&run->pidfd);
	c->phase = ENDED;
	c->cursor = 0;
	c->out_bytes = run->got;
	c->status = run->too_much ? -1 : run->status;
	sz_timer(s, sz_now(s));
	return SZ_OK;
}

static void done(struct command *c)
{
	*c = (struct command){ .phase = COLLECT };
}

/* One a call: there is room for one envelope. */
static int fail_next(struct sz_stage *s, struct command *c)
{
	const uint8_t *from = batch(s) + c->cursor;
	const uint8_t *nl = memchr(from, '\n', c->in_bytes - c->cursor);

	if (c->status == -1)
		sz_fail(s, EMSGSIZE, from, (uint32_t)(nl - from),
			"the command says more than %u bytes", OUT_BYTES);
	else
		sz_fail(s, EIO, from, (uint32_t)(nl - from), "the command failed: %s %d",
			WIFSIGNALED(c->status) ? "signal" : "exit status",
			WIFSIGNALED(c->status) ? WTERMSIG(c->status) : WEXITSTATUS(c->status));
	c->cursor += (uint32_t)(nl - from) + 1;
	if (c->cursor < c->in_bytes)
		return SZ_AGAIN;
	done(c);
	return SZ_OK;
}

static int emit_lines(struct sz_stage *s, struct command *c)
{
	while (c->cursor < c->out_bytes) {
		const uint8_t *from = output(s) + c->cursor,
			      *nl = memchr(from, '\n', c->out_bytes - c->cursor);
		uint32_t len = nl ? (uint32_t)(nl - from) : c->out_bytes - c->cursor;

		if (!sz_can_emit(s, len))
			return SZ_WAIT;
		sz_emit(s, 0, from, len);
		c->cursor += len + 1;
	}
	sz_hold(s, -(int64_t)c->records);
	done(c);
	return SZ_OK;
}

/* What there is to do in this phase. SZ_OK: the command runs, or the batch is done. */
static int pump(struct sz_stage *s)
{
	const struct command *committed = sz_committed_state(s);
	const struct running *run = sz_private(s);
	struct command *c = sz_state(s);

	switch ((enum phase)c->phase) {
	case COLLECT: seal(s, c); return SZ_AGAIN;
	case SEALED:
		if (committed->phase != SEALED)
			return SZ_AGAIN; /* C1 */
		return run->pid ? SZ_OK : start(s);
	case ENDED: return c->status ? fail_next(s, c) : emit_lines(s, c);
	}
	return SZ_OK;
}

static int finish(struct sz_stage *s)
{
	const struct command *c = sz_state(s);
	const struct running *run = sz_private(s);
	int rc;

	if (c->phase == COLLECT && !c->records)
		return SZ_OK;
	if (c->phase == SEALED && (run->pid || sz_io_inflight(s)))
		return SZ_WAIT;
	rc = pump(s);
	return rc == SZ_OK ? SZ_AGAIN : rc;
}

void proof_command_bury(struct sz_stage *s)
{
	struct running *run = sz_private(s);

	if (run->pid) {
		kill(run->pid, SIGKILL);
		waitpid(run->pid, NULL, 0);
		run->pid = 0;
	}
	close_fd(&run->in);
	close_fd(&run->out);
	close_fd(&run->pidfd);
}

static int plan(struct sz_plan *p)
{
	sz_plan_arena(p, IN_BYTES + OUT_BYTES);
	return 0;
}

static const struct sz_option options[] = {
	{ .name = "command",
	  .type = SZ_OPT_STRING,
	  .flags = SZ_OPT_REQUIRED,
	  .help = "what /bin/sh runs" },
	{ .name = "records",
	  .type = SZ_OPT_INT,
	  .def = "100",
	  .min = 1,
	  .max = 100000,
	  .help = "records of a batch" },
	{ .name = "time",
	  .type = SZ_OPT_TIME,
	  .def = "1s",
	  .max = 3600000000000,
	  .help = "longest wait for a full batch" },
	{ .name = NULL },
};

static const struct sz_port ports[] = { { "failed", "the records of a batch whose command failed" },
					{ NULL, NULL } };

const struct sz_stage_ops proof_command = {
	.api = SZ_STAGE_API,
	.name = "command",
	.role = SZ_TRANSFORM,
	.summary = "run a command for each batch of records",
	.options = options,
	.ports = ports,
	.state_bytes = sizeof(struct command),
	.private_bytes = sizeof(struct running),
	.emits = SZ_EMITS_IF_ROOM,
	.ring_entries = REQUESTS,
	.plan = plan,
	.init = init,
	.record = record,
	.complete = complete,
	.tick = pump,
	.finish = finish,
};
