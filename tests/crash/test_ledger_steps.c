/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_ledger_steps.c - kill a worker after every instruction, and kill what comes after it again
 *
 * Depth 1: a worker runs its script under the stepper. Every image its memory goes through is what a successor finds
 * if the worker is killed there. Each distinct image is recovered and the script taken to its end by a second life,
 * once with peers that go on between death and recovery and once without.
 *
 * Depth 2: from each image that recovery can tell from the others, the recovery itself is stepped, and then the first
 * batch of the second life; every image of these is judged in the same way (a recovery killed in recovery; a second
 * life killed in its first batch).
 *
 * Negative controls: the same with a worker or a recovery that breaks one rule; the judges have to find it.
 *
 *	test_ledger_steps [--long]	(or SZ_TEST_LONG=1)
 */
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#define MAX_STEPS  10000000u
#define ASKS_MAX   1000u
#define REAL_KILLS 20
#define NEAR_WRAP  (UINT64_MAX - 1023)   /* a multiple of 8; the position wraps within the case */
#define LANE_WRAP  (4096ull * 1000 - 64) /* the data wraps with the first records */
#define NEAR_4G    ((1ull << 32) - 512)

/* One record short of full: what is committed before the stepping leaves room for one longest record. */
static const struct world_case cases[] = {
	{ .name = "input empty, 1 output",
	  .n_out = 1,
	  .journaled = true,
	  .n_records = 5,
	  .len_scale = 1,
	  .feed_first = 0,
	  .feed = 2,
	  .drain = 1,
	  .deep = true },
	{ .name = "input full, 1 output",
	  .n_out = 1,
	  .journaled = true,
	  .n_records = 7,
	  .len_scale = 1,
	  .in_limit = 1536,
	  .feed_first = 40,
	  .feed = 40,
	  .drain = 40,
	  .peers_parked = true,
	  .deep = true },
	{ .name = "input full, 3 outputs",
	  .n_out = 3,
	  .journaled = true,
	  .n_records = 7,
	  .len_scale = 1,
	  .in_limit = 1536,
	  .feed_first = 40,
	  .feed = 40,
	  .drain = 40,
	  .deep = true },
	{ .name = "input full and refilled, 1 output",
	  .n_out = 1,
	  .journaled = true,
	  .n_records = 14,
	  .len_scale = 8,
	  .feed_first = 40,
	  .feed = 40,
	  .drain = 40 },
	{ .name = "input limited to 2 records, 3 outputs",
	  .n_out = 3,
	  .journaled = true,
	  .n_records = 6,
	  .len_scale = 1,
	  .in_limit_records = 2,
	  .feed_first = 2,
	  .feed = 2,
	  .drain = 1 },
	{ .name = "data wraps, 1 output",
	  .n_out = 1,
	  .journaled = true,
	  .start_pos = LANE_WRAP,
	  .n_records = 7,
	  .len_scale = 4,
	  .feed_first = 40,
	  .feed = 40,
	  .drain = 40 },
	{ .name = "data wraps, 3 outputs, no journal",
	  .n_out = 3,
	  .journaled = false,
	  .start_pos = LANE_WRAP,
	  .n_records = 7,
	  .len_scale = 2,
	  .feed_first = 40,
	  .feed = 40,
	  .drain = 40 },
	{ .name = "positions wrap at 2^64, 3 outputs",
	  .n_out = 3,
	  .journaled = true,
	  .start_pos = NEAR_WRAP,
	  .n_records = 9,
	  .len_scale = 2,
	  .feed_first = 3,
	  .feed = 3,
	  .drain = 3 },
	{ .name = "positions wrap at 2^64, 1 output, lane overwritten",
	  .n_out = 1,
	  .journaled = false,
	  .start_pos = NEAR_WRAP,
	  .n_records = 16,
	  .len_scale = 8,
	  .feed_first = 4,
	  .feed = 4,
	  .drain = 4 },
	{ .name = "positions pass 2^32, 1 output",
	  .n_out = 1,
	  .journaled = true,
	  .start_pos = NEAR_4G,
	  .n_records = 6,
	  .len_scale = 2,
	  .feed_first = 3,
	  .feed = 3,
	  .drain = 3 },
	{ .name = "output one record short of full",
	  .n_out = 1,
	  .journaled = true,
	  .start_pos = LANE_WRAP,
	  .n_records = 12,
	  .len_scale = 8,
	  .feed_first = 40,
	  .feed = 2,
	  .drain = 1,
	  .batches_before = 2 },
	{ .name = "outputs limited to 1 record, 3 outputs",
	  .n_out = 3,
	  .journaled = true,
	  .n_records = 4,
	  .len_scale = 1,
	  .out_limit_records = 1,
	  .feed_first = 40,
	  .feed = 40,
	  .drain = 1 },
	{ .name = "output limited to 4 records, one there short",
	  .n_out = 1,
	  .journaled = true,
	  .n_records = 6,
	  .len_scale = 1,
	  .out_limit_records = 4,
	  .feed_first = 40,
	  .feed = 40,
	  .drain = 1,
	  .batches_before = 1,
	  .deep = true },
	{ .name = "end with the last batch, 3 outputs",
	  .n_out = 3,
	  .journaled = true,
	  .n_records = 2,
	  .len_scale = 1,
	  .feed_first = 40,
	  .feed = 1,
	  .drain = 1,
	  .peers_parked = true,
	  .deep = true },
	{ .name = "end in a batch of its own",
	  .n_out = 1,
	  .journaled = false,
	  .n_records = 3,
	  .len_scale = 1,
	  .feed_first = 40,
	  .feed = 1,
	  .drain = 1,
	  .deep = true },
	{ .name = "end of an empty stream",
	  .n_out = 3,
	  .journaled = true,
	  .n_records = 0,
	  .len_scale = 1,
	  .feed_first = 1,
	  .feed = 1,
	  .drain = 1,
	  .deep = true },
};

