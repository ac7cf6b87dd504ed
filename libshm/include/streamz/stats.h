/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.h - self-describing statistics of one worker, readable without its cooperation and after its death
 *
 * Layout
 *
 *   0       struct sz_stats_header                         w: launcher, before anybody attaches
 *   4096    struct sz_stat_desc[n_stats]                   w: launcher
 *           seq | u64 value[n_stats], on pages of their own w: worker (recovery)
 *
 * The first n_counters values are a copy of the ledger's counters at some commit: exact at rest, since both a worker
 * that goes to sleep and recovery copy them. The rest (times, gauges) live here only and are approximate across kills.
 *
 * seq is a sequence lock: odd while the values change. A worker killed inside leaves it odd; recovery makes it even.
 * Readers copy, compare, retry a bounded number of times and then say that the copy may be torn.
 */
#ifndef STREAMZ_STATS_H
#define STREAMZ_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <streamz/atomic.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SZ_STATS_MAGIC 0x74617473737a0001ull
#define SZ_STATS_MAX   4096u

enum sz_stat_kind { SZ_STAT_COUNTER, SZ_STAT_GAUGE };

struct sz_stat_desc {
	char name[48];
	char unit[12]; /* "records", "bytes", "ns", "" */
	uint32_t kind; /* enum sz_stat_kind */
	char help[64];
};
SZ_STATIC_ASSERT(sizeof(struct sz_stat_desc) == 128, "descriptor is 128 bytes");

struct sz_stats_header {
	uint64_t magic;
	uint32_t abi;
	uint32_t worker_index;
	uint64_t object_bytes;
	uint32_t n_stats;
	uint32_t n_counters;
	uint64_t values_at;
};

struct sz_stats_live {
	uint64_t seq;
	uint64_t value[]; /* n_stats */
};

struct sz_stats {
	struct sz_stats_header h;
	const struct sz_stat_desc *desc;
	struct sz_stats_live *live;
	void *map;
	size_t map_bytes;
};

/*
 * The counters every worker has, in this order; see sz_counter_count() for what follows them.
 * Records of an input are taken = handled + failed + held.
 */
enum sz_counter {
	SZ_C_RECORDS_IN, /* taken from the inputs; for a source: read from outside */
	SZ_C_BYTES_IN,
	SZ_C_HANDLED,
	SZ_C_FAILED,      /* went to the failed port */
	SZ_C_HELD,        /* taken, neither handled nor failed yet */
	SZ_C_RECORDS_OUT, /* emitted, once however many edges; for a sink: delivered outside */
	SZ_C_BYTES_OUT,
	SZ_C_COMMITS,
	SZ_C_FIXED
};

/* For each outgoing edge of the stage, in topology order, seen from this worker. offered = published + dropped + outbox */
enum sz_edge_counter {
	SZ_E_OFFERED,
	SZ_E_OFFERED_BYTES,
	SZ_E_PUBLISHED,
	SZ_E_DROPPED_NEWEST,   /* overflow=drop_newest and the lane was full */
	SZ_E_DROPPED_DETACHED, /* the consumer takes no more */
	SZ_E_OUTBOX,
	SZ_E_FIXED
};

/* Values behind the counters: not part of a commit. */
enum sz_gauge {
	SZ_G_BUSY_NS,        /* in handlers and the runtime */
	SZ_G_IDLE_NS,        /* asleep for want of input, I/O or time */
	SZ_G_BLOCKED_NS,     /* asleep for want of room */
	SZ_G_COMMIT_TIME_NS, /* CLOCK_REALTIME of the last commit */
	SZ_G_PROGRESS,       /* a source: bytes done */
	SZ_G_PROGRESS_TOTAL, /* a source: bytes in all, 0: unknown */
	SZ_G_SLEEPS,
	SZ_G_WAKES, /* wake-ups sent */
	SZ_G_FIXED
};

/* Size of the object, whole pages; 0 if n_stats is 0 or above SZ_STATS_MAX. */
uint64_t sz_stats_plan_bytes(uint32_t n_stats);

/**
 * sz_stats_format() - write the header and the descriptors of a fresh, zeroed object
 * @fd:		the object, already sz_stats_plan_bytes(@n_stats) large; may be closed afterwards
 * @worker_index: in the pipeline's topology
 * @n_counters:	how many of the values are counters of the ledger; they come first
 * @desc:	@n_stats of them, copied
 *
 * Return: 0; -EINVAL: a size that sz_stats_plan_bytes() refuses, or more counters than values; -errno of mmap.
 */
int sz_stats_format(int fd, uint32_t worker_index, uint32_t n_counters,
		    const struct sz_stat_desc *desc, uint32_t n_stats);
/**
 * sz_stats_attach() - map a worker's statistics
 * @s:		filled in on success
 * @fd:		the object, may be closed afterwards
 * @writable:	0 to look only; there is one writer: the worker, or its recovery
 *
 * Return: 0; -EBADMSG: not statistics of this ABI, or sizes that do not fit; -errno of fstat or mmap.
 */
int sz_stats_attach(struct sz_stats *s, int fd, int writable);
/* Unmap, and zero @s. A zeroed one is fine. */
void sz_stats_detach(struct sz_stats *s);

/**
 * sz_stats_publish() - copy counters (and gauges) out for readers
 * @gauges:	n_stats - n_counters values, or NULL: leave them (recovery does)
 */
void sz_stats_publish(struct sz_stats *s, const uint64_t *counters, const uint64_t *gauges);

/**
 * sz_stats_read() - a consistent copy of all values
 * @values:	room for h.n_stats
 *
 * Return: 0; -EAGAIN: a copy was made, but the writer was at it every time (or died at it): it may be torn.
 */
int sz_stats_read(const struct sz_stats *s, uint64_t *values);

/* Index of a value by name, -ENOENT. */
int sz_stats_find(const struct sz_stats *s, const char *name);

#ifdef __cplusplus
}
#endif
#endif
