/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_shm.c - libFuzzer: shared memory that holds anything
 *
 * The first byte says what the rest is: a lane, a stage page with its lanes, a ctl, a wiring, a statistics object. What
 * is accepted is used: every record read, every entry rolled back, every string walked. Nothing may crash, loop or
 * leave its bounds.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined ... fuzz_shm.c    or, without libFuzzer, -DFUZZ_MAIN FILE...
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <streamz/contract.h>

#define LANE_BYTES (SZ_LANE_DATA_AT + SZ_LANE_CAP_MIN)
#define MAX_RECORD 1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int ok)
{
	if (!ok)
		abort();
}

static int object(uint64_t bytes)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	require(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
	return fd;
}

/* Objects are made once and filled again: a mapping and a descriptor each. */
struct shm {
	int fd;
	uint8_t *map;
	size_t bytes;
};

static void shm_make(struct shm *o, uint64_t bytes)
{
	o->fd = object(bytes);
	o->bytes = bytes;
	o->map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	require(o->map != MAP_FAILED);
}

/* Input, eaten from the front; zeroes when it has run out. */
struct input {
	const uint8_t *at;
	size_t left;
};

static void take(struct input *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	if (len == 0)
		return;
	memset(to, 0, len);
	if (n)
		memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
}

static uint64_t take_word(struct input *in)
{
	uint64_t word;

	take(in, &word, sizeof(word));
	return word;
}

static void take_end(struct input *in, uint8_t *page)
{
	struct sz_lane_end *end = (void *)page;

	end->pos = take_word(in);
	end->records = take_word(in);
	end->claim = take_word(in);
	end->parked = (uint32_t)end->claim;
}

static volatile uint8_t sink;

static void look_at(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink = at[i];
}

static void read_all(struct sz_lane *lane)
{
	struct sz_record r = { 0 };
	unsigned n = 0;

	while (sz_lane_peek(lane, &r) == 1) {
		require(r.len <= lane->max_record && r.kind < SZ_RECORD_KINDS);
		require(r.data >= lane->data &&
			r.data + r.len <= lane->data + 2 * (lane->mask + 1));
		look_at(r.data, r.len);
		sz_lane_release(lane, r.len);
		require(++n <= (lane->mask + 1) / SZ_RECORD_HEADER); /* the tail does not move */
	}
	sz_lane_ended(lane);
}

static void write_some(struct sz_lane *lane)
{
	for (unsigned n = 0; n < 600; n++) {
		uint32_t len = n * 37 % (lane->max_record + 1);

		if (sz_lane_room(lane, sz_record_space(len), 1) != 1)
			return;
		memset(sz_lane_reserve(lane, len), 1, len);
		sz_lane_commit(lane, len, SZ_RECORD_DATA, 0);
		require(lane->pos - lane->peer_pos <= lane->limit_bytes);
		require(lane->records - lane->peer_records <= lane->limit_records);
	}
	require(!"the consumer does not move, so the lane fills up");
}

static void tap_all(struct sz_lane *lane, uint64_t pos)
{
	uint8_t buf[100];
	struct sz_record r = { 0 };
	int rc;

	for (unsigned n = 0; n < 600 && (rc = sz_lane_tap(lane, &pos, buf, sizeof(buf), &r)) != 0;
	     n++)
		if (rc == 1)
			require(r.len <= lane->max_record && r.data == buf);
}

static void fuzz_lane(struct input *in)
{
	static struct shm o;
	static struct sz_lane_header good;
	static const enum sz_lane_side sides[] = { SZ_LANE_PRODUCER, SZ_LANE_CONSUMER,
						   SZ_LANE_OBSERVER };
	uint64_t own = take_word(in), records = take_word(in), flip = take_word(in);
	struct sz_lane lane;

	if (!o.map) {
		shm_make(&o, LANE_BYTES);
		require(sz_lane_format(o.fd, 0, SZ_LANE_CAP_MIN, SZ_LANE_CAP_MIN, 200, MAX_RECORD,
				       0) == 0);
		memcpy(&good, o.map, sizeof(good));
	}
	memcpy(o.map, &good, sizeof(good));
	if (flip & 1)
		o.map[(flip >> 8) % sizeof(good)] ^= (uint8_t)(flip >> 1);
	take_end(in, o.map + SZ_PAGE_BYTES);
	take_end(in, o.map + 2 * SZ_PAGE_BYTES);
	take(in, o.map + SZ_LANE_DATA_AT, SZ_LANE_CAP_MIN);
	for (unsigned i = 0; i < 3; i++) {
		if (sz_lane_attach(&lane, o.fd, sides[i]))
			return;
		require(lane.mask + 1 == SZ_LANE_CAP_MIN);
		sz_lane_seek(&lane, own, records);
		if (sides[i] == SZ_LANE_CONSUMER)
			read_all(&lane);
		else if (sides[i] == SZ_LANE_PRODUCER)
			write_some(&lane);
		else
			tap_all(&lane, own);
		sz_lane_detach(&lane);
	}
}

