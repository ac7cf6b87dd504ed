/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_audit_live.c - the audit while the books are being written, and after their writers were killed
 *
 * Three processes a (source) -> b -> c (sink) commit and publish as the runtime does, as fast as they can. A correct
 * pipeline must never fail its audit: not while it runs, not after a SIGKILL at any instruction and before recovery.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <streamz/object.h>
#include <streamz/view.h>

#define WORKERS    3
#define LANES      2
#define CAP        4096u
#define MAX_RECORD 100u
#define BATCH      32u
#define STATS_STEP 64u /* commits between two copies of the counters */

struct chain {
	char name[33];
	int ctl_fd;
	struct sz_ctl *ctl;
	int page_fd[WORKERS], stats_fd[WORKERS], lane_fd[LANES];
	pid_t pid[WORKERS];
	struct sz_view *view;
};

static int create(const struct chain *c, enum sz_object kind, uint32_t index, uint64_t bytes)
{
	char name[SZ_OBJECT_NAME_MAX];
	int fd;

	assert_int_equal(sz_object_name(name, c->name, getuid(), kind, index), 0);
	fd = sz_object_create(name, bytes);
	assert_true(fd >= 0);
	return fd;
}

static void make_ctl(struct chain *c)
{
	struct sz_ctl h = {
		.magic = SZ_CTL_MAGIC,
		.abi = SZ_ABI,
		.uid = getuid(),
		.n_stages = WORKERS,
		.n_workers = WORKERS,
		.n_edges = LANES,
		.n_lanes = LANES,
		.state = SZ_P_RUNNING,
	};
	uint64_t bytes = sz_ctl_layout(&h);

	snprintf(h.pipeline, sizeof(h.pipeline), "%s", c->name);
	c->ctl_fd = create(c, SZ_OBJ_CTL, 0, bytes);
	c->ctl = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->ctl_fd, 0);
	assert_ptr_not_equal(c->ctl, MAP_FAILED);
	*c->ctl = h;
	for (uint32_t i = 0; i < WORKERS; i++) {
		SZ_CTL_STAGES(c->ctl)
		[i] = (struct sz_ctl_stage){ .role = i, .first_worker = i, .n_workers = 1 };
		snprintf(SZ_CTL_STAGES(c->ctl)[i].name, 40, "%c", 'a' + (int)i);
		SZ_CTL_WORKERS(c->ctl)
		[i] = (struct sz_ctl_worker){ .stage = i, .state = SZ_W_RUNNING };
	}
	for (uint32_t i = 0; i < LANES; i++) {
		SZ_CTL_EDGES(c->ctl)
		[i] = (struct sz_ctl_edge){
			.from_stage = i, .to_stage = i + 1, .first_lane = i, .n_lanes = 1
		};
		SZ_CTL_LANES(c->ctl)
		[i] = (struct sz_ctl_lane){
			.edge = i, .producer = i, .consumer = i + 1, .cap_bytes = CAP
		};
	}
}

static struct chain *make_chain(void)
{
	static unsigned serial;
	struct chain *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	snprintf(c->name, sizeof(c->name), "test-live-%d-%u", getpid(), serial++);
	make_ctl(c);
	for (uint32_t w = 0; w < WORKERS; w++) {
		uint32_t n_edges = w < LANES, n = sz_counter_count(n_edges, 0);
		struct sz_page_plan plan = {
			.worker_index = w, .n_in = w > 0, .n_out = n_edges, .n_counters = n
		};
		struct sz_stat_desc desc[64];

		c->page_fd[w] = create(c, SZ_OBJ_PAGE, w, sz_page_plan_bytes(&plan));
		assert_int_equal(sz_page_format(c->page_fd[w], &plan), 0);
		c->stats_fd[w] = create(c, SZ_OBJ_STATS, w, sz_stats_plan_bytes(n + SZ_G_FIXED));
		assert_int_equal(sz_stats_format(c->stats_fd[w], w, n, desc,
						 sz_stats_describe(desc, n_edges, NULL, 0)),
				 0);
	}
	for (uint32_t i = 0; i < LANES; i++) {
		c->lane_fd[i] = create(c, SZ_OBJ_LANE, i, SZ_LANE_DATA_AT + CAP);
		assert_int_equal(sz_lane_format(c->lane_fd[i], i, CAP, CAP, UINT64_MAX, MAX_RECORD,
						0),
				 0);
	}
	assert_int_equal(sz_object_lock(c->ctl_fd), 0);
	assert_int_equal(sz_view_open(c->name, getuid(), &c->view), 0);
	return c;
}

static void free_chain(struct chain *c)
{
	sz_view_close(c->view);
	for (uint32_t w = 0; w < WORKERS; w++) {
		close(c->page_fd[w]);
		close(c->stats_fd[w]);
	}
	for (uint32_t i = 0; i < LANES; i++)
		close(c->lane_fd[i]);
	munmap(c->ctl, c->ctl->object_bytes);
	close(c->ctl_fd);
	assert_true(sz_object_remove_all(c->name, getuid()) > 0);
	free(c);
}

/* A worker, in a process of its own: what goes wrong is told by the exit status */

struct worker {
	struct sz_ledger ledger;
	struct sz_stats stats;
	struct sz_lane in, out;
	bool has_in, has_out;
};

static void need(int rc)
{
	if (rc)
		_exit(1);
}

static void attach(struct worker *w, const struct chain *c, uint32_t index)
{
	w->has_in = index > 0;
	w->has_out = index < LANES;
	need(sz_ledger_attach(&w->ledger, c->page_fd[index], 1));
	need(sz_stats_attach(&w->stats, c->stats_fd[index], 1));
	if (w->has_in) {
		need(sz_lane_attach(&w->in, c->lane_fd[index - 1], SZ_LANE_CONSUMER));
		sz_lane_seek(&w->in, w->ledger.in[0].word, w->ledger.in[0].records);
	}
	if (w->has_out) {
		need(sz_lane_attach(&w->out, c->lane_fd[index], SZ_LANE_PRODUCER));
		sz_lane_seek(&w->out, w->ledger.out[0].word, w->ledger.out[0].records);
	}
}

