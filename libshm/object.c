/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <streamz/contract.h>
#include <streamz/object.h>

#define SHM_DIR "/dev/shm"
/* SZ_OBJECT_PREFIX as it stands in the directory */
#define ENTRY_PREFIX     "streamz."
#define ENTRY_PREFIX_LEN (sizeof(ENTRY_PREFIX) - 1)

static const char *const kind_names[] = { "ctl", "page", "stats", "lane" };

int sz_object_name(char name[SZ_OBJECT_NAME_MAX], const char *pipeline, unsigned uid,
		   enum sz_object kind, unsigned index)
{
	int n;

	if (kind == SZ_OBJ_CTL)
		n = snprintf(name, SZ_OBJECT_NAME_MAX, SZ_OBJECT_PREFIX "%s.%u.ctl", pipeline, uid);
	else
		n = snprintf(name, SZ_OBJECT_NAME_MAX, SZ_OBJECT_PREFIX "%s.%u.%s.%u", pipeline,
			     uid, kind_names[kind], index);
	return n < SZ_OBJECT_NAME_MAX ? 0 : -ENAMETOOLONG;
}

int sz_object_create(const char *name, uint64_t bytes)
{
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	do {
		rc = posix_fallocate(fd, 0, (off_t)bytes);
	} while (rc == EINTR);
	if (rc) {
		close(fd);
		shm_unlink(name);
		return -rc;
	}
	return fd;
}

int sz_object_open(const char *name, int writable)
{
	int fd = shm_open(name, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return -errno;
	/* /dev/shm is everybody's: a name with our uid in it need not be ours. To look is what permissions are for. */
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (!S_ISREG(st.st_mode) || (writable && st.st_uid != geteuid()))
		rc = -EPERM;
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

int sz_object_remove(const char *name)
{
	return shm_unlink(name) < 0 ? -errno : 0;
}

int sz_object_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int sz_object_is_live(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}

int sz_object_reopen(int fd, int writable)
{
	char path[64];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	return own < 0 ? -errno : own;
}

/* "streamz.NAME.UID.rest": the length of NAME, or 0 if the entry is not of that uid. Names hold no dots. */
static size_t entry_pipeline(const char *entry, unsigned uid, const char **rest)
{
	const char *name = entry + ENTRY_PREFIX_LEN, *dot;
	char *end;

	if (strncmp(entry, ENTRY_PREFIX, ENTRY_PREFIX_LEN) != 0)
		return 0;
	dot = strchr(name, '.');
	if (!dot || dot == name || strtoul(dot + 1, &end, 10) != uid || end == dot + 1 ||
	    *end != '.')
		return 0;
	*rest = end + 1;
	return (size_t)(dot - name);
}

int sz_object_each(unsigned uid, int (*found)(void *ctx, const char *pipeline), void *ctx)
{
	DIR *dir = opendir(SHM_DIR);
	struct dirent *e;
	const char *rest;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc == 0 && (e = readdir(dir))) {
		char pipeline[SZ_OBJECT_NAME_MAX];
		size_t len = entry_pipeline(e->d_name, uid, &rest);

		if (len == 0 || len >= sizeof(pipeline) || strcmp(rest, "ctl") != 0)
			continue;
		memcpy(pipeline, e->d_name + ENTRY_PREFIX_LEN, len);
		pipeline[len] = 0;
		rc = found(ctx, pipeline);
	}
	closedir(dir);
	return rc;
}

static int remove_entry(const char *entry)
{
	char name[SZ_OBJECT_NAME_MAX + 2];

	if (snprintf(name, sizeof(name), "/%s", entry) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	return sz_object_remove(name);
}

/* ctl goes last: while it is there, what remains can still be found and removed by its pipeline's name. */
int sz_object_remove_all(const char *pipeline, unsigned uid)
{
	DIR *dir = opendir(SHM_DIR);
	char ctl[SZ_OBJECT_NAME_MAX];
	const char *rest;
	struct dirent *e;
	int count = 0, rc = 0;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		size_t len = entry_pipeline(e->d_name, uid, &rest);
		int one;

		if (len == 0 || len != strlen(pipeline) || strcmp(rest, "ctl") == 0 ||
		    memcmp(e->d_name + ENTRY_PREFIX_LEN, pipeline, len) != 0)
			continue;
		one = remove_entry(e->d_name);
		if (one && one != -ENOENT && !rc)
			rc = one;
		count += one == 0;
	}
	closedir(dir);
	if (rc)
		return rc;
	rc = sz_object_name(ctl, pipeline, uid, SZ_OBJ_CTL, 0);
	if (!rc)
		rc = sz_object_remove(ctl);
	if (rc && rc != -ENOENT)
		return rc;
	return count + (rc == 0);
}

int sz_object_space(uint64_t *free_bytes)
{
	struct statvfs v;

	if (statvfs(SHM_DIR, &v) < 0)
		return -errno;
	*free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}
