/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rig.h"

uint64_t rig_now_ns = 1000000000;

static uint64_t rig_clock(void)
{
	return rig_now_ns;
}

static int object(uint64_t bytes)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		abort();
	return fd;
}

static int lane_object(const struct rig *r, uint32_t index, const struct rig_edge *e)
{
	uint64_t limit = e && e->limit_bytes ? e->limit_bytes : 65536;
	uint64_t cap = sz_lane_plan_bytes(limit, r->config.max_record);
	int fd = object(SZ_LANE_DATA_AT + cap);

	if (sz_lane_format(fd, index, cap, limit,
			   e && e->limit_records ? e->limit_records : UINT64_MAX,
			   r->config.max_record, 0))
		abort();
	return fd;
}

static void wire_options(struct sz_wire_builder *b, const char *const *options)
{
	struct sz_wire_option wires[32];
	uint32_t n = 0, at;

	for (; options && options[n]; n++) {
		const char *eq = strchr(options[n], '=');

		wires[n] =
			(struct sz_wire_option){ .key = sz_wire_string(b, options[n],
								       (size_t)(eq - options[n])),
						 .value = sz_wire_string(b, eq + 1, strlen(eq + 1)),
						 .value_len = (uint32_t)strlen(eq + 1) };
	}
	at = sz_wire_put(b, wires, n * sizeof(wires[0]));
	sz_wire_head(b)->options_at = at;
	sz_wire_head(b)->n_options = n;
}

/* Every life gets descriptors of its own: attaching closes those of the lanes. */
static void wire(struct rig *r)
{
	struct sz_wire_builder *b = sz_wire_new();
	struct sz_wire_lane in[RIG_INPUTS], out[RIG_EDGES];
	struct sz_wire_edge edges[RIG_EDGES];
	struct sz_wiring head;
	uint32_t peer = sz_wire_string(b, "peer", 4);
	int fd;

	for (uint32_t i = 0; i < r->config.inputs; i++)
		in[i] = (struct sz_wire_lane){ .fd = dup(r->in_fd[i]),
					       .lane_index = i,
					       .peer = peer };
	for (uint32_t i = 0; i < r->n_edges; i++) {
		const char *port = r->config.edges[i].port;

		out[i] = (struct sz_wire_lane){
			.fd = dup(r->out_fd[i]), .lane_index = 100 + i, .edge = i, .peer = peer
		};
		edges[i] = (struct sz_wire_edge){ .port = sz_wire_string(b, port, strlen(port)),
						  .overflow = (uint32_t)r->config.edges[i].overflow,
						  .first_out = i,
						  .n_out = 1 };
	}
	head = *sz_wire_head(b);
	head.pipeline = sz_wire_string(b, "rig", 3);
	head.stage = sz_wire_string(b, "stage", 5);
	head.type = sz_wire_string(b, r->config.ops->name, strlen(r->config.ops->name));
	head.role = r->config.ops->role;
	head.n_workers = 1;
	head.generation = ++r->generation;
	head.launcher_pid = getppid();
	head.ctl_fd = head.bell_fd = head.ring_fd = -1;
	head.page_fd = r->page_fd;
	head.stats_fd = r->stats_fd;
	head.max_in = head.max_out = r->config.max_record;
	head.seed = r->config.seed;
	head.n_in = r->config.inputs;
	head.n_out = head.n_edges = r->n_edges;
	head.in_at = sz_wire_put(b, in, head.n_in * sizeof(in[0]));
	head.out_at = sz_wire_put(b, out, head.n_out * sizeof(out[0]));
	head.edges_at = sz_wire_put(b, edges, head.n_edges * sizeof(edges[0]));
	*sz_wire_head(b) = head;
	wire_options(b, r->config.options);
	fd = sz_wire_finish(b);
	if (fd < 0 || sz_wiring_attach(fd, &r->wiring))
		abort();
	close(fd);
	sz_wire_free(b);
}

static int begin_life(struct rig *r)
{
	char error[SZ_VALUE_ERROR_SIZE];
	const char *option;

	wire(r);
	if (sz_rt_attach(&r->stage, r->config.ops, r->wiring))
		abort();
	if (sz_values_parse(r->config.ops, r->wiring, &r->stage.values, error, &option)) {
		fprintf(stderr, "rig: option %s: %s\n", option, error);
		abort();
	}
	return sz_rt_start(&r->stage);
}

static void end_life(struct rig *r)
{
	uint32_t bytes = r->wiring->bytes;

	close(r->stage.lock_fd);
	sz_rt_detach(&r->stage);
	munmap((void *)(uintptr_t)r->wiring, bytes);
}

