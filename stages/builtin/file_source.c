/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file source - lines of files at rest, in name order where the path is a pattern
 *
 * The list of files is made once and kept in the arena (append-only, its length in the state), so that a later life
 * reads the same files. Reads are repeatable: they are volatile, several in flight ahead of the line that is being cut,
 * and a new life starts again at the committed position.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builtin.h"
#include "lines.h"

#define READ_BYTES (128u << 10)
#define READS      4u
#define LIST_SLACK 65536u /* files may appear between the plan and the start */

struct file_state {
	uint64_t list_bytes; /* NUL-terminated paths in the arena; 0: not listed yet */
	uint64_t at;         /* where the current path begins */
	uint64_t dev, ino;   /* of the current file, once opened */
	uint64_t done_bytes; /* of the files before it */
	uint64_t total_bytes;
	uint32_t opened;
	uint32_t zero;
	struct lines_state lines;
};

struct read_ahead {
	uint64_t pos;
	uint32_t len, got;
	bool busy, done;
};

struct file_private {
	struct lines lines;
	int fd;
	uint64_t filled; /* everything before it is in the ring */
	uint64_t ahead;  /* everything before it is read or asked for */
	bool eof;
	uint32_t next; /* the oldest of reads */
	struct read_ahead reads[READS];
};

static const char *current_path(struct sz_stage *s)
{
	const struct file_state *st = sz_state(s);

	return (const char *)sz_arena(s) + st->at;
}

/* Paths of a pattern, or the one path if it has no magic in it. Return: 0, a positive glob() error. */
static int expand(const char *path, glob_t *g)
{
	int rc = glob(path, GLOB_NOMAGIC, NULL, g);

	/* A file may be named like a pattern. */
	return rc == GLOB_NOMATCH && access(path, F_OK) == 0 ? glob(path, GLOB_NOCHECK, NULL, g)
							     : rc;
}

/* Append a string, with its NUL, to what the arena holds. */
static bool list_add(struct sz_stage *s, const char *text)
{
	struct file_state *st = sz_state(s);
	size_t len = strlen(text) + 1;

	if (len > sz_arena_bytes(s) - st->list_bytes)
		return false;
	memcpy((char *)sz_arena(s) + st->list_bytes, text, len);
	st->list_bytes += len;
	return true;
}

static int list_files(struct sz_stage *s)
{
	struct file_state *st = sz_state(s);
	bool fits = list_add(s, sz_option(s, "path")->text);
	struct stat sb;
	glob_t g;
	int rc = expand(sz_option(s, "path")->text, &g);

	if (rc)
		return sz_error(s, -ENOENT, "%s: no file matches any more",
				sz_option(s, "path")->text);
	st->at = st->list_bytes; /* the pattern comes first, then what it matched */
	for (size_t i = 0; fits && i < g.gl_pathc; i++) {
		fits = list_add(s, g.gl_pathv[i]);
		if (stat(g.gl_pathv[i], &sb) == 0)
			st->total_bytes += (uint64_t)sb.st_size;
	}
	globfree(&g);
	if (!fits)
		return sz_error(s, -E2BIG,
				"%s: many more files match than when the pipeline was planned: "
				"start again",
				sz_option(s, "path")->text);
	return 0;
}

static int open_current(struct sz_stage *s)
{
	struct file_private *p = sz_private(s);
	struct file_state *st = sz_state(s);
	const char *path = current_path(s);
	struct stat sb;

	p->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->fd < 0 || fstat(p->fd, &sb) < 0)
		return sz_error(s, -errno, "%s: %s", path, strerror(errno));
	if (S_ISDIR(sb.st_mode))
		return sz_error(s, -EISDIR, "%s is a directory", path);
	if (st->opened && (st->dev != sb.st_dev || st->ino != sb.st_ino))
		return sz_error(s, -ESTALE,
				"%s was replaced by another file while it was being read", path);
	if (st->opened && (uint64_t)sb.st_size < st->lines.consumed)
		return sz_error(s, -ESTALE,
				"%s was cut to %lld bytes, %llu of it were read already", path,
				(long long)sb.st_size, (unsigned long long)st->lines.consumed);
	st->opened = 1;
	st->dev = sb.st_dev;
	st->ino = sb.st_ino;
	posix_fadvise(p->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	p->filled = p->ahead = p->lines.scanned = st->lines.consumed;
	p->eof = false;
	p->next = 0;
	p->lines.name = path;
	memset(p->reads, 0, sizeof(p->reads));
	return 0;
}