static void fuzz_page(struct input *in)
{
	static const struct sz_page_plan plan = { .n_in = 1,
						  .n_out = 1,
						  .n_counters = 3,
						  .state_bytes = 8,
						  .journal_bytes = 512,
						  .arena_bytes = 4096 };
	static struct shm page, lane[2], stats;
	static struct sz_lane ends[2];
	static struct sz_stats s;
	static struct sz_page_header good;
	uint64_t flip = take_word(in);
	struct sz_ledger l;
	struct sz_page_live *live;

	if (!page.map) {
		struct sz_stat_desc desc[3] = { { .name = "x" } };

		shm_make(&page, sz_page_plan_bytes(&plan));
		require(sz_page_format(page.fd, &plan) == 0);
		memcpy(&good, page.map, sizeof(good));
		for (int i = 0; i < 2; i++) {
			shm_make(&lane[i], LANE_BYTES);
			require(sz_lane_format(lane[i].fd, 0, SZ_LANE_CAP_MIN, 2048, 9, 100, 0) ==
				0);
			require(sz_lane_attach(&ends[i], lane[i].fd, SZ_LANE_RECOVERY) == 0);
		}
		shm_make(&stats, sz_stats_plan_bytes(3));
		require(sz_stats_format(stats.fd, 0, 3, desc, 3) == 0 &&
			sz_stats_attach(&s, stats.fd, 1) == 0);
	}
	memcpy(page.map, &good, sizeof(good));
	if (flip & 1)
		page.map[(flip >> 8) % sizeof(good)] ^= (uint8_t)(flip >> 1);
	live = (void *)(page.map + SZ_PAGE_BYTES);
	live->epoch = take_word(in);
	live->journal = take_word(in);
	if (flip & 2) /* the usual case: the journal is this epoch's */
		live->journal = (live->epoch + 1) << SZ_JOURNAL_UNIT_BITS | live->journal % 70;
	for (int i = 0; i < 2; i++)
		for (int k = 1; k <= 2; k++)
			take_end(in, lane[i].map + (unsigned)k * SZ_PAGE_BYTES);
	take(in, page.map + good.slots_at, 2 * good.slot_bytes);
	if (flip & 4)
		memcpy(page.map + good.slots_at + (live->epoch & 1) * good.slot_bytes, &live->epoch,
		       8);
	take(in, page.map + good.journal_at, good.journal_bytes);
	if (sz_ledger_attach(&l, page.fd, 1))
		return;
	/* Counts that rounding swallowed are another plan's, with other lanes: the launcher knows what it made. */
	if (l.h.n_in != plan.n_in || l.h.n_out != plan.n_out || l.h.n_counters != plan.n_counters) {
		sz_ledger_detach(&l);
		return;
	}
	require(l.next->epoch == l.epoch && l.next->run_state <= SZ_RUN_ENDED);
	if (sz_ledger_recover(&l, &ends[0], &ends[1], &s) == 0) {
		require(sz_lane_producer_end(&ends[1])->pos == l.out[0].word);
		require(live->journal == (live->epoch + 1) << SZ_JOURNAL_UNIT_BITS);
		require(sz_ledger_recover(&l, &ends[0], &ends[1], &s) ==
			0); /* as often as one likes */
	}
	sz_ledger_rollback(&l);
	sz_ledger_journal(&l, l.arena + 100, 50);
	sz_ledger_commit(&l);
	sz_ledger_detach(&l);
}

