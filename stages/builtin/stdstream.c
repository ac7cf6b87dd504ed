/* SPDX-License-Identifier: BSD-2-Clause */
#include "stdstream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file it was, and no shorter than what has passed: `>` empties the file it opens. */
static bool is_same(const struct stdstream *st, const struct stat *sb, bool positional,
		    uint64_t passed)
{
	return st->known && st->dev == sb->st_dev && st->ino == sb->st_ino &&
	       (st->positional != 0) == positional && (uint64_t)sb->st_size >= st->base + passed;
}

int stdstream_open(struct sz_stage *s, struct stdstream *st, int fd, uint64_t passed)
{
	struct stat sb;
	bool positional;

	if (fstat(fd, &sb) < 0)
		return sz_error(s, -errno, "%s: %s",
				fd == STDIN_FILENO ? "standard input" : "standard output",
				strerror(errno));
	positional = S_ISREG(sb.st_mode) && !(fcntl(fd, F_GETFL) & O_APPEND);
	if (!positional || !is_same(st, &sb, positional, passed)) {
		off_t at = lseek(fd, 0, SEEK_CUR);

		st->base = (at < 0 ? 0 : (uint64_t)at) - passed;
	}
	st->known = 1;
	st->positional = positional;
	st->dev = sb.st_dev;
	st->ino = sb.st_ino;
	return 0;
}