#define N_CASES (sizeof(cases) / sizeof(cases[0]))

struct totals {
	uint64_t steps[2]; /* depth 1, depth 2 */
	uint64_t images[2];
	uint64_t judged;
	uint64_t kills; /* real ones */
};

/* A case in work: the world that is stepped, and one on which images are judged. */
struct run {
	struct world live, court;
	struct step_store store; /* where changed() puts images */
	uint8_t *image;
	struct totals *totals;
	uint64_t kill_at; /* 0: never */
	const char *error;
};

static int ask_model(struct world *w)
{
	static unsigned asks;

	if (world_peers(w) != 0) {
		asks = 0;
		return w->error[0] == 0;
	}
	/* Nothing moved: one more look is fair, since the peers' first move may have come after the worker's look. */
	return ++asks % 2 != 0;
}

static int ask_parent(struct world *w)
{
	static unsigned asks;

	step_ask();
	return ++asks < ASKS_MAX;
}

/* A kill, seen from the successor. False: court->error. */
static bool second_life(struct world *w, bool peers_first)
{
	bool ok;
	int rc;

	if (!world_check_raw(w) || (peers_first && world_peers(w) < 0))
		return false;
	rc = world_attach(w);
	if (rc)
		return world_fail(w, "attach: %d", rc);
	rc = world_recover(w);
	if (rc)
		return world_fail(w, "recovery: %d", rc);
	ok = world_check_recovered(w);
	world_detach(w);
	if (!ok)
		return false;
	rc = world_attach(w);
	if (rc)
		return world_fail(w, "attach after recovery: %d", rc);
	rc = world_work(w, ASKS_MAX, ask_model);
	if (rc != 1)
		return world_fail(w, "the second life does not end: %d", rc);
	return world_check_end(w);
}