int rig_open(struct rig *r, const struct rig_config *config)
{
	struct sz_stat_desc desc[256];
	struct sz_page_plan plan = { 0 };
	uint32_t n_stats;

	memset(r, 0, sizeof(*r));
	sz_clock_hook = rig_clock;
	r->config = *config;
	if (!r->config.max_record)
		r->config.max_record = 1024;
	while (r->n_edges < RIG_EDGES && config->edges[r->n_edges].port)
		r->n_edges++;
	plan.n_in = config->inputs;
	plan.n_out = r->n_edges;
	plan.n_counters = sz_counter_count(r->n_edges, config->ops->n_counters);
	plan.state_bytes = config->ops->state_bytes;
	plan.journal_bytes = config->journal_bytes ? config->journal_bytes
						   : 64ull * config->ops->journal_per_call;
	plan.arena_bytes = config->arena_bytes;
	r->page_fd = object(sz_page_plan_bytes(&plan));
	if (sz_page_format(r->page_fd, &plan))
		abort();
	n_stats =
		sz_stats_describe(desc, r->n_edges, config->ops->counters, config->ops->n_counters);
	r->stats_fd = object(sz_stats_plan_bytes(n_stats));
	if (sz_stats_format(r->stats_fd, 0, plan.n_counters, desc, n_stats))
		abort();
	for (uint32_t i = 0; i < config->inputs; i++) {
		r->in_fd[i] = lane_object(r, i, NULL);
		if (sz_lane_attach(&r->in[i], r->in_fd[i], SZ_LANE_PRODUCER))
			abort();
		sz_lane_seek(&r->in[i], 0, 0);
	}
	for (uint32_t i = 0; i < r->n_edges; i++) {
		r->out_fd[i] = lane_object(r, 100 + i, &config->edges[i]);
		if (sz_lane_attach(&r->out[i], r->out_fd[i], SZ_LANE_CONSUMER))
			abort();
		sz_lane_seek(&r->out[i], 0, 0);
	}
	return begin_life(r);
}

static void recover(struct rig *r)
{
	struct sz_lane in[RIG_INPUTS], out[RIG_EDGES];
	struct sz_ledger ledger;
	struct sz_stats stats;
	int rc = sz_ledger_attach(&ledger, r->page_fd, 1) | sz_stats_attach(&stats, r->stats_fd, 1);

	for (uint32_t i = 0; i < r->config.inputs; i++)
		rc |= sz_lane_attach(&in[i], r->in_fd[i], SZ_LANE_RECOVERY);
	for (uint32_t i = 0; i < r->n_edges; i++)
		rc |= sz_lane_attach(&out[i], r->out_fd[i], SZ_LANE_RECOVERY);
	if (rc || sz_ledger_recover(&ledger, in, out, &stats))
		abort();
	for (uint32_t i = 0; i < r->config.inputs; i++)
		sz_lane_detach(&in[i]);
	for (uint32_t i = 0; i < r->n_edges; i++)
		sz_lane_detach(&out[i]);
	sz_stats_detach(&stats);
	sz_ledger_detach(&ledger);
}

int rig_crash(struct rig *r)
{
	end_life(r);
	recover(r);
	return begin_life(r);
}

void rig_close(struct rig *r)
{
	end_life(r);
	for (uint32_t i = 0; i < r->config.inputs; i++) {
		sz_lane_detach(&r->in[i]);
		close(r->in_fd[i]);
	}
	for (uint32_t i = 0; i < r->n_edges; i++) {
		sz_lane_detach(&r->out[i]);
		close(r->out_fd[i]);
	}
	close(r->page_fd);
	close(r->stats_fd);
	sz_clock_hook = NULL;
}

int rig_put(struct rig *r, uint32_t input, const void *data, uint32_t len)
{
	struct sz_lane *lane = &r->in[input];

	if (sz_lane_room(lane, sz_record_space(len), 1) != 1)
		return -ENOSPC;
	memcpy(sz_lane_reserve(lane, len), data, len);
	sz_lane_commit(lane, len, SZ_RECORD_DATA, rig_now_ns);
	sz_end_publish(lane->own, sz_lane_word(lane), lane->records);
	return 0;
}

int rig_puts(struct rig *r, uint32_t input, const char *text)
{
	return rig_put(r, input, text, (uint32_t)strlen(text));
}

void rig_end(struct rig *r, uint32_t input)
{
	r->in[input].own_flags |= SZ_LANE_ENDED;
	sz_end_publish(r->in[input].own, sz_lane_word(&r->in[input]), r->in[input].records);
}

enum sz_turn rig_run(struct rig *r)
{
	enum sz_turn t;

	do {
		t = sz_rt_turn(&r->stage);
	} while (t == SZ_TURN_PROGRESS);
	return t;
}

int rig_get(struct rig *r, uint32_t edge, char *buf, uint32_t size)
{
	struct sz_lane *lane = &r->out[edge];
	struct sz_record rec = { 0 };

	if (sz_lane_peek(lane, &rec) != 1)
		return sz_lane_ended(lane) ? -2 : -1;
	memcpy(buf, rec.data, rec.len < size ? rec.len : size);
	sz_lane_release(lane, rec.len);
	sz_end_publish(lane->own, sz_lane_word(lane), lane->records);
	return (int)rec.len;
}

const char *rig_drain(struct rig *r, uint32_t edge)
{
	static char all[1 << 20];
	size_t used = 0;
	int n;

	all[0] = 0;
	while ((n = rig_get(r, edge, all + used + 1, (uint32_t)(sizeof(all) - used - 2))) >= 0) {
		if (used)
			all[used] = '|';
		else
			memmove(all, all + 1, (size_t)n);
		used += (size_t)n + (used > 0);
		all[used] = 0;
	}
	return all;
}

uint64_t rig_counter(const struct rig *r, enum sz_counter c)
{
	return r->stage.ledger.counters[c];
}

uint64_t rig_edge_counter(const struct rig *r, uint32_t edge, enum sz_edge_counter c)
{
	return r->stage.ledger.counters[sz_counter_edge(edge, c)];
}

uint64_t rig_own_counter(const struct rig *r, uint32_t index)
{
	return r->stage.ledger.counters[sz_counter_count(r->n_edges, index)];
}
