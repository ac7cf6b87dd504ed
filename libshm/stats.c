/* SPDX-License-Identifier: BSD-2-Clause */
#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <streamz/contract.h>
#include <streamz/stats.h>

#define READ_TRIES 1000

static uint64_t values_at(uint32_t n_stats)
{
	return sz_round_up(SZ_PAGE_BYTES + (uint64_t)n_stats * sizeof(struct sz_stat_desc),
			   SZ_PAGE_BYTES);
}

uint64_t sz_stats_plan_bytes(uint32_t n_stats)
{
	if (n_stats == 0 || n_stats > SZ_STATS_MAX)
		return 0;
	return sz_round_up(values_at(n_stats) + sizeof(struct sz_stats_live) +
				   n_stats * sizeof(uint64_t),
			   SZ_PAGE_BYTES);
}

int sz_stats_format(int fd, uint32_t worker_index, uint32_t n_counters,
		    const struct sz_stat_desc *desc, uint32_t n_stats)
{
	uint64_t bytes = sz_stats_plan_bytes(n_stats);
	struct sz_stats_header h = {
		.magic = SZ_STATS_MAGIC,
		.abi = SZ_ABI,
		.worker_index = worker_index,
		.object_bytes = bytes,
		.n_stats = n_stats,
		.n_counters = n_counters,
		.values_at = values_at(n_stats),
	};
	uint8_t *map;

	if (!bytes || n_counters > n_stats)
		return -EINVAL;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	memcpy(map + SZ_PAGE_BYTES, desc, n_stats * sizeof(*desc));
	memcpy(map, &h, sizeof(h));
	munmap(map, bytes);
	return 0;
}

int sz_stats_attach(struct sz_stats *s, int fd, int writable)
{
	struct sz_stats_header h;
	struct stat st;
	uint8_t *map;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)(2 * SZ_PAGE_BYTES))
		return -EBADMSG;
	map = mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
		   MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	memcpy(&h, map, sizeof(h));
	if (h.magic != SZ_STATS_MAGIC || h.abi != SZ_ABI ||
	    h.object_bytes != (uint64_t)st.st_size || h.n_counters > h.n_stats ||
	    sz_stats_plan_bytes(h.n_stats) != h.object_bytes ||
	    h.values_at != values_at(h.n_stats)) {
		munmap(map, (size_t)st.st_size);
		return -EBADMSG;
	}
	*s = (struct sz_stats){
		.h = h,
		.desc = (const void *)(map + SZ_PAGE_BYTES),
		.live = (void *)(map + h.values_at),
		.map = map,
		.map_bytes = (size_t)st.st_size,
	};
	return 0;
}

void sz_stats_detach(struct sz_stats *s)
{
	if (s->map)
		munmap(s->map, s->map_bytes);
	memset(s, 0, sizeof(*s));
}

/*
 * Crash points: after the first store of seq the values are a mixture and seq is odd: a reader retries and then says
 * so. Recovery calls this again with the committed counters, which leaves seq even: an odd start is simply kept.
 */
void sz_stats_publish(struct sz_stats *s, const uint64_t *counters, const uint64_t *gauges)
{
	uint64_t seq = sz_load_relaxed(&s->live->seq) | 1;

	sz_store_relaxed(&s->live->seq, seq);
	sz_fence_release(); /* pairs: the acquire fence in sz_stats_read() */
	for (uint32_t i = 0; i < s->h.n_counters; i++)
		sz_store_relaxed(&s->live->value[i], counters[i]);
	for (uint32_t i = s->h.n_counters; gauges && i < s->h.n_stats; i++)
		sz_store_relaxed(&s->live->value[i], gauges[i - s->h.n_counters]);
	sz_store_release(&s->live->seq, seq + 1); /* pairs: the acquire load in sz_stats_read() */
}

int sz_stats_read(const struct sz_stats *s, uint64_t *values)
{
	for (int i = 0; i < READ_TRIES; i++) {
		/* pairs: the last store of sz_stats_publish() */
		uint64_t seq = sz_load_acquire(&s->live->seq);

		for (uint32_t k = 0; k < s->h.n_stats; k++)
			values[k] = sz_load_relaxed(&s->live->value[k]);
		sz_fence_acquire(); /* pairs: the release fence in sz_stats_publish() */
		if (!(seq & 1) && sz_load_relaxed(&s->live->seq) == seq)
			return 0;
		sz_pause();
	}
	return -EAGAIN;
}