static bool judge(struct run *r, const uint8_t *image)
{
	for (int peers_first = 0; peers_first <= 1; peers_first++) {
		bool ok;

		world_load(&r->court, image);
		ok = second_life(&r->court, peers_first);
		world_detach(&r->court);
		r->totals->judged++;
		if (!ok) {
			r->error = r->court.error;
			return false;
		}
	}
	return true;
}

static int on_change(void *ctx, uint64_t step)
{
	struct run *r = ctx;

	world_save(&r->live, r->image);
	step_store_add(&r->store, r->image, step);
	return r->kill_at && step >= r->kill_at;
}

static void on_ask(void *ctx)
{
	struct run *r = ctx;

	world_peers(&r->live);
}

static int child_work(void *ctx)
{
	struct run *r = ctx;

	return world_work(&r->live, ASKS_MAX, ask_parent) == 1 ? 0 : 1;
}

static int child_batch(void *ctx)
{
	struct run *r = ctx;

	return world_work(&r->live, 1, ask_parent) >= 0 ? 0 : 1;
}

static int child_recover(void *ctx)
{
	struct run *r = ctx;

	return world_recover(&r->live) == 0 ? 0 : 1;
}

/* Steps child on the live world as it stands; images go to r->store, which starts with the one before it. */
static bool step(struct run *r, int (*child)(void *), unsigned depth, struct step_result *result)
{
	const struct step_plan plan = {
		.watch = r->live.watch,
		.n_watch = r->live.n_watch,
		.child = child,
		.changed = on_change,
		.asked = on_ask,
		.ctx = r,
		.max_steps = MAX_STEPS,
	};
	int rc;

	if (world_attach(&r->live)) {
		r->error = "attach before stepping";
		return false;
	}
	world_save(&r->live, r->image);
	step_store_add(&r->store, r->image, 0);
	fflush(stdout);
	rc = step_run(&plan, result);
	world_detach(&r->live);
	r->totals->steps[depth - 1] += result->steps;
	if (rc || (result->exit_status > 0)) {
		r->error = rc == -ELOOP ? "too many steps" : "the stepped process failed";
		return false;
	}
	return true;
}

static bool judge_all(struct run *r, struct step_set *judged, unsigned depth)
{
	for (size_t i = 0; i < r->store.n; i++) {
		if (!step_set_add(judged, step_hash(r->store.image[i], r->live.image_bytes, 0)))
			continue;
		r->totals->images[depth - 1]++;
		if (!judge(r, r->store.image[i]))
			return false;
	}
	return true;
}

static struct step_store take_store(struct run *r)
{
	struct step_store taken = r->store;

	r->store = (struct step_store){ .image_bytes = r->live.image_bytes };
	return taken;
}

/* Steps the recovery from one image, then the second life's first batch, and judges the images of both. */
static bool deepen(struct run *r, const uint8_t *image, struct step_set *judged,
		   struct step_set *recovered)
{
	struct step_result result;

	world_load(&r->live, image);
	if (!step(r, child_recover, 2, &result))
		return false;
	world_save(&r->live, r->image);
	if (step_set_add(recovered, world_hash_control(&r->live, r->image))) {
		bool ok;

		r->live.other_way = true;
		ok = step(r, child_batch, 2, &result);
		r->live.other_way = false;
		if (!ok)
			return false;
	}
	return judge_all(r, judged, 2);
}

static bool depth_two(struct run *r, const struct step_store *first, struct step_set *judged,
		      unsigned stride)
{
	struct step_set seen = { 0 }, recovered = { 0 };
	unsigned n = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < first->n; i++) {
		if (!step_set_add(&seen, world_hash_control(&r->live, first->image[i])) ||
		    n++ % stride != 0)
			continue;
		ok = deepen(r, first->image[i], judged, &recovered);
		step_store_free(&r->store);
		r->store.image_bytes = r->live.image_bytes;
	}
	step_set_free(&seen);
	step_set_free(&recovered);
	return ok;
}

