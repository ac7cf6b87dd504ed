/* SPDX-License-Identifier: BSD-2-Clause */
/* contract.c - layout and checks of ctl, and the wiring a worker is started with */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <streamz/contract.h>

uint64_t sz_ctl_layout(struct sz_ctl *c)
{
	uint64_t at = sz_round_up(sizeof(*c), 64);

	c->stages_at = at;
	at += (uint64_t)c->n_stages * sizeof(struct sz_ctl_stage);
	c->workers_at = at;
	at += (uint64_t)c->n_workers * sizeof(struct sz_ctl_worker);
	c->edges_at = at;
	at += (uint64_t)c->n_edges * sizeof(struct sz_ctl_edge);
	c->lanes_at = at;
	at += (uint64_t)c->n_lanes * sizeof(struct sz_ctl_lane);
	c->object_bytes = sz_round_up(at, SZ_PAGE_BYTES);
	return c->object_bytes;
}

static bool terminated(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static bool stages_fit(const struct sz_ctl *c)
{
	const struct sz_ctl_stage *s = SZ_CTL_STAGES(c);
	const struct sz_ctl_worker *w = SZ_CTL_WORKERS(c);

	for (uint32_t i = 0; i < c->n_stages; i++)
		if (!terminated(s[i].name, sizeof(s[i].name)) ||
		    !terminated(s[i].type, sizeof(s[i].type)) || s[i].role > SZ_SINK ||
		    s[i].first_worker > c->n_workers ||
		    s[i].n_workers > c->n_workers - s[i].first_worker)
			return false;
	for (uint32_t i = 0; i < c->n_workers; i++)
		if (w[i].stage >= c->n_stages || w[i].state > SZ_W_GAVE_UP)
			return false;
	return true;
}

static bool edges_fit(const struct sz_ctl *c)
{
	const struct sz_ctl_edge *e = SZ_CTL_EDGES(c);
	const struct sz_ctl_lane *l = SZ_CTL_LANES(c);

	for (uint32_t i = 0; i < c->n_edges; i++)
		if (e[i].from_stage >= c->n_stages || e[i].to_stage >= c->n_stages ||
		    e[i].overflow > SZ_OVERFLOW_DROP_NEWEST ||
		    !terminated(e[i].port, sizeof(e[i].port)) || e[i].first_lane > c->n_lanes ||
		    e[i].n_lanes > c->n_lanes - e[i].first_lane)
			return false;
	for (uint32_t i = 0; i < c->n_lanes; i++)
		if (l[i].edge >= c->n_edges || l[i].producer >= c->n_workers ||
		    l[i].consumer >= c->n_workers || l[i].producer_out >= SZ_LANES_MAX ||
		    l[i].consumer_in >= SZ_LANES_MAX)
			return false;
	return true;
}

int sz_ctl_check(const struct sz_ctl *c, uint64_t bytes)
{
	struct sz_ctl want;

	if (bytes < sizeof(*c) || c->magic != SZ_CTL_MAGIC || c->abi != SZ_ABI ||
	    c->object_bytes != bytes || c->n_stages > SZ_STAGES_MAX ||
	    c->n_workers > SZ_WORKERS_MAX || c->n_edges > SZ_EDGES_MAX ||
	    c->n_lanes > SZ_LANES_TOTAL_MAX)
		return -EBADMSG;
	want = *c;
	if (sz_ctl_layout(&want) != bytes || want.stages_at != c->stages_at ||
	    want.workers_at != c->workers_at || want.edges_at != c->edges_at ||
	    want.lanes_at != c->lanes_at)
		return -EBADMSG;
	if (!terminated(c->pipeline, sizeof(c->pipeline)) ||
	    !terminated(c->graph, sizeof(c->graph)) || !stages_fit(c) || !edges_fit(c))
		return -EBADMSG;
	return 0;
}

struct sz_wire_builder {
	uint8_t *bytes;
	size_t used, size;
	int error;
};

struct sz_wire_builder *sz_wire_new(void)
{
	struct sz_wire_builder *b = calloc(1, sizeof(*b));
	struct sz_wiring head = { .magic = SZ_WIRING_MAGIC, .abi = SZ_ABI };

	if (!b)
		return NULL;
	sz_wire_put(b, &head, sizeof(head));
	if (b->error) {
		sz_wire_free(b);
		return NULL;
	}
	return b;
}

void sz_wire_free(struct sz_wire_builder *b)
{
	if (b)
		free(b->bytes);
	free(b);
}

struct sz_wiring *sz_wire_head(struct sz_wire_builder *b)
{
	return (void *)b->bytes;
}

uint32_t sz_wire_put(struct sz_wire_builder *b, const void *bytes, size_t len)
{
	size_t at = (size_t)sz_round_up(b->used, 8);

	if (b->error)
		return 0;
	if (at + 8 > SZ_WIRING_MAX || len > SZ_WIRING_MAX - at - 8) {
		b->error = -E2BIG;
		return 0;
	}
	if (at + len + 8 > b->size) {
		size_t size = 2 * (at + len + 8);
		uint8_t *grown = realloc(b->bytes, size);

		if (!grown) {
			b->error = -ENOMEM;
			return 0;
		}
		memset(grown + b->size, 0, size - b->size);
		b->bytes = grown;
		b->size = size;
	}
	if (len)
		memcpy(b->bytes + at, bytes, len);
	b->used = at + len;
	return (uint32_t)at;
}

uint32_t sz_wire_string(struct sz_wire_builder *b, const char *text, size_t len)
{
	uint32_t at = sz_wire_put(b, text, len);

	if (!b->error)
		b->used++; /* the NUL: fresh bytes are zero, and put() keeps 8 in reserve */
	return at;
}

int sz_wire_finish(struct sz_wire_builder *b)
{
	size_t done = 0;
	int fd;

	if (b->error)
		return b->error;
	sz_wire_head(b)->bytes = (uint32_t)b->used;
	fd = memfd_create("streamz-wiring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	while (done < b->used) {
		ssize_t n = write(fd, b->bytes + done, b->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int rc = n < 0 ? -errno : -EIO;

			close(fd);
			return rc;
		}
		done += (size_t)n;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

static bool string_fits(const struct sz_wiring *w, uint32_t at)
{
	return at >= sizeof(*w) && at < w->bytes && memchr(sz_wire_at(w, at), 0, w->bytes - at);
}

static bool array_fits(const struct sz_wiring *w, uint32_t at, uint32_t count, size_t each)
{
	return at % 8 == 0 && at >= sizeof(*w) && at <= w->bytes && count <= (w->bytes - at) / each;
}

static bool wiring_is_sane(const struct sz_wiring *w, uint64_t bytes)
{
	const struct sz_wire_lane *in, *out;
	const struct sz_wire_edge *edge;
	const struct sz_wire_option *option;

	if (w->magic != SZ_WIRING_MAGIC || w->abi != SZ_ABI || w->bytes != bytes ||
	    !string_fits(w, w->pipeline) || !string_fits(w, w->stage) || !string_fits(w, w->type) ||
	    w->role > SZ_SINK || w->n_in > SZ_LANES_MAX || w->n_out > SZ_LANES_MAX ||
	    w->n_edges > w->n_out || !array_fits(w, w->in_at, w->n_in, sizeof(*in)) ||
	    !array_fits(w, w->out_at, w->n_out, sizeof(*out)) ||
	    !array_fits(w, w->edges_at, w->n_edges, sizeof(*edge)) ||
	    !array_fits(w, w->options_at, w->n_options, sizeof(*option)) ||
	    (w->ring_params && !array_fits(w, w->ring_params, 1, sizeof(struct io_uring_params))))
		return false;
	in = sz_wire_at(w, w->in_at);
	for (uint32_t i = 0; i < w->n_in; i++)
		if (!string_fits(w, in[i].peer))
			return false;
	out = sz_wire_at(w, w->out_at);
	for (uint32_t i = 0; i < w->n_out; i++)
		if (!string_fits(w, out[i].peer) || out[i].edge >= w->n_edges)
			return false;
	edge = sz_wire_at(w, w->edges_at);
	for (uint32_t i = 0; i < w->n_edges; i++)
		if (!string_fits(w, edge[i].port) || edge[i].overflow > SZ_OVERFLOW_DROP_NEWEST ||
		    edge[i].first_out > w->n_out || edge[i].n_out > w->n_out - edge[i].first_out)
			return false;
	option = sz_wire_at(w, w->options_at);
	for (uint32_t i = 0; i < w->n_options; i++)
		if (!string_fits(w, option[i].key) || option[i].value < sizeof(*w) ||
		    option[i].value >= w->bytes ||
		    option[i].value_len >= w->bytes - option[i].value ||
		    sz_wire_text(w, option[i].value)[option[i].value_len] != 0)
			return false;
	return true;
}

int sz_wiring_attach(int fd, const struct sz_wiring **out)
{
	const struct sz_wiring *w;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)sizeof(*w) || st.st_size > (off_t)SZ_WIRING_MAX)
		return -EBADMSG;
	w = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (w == MAP_FAILED)
		return -errno;
	if (!wiring_is_sane(w, (uint64_t)st.st_size)) {
		munmap((void *)(uintptr_t)w, (size_t)st.st_size);
		return -EBADMSG;
	}
	*out = w;
	return 0;
}
