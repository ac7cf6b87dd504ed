/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <streamz/contract.h>

static struct sz_ctl *make_ctl(uint32_t n_stages, uint32_t n_workers, uint32_t n_edges,
			       uint32_t n_lanes)
{
	struct sz_ctl head = { .magic = SZ_CTL_MAGIC,
			       .abi = SZ_ABI,
			       .n_stages = n_stages,
			       .n_workers = n_workers,
			       .n_edges = n_edges,
			       .n_lanes = n_lanes };
	struct sz_ctl *c = calloc(1, sz_ctl_layout(&head));

	*c = head;
	for (uint32_t i = 0; i < n_stages; i++)
		SZ_CTL_STAGES(c)[i].n_workers = n_workers;
	return c;
}

static void ctl_layout(void **state)
{
	static const uint32_t n[][4] = {
		{ 0, 0, 0, 0 },
		{ 1, 1, 0, 0 },
		{ 3, 5, 2, 8 },
		{ SZ_STAGES_MAX, SZ_WORKERS_MAX, SZ_EDGES_MAX, SZ_LANES_TOTAL_MAX },
	};

	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		struct sz_ctl *c = make_ctl(n[i][0], n[i][1], n[i][2], n[i][3]);

		assert_int_equal(c->object_bytes % SZ_PAGE_BYTES, 0);
		assert_true((uint8_t *)&SZ_CTL_LANES(c)[c->n_lanes] <=
			    (uint8_t *)c + c->object_bytes);
		assert_true((void *)&SZ_CTL_STAGES(c)[c->n_stages] <= (void *)SZ_CTL_WORKERS(c));
		assert_true((void *)&SZ_CTL_WORKERS(c)[c->n_workers] <= (void *)SZ_CTL_EDGES(c));
		assert_true((void *)&SZ_CTL_EDGES(c)[c->n_edges] <= (void *)SZ_CTL_LANES(c));
		assert_int_equal(sz_ctl_check(c, c->object_bytes), 0);
		free(c);
	}
}

/* One mutation after the other of a good ctl. */
static void ctl_mutations(void **state)
{
	uint64_t bytes;

	for (int i = 0;; i++) {
		struct sz_ctl *c = make_ctl(3, 5, 2, 8);

		bytes = c->object_bytes;
		switch (i) {
		case 0: c->magic++; break;
		case 1: c->abi++; break;
		case 2: c->object_bytes += 4096; break;
		case 3: bytes -= 4096; break;
		case 4: bytes = sizeof(*c) - 1; break;
		case 5: c->n_stages = SZ_STAGES_MAX + 1; break;
		case 6: c->n_workers = UINT32_MAX; break;
		case 7: c->n_edges = SZ_EDGES_MAX; break;
		case 8: c->n_lanes = UINT32_MAX; break;
		case 9: c->stages_at += 8; break;
		case 10: c->workers_at = 0; break;
		case 11: c->edges_at = UINT64_MAX; break;
		case 12: c->lanes_at = bytes; break;
		case 13: memset(c->pipeline, 'x', sizeof(c->pipeline)); break;
		case 14: memset(c->graph, 'x', sizeof(c->graph)); break;
		case 15: memset(SZ_CTL_STAGES(c)[2].name, 'x', 40); break;
		case 16: memset(SZ_CTL_STAGES(c)[2].type, 'x', 216); break;
		case 17: SZ_CTL_STAGES(c)[0].role = SZ_SINK + 1; break;
		case 18: SZ_CTL_STAGES(c)[1].first_worker = 1; break;
		case 19: SZ_CTL_STAGES(c)[1].first_worker = UINT32_MAX; break;
		case 20: SZ_CTL_STAGES(c)[1].n_workers = 6; break;
		case 21: SZ_CTL_WORKERS(c)[4].stage = 3; break;
		case 22: SZ_CTL_WORKERS(c)[4].state = SZ_W_GAVE_UP + 1; break;
		case 23: SZ_CTL_EDGES(c)[1].from_stage = 3; break;
		case 24: SZ_CTL_EDGES(c)[1].to_stage = UINT32_MAX; break;
		case 25: memset(SZ_CTL_EDGES(c)[1].port, 'x', 40); break;
		case 26: SZ_CTL_EDGES(c)[1].first_lane = 9; break;
		case 27:
			SZ_CTL_EDGES(c)[1].first_lane = 4;
			SZ_CTL_EDGES(c)[1].n_lanes = UINT32_MAX - 3;
			break;
		case 28: SZ_CTL_EDGES(c)[0].overflow = SZ_OVERFLOW_DROP_NEWEST + 1; break;
		case 29: SZ_CTL_LANES(c)[7].edge = 2; break;
		case 30: SZ_CTL_LANES(c)[7].producer = 5; break;
		case 31: SZ_CTL_LANES(c)[7].consumer = UINT32_MAX; break;
		case 32: SZ_CTL_LANES(c)[7].producer_out = SZ_LANES_MAX; break;
		case 33: SZ_CTL_LANES(c)[7].consumer_in = SZ_LANES_MAX; break;
		default: free(c); return;
		}
		if (sz_ctl_check(c, bytes) != -EBADMSG)
			fail_msg("mutation %d was not noticed", i);
		free(c);
	}
}

