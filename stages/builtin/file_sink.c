/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file sink - every record as a line of a file of which this stage is the sole writer
 *
 * The state names the file (device, inode) and where the stream begins in it, committed before the first byte is
 * written. A new life opens the same file, refuses if somebody else changed its size, cuts it back to what is known to
 * be written and goes on (outstream.h). mode=replace writes to a temporary file beside the target and renames it at the
 * end; a life that finds the temporary file gone and itself under the target's name has been killed after the rename.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "builtin.h"
#include "outstream.h"

enum { MODE_APPEND, MODE_TRUNCATE, MODE_NEW, MODE_REPLACE };
enum { CREATE_START, CREATE_RECORD };

#define PUT_BACK "put it back, or begin anew with --fresh"

#define LINKS_MAX     40
#define LOCK_TRIES    400
#define LOCK_PAUSE_NS 5000000

struct sink_state {
	struct out_state out;
	uint64_t dev, ino, base;
	uint32_t named; /* dev, ino and base are known */
	uint32_t synced, renamed;
	uint32_t full; /* max_size is reached, and all that was taken is written */
};

struct sink_private {
	struct outstream out;
	char path[PATH_MAX];
	char target[PATH_MAX];
	uint64_t max_size;
	int64_t mode;
	bool sync_asked;
};

static int temporary_name(char *to, size_t size, const char *target, const char *pipeline,
			  const char *stage)
{
	const char *slash = strrchr(target, '/');
	int dir = slash ? (int)(slash - target) + 1 : 0;

	return snprintf(to, size, "%.*s.%s.%s.%s.tmp", dir, target, target + dir, pipeline, stage) <
			       (int)size
		       ? 0
		       : -ENAMETOOLONG;
}

/*
 * The lock tells a second pipeline on the same file. It may outlast a killed life for a moment, until the kernel has let
 * go of the dead process's files.
 */
static int lock_output(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	for (int i = 0; i < LOCK_TRIES; i++) {
		struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };

		if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return -EAGAIN;
}

/* The very first opening: nothing is committed about this file yet, and nothing was written. */
static int adopt(struct sz_stage *s, const struct stat *sb)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);

	if (p->mode == MODE_NEW && sb->st_size > 0)
		return sz_error(s, -EEXIST, "%s exists already and mode=new was asked for",
				p->path);
	if ((p->mode == MODE_TRUNCATE || p->mode == MODE_REPLACE) && S_ISREG(sb->st_mode) &&
	    ftruncate(p->out.fd, 0) < 0)
		return sz_error(s, -errno, "%s: cannot empty it: %s", p->path, strerror(errno));
	st->named = 1;
	st->dev = sb->st_dev;
	st->ino = sb->st_ino;
	st->base = p->mode == MODE_APPEND ? (uint64_t)sb->st_size : 0;
	return 0;
}

/* A full file was moved away or emptied, as we had asked for: go on in what is there now. */
static bool begin_next(struct sink_state *st, const struct stat *sb)
{
	if (!st->full || (st->dev == sb->st_dev && st->ino == sb->st_ino && sb->st_size > 0))
		return false;
	st->full = 0;
	st->dev = sb->st_dev;
	st->ino = sb->st_ino;
	/* Positions in the stream go on: base + written is the file's size, modulo 2^64. */
	st->base = (uint64_t)sb->st_size - st->out.written;
	return true;
}

/* A later opening. */
static int check_same(struct sz_stage *s, const struct stat *sb)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);
	uint64_t size = (uint64_t)sb->st_size, least = st->base + st->out.written,
		 most = st->base + st->out.sealed;

	if (begin_next(st, sb))
		return 0;
	if (st->dev != sb->st_dev || st->ino != sb->st_ino)
		return sz_error(s, -ESTALE, "%s is not the file that was written before: " PUT_BACK,
				p->path);
	if (!S_ISREG(sb->st_mode))
		return 0;
	if (size < least)
		return sz_error(
			s, -ESTALE,
			"%s was cut to %llu bytes by somebody else; %llu were written: " PUT_BACK,
			p->path, (unsigned long long)size, (unsigned long long)least);
	if (size > most)
		return sz_error(
			s, -ESTALE,
			"%s has grown to %llu bytes by somebody else; this stage wrote up to %llu: "
			"cut it back (truncate -s), or begin anew with --fresh",
			p->path, (unsigned long long)size, (unsigned long long)most);
	if (ftruncate(p->out.fd, (off_t)least) < 0)
		return sz_error(s, -errno, "%s: cannot cut it back: %s", p->path, strerror(errno));
	return 0;
}