/* Return: false: nothing to do. */
static bool one_record(struct worker *w)
{
	uint64_t *c = w->ledger.counters;
	struct sz_record r = { .len = (uint32_t)(c[SZ_C_RECORDS_IN] * 7 % MAX_RECORD) };

	if (w->has_in && sz_lane_peek(&w->in, &r) != 1)
		return false;
	if (w->has_out && sz_lane_room(&w->out, sz_record_space(r.len), 1) != 1)
		return false;
	if (w->has_out) {
		memset(sz_lane_reserve(&w->out, r.len), 'x', r.len);
		sz_lane_commit(&w->out, r.len, SZ_RECORD_DATA, 1);
		c[sz_counter_edge(0, SZ_E_OFFERED)]++;
		c[sz_counter_edge(0, SZ_E_PUBLISHED)]++;
	}
	if (w->has_in)
		sz_lane_release(&w->in, r.len);
	c[SZ_C_RECORDS_IN]++;
	c[SZ_C_HANDLED]++;
	return true;
}

static void commit(struct worker *w)
{
	struct sz_ledger *l = &w->ledger;

	l->counters[SZ_C_COMMITS]++;
	l->next->run_state = SZ_RUN_RUNNING;
	if (w->has_in)
		l->in[0] = (struct sz_lane_mark){ sz_lane_word(&w->in), w->in.records };
	if (w->has_out)
		l->out[0] = (struct sz_lane_mark){ sz_lane_word(&w->out), w->out.records };
	sz_ledger_commit(l);
	if (w->has_out)
		sz_end_publish(w->out.own, l->out[0].word, l->out[0].records);
	if (w->has_in)
		sz_end_publish(w->in.own, l->in[0].word, l->in[0].records);
	sz_fence_full();
	if (l->counters[SZ_C_COMMITS] % STATS_STEP == 0)
		sz_stats_publish(&w->stats, l->counters, NULL);
}

static void work(const struct chain *c, uint32_t index)
{
	struct worker w = { .has_in = false };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	attach(&w, c, index);
	for (;;) {
		uint32_t n = 0;

		while (n < BATCH && one_record(&w))
			n++;
		if (n)
			commit(&w);
		else
			usleep(50);
	}
}

static void start(struct chain *c)
{
	for (uint32_t w = 0; w < WORKERS; w++) {
		c->pid[w] = fork();
		assert_true(c->pid[w] >= 0);
		if (c->pid[w] == 0)
			work(c, w);
	}
}

static void kill_all(struct chain *c)
{
	for (uint32_t w = 0; w < WORKERS; w++) {
		int status;

		kill(c->pid[w], SIGKILL);
		assert_int_equal(waitpid(c->pid[w], &status, 0), c->pid[w]);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

struct seen {
	unsigned exact_lanes, lanes;
};

static void note(void *ctx, const struct sz_audit_check *c)
{
	struct seen *s = ctx;

	if (!c->holds)
		print_error("%s: %s: %llu, %llu, slack %llu %s\n", c->name, c->what,
			    (unsigned long long)c->left, (unsigned long long)c->right,
			    (unsigned long long)c->slack, c->why);
	s->lanes += c->kind == SZ_AUDIT_LANE;
	s->exact_lanes += c->kind == SZ_AUDIT_LANE && c->exact;
}

static void audit_holds(struct chain *c, struct seen *s)
{
	struct sz_audit_result r;

	assert_int_equal(sz_audit(c->view, note, s, &r), 0);
	assert_int_equal(r.failures, 0);
	assert_int_equal(r.checks, 3 + 2 + 2 + 2 + 3 + 3 * LANES);
}

static uint64_t delivered(struct chain *c)
{
	assert_int_equal(sz_view_refresh(c->view), 0);
	return sz_view_counter(c->view, WORKERS - 1, SZ_C_HANDLED);
}

static void wait_for(struct chain *c, uint64_t records)
{
	for (int i = 0; delivered(c) < records; i++) {
		assert_true(i < 20000);
		usleep(500);
	}
}

static void test_running(void **state)
{
	struct chain *c = make_chain();
	struct seen s = { 0, 0 };
	uint64_t before;

	start(c);
	wait_for(c, 10000);
	before = delivered(c);
	for (int i = 0; i < 300 || delivered(c) < before + 100000; i++) {
		assert_true(i < 1000000);
		audit_holds(c, &s);
	}
	kill_all(c);
	free_chain(c);
}

static void release(struct chain *c)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	assert_int_equal(fcntl(c->ctl_fd, F_OFD_SETLK, &lock), 0);
}

/* The whole process tree at once: nobody recovers, nobody copies counters out. */
static void test_killed(void **state)
{
	for (unsigned round = 0; round < 40; round++) {
		struct chain *c = make_chain();
		struct seen s = { 0, 0 };

		start(c);
		wait_for(c, 500 + round * 37);
		kill_all(c);
		audit_holds(c, &s); /* a launcher that lives */
		release(c);
		audit_holds(c, &s); /* and one that does not */
		assert_string_equal(sz_view_state_name(c->view), "dead");
		assert_int_equal(s.exact_lanes, 2 * LANES);
		assert_true(sz_view_counter(c->view, 0, SZ_C_RECORDS_IN) ==
			    sz_view_counter(c->view, 2, SZ_C_RECORDS_IN) +
				    sz_view_records_held(c->view));
		free_chain(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
