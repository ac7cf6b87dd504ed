/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "mortal.h"

/* The dead do not free what they had in their hands: an envelope that was being made. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libjansson";
}

#define SECOND_DEATH 5 /* points into the next life */
#define TEXT_MAX     65536

static jmp_buf death;
static bool armed;
static uint64_t points, die_at;

static void point(void)
{
	if (armed && ++points == die_at) {
		armed = false;
		longjmp(death, 1);
	}
}

void __real_sz_emit(struct sz_stage *s, uint32_t port, const void *data, uint32_t len);
void __wrap_sz_emit(struct sz_stage *s, uint32_t port, const void *data, uint32_t len);
void __wrap_sz_emit(struct sz_stage *s, uint32_t port, const void *data, uint32_t len)
{
	point();
	__real_sz_emit(s, port, data, len);
	point();
}

void __real_sz_journal(struct sz_stage *s, const void *at, size_t len);
void __wrap_sz_journal(struct sz_stage *s, const void *at, size_t len);
void __wrap_sz_journal(struct sz_stage *s, const void *at, size_t len)
{
	point();
	__real_sz_journal(s, at, len);
	point();
}

void __real_sz_hold(struct sz_stage *s, int64_t n);
void __wrap_sz_hold(struct sz_stage *s, int64_t n);
void __wrap_sz_hold(struct sz_stage *s, int64_t n)
{
	point();
	__real_sz_hold(s, n);
	point();
}

void __real_sz_count(struct sz_stage *s, uint32_t counter, uint64_t n);
void __wrap_sz_count(struct sz_stage *s, uint32_t counter, uint64_t n);
void __wrap_sz_count(struct sz_stage *s, uint32_t counter, uint64_t n)
{
	point();
	__real_sz_count(s, counter, n);
	point();
}

void __real_sz_timer(struct sz_stage *s, uint64_t time_ns);
void __wrap_sz_timer(struct sz_stage *s, uint64_t time_ns);
void __wrap_sz_timer(struct sz_stage *s, uint64_t time_ns)
{
	point();
	__real_sz_timer(s, time_ns);
	point();
}

void __real_sz_ledger_commit(struct sz_ledger *l);
void __wrap_sz_ledger_commit(struct sz_ledger *l);
void __wrap_sz_ledger_commit(struct sz_ledger *l)
{
	point();
	__real_sz_ledger_commit(l);
	point(); /* true, and not published */
}

void __real_sz_wake_peers(struct sz_stage *s, bool all);
void __wrap_sz_wake_peers(struct sz_stage *s, bool all);
void __wrap_sz_wake_peers(struct sz_stage *s, bool all)
{
	point(); /* published */
	__real_sz_wake_peers(s, all);
}

int __real_sz_io_submit(struct sz_io *io);
int __wrap_sz_io_submit(struct sz_io *io);
int __wrap_sz_io_submit(struct sz_io *io)
{
	int rc;

	point(); /* committed, not submitted */
	rc = __real_sz_io_submit(io);
	point();
	return rc;
}

struct played {
	char text[RIG_EDGES][TEXT_MAX];
	uint64_t counters[SZ_C_FIXED];
	uint64_t own[16];
	uint64_t points;
	enum sz_turn last;
};

static const enum sz_counter compared[] = { SZ_C_RECORDS_IN, SZ_C_BYTES_IN, SZ_C_HANDLED,
					    SZ_C_FAILED,     SZ_C_HELD,     SZ_C_RECORDS_OUT };

static void crash(struct rig *r, const struct mortal_script *script)
{
	if (script->last_rites)
		script->last_rites(&r->stage);
	assert_int_equal(rig_crash(r), 0);
}

static void take_output(struct rig *r, struct played *p)
{
	static char buf[4096];
	int n;

	for (uint32_t e = 0; e < r->n_edges; e++) {
		while ((n = rig_get(r, e, buf, sizeof(buf) - 1)) >= 0) {
			size_t used = strlen(p->text[e]);

			assert_true(used + (size_t)n + 2 < TEXT_MAX && n < (int)sizeof(buf));
			snprintf(p->text[e] + used, TEXT_MAX - used, "%s%.*s", used ? "|" : "", n,
				 buf);
		}
	}
}

