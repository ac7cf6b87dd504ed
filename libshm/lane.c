/* SPDX-License-Identifier: BSD-2-Clause */
/* lane.c - the SPSC ring; invariants and layout are in lane.h */
#include <sys/mman.h>
#include <sys/stat.h>

#include <streamz/contract.h>
#include <streamz/lane.h>

/* A producer announces its writes in steps of so many bytes, so that the fence is not paid per record. */
#define CLAIM_STEP        (64u << 10)
#define DEFAULT_CAP_BYTES (1u << 20)

uint64_t sz_lane_plan_bytes(uint64_t want_bytes, uint32_t max_record)
{
	uint64_t need = 2 * sz_record_space(max_record), cap = SZ_LANE_CAP_MIN;

	if (max_record > SZ_RECORD_LEN_MAX)
		return 0;
	if (want_bytes == 0)
		want_bytes = DEFAULT_CAP_BYTES;
	if (want_bytes > need)
		need = want_bytes;
	if (need > SZ_LANE_CAP_MAX)
		return 0;
	while (cap < need)
		cap *= 2;
	return cap;
}

static bool header_is_sane(const struct sz_lane_header *h)
{
	return h->cap_bytes >= SZ_LANE_CAP_MIN && h->cap_bytes <= SZ_LANE_CAP_MAX &&
	       (h->cap_bytes & (h->cap_bytes - 1)) == 0 && h->limit_bytes <= h->cap_bytes &&
	       h->max_record <= SZ_RECORD_LEN_MAX && h->limit_records > 0 &&
	       sz_record_space(h->max_record) <= h->limit_bytes &&
	       h->object_bytes == SZ_LANE_DATA_AT + h->cap_bytes;
}

int sz_lane_format(int fd, uint32_t lane_index, uint64_t cap_bytes, uint64_t limit_bytes,
		   uint64_t limit_records, uint32_t max_record, uint64_t start_pos)
{
	struct sz_lane_header h = {
		.magic = SZ_LANE_MAGIC,
		.abi = SZ_ABI,
		.lane_index = lane_index,
		.object_bytes = SZ_LANE_DATA_AT + cap_bytes,
		.cap_bytes = cap_bytes,
		.limit_bytes = limit_bytes,
		.limit_records = limit_records,
		.max_record = max_record,
	};
	uint8_t *map;

	if (!header_is_sane(&h) || (start_pos & SZ_LANE_FLAGS))
		return -EINVAL;
	map = mmap(NULL, SZ_LANE_DATA_AT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	for (unsigned i = 1; i <= 2; i++) {
		struct sz_lane_end *end = (void *)(map + i * SZ_PAGE_BYTES);

		end->pos = end->claim = start_pos;
	}
	memcpy(map, &h, sizeof(h));
	munmap(map, SZ_LANE_DATA_AT);
	return 0;
}

static int read_header(int fd, struct sz_lane_header *h)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)(SZ_LANE_DATA_AT + SZ_LANE_CAP_MIN))
		return -EBADMSG;
	map = mmap(NULL, SZ_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	memcpy(h, map, sizeof(*h));
	munmap(map, SZ_PAGE_BYTES);
	if (h->magic != SZ_LANE_MAGIC || h->abi != SZ_ABI || !header_is_sane(h) ||
	    (uint64_t)st.st_size != h->object_bytes)
		return -EBADMSG;
	return 0;
}