static void run_init(struct run *r, const struct world_case *c, const struct expected *want,
		     enum broken broken, struct totals *totals)
{
	memset(r, 0, sizeof(*r));
	world_create(&r->live, c, want, broken);
	world_create(&r->court, c, want, broken);
	r->live.consequences_only = r->court.consequences_only = broken > COPY;
	r->totals = totals;
	r->store.image_bytes = r->live.image_bytes;
	r->image = malloc(r->live.image_bytes);
	if (!r->image)
		abort();
	if (c->batches_before && !world_attach(&r->live)) {
		world_work(&r->live, c->batches_before, ask_model);
		world_detach(&r->live);
	}
}

static void run_fini(struct run *r)
{
	step_store_free(&r->store);
	world_destroy(&r->live);
	world_destroy(&r->court);
	free(r->image);
}

/* depth2_stride: every so many-th of the images that recovery can tell apart; 0: no depth 2. NULL: all is well. */
static const char *run_case(const struct world_case *c, enum broken broken, unsigned depth2_stride,
			    struct totals *totals)
{
	static struct expected want;
	static char error[200];
	struct step_set judged = { 0 };
	struct step_store first;
	struct step_result result;
	struct run r;
	bool ok;

	expected_make(&want, c);
	run_init(&r, c, &want, broken, totals);
	ok = step(&r, child_work, 1, &result);
	ok = ok && judge_all(&r, &judged, 1);
	first = take_store(&r);
	if (ok && depth2_stride)
		ok = depth_two(&r, &first, &judged, depth2_stride);
	snprintf(error, sizeof(error), "%s", r.error ? r.error : "");
	step_store_free(&first);
	step_set_free(&judged);
	run_fini(&r);
	return ok ? NULL : error;
}

/* Is the image of a stop what a SIGKILL there leaves? Asked of real kills at steps all over a run. */
static const char *real_kills(struct totals *totals)
{
	const struct world_case *c = &cases[2];
	static struct expected want;
	struct totals ignored = { 0 };
	struct step_result result;
	uint64_t at[REAL_KILLS];
	struct run r;
	const char *error = NULL;

	expected_make(&want, c);
	run_init(&r, c, &want, REAL, &ignored);
	if (!step(&r, child_work, 1, &result))
		error = r.error;
	for (size_t i = 0; !error && i < REAL_KILLS; i++)
		at[i] = r.store.step[1 + i * (r.store.n - 1) / REAL_KILLS];
	run_fini(&r);
	for (unsigned i = 0; !error && i < REAL_KILLS; i++) {
		run_init(&r, c, &want, REAL, &ignored);
		r.kill_at = at[i];
		if (!step(&r, child_work, 1, &result) || result.exit_status != -1) {
			error = "not killed";
		} else {
			uint8_t *stopped = r.store.image[r.store.n - 1];

			world_save(&r.live, r.image);
			if (memcmp(stopped, r.image, r.live.watched_bytes) != 0)
				error = "a kill left another image than the stop before it";
			else if (!judge(&r, r.image))
				error = "a killed process was not recovered";
		}
		totals->kills++;
		run_fini(&r);
	}
	return error;
}

struct control {
	enum broken broken;
	const char *name;
	unsigned wrong_case; /* index into cases */
	unsigned stride;     /* depth 2 needed */
};