int sz_stats_find(const struct sz_stats *s, const char *name)
{
	for (uint32_t i = 0; i < s->h.n_stats; i++)
		if (strncmp(s->desc[i].name, name, sizeof(s->desc[i].name)) == 0)
			return (int)i;
	return -ENOENT;
}

struct stat_text {
	const char *name, *unit, *help;
};

static void describe(struct sz_stat_desc *d, enum sz_stat_kind kind, const char *name,
		     const struct stat_text *text)
{
	memset(d, 0, sizeof(*d));
	strlcpy(d->name, name, sizeof(d->name));
	strlcpy(d->unit, text->unit, sizeof(d->unit));
	strlcpy(d->help, text->help, sizeof(d->help));
	d->kind = kind;
}

static const struct stat_text fixed_texts[SZ_C_FIXED] = {
	[SZ_C_RECORDS_IN] = { "records_in", "records",
			      "records taken from the inputs, or read from outside" },
	[SZ_C_BYTES_IN] = { "bytes_in", "bytes", "payload bytes of these" },
	[SZ_C_HANDLED] = { "handled", "records", "records handled to the end" },
	[SZ_C_FAILED] = { "failed", "records", "records that went to the failed port" },
	[SZ_C_HELD] = { "held", "records", "records taken, neither handled nor failed yet" },
	[SZ_C_RECORDS_OUT] = { "records_out", "records", "records emitted, or delivered outside" },
	[SZ_C_BYTES_OUT] = { "bytes_out", "bytes", "payload bytes of these" },
	[SZ_C_COMMITS] = { "commits", "", "commits" },
};

static const struct stat_text edge_texts[SZ_E_FIXED] = {
	[SZ_E_OFFERED] = { "offered", "records", "records given to the edge" },
	[SZ_E_OFFERED_BYTES] = { "offered_bytes", "bytes", "payload bytes of these" },
	[SZ_E_PUBLISHED] = { "published", "records", "records written to its lanes" },
	[SZ_E_DROPPED_NEWEST] = { "dropped_newest", "records",
				  "dropped: the edge was full, overflow=drop_newest" },
	[SZ_E_DROPPED_DETACHED] = { "dropped_detached", "records",
				    "dropped: the consumer takes no more" },
	[SZ_E_OUTBOX] = { "outbox", "records", "records waiting in the edge's outbox" },
};

static const struct stat_text gauge_texts[SZ_G_FIXED] = {
	[SZ_G_BUSY_NS] = { "busy", "ns", "time at work" },
	[SZ_G_IDLE_NS] = { "idle", "ns", "time asleep for want of input, I/O or a deadline" },
	[SZ_G_BLOCKED_NS] = { "blocked", "ns", "time asleep for want of room in an output" },
	[SZ_G_COMMIT_TIME_NS] = { "last_commit", "ns", "time of the last commit, since 1970" },
	[SZ_G_PROGRESS] = { "progress", "bytes", "a source: how much of its input is done" },
	[SZ_G_PROGRESS_TOTAL] = { "progress_total", "bytes",
				  "a source: how much there is, 0 if unknown" },
	[SZ_G_SLEEPS] = { "sleeps", "", "times it went to sleep" },
	[SZ_G_WAKES] = { "wakes", "", "wake-ups it sent" },
};

uint32_t sz_stats_describe(struct sz_stat_desc *desc, uint32_t n_edges,
			   const struct sz_stat_desc *own, uint32_t n_own)
{
	struct sz_stat_desc *d = desc;

	for (unsigned i = 0; i < SZ_C_FIXED; i++, d++)
		describe(d, i == SZ_C_HELD ? SZ_STAT_GAUGE : SZ_STAT_COUNTER, fixed_texts[i].name,
			 &fixed_texts[i]);
	for (uint32_t e = 0; e < n_edges; e++) {
		for (unsigned i = 0; i < SZ_E_FIXED; i++, d++) {
			char name[sizeof(d->name)];

			snprintf(name, sizeof(name), "edge.%u.%s", e, edge_texts[i].name);
			describe(d, i == SZ_E_OUTBOX ? SZ_STAT_GAUGE : SZ_STAT_COUNTER, name,
				 &edge_texts[i]);
		}
	}
	for (uint32_t i = 0; i < n_own; i++)
		*d++ = own[i];
	for (unsigned i = 0; i < SZ_G_FIXED; i++, d++)
		describe(d, SZ_STAT_GAUGE, gauge_texts[i].name, &gauge_texts[i]);
	return (uint32_t)(d - desc);
}