static int map_at(uint8_t *at, size_t len, int prot, int fd, uint64_t offset)
{
	return mmap(at, len, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED ? -errno
											    : 0;
}

int sz_lane_attach(struct sz_lane *lane, int fd, enum sz_lane_side side)
{
	const int rw = PROT_READ | PROT_WRITE;
	int producer_prot = side == SZ_LANE_PRODUCER || side == SZ_LANE_RECOVERY ? rw : PROT_READ;
	int consumer_prot = side == SZ_LANE_CONSUMER || side == SZ_LANE_RECOVERY ? rw : PROT_READ;
	int data_prot = side == SZ_LANE_PRODUCER ? rw : PROT_READ;
	struct sz_lane_header h;
	size_t bytes;
	uint8_t *map;
	int rc = read_header(fd, &h);

	if (rc)
		return rc;
	bytes = SZ_LANE_DATA_AT + (side == SZ_LANE_RECOVERY ? 0 : 2 * h.cap_bytes);
	map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	rc = map_at(map, SZ_PAGE_BYTES, PROT_READ, fd, 0);
	if (!rc)
		rc = map_at(map + SZ_PAGE_BYTES, SZ_PAGE_BYTES, producer_prot, fd, SZ_PAGE_BYTES);
	if (!rc)
		rc = map_at(map + 2 * SZ_PAGE_BYTES, SZ_PAGE_BYTES, consumer_prot, fd,
			    2 * SZ_PAGE_BYTES);
	for (unsigned i = 0; !rc && i < 2 && side != SZ_LANE_RECOVERY; i++)
		rc = map_at(map + SZ_LANE_DATA_AT + i * h.cap_bytes, h.cap_bytes, data_prot, fd,
			    SZ_LANE_DATA_AT);
	if (rc) {
		munmap(map, bytes);
		return rc;
	}
	*lane = (struct sz_lane){
		.own = (void *)(map + (side == SZ_LANE_CONSUMER ? 2 : 1) * SZ_PAGE_BYTES),
		.peer = (void *)(map + (side == SZ_LANE_CONSUMER ? 1 : 2) * SZ_PAGE_BYTES),
		.data = map + SZ_LANE_DATA_AT,
		.mask = h.cap_bytes - 1,
		.limit_bytes = h.limit_bytes,
		.limit_records = h.limit_records,
		.max_record = h.max_record,
		.lane_index = h.lane_index,
		.map = map,
		.map_bytes = bytes,
	};
	return 0;
}

void sz_lane_detach(struct sz_lane *lane)
{
	if (lane->map)
		munmap(lane->map, lane->map_bytes);
	memset(lane, 0, sizeof(*lane));
}

struct sz_lane_end *sz_lane_producer_end(const struct sz_lane *lane)
{
	return (void *)((uint8_t *)lane->map + SZ_PAGE_BYTES);
}

struct sz_lane_end *sz_lane_consumer_end(const struct sz_lane *lane)
{
	return (void *)((uint8_t *)lane->map + 2 * SZ_PAGE_BYTES);
}

/*
 * A dead life may have claimed, and overwritten, more than it committed; the claim therefore never goes back. The
 * word is our own, but a life that went wild may have left anything in it.
 */
void sz_lane_seek(struct sz_lane *lane, uint64_t pos_flags, uint64_t records)
{
	uint64_t claim = sz_load_relaxed(&lane->own->claim);

	lane->pos = sz_word_pos(pos_flags);
	lane->own_flags = (uint32_t)(pos_flags & SZ_LANE_FLAGS);
	lane->records = records;
	/* Until the first refresh nothing is known of the peer: to a producer the lane is full, to a consumer empty. */
	lane->peer_pos = lane->pos;
	if (lane->own == sz_lane_producer_end(lane))
		lane->peer_pos -= sz_lane_cap_bytes(lane);
	lane->peer_records = records;
	lane->peer_flags = 0;
	lane->claimed = claim - lane->pos <= sz_lane_cap_bytes(lane) ? claim : lane->pos;
}

/*
 * The flag goes out at once, without a commit: it carries no record, and the launcher, who acts on it, must not wait
 * for one. It is taken back when the writer's life has been replaced and what it says makes sense again.
 */
int sz_lane_poison(struct sz_lane *lane)
{
	/* A tail that was believed may be part of the nonsense: without this a healed one would never be looked at. */
	if (lane->own == sz_lane_consumer_end(lane))
		lane->peer_pos = lane->pos;
	if (!(lane->own_flags & SZ_LANE_POISONED)) {
		lane->own_flags |= SZ_LANE_POISONED;
		sz_store_release(&lane->own->pos,
				 sz_load_relaxed(&lane->own->pos) | SZ_LANE_POISONED);
	}
	return -EBADMSG;
}

static void unpoison(struct sz_lane *lane)
{
	lane->own_flags &= ~SZ_LANE_POISONED;
	sz_store_release(&lane->own->pos,
			 sz_load_relaxed(&lane->own->pos) & ~(uint64_t)SZ_LANE_POISONED);
}

/*
 * The consumer may say any position between the one it said last and our published tail. The bound is our private
 * position: it is at or beyond the published one, and a head beyond that is nonsense whatever we publish next. So is
 * one further behind than we may fill. A head that goes back only costs room, and is how a recovery heals a wild one.
 */
int sz_lane_tx_refresh(struct sz_lane *lane)
{
	uint64_t word = sz_load_acquire(&lane->peer->pos); /* pairs: sz_end_publish() of head */
	uint64_t records = sz_load_relaxed(&lane->peer->records);
	uint64_t pos = sz_word_pos(word);

	if (sz_unlikely(lane->pos - pos > lane->limit_bytes))
		return sz_lane_poison(lane);
	/* The count is stored before the position, so it may be ahead of pos, never ahead of what we published. */
	if (sz_unlikely(lane->records - records > lane->limit_records ||
			lane->records - records > sz_lane_cap_bytes(lane) / SZ_RECORD_HEADER))
		return sz_lane_poison(lane);
	lane->peer_pos = pos;
	lane->peer_records = records;
	lane->peer_flags = (uint32_t)(word & SZ_LANE_FLAGS);
	if (sz_unlikely(lane->own_flags & SZ_LANE_POISONED))
		unpoison(lane);
	return 0;
}

int sz_lane_rx_refresh(struct sz_lane *lane)
{
	uint64_t word = sz_load_acquire(&lane->peer->pos); /* pairs: sz_end_publish() of tail */
	uint64_t pos = sz_word_pos(word);

	if (sz_unlikely(pos - lane->pos > lane->limit_bytes ||
			pos - lane->pos < lane->peer_pos - lane->pos))
		return sz_lane_poison(lane);
	if (sz_unlikely(lane->own_flags & SZ_LANE_POISONED)) {
		uint64_t word0 = sz_load_relaxed(
			(const uint64_t *)(const void *)(lane->data + (lane->pos & lane->mask)));

		if (pos != lane->pos && !sz_lane_header_fits(lane, word0, pos - lane->pos))
			return -EBADMSG; /* the position is sane, the data is not: no flapping */
		unpoison(lane);
	}
	lane->peer_pos = pos;
	lane->peer_flags = (uint32_t)(word & SZ_LANE_FLAGS);
	return 0;
}

/*
 * A step ahead, but never beyond the room: what the consumer has not taken yet can always be tapped, and a claim is at
 * most cap_bytes ahead of any position that sz_lane_seek() may be given later.
 *
 * Crash point: after the claim is stored a tap distrusts bytes that are not overwritten yet; harmless. The other way
 * round it would trust bytes that are.
 */
void sz_lane_claim(struct sz_lane *lane, uint64_t bytes)
{
	uint64_t room = lane->peer_pos + lane->limit_bytes - lane->pos;
	uint64_t ahead = room < CLAIM_STEP ? room : CLAIM_STEP;

	lane->claimed = lane->pos + (ahead > bytes ? ahead : bytes);
	sz_store_relaxed(&lane->own->claim, lane->claimed);
	sz_fence_release(); /* pairs: the acquire fence in sz_lane_tap() */
}

int sz_lane_tap(const struct sz_lane *lane, uint64_t *pos, void *buf, size_t size,
		struct sz_record *out)
{
	const struct sz_lane_end *producer = sz_lane_producer_end(lane);
	uint64_t cap = sz_lane_cap_bytes(lane);
	uint64_t tail = sz_word_pos(sz_load_acquire(&producer->pos));
	struct sz_record_header h;

	if (*pos == tail)
		return 0;
	if ((*pos & SZ_LANE_FLAGS) || tail - *pos > cap)
		goto stale;
	memcpy(&h, lane->data + (*pos & lane->mask), sizeof(h));
	if (h.len > lane->max_record || sz_record_space(h.len) > tail - *pos)
		goto stale;
	memcpy(buf, lane->data + (*pos & lane->mask) + SZ_RECORD_HEADER,
	       h.len < size ? h.len : size);
	sz_fence_acquire(); /* pairs: the release fence in sz_lane_claim() */
	if (sz_load_relaxed(&producer->claim) - *pos > cap)
		goto stale;
	*out = (struct sz_record){
		.data = buf, .len = h.len, .kind = h.kind, .time_ns = h.time_ns
	};
	*pos += sz_record_space(h.len);
	return 1;
stale:
	*pos = tail;
	return -ESTALE;
}