static const struct control controls[] = {
	{ EPOCH_BEFORE_SLOT, "epoch stored before the slot is filled", 1, 0 },
	{ SLOT_IN_PLACE, "slot overwritten in place", 1, 0 },
	{ TAIL_BEFORE_EPOCH, "tail published before the epoch", 1, 0 },
	{ HEAD_BEFORE_EPOCH, "head published before the epoch", 3, 0 },
	{ STATE_NOT_JOURNALED, "state overwritten without a journal", 1, 0 },
	{ COUNTED_AFTER_OVERWRITE, "entry counted after the overwrite", 1, 0 },
	{ COUNTED_BEFORE_ENTRY, "entry counted before it is whole", 1, 0 },
	{ OLDEST_FIRST, "roll-back oldest first", 1, 0 },
	{ WORD_NOT_RESET, "journal word not reset by roll-back", 1, 1 },
	{ WORD_RESET_FIRST, "journal word reset before roll-back", 1, 1 },
	{ NOT_REPUBLISHED, "recovery does not publish", 1, 0 },
	{ STATS_NOT_REPUBLISHED, "recovery does not publish statistics", 1, 0 },
	{ END_NOT_COMMITTED, "end of stream published but not committed", 14, 0 },
	{ CLAIM_AFTER_WRITE, "claim stored after the write", 8, 0 },
};

#define N_CONTROLS (sizeof(controls) / sizeof(controls[0]))
_Static_assert(N_CONTROLS == BROKEN_COUNT - 2, "every break has its control");

static unsigned passed, failed;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void verdict(bool ok, const char *name, const char *detail)
{
	printf("[  %s  ] %s%s%s\n", ok ? "     OK" : " FAILED", name, detail[0] ? ": " : "",
	       detail);
	fflush(stdout);
	if (ok)
		passed++;
	else
		failed++;
}

static void run_cases(bool is_long, struct totals *totals)
{
	for (size_t i = 0; i < N_CASES; i++) {
		struct totals t = { 0 };
		double start = now_s();
		unsigned stride = is_long ? 1 : cases[i].deep ? 4 : 0;
		const char *error = run_case(&cases[i], REAL, stride, &t);
		char detail[240];

		snprintf(detail, sizeof(detail),
			 "%" PRIu64 "+%" PRIu64 " steps, %" PRIu64 "+%" PRIu64
			 " images, %.1f s%s%s",
			 t.steps[0], t.steps[1], t.images[0], t.images[1], now_s() - start,
			 error ? ": " : "", error ? error : "");
		verdict(!error, cases[i].name, detail);
		for (int d = 0; d < 2; d++) {
			totals->steps[d] += t.steps[d];
			totals->images[d] += t.images[d];
		}
		totals->judged += t.judged;
	}
}

static void run_controls(void)
{
	struct totals t = { 0 };
	const char *error = run_case(&cases[1], COPY, 4, &t);

	verdict(!error, "control: copies with nothing broken", error ? error : "");
	for (size_t i = 0; i < N_CONTROLS; i++) {
		const struct control *c = &controls[i];
		char name[120];

		error = run_case(&cases[c->wrong_case], c->broken, c->stride, &t);
		snprintf(name, sizeof(name), "control: %s", c->name);
		verdict(error != NULL, name, error ? error : "not found");
	}
}

int main(int argc, char **argv)
{
	const char *env = getenv("SZ_TEST_LONG");
	bool is_long = (argc > 1 && strcmp(argv[1], "--long") == 0) || (env && env[0] == '1');
	struct totals totals = { 0 };
	const char *error;
	cpu_set_t here;

	/* A step is two context switches: twice as fast when both processes share a core. */
	CPU_ZERO(&here);
	CPU_SET((unsigned)sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
	error = real_kills(&totals);
	verdict(!error, "a stop shows what a SIGKILL leaves", error ? error : "");
	run_cases(is_long, &totals);
	run_controls();
	printf("depth 1: %" PRIu64 " instructions stepped, %" PRIu64
	       " distinct images; depth 2: %" PRIu64 " instructions stepped, %" PRIu64
	       " distinct images; %" PRIu64 " second lives judged, %" PRIu64 " real kills\n",
	       totals.steps[0], totals.images[0], totals.steps[1], totals.images[1], totals.judged,
	       totals.kills);
	printf("[  %s  ] %u test(s), %u failed\n", failed ? " FAILED" : " PASSED", passed + failed,
	       failed);
	return failed ? 1 : 0;
}
