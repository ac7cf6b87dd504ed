/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object.h - POSIX shared-memory objects and the locks that say who is alive
 *
 * An object has one creator. Memory is allocated at creation, so a full /dev/shm is an error there and never SIGBUS
 * later. Life is a lock: an open-file-description lock on the whole object, held on a descriptor that no child
 * inherits, taken by the kernel from its holder however that dies. It works across pid namespaces.
 */
#ifndef STREAMZ_OBJECT_H
#define STREAMZ_OBJECT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * sz_object_create() - create, allocate and zero an object, mode 0600
 * @name:	from sz_object_name()
 * @bytes:	size
 *
 * Return: a CLOEXEC descriptor; -EEXIST; -ENOSPC (no room in /dev/shm, nothing is left behind); -errno.
 */
int sz_object_create(const char *name, uint64_t bytes);

/**
 * sz_object_open() - open an existing object
 * @name:	from sz_object_name()
 * @writable:	0 to look only, which the object's mode has to permit; to be written it has to be our own
 *
 * Return: a CLOEXEC descriptor; -ENOENT; -EACCES; -EPERM: to be written, but another user's; -errno.
 */
int sz_object_open(const char *name, int writable);

/* Remove a name. Return: 0, -errno. */
int sz_object_remove(const char *name);

/**
 * sz_object_lock() - become the live owner of an object
 *
 * The lock goes with the last descriptor of this open file description: keep it CLOEXEC, and never dup it to a child.
 * Return: 0, -EAGAIN: somebody alive holds it, -errno.
 */
int sz_object_lock(int fd);

/* Does a living process hold the object's lock? Return: 1, 0, -errno. */
int sz_object_is_live(int fd);

/**
 * sz_object_reopen() - a new open file description of the same object
 *
 * A worker inherits descriptors whose description it shares with the launcher; a lock taken on that would be the
 * launcher's as well. Return: a CLOEXEC descriptor, -errno.
 */
int sz_object_reopen(int fd, int writable);

/**
 * sz_object_each() - call back for every pipeline that has a ctl object under this uid
 * @found:	gets the pipeline's name; a return other than 0 ends the walk
 *
 * Return: 0, what @found returned, -errno.
 */
int sz_object_each(unsigned uid, int (*found)(void *ctx, const char *pipeline), void *ctx);

/**
 * sz_object_remove_all() - remove every object of a pipeline
 *
 * ctl goes last, and not before all others have: killed, or stopped by an error, it can be called again. Processes that
 * have an object mapped keep it. The caller has made sure that nobody who lives needs the names (sz_object_is_live()).
 *
 * Return: how many were removed, 0: there were none; -errno of the first that failed, the others are removed.
 */
int sz_object_remove_all(const char *pipeline, unsigned uid);

/**
 * sz_object_space() - room for objects
 * @free_bytes:	what is left in the file system behind /dev/shm; others take from it at any time, so that only
 *		sz_object_create() can promise
 *
 * Return: 0, -errno of statvfs.
 */
int sz_object_space(uint64_t *free_bytes);

#ifdef __cplusplus
}
#endif
#endif