/* Words of random value anywhere: whatever is accepted must be safe to walk (ASan watches). */
static void ctl_random(void **state)
{
	uint32_t x = 1, sum = 0;

	for (int i = 0; i < 20000; i++) {
		struct sz_ctl *c = make_ctl(3, 5, 2, 8);
		uint64_t bytes = c->object_bytes;
		uint32_t *word = (uint32_t *)(void *)c;

		for (int k = 0; k < 3; k++) {
			x = x * 1664525 + 1013904223;
			word[(x >> 8) % (2600 / 4)] = x & 1 ? x >> 28 : x;
		}
		if (sz_ctl_check(c, bytes) == 0) {
			for (uint32_t s = 0; s < c->n_stages; s++)
				sum += (uint32_t)strlen(SZ_CTL_STAGES(c)[s].name) +
				       (SZ_CTL_STAGES(c)[s].n_workers
						? SZ_CTL_WORKERS(
							  c)[SZ_CTL_STAGES(c)[s].first_worker]
							  .state
						: 0);
			for (uint32_t l = 0; l < c->n_lanes; l++)
				sum += SZ_CTL_WORKERS(c)[SZ_CTL_LANES(c)[l].producer].stage +
				       SZ_CTL_EDGES(c)[SZ_CTL_LANES(c)[l].edge].overflow;
		}
		free(c);
	}
	assert_true(sum != 1);
}

static int make_wiring(void)
{
	static const struct io_uring_params params = { .sq_entries = 8 };
	struct sz_wire_builder *b = sz_wire_new();
	struct sz_wire_lane in = { 4, 1, 0, sz_wire_string(b, "left", 4) };
	struct sz_wire_lane out[2] = { { 5, 2, 0, sz_wire_string(b, "right", 5) }, { 6, 3, 0, 0 } };
	struct sz_wire_edge edge = { sz_wire_string(b, "", 0), SZ_OVERFLOW_BLOCK, 0, 2 };
	struct sz_wire_option option[2] = {
		{ sz_wire_string(b, "match", 5), sz_wire_string(b, "a\0b", 3), 3, 0 },
		{ sz_wire_string(b, "empty", 5), sz_wire_string(b, "", 0), 0, 0 },
	};
	uint32_t pipeline = sz_wire_string(b, "p", 1), stage = sz_wire_string(b, "s", 1),
		 type = sz_wire_string(b, "t", 1), in_at, out_at, edges_at, options_at, params_at;
	struct sz_wiring *h;
	int fd;

	out[1].peer = out[0].peer;
	in_at = sz_wire_put(b, &in, sizeof(in));
	out_at = sz_wire_put(b, out, sizeof(out));
	edges_at = sz_wire_put(b, &edge, sizeof(edge));
	options_at = sz_wire_put(b, option, sizeof(option));
	params_at = sz_wire_put(b, &params, sizeof(params));
	h = sz_wire_head(b);
	h->pipeline = pipeline;
	h->stage = stage;
	h->type = type;
	h->role = SZ_TRANSFORM;
	h->n_in = 1;
	h->n_out = 2;
	h->n_edges = 1;
	h->n_options = 2;
	h->in_at = in_at;
	h->out_at = out_at;
	h->edges_at = edges_at;
	h->options_at = options_at;
	h->ring_params = params_at;
	fd = sz_wire_finish(b);
	sz_wire_free(b);
	return fd;
}

static void wiring_round_trip(void **state)
{
	const struct sz_wiring *w;
	const struct sz_wire_lane *out;
	const struct sz_wire_option *option;
	int fd = make_wiring();

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(sz_wiring_attach(fd, &w), 0);
	assert_string_equal(sz_wire_text(w, w->pipeline), "p");
	out = sz_wire_at(w, w->out_at);
	assert_int_equal(out[1].fd, 6);
	assert_string_equal(sz_wire_text(w, out[1].peer), "right");
	option = sz_wire_at(w, w->options_at);
	assert_int_equal(option[0].value_len, 3);
	assert_memory_equal(sz_wire_at(w, option[0].value), "a\0b", 4);
	assert_string_equal(sz_wire_text(w, option[1].value), "");
	/* Sealed: nobody changes it under a worker's eyes. */
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 10), -1);
	munmap((void *)(uintptr_t)w, w->bytes);
	close(fd);
}

static int attach_bytes(const void *bytes, size_t len)
{
	int fd = memfd_create("wiring", MFD_CLOEXEC);
	const struct sz_wiring *w;
	int rc;

	assert_int_equal(write(fd, bytes, len), len);
	rc = sz_wiring_attach(fd, &w);
	if (rc == 0)
		munmap((void *)(uintptr_t)w, len);
	close(fd);
	return rc;
}