static int open_output(struct sz_stage *s)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);
	struct stat sb;
	int rc;

	p->out.fd =
		open(p->path, O_WRONLY | O_CLOEXEC | (st->named && !st->full ? 0 : O_CREAT), 0666);
	if (p->out.fd < 0 && errno == ENOENT && st->named && p->mode == MODE_REPLACE &&
	    st->synced) {
		snprintf(p->path, sizeof(p->path), "%s", p->target); /* killed after the rename */
		st->renamed = 1;
		p->out.fd = open(p->path, O_WRONLY | O_CLOEXEC);
	}
	if (p->out.fd < 0 && errno == ENOENT && st->named)
		return sz_error(s, -ENOENT,
				"%s, with %" PRIu64 " bytes written, is gone: " PUT_BACK, p->path,
				st->base + st->out.written);
	if (p->out.fd < 0 || fstat(p->out.fd, &sb) < 0)
		return sz_error(s, -errno, "%s: %s", p->path, strerror(errno));
	rc = lock_output(p->out.fd);
	if (rc)
		return sz_error(s, rc, "%s: %s", p->path,
				rc == -EAGAIN ? "another process is writing to it" : strerror(-rc));
	p->out.positional = S_ISREG(sb.st_mode);
	rc = st->named ? check_same(s, &sb) : adopt(s, &sb);
	if (rc)
		return rc;
	p->out.base = st->base;
	out_init(s, &p->out, &st->out);
	return 0;
}

static int file_sink_init(struct sz_stage *s)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);

	p->mode = sz_option(s, "mode")->num;
	p->max_size = (uint64_t)sz_option(s, "max_size")->num;
	p->out.fd = -1;
	p->out.name = p->path;
	snprintf(p->target, sizeof(p->target), "%s", sz_option(s, "path")->text);
	if (p->mode == MODE_REPLACE) {
		int rc = temporary_name(p->path, sizeof(p->path), p->target, sz_pipeline_name(s),
					sz_stage_name(s));

		if (rc)
			return sz_error(s, rc,
					"%s: the name is too long for a temporary file beside it",
					p->target);
	} else {
		snprintf(p->path, sizeof(p->path), "%s", p->target);
	}
	if (!st->named && sz_option(s, "create")->num == CREATE_RECORD)
		return 0;
	return open_output(s);
}

/*
 * Not before everything that was taken is in the file, and the state says so: whoever moves the file away moves whole
 * records, and the next life begins a new one.
 */
static int give_up_full(struct sz_stage *s)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);
	int rc = out_finish(s, &p->out, &st->out);

	if (rc != SZ_OK)
		return rc;
	if (!st->full) {
		st->full = 1;
		return SZ_AGAIN;
	}
	sz_give_up(s,
		   "%s is full: max_size=%s; look at what is in it, move it away, and start again",
		   p->path, sz_option(s, "max_size")->text);
}

static int file_sink_record(struct sz_stage *s, const struct sz_record *r)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);

	if (p->out.fd < 0) {
		int rc = open_output(s);
		if (rc)
			sz_give_up(s, "cannot open the output: %s", strerror(-rc));
	}
	if (p->max_size && st->base + st->out.staged + r->len + 1 > p->max_size)
		return give_up_full(s);
	return out_record(s, &p->out, &st->out, r);
}

static int file_sink_idle(struct sz_stage *s)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);

	return out_flush(s, &p->out, &st->out);
}

static int file_sink_complete(struct sz_stage *s, uint32_t request, int result)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);

	if (request != OUT_SYNC)
		return out_complete(s, &p->out, &st->out, request, result);
	p->sync_asked = false;
	if (result < 0)
		return sz_error(s, result,
				"%s: fsync failed: %s: what was written may not be on the disk",
				p->path, strerror(-result));
	st->synced = 1;
	return SZ_OK;
}