/* A private ring, mapped twice. */
static int make_ring(struct sz_stage *s)
{
	struct file_private *p = sz_private(s);
	uint64_t bytes = lines_ring_bytes(sz_max_out(s), READ_BYTES);
	int fd = memfd_create("streamz-window", MFD_CLOEXEC);
	uint8_t *base;

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return -errno;
	base = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	for (unsigned i = 0; i < 2; i++)
		if (mmap(base + i * bytes, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 fd, 0) == MAP_FAILED)
			return -errno;
	close(fd);
	p->lines.base = base;
	p->lines.mask = bytes - 1;
	p->lines.max = sz_max_out(s);
	return 0;
}

static int file_source_init(struct sz_stage *s)
{
	struct file_state *st = sz_state(s);
	struct file_private *p = sz_private(s);
	int rc = make_ring(s);

	p->fd = -1;
	if (!rc && st->list_bytes == 0)
		rc = list_files(s);
	else if (!rc && strcmp(sz_arena(s), sz_option(s, "path")->text) != 0)
		rc = sz_error(s, -ESTALE,
			      "path= was %s when this run began and is %s now: go on with the old "
			      "one, or begin anew with --fresh",
			      (const char *)sz_arena(s), sz_option(s, "path")->text);
	return rc;
}

/* Keep the ring full of reads; each at its own place in the ring, so they may complete in any order. */
static void read_ahead(struct sz_stage *s)
{
	const struct file_state *st = sz_state(s);
	struct file_private *p = sz_private(s);

	for (uint32_t k = 0; k < READS && !p->eof; k++) {
		uint32_t i = (p->next + k) % READS;
		struct read_ahead *r = &p->reads[i];

		if (r->busy || r->done)
			continue;
		if (p->ahead + READ_BYTES - st->lines.consumed > p->lines.mask + 1)
			break;
		*r = (struct read_ahead){ .pos = p->ahead, .len = READ_BYTES, .busy = true };
		p->ahead += READ_BYTES;
		sz_io_read(s, i, p->fd, p->lines.base + (r->pos & p->lines.mask), r->len, r->pos,
			   SZ_IO_VOLATILE);
	}
}

static bool reads_in_flight(const struct file_private *p)
{
	for (uint32_t i = 0; i < READS; i++)
		if (p->reads[i].busy)
			return true;
	return false;
}

/*
 * Move filled over what has arrived in order. A read that got nothing is the end of the file; those behind it were
 * reads ahead of the end and say nothing.
 */
static void collect(struct file_private *p)
{
	while (!p->eof && p->reads[p->next].done) {
		struct read_ahead *r = &p->reads[p->next];

		p->filled = r->pos + r->got;
		r->done = false;
		p->next = (p->next + 1) % READS;
		if (r->got < r->len)
			p->eof = true;
	}
}

static int file_source_complete(struct sz_stage *s, uint32_t request, int result)
{
	struct file_private *p = sz_private(s);
	struct read_ahead *r = &p->reads[request];

	r->busy = false;
	if (result == -EINTR || result == -EAGAIN || result == -ECANCELED)
		result = 0;
	else if (result == 0)
		r->done = true;
	if (result < 0)
		return sz_error(s, result, "%s: %s", current_path(s), strerror(-result));
	r->got += (uint32_t)result;
	if (r->got == r->len)
		r->done = true;
	if (!r->done && !sz_draining(s)) { /* short, or to be tried again */
		r->busy = true;
		sz_io_read(s, request, p->fd, p->lines.base + ((r->pos + r->got) & p->lines.mask),
			   r->len - r->got, r->pos + r->got, SZ_IO_VOLATILE);
	}
	collect(p);
	return SZ_OK;
}