static uint8_t *wiring_bytes(size_t *len)
{
	const struct sz_wiring *w;
	int fd = make_wiring();
	uint8_t *copy;

	assert_int_equal(sz_wiring_attach(fd, &w), 0);
	*len = w->bytes;
	copy = malloc(*len);
	memcpy(copy, w, *len);
	munmap((void *)(uintptr_t)w, *len);
	close(fd);
	return copy;
}

static void wiring_truncated(void **state)
{
	size_t len;
	uint8_t *bytes = wiring_bytes(&len);

	assert_int_equal(attach_bytes(bytes, len), 0);
	for (size_t n = 0; n < len; n++) {
		assert_int_equal(attach_bytes(bytes, n), -EBADMSG);
		/* Also where the length says so. */
		if (n > sizeof(struct sz_wiring)) {
			((struct sz_wiring *)(void *)bytes)->bytes = (uint32_t)n;
			attach_bytes(bytes, n);
			((struct sz_wiring *)(void *)bytes)->bytes = (uint32_t)len;
		}
	}
	free(bytes);
}

static void wiring_mutations(void **state)
{
	size_t len;
	uint8_t *bytes = wiring_bytes(&len), *good = malloc(len);
	struct sz_wiring *w = (void *)bytes;

	memcpy(good, bytes, len);
	for (int i = 0;; i++) {
		struct sz_wire_lane *in, *out;
		struct sz_wire_edge *edge;
		struct sz_wire_option *option;

		memcpy(bytes, good, len);
		in = (void *)(bytes + w->in_at);
		out = (void *)(bytes + w->out_at);
		edge = (void *)(bytes + w->edges_at);
		option = (void *)(bytes + w->options_at);
		switch (i) {
		case 0: w->magic++; break;
		case 1: w->abi++; break;
		case 2: w->bytes++; break;
		case 3: w->pipeline = 0; break;
		case 4: w->stage = (uint32_t)len; break;
		case 5: w->type = UINT32_MAX; break;
		case 6: w->role = SZ_SINK + 1; break;
		case 7: w->n_in = SZ_LANES_MAX + 1; break;
		case 8: w->n_out = UINT32_MAX; break;
		case 9: w->n_edges = 3; break;
		case 10: w->n_options = 1u << 28; break;
		case 11: w->in_at += 4; break;
		case 12: w->out_at = 8; break;
		case 13: w->edges_at = (uint32_t)len & ~7u; break;
		case 14: w->options_at = UINT32_MAX & ~7u; break;
		case 15: in[0].peer = (uint32_t)len; break;
		case 16: out[1].edge = 1; break;
		case 17: out[0].peer = 3; break;
		case 18: edge[0].port = 0; break;
		case 19: edge[0].overflow = SZ_OVERFLOW_DROP_NEWEST + 1; break;
		case 20: edge[0].first_out = 1; break;
		case 21: edge[0].n_out = UINT32_MAX; break;
		case 22: option[1].key = 0; break;
		case 23: option[1].value = (uint32_t)len; break;
		case 24: option[0].value_len = UINT32_MAX; break;
		case 25: option[0].value_len = 1; break; /* "a": no NUL behind it? there is one */
		case 26: option[0].value_len = 2; break; /* "a\0": no NUL behind it */
		case 27: w->ring_params = (uint32_t)len & ~7u; break;
		case 28: w->ring_params = 8; break;
		default:
			free(bytes);
			free(good);
			return;
		}
		if (attach_bytes(bytes, len) != (i == 25 ? 0 : -EBADMSG))
			fail_msg("mutation %d was not noticed", i);
	}
}

static void builder_limits(void **state)
{
	struct sz_wire_builder *b = sz_wire_new();
	uint8_t *big = calloc(1, SZ_WIRING_MAX);
	uint32_t used = sz_wire_put(b, "", 0);

	/* To the last byte, and then nothing more, however small. */
	assert_int_equal(sz_wire_put(b, big, SZ_WIRING_MAX - used - 8), used);
	sz_wire_string(b, "", 0);
	sz_wire_put(b, big, 1);
	sz_wire_put(b, big, 100);
	assert_int_equal(sz_wire_finish(b), -E2BIG);
	sz_wire_free(b);
	b = sz_wire_new();
	sz_wire_put(b, big, SZ_WIRING_MAX);
	assert_int_equal(sz_wire_finish(b), -E2BIG);
	assert_int_equal(sz_wire_put(b, "x", 1), 0);
	assert_int_equal(sz_wire_finish(b), -E2BIG); /* remembered */
	sz_wire_free(b);
	b = sz_wire_new();
	sz_wire_put(b, "x", SIZE_MAX);
	assert_int_equal(sz_wire_finish(b), -E2BIG);
	sz_wire_free(b);
	free(big);
	sz_wire_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ctl_layout),       cmocka_unit_test(ctl_mutations),
		cmocka_unit_test(ctl_random),       cmocka_unit_test(wiring_round_trip),
		cmocka_unit_test(wiring_truncated), cmocka_unit_test(wiring_mutations),
		cmocka_unit_test(builder_limits),
	};

	return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