/* The name's change is made durable too. */
static int rename_output(struct sz_stage *s)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);
	char copy[PATH_MAX];
	int dir;

	if (rename(p->path, p->target) < 0)
		return sz_error(s, -errno, "cannot rename %s to %s: %s", p->path, p->target,
				strerror(errno));
	/* Crash point "renamed": the next life finds the file under its target's name (open_output()). */
	snprintf(copy, sizeof(copy), "%s", p->target);
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		fsync(dir);
		close(dir);
	}
	st->renamed = 1;
	return SZ_OK;
}

static int file_sink_finish(struct sz_stage *s)
{
	struct sink_private *p = sz_private(s);
	struct sink_state *st = sz_state(s);
	int rc;

	if (p->out.fd < 0)
		return SZ_OK; /* create=record, and there was none */
	rc = out_finish(s, &p->out, &st->out);
	if (rc != SZ_OK || p->mode != MODE_REPLACE || st->renamed)
		return rc;
	if (st->synced) {
		const struct sink_state *committed = sz_committed_state(s);

		/* A life that finds the temporary file gone has to know that it was renamed, not lost. */
		return committed->synced ? rename_output(s) : SZ_AGAIN;
	}
	if (p->sync_asked)
		return SZ_WAIT;
	p->sync_asked = true;
	sz_io_sync(s, OUT_SYNC, p->out.fd, SZ_IO_VOLATILE);
	return SZ_AGAIN;
}

/*
 * plan
 */

/* Where a link that leads nowhere yet leads: the file will be created there. Return: is @path, of PATH_MAX, a link? */
static bool follow(char *path)
{
	char link[PATH_MAX], copy[PATH_MAX];
	ssize_t n = readlink(path, link, sizeof(link) - 1);

	if (n < 0)
		return false;
	link[n] = '\0';
	strcpy(copy, path);
	return snprintf(path, PATH_MAX, "%s%s%s", link[0] == '/' ? "" : dirname(copy),
			link[0] == '/' ? "" : "/", link) < PATH_MAX;
}

/* The name under which the graph's stages agree on one file, also if it does not exist yet. */
static int canonical(const char *given, char *to, size_t size)
{
	char path[PATH_MAX], copy[PATH_MAX], dir[PATH_MAX];
	const char *slash;

	snprintf(path, sizeof(path), "%s", given);
	for (int links = 0; links < LINKS_MAX; links++) {
		if (realpath(path, dir))
			return snprintf(to, size, "%s", dir) < (int)size ? 0 : -ENAMETOOLONG;
		if (!follow(path))
			break;
	}
	slash = strrchr(path, '/');
	snprintf(copy, sizeof(copy), "%s", path);
	if (!realpath(dirname(copy), dir))
		return -errno;
	return snprintf(to, size, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir,
			slash ? slash + 1 : path) < (int)size
		       ? 0
		       : -ENAMETOOLONG;
}

static int plan_existing(struct sz_plan *p, const char *path, const struct stat *sb)
{
	int64_t mode = sz_plan_option(p, "mode")->num,
		max_size = sz_plan_option(p, "max_size")->num;

	if (S_ISDIR(sb->st_mode))
		return sz_plan_error(p, "path", "%s is a directory: name a file in it", path);
	if (!S_ISREG(sb->st_mode) && !S_ISCHR(sb->st_mode))
		return sz_plan_error(p, "path",
				     "%s is neither a regular file nor a character device", path);
	if (access(path, W_OK) < 0)
		return sz_plan_error(p, "path", "%s: %s", path, strerror(errno));
	if (S_ISREG(sb->st_mode) && mode == MODE_NEW)
		return sz_plan_error(p, "mode",
				     "%s exists already (%lld bytes): remove it, or choose "
				     "mode=append, truncate or replace",
				     path, (long long)sb->st_size);
	if (max_size && mode == MODE_APPEND && sb->st_size >= max_size)
		return sz_plan_error(p, "path",
				     "%s is full (%lld bytes, max_size=%s): move it away first",
				     path, (long long)sb->st_size,
				     sz_plan_option(p, "max_size")->text);
	if (S_ISREG(sb->st_mode) && mode == MODE_APPEND && sb->st_size > 0)
		sz_plan_note(p, "%s holds %lld bytes already: appending to it", path,
			     (long long)sb->st_size);
	return 0;
}