static int next_file(struct sz_stage *s)
{
	struct file_private *p = sz_private(s);
	struct file_state *st = sz_state(s);
	struct stat sb;

	if (reads_in_flight(p))
		return SZ_WAIT; /* reads ahead of the end, of the file that is about to be closed */
	if (fstat(p->fd, &sb) == 0 && (uint64_t)sb.st_size < st->lines.consumed)
		return sz_error(s, -ESTALE,
				"%s was cut to %lld bytes while it was being read, %llu of it were "
				"read already",
				current_path(s), (long long)sb.st_size,
				(unsigned long long)st->lines.consumed);
	close(p->fd);
	p->fd = -1;
	st->done_bytes += st->lines.consumed;
	st->at += strlen(current_path(s)) + 1;
	st->opened = 0;
	memset(&st->lines, 0, sizeof(st->lines));
	return SZ_AGAIN;
}

static int drain(struct sz_stage *s)
{
	struct file_private *p = sz_private(s);

	if (p->fd >= 0 && reads_in_flight(p))
		return SZ_WAIT;
	return SZ_DONE;
}

static int file_source_produce(struct sz_stage *s)
{
	struct file_private *p = sz_private(s);
	struct file_state *st = sz_state(s);
	enum lines_result result;
	int rc;

	if (sz_draining(s))
		return drain(s);
	if (p->fd < 0) {
		if (st->at >= st->list_bytes)
			return SZ_DONE;
		rc = open_current(s);
		if (rc)
			return rc;
	}
	result = lines_emit(s, &p->lines, &st->lines, p->filled, p->eof);
	sz_progress(s, st->done_bytes + st->lines.consumed, st->total_bytes);
	if (result == LINES_END)
		return next_file(s);
	read_ahead(s);
	return result == LINES_EMITTED ? SZ_OK : SZ_WAIT;
}

/*
 * plan
 */

static int check_file(struct sz_plan *p, const char *path, uint64_t *bytes)
{
	char full[4096];
	struct stat sb;

	if (stat(path, &sb) < 0)
		return sz_plan_error(p, "path", "%s: %s", path, strerror(errno));
	if (S_ISDIR(sb.st_mode))
		return sz_plan_error(p, "path",
				     "%s is a directory: name the files in it, as in '%s/*.log'",
				     path, path);
	if (!S_ISREG(sb.st_mode))
		return sz_plan_error(
			p, "path",
			"%s is not a regular file: for a pipe or terminal use the source stdin",
			path);
	if (access(path, R_OK) < 0)
		return sz_plan_error(p, "path", "%s: %s", path, strerror(errno));
	*bytes += (uint64_t)sb.st_size;
	if (realpath(path, full))
		sz_plan_claim(p, false, "file:%s", full);
	return 0;
}

static int file_source_plan(struct sz_plan *p)
{
	const char *path = sz_plan_option(p, "path")->text;
	uint64_t bytes = 0, list = LIST_SLACK;
	glob_t g;
	int rc;

	if (sz_plan_resuming(p)) {
		/* the list was made at the first start; what there is has to do */
		sz_plan_arena(p, 0);
		return 0;
	}
	rc = expand(path, &g);
	if (rc == GLOB_NOMATCH)
		return sz_plan_error(p, "path", "%s: no file matches", path);
	if (rc)
		return sz_plan_error(p, "path", "%s: a folder in it cannot be read", path);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		list += 2 * (strlen(g.gl_pathv[i]) + 1);
		rc |= check_file(p, g.gl_pathv[i], &bytes);
	}
	globfree(&g);
	sz_plan_arena(p, list);
	sz_plan_size(p, bytes);
	return rc ? -EINVAL : 0;
}

static const struct sz_option file_source_options[] = {
	{ .name = "path",
	  .type = SZ_OPT_PATH,
	  .flags = SZ_OPT_REQUIRED,
	  .help = "the file, or a pattern such as 'logs/*.log', whose files are read in name "
		  "order" },
	{ .name = NULL },
};

static const struct sz_port file_source_ports[] = {
	{ "failed", "lines longer than max_record, by size and position" },
	{ NULL, NULL },
};

const struct sz_stage_ops sz_stage_file_source = {
	.api = SZ_STAGE_API,
	.name = "file",
	.role = SZ_SOURCE,
	.summary = "lines of a file, or of all files that match a pattern",
	.options = file_source_options,
	.ports = file_source_ports,
	.state_bytes = sizeof(struct file_state),
	.private_bytes = sizeof(struct file_private),
	.emits = 1,
	.ring_entries = READS,
	.plan = file_source_plan,
	.init = file_source_init,
	.produce = file_source_produce,
	.complete = file_source_complete,
};