/* Turns until it waits for what only the script can give. */
static enum sz_turn turns(struct rig *r, const struct mortal_script *script, bool every_turn)
{
	static uint64_t deaths_in_a_row;
	static enum sz_turn t;
	static bool io;

	for (;;) {
		if (setjmp(death)) {
			crash(r, script);
			die_at = points + SECOND_DEATH;
			if (++deaths_in_a_row == 2)
				die_at = deaths_in_a_row = 0;
			continue;
		}
		armed = true;
		t = sz_rt_turn(&r->stage);
		armed = false;
		io = t == SZ_TURN_WAIT && r->stage.waiting.io && r->stage.io.inflight;
		if (io) {
			sz_wait_until(&r->stage, rig_now_ns + 100000000);
			sz_sleep(&r->stage);
		}
		if (every_turn)
			crash(r, script);
		if (t != SZ_TURN_PROGRESS && !io)
			return t;
	}
}

static struct played *play(const struct mortal_script *script, uint64_t kill_at, bool every_turn)
{
	struct played *p = calloc(1, sizeof(*p));
	static struct rig r;

	assert_non_null(p);
	rig_now_ns = 1000000000;
	points = 0;
	die_at = kill_at;
	assert_int_equal(rig_open(&r, &script->config), 0);
	for (uint32_t i = 0; i < script->n_steps; i++) {
		const struct mortal_step *step = &script->steps[i];

		if (step->text)
			assert_int_equal(rig_puts(&r, step->input, step->text), 0);
		if (step->end)
			rig_end(&r, step->input);
		rig_now_ns += step->advance_ns;
		if (step->and_next)
			continue;
		p->last = turns(&r, script, every_turn);
		if (!step->hold_output)
			take_output(&r, p);
	}
	/* What did not fit at once: as long as reading makes it go on. */
	for (int i = 0; i < 100 && p->last == SZ_TURN_WAIT; i++) {
		p->last = turns(&r, script, every_turn);
		take_output(&r, p);
	}
	take_output(&r, p);
	for (size_t i = 0; i < sizeof(compared) / sizeof(compared[0]); i++)
		p->counters[compared[i]] = rig_counter(&r, compared[i]);
	for (uint32_t i = 0; i < script->n_own; i++)
		p->own[i] = rig_own_counter(&r, i);
	assert_int_equal(p->counters[SZ_C_RECORDS_IN], p->counters[SZ_C_HANDLED] +
							       p->counters[SZ_C_FAILED] +
							       p->counters[SZ_C_HELD]);
	p->points = points;
	if (script->last_rites)
		script->last_rites(&r.stage);
	rig_close(&r);
	return p;
}

static void same(const struct mortal_script *script, const struct played *want, struct played *got)
{
	for (uint32_t e = 0; e < RIG_EDGES; e++)
		assert_string_equal(got->text[e], want->text[e]);
	assert_memory_equal(got->counters, want->counters, sizeof(got->counters));
	assert_memory_equal(got->own, want->own, sizeof(got->own));
	assert_int_equal(got->last, want->last);
	free(got);
}

const char *mortal_play(const struct mortal_script *script)
{
	struct played *want = play(script, 0, false);
	static char all[RIG_EDGES * TEXT_MAX];

	assert_true(want->points > 0);
	for (uint64_t at = 1; at <= want->points; at++)
		same(script, want, play(script, at, false));
	if (!script->turns_need_luck)
		same(script, want, play(script, 0, true));
	all[0] = 0;
	for (uint32_t e = 0; e < RIG_EDGES && script->config.edges[e].port; e++) {
		strcat(all, e ? "\n" : "");
		strcat(all, want->text[e]);
	}
	print_message("%llu points of death\n", (unsigned long long)want->points);
	free(want);
	return all;
}