static void fuzz_ctl(struct input *in)
{
	struct sz_ctl head, *c;
	uint64_t bytes;

	take(in, &head, sizeof(head));
	head.magic = SZ_CTL_MAGIC;
	head.abi = SZ_ABI;
	head.n_stages %= 5;
	head.n_workers %= 5;
	head.n_edges %= 5;
	head.n_lanes %= 5;
	bytes = sz_ctl_layout(&head);
	c = calloc(1, bytes);
	require(c != NULL);
	*c = head;
	take(in, (uint8_t *)c + sizeof(*c), bytes - sizeof(*c));
	bytes -= take_word(in) % 2;
	if (sz_ctl_check(c, bytes) == 0) {
		for (uint32_t i = 0; i < c->n_stages; i++) {
			const struct sz_ctl_stage *s = &SZ_CTL_STAGES(c)[i];

			look_at((const uint8_t *)s->name, strlen(s->name));
			look_at((const uint8_t *)s->type, strlen(s->type));
			for (uint32_t k = 0; k < s->n_workers; k++)
				require(SZ_CTL_WORKERS(c)[s->first_worker + k].stage < c->n_stages);
		}
		for (uint32_t i = 0; i < c->n_edges; i++)
			for (uint32_t k = 0; k < SZ_CTL_EDGES(c)[i].n_lanes; k++)
				require(SZ_CTL_LANES(c)[SZ_CTL_EDGES(c)[i].first_lane + k].edge <
					c->n_edges);
	}
	free(c);
}

static void walk_wiring(const struct sz_wiring *w)
{
	const struct sz_wire_lane *out = sz_wire_at(w, w->out_at);
	const struct sz_wire_edge *edge = sz_wire_at(w, w->edges_at);
	const struct sz_wire_option *option = sz_wire_at(w, w->options_at);

	look_at(sz_wire_at(w, w->stage), strlen(sz_wire_text(w, w->stage)));
	for (uint32_t i = 0; i < w->n_out; i++)
		look_at(sz_wire_at(w, out[i].peer), strlen(sz_wire_text(w, out[i].peer)));
	for (uint32_t i = 0; i < w->n_edges; i++)
		for (uint32_t k = 0; k < edge[i].n_out; k++)
			require(out[edge[i].first_out + k].edge < w->n_edges);
	for (uint32_t i = 0; i < w->n_options; i++) {
		look_at(sz_wire_at(w, option[i].key), strlen(sz_wire_text(w, option[i].key)));
		look_at(sz_wire_at(w, option[i].value), option[i].value_len);
		require(sz_wire_text(w, option[i].value)[option[i].value_len] == 0);
	}
}

static void fuzz_wiring(struct input *in)
{
	size_t bytes = in->left > sizeof(struct sz_wiring) ? in->left : sizeof(struct sz_wiring);
	struct sz_wiring *head = calloc(1, bytes);
	const struct sz_wiring *w;
	int fd = object(0);

	require(head != NULL);
	take(in, head, bytes);
	head->magic = SZ_WIRING_MAGIC;
	head->abi = SZ_ABI;
	head->bytes = (uint32_t)bytes;
	require(write(fd, head, bytes) == (ssize_t)bytes);
	if (sz_wiring_attach(fd, &w) == 0) {
		walk_wiring(w);
		munmap((void *)(uintptr_t)w, bytes);
	}
	close(fd);
	free(head);
}

static void fuzz_stats(struct input *in)
{
	static struct shm o;
	uint64_t values[SZ_STATS_MAX];
	struct sz_stats_header *h;
	struct sz_stats s;

	if (!o.map)
		shm_make(&o, 3 * SZ_PAGE_BYTES);
	take(in, o.map, o.bytes < in->left ? o.bytes : in->left);
	h = (void *)o.map;
	h->magic = SZ_STATS_MAGIC;
	h->abi = SZ_ABI;
	h->object_bytes = o.bytes;
	if (sz_stats_attach(&s, o.fd, 0))
		return;
	sz_stats_find(&s, "name");
	sz_stats_read(&s, values);
	sz_stats_detach(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t what = 0;

	take(&in, &what, 1);
	switch (what % 5) {
	case 0: fuzz_lane(&in); break;
	case 1: fuzz_page(&in); break;
	case 2: fuzz_ctl(&in); break;
	case 3: fuzz_wiring(&in); break;
	case 4: fuzz_stats(&in); break;
	}
	return 0;
}

#ifdef FUZZ_MAIN
int main(int argc, char **argv)
{
	static uint8_t bytes[1 << 20];

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");

		if (!f) {
			perror(argv[i]);
			return 1;
		}
		LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof(bytes), f));
		fclose(f);
	}
	printf("%d inputs\n", argc - 1);
	return 0;
}
#endif