/* @file is made in the course of writing @path. */
static int plan_new(struct sz_plan *p, const char *path, const char *file)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", file);
	if (access(dirname(copy), W_OK | X_OK) < 0)
		return sz_plan_error(p, "path", "%s cannot be created: its folder: %s", path,
				     strerror(errno));
	return 0;
}

static int plan_temporary(struct sz_plan *p, const char *path)
{
	char file[PATH_MAX], copy[PATH_MAX];

	if (temporary_name(file, sizeof(file), path, sz_plan_pipeline(p), sz_plan_stage(p)))
		return sz_plan_error(p, "path", "the name is too long");
	snprintf(copy, sizeof(copy), "%s", file);
	if (strlen(basename(copy)) > NAME_MAX)
		return sz_plan_error(p, "path",
				     "the name is too long for mode=replace, which "
				     "needs one for a temporary file beside it: at most %d bytes",
				     NAME_MAX - (int)(strlen(file) - strlen(path)));
	return plan_new(p, path, file);
}

static int file_sink_plan(struct sz_plan *p)
{
	const char *path = sz_plan_option(p, "path")->text;
	char full[PATH_MAX];
	struct stat sb;
	int rc = 0;

	sz_plan_arena(p, out_ring_bytes(sz_plan_max_in(p)));
	if (strlen(path) >= sizeof(full) - 128)
		return sz_plan_error(p, "path", "the name is too long");
	if (path[strlen(path) - 1] == '/')
		return sz_plan_error(p, "path", "%s is a directory: name a file in it", path);
	if (sz_plan_resuming(p))
		goto claim; /* init() knows what the file has to be */
	if (stat(path, &sb) == 0)
		rc = plan_existing(p, path, &sb);
	else if (errno != ENOENT)
		return sz_plan_error(p, "path", "%s: %s", path, strerror(errno));
	else
		rc = plan_new(p, path, path);
	if (!rc && sz_plan_option(p, "mode")->num == MODE_REPLACE)
		rc = plan_temporary(p, path);
	if (rc)
		return rc;
claim:
	rc = canonical(path, full, sizeof(full));
	if (rc)
		return sz_plan_error(p, "path", "%s: %s", path, strerror(-rc));
	if (strcmp(full, "/dev/null") != 0)
		sz_plan_claim(p, true, "file:%s", full);
	return 0;
}

static const struct sz_option file_sink_options[] = {
	{ .name = "path",
	  .type = SZ_OPT_PATH,
	  .flags = SZ_OPT_REQUIRED,
	  .help = "the file to write" },
	{ .name = "mode",
	  .type = SZ_OPT_ENUM,
	  .def = "append",
	  .choices = "append|truncate|new|replace",
	  .help = "what becomes of a file that is there: append to it, empty it, refuse, or "
		  "replace it by rename at the end" },
	{ .name = "create",
	  .type = SZ_OPT_ENUM,
	  .def = "start",
	  .choices = "start|record",
	  .help = "when the file is created: at the start, or with the first record" },
	{ .name = "max_size",
	  .type = SZ_OPT_SIZE,
	  .def = "0",
	  .max = INT64_MAX,
	  .help = "stop, loudly, before the file grows beyond this; 0: no limit" },
	{ .name = NULL },
};

const struct sz_stage_ops sz_stage_file_sink = {
	.api = SZ_STAGE_API,
	.name = "file",
	.role = SZ_SINK,
	.summary = "records as lines of a file",
	.options = file_sink_options,
	.state_bytes = sizeof(struct sink_state),
	.private_bytes = sizeof(struct sink_private),
	.ring_entries = OUT_REQUESTS,
	.plan = file_sink_plan,
	.init = file_sink_init,
	.record = file_sink_record,
	.complete = file_sink_complete,
	.idle = file_sink_idle,
	.finish = file_sink_finish,
};
