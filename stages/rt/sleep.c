/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sleep.c - waking and sleeping
 *
 * A peer that sleeps is woken when a quarter of the lane is ready for it, when the oldest publication it was not woken
 * for is WAKE_DELAY_NS old, or when we are about to sleep ourselves: few large turns instead of many small ones where
 * there are more processes than cores, and nobody waits for long for a neighbour that is busy.
 *
 * No wake-up is lost: we store the position, fence, then load the peer's flag; the peer stores its flag, fences, then
 * loads the position (lane.h). What we decide not to wake for is remembered in unwoken_* and done before we sleep; if
 * we are killed first, recovery wakes everybody.
 */
#include <errno.h>
#include <string.h>

#include <streamz/clock.h>

#include "rt.h"

#define WAKE_DELAY_NS 200000ull
#define BACKSTOP_NS   (2 * SZ_NS_PER_S)

uint64_t (*sz_clock_hook)(void);

uint64_t sz_clock_now(void)
{
	return sz_clock_hook ? sz_clock_hook() : sz_clock_ns(CLOCK_REALTIME);
}

/*
 * Attention: the launcher has changed the command, or is dead. The handler changes a word that every futex wait
 * watches, so a signal between the look and the sleep ends the sleep at once; a wait for I/O unblocks the signal
 * atomically instead.
 */
static uint32_t attention_word;
static sigset_t wait_mask;
static uint32_t attention_seen;

static void on_attention(int sig)
{
	(void)sig;
	__atomic_fetch_add(&attention_word, 1, __ATOMIC_RELAXED);
}

void sz_attention_init(void)
{
	struct sigaction sa = { .sa_handler = on_attention };
	sigset_t set;

	sigaction(SZ_ATTENTION_SIGNAL, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SZ_ATTENTION_SIGNAL);
	sigprocmask(SIG_UNBLOCK, &set, &wait_mask);
	sigdelset(&wait_mask, SZ_ATTENTION_SIGNAL);
	attention_seen = sz_load_relaxed(&attention_word) - 1; /* look once at the start */
}

bool sz_attention_taken(void)
{
	uint32_t now = sz_load_relaxed(&attention_word);

	if (sz_likely(now == attention_seen))
		return false;
	attention_seen = now;
	return true;
}

static bool enough(const struct sz_lane *lane, bool consumer)
{
	uint64_t peer = sz_word_pos(sz_load_relaxed(&lane->peer->pos));
	/* Producer: bytes ready for the consumer. Consumer: bytes free for the producer. */
	uint64_t ready = consumer ? lane->limit_bytes - (peer - lane->pos) : lane->pos - peer;

	return ready >= lane->limit_bytes / 4 || lane->own_flags;
}

static void wake_lanes(struct sz_stage *s, struct sz_lane *lanes, uint32_t n, uint8_t *changed,
		       uint8_t *unwoken, bool all, bool consumer)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!changed[i] && !unwoken[i])
			continue;
		changed[i] = 0;
		/* A consumer that takes no more is noticed here, not only when its lane is full. */
		if (!consumer && (sz_load_relaxed(&lanes[i].peer->pos) & SZ_LANE_ENDED))
			sz_lane_tx_refresh(&lanes[i]);
		if (!sz_lane_peer_parked(&lanes[i])) {
			unwoken[i] = 0;
		} else if (all || enough(&lanes[i], consumer)) {
			sz_lane_wake_peer(&lanes[i]);
			s->gauges[SZ_G_WAKES]++;
			unwoken[i] = 0;
		} else {
			unwoken[i] = 1;
			if (!s->unwoken_since_ns)
				s->unwoken_since_ns = s->now_ns;
		}
	}
}

void sz_wake_peers(struct sz_stage *s, bool all)
{
	sz_fence_full(); /* our positions are out before the peers' flags are read */
	if (s->unwoken_since_ns && s->now_ns - s->unwoken_since_ns > WAKE_DELAY_NS)
		all = true;
	if (all)
		s->unwoken_since_ns = 0;
	wake_lanes(s, s->out, s->n_out, s->out_changed, s->out_unwoken, all, false);
	wake_lanes(s, s->in, s->n_in, s->in_changed, s->in_unwoken, all, true);
}

/* A poisoned lane is worth a look when what the peer says makes sense again. */
static bool moved(struct sz_lane *lane, bool input)
{
	struct sz_record r;

	if (sz_likely(!(lane->own_flags & SZ_LANE_POISONED)))
		return sz_lane_peer_moved(lane);
	return (input ? sz_lane_peek(lane, &r) : sz_lane_tx_refresh(lane)) >= 0;
}

static struct sz_wait_word wait_word(const struct sz_lane *lane)
{
	struct sz_wait_word w = sz_lane_wait_word(lane);

	if (lane->own_flags & SZ_LANE_POISONED)
		w.seen = sz_load_relaxed(w.word);
	return w;
}

/* Is there something to do, as far as the lanes we would wait on can tell? */
static bool lanes_moved(struct sz_stage *s)
{
	for (uint32_t i = 0; s->waiting.input && i < s->n_in; i++)
		if (!s->in_ended[i] && !s->in_skipped[i] && moved(&s->in[i], true))
			return true;
	for (uint32_t i = 0; s->waiting.room && i < s->n_edges; i++)
		if (s->edges[i].starved && moved(s->edges[i].lane, false))
			return true;
	return false;
}

static bool spin(struct sz_stage *s)
{
	bool found = false;

	if (s->spinner.rounds == 0)
		return false;
	for (uint32_t i = 0; i < s->spinner.rounds && !found; i++) {
		sz_pause();
		found = lanes_moved(s);
	}
	sz_spinner_result(&s->spinner, found);
	return found;
}

void sz_gauges_update(struct sz_stage *s)
{
	uint64_t alive = sz_clock_ns(CLOCK_MONOTONIC) - s->started_ns;

	s->gauges[SZ_G_BUSY_NS] = alive - s->gauges[SZ_G_IDLE_NS] - s->gauges[SZ_G_BLOCKED_NS];
	s->gauges[SZ_G_COMMIT_TIME_NS] = s->ledger.next->committed_ns;
	sz_stats_publish(&s->stats, s->ledger.counters, s->gauges);
}

static uint64_t timeout(const struct sz_stage *s)
{
	uint64_t now, ns = BACKSTOP_NS;

	if (s->waiting.until_ns) {
		now = sz_clock_now();
		if (s->waiting.until_ns <= now)
			return 0;
		if (s->waiting.until_ns - now < ns)
			ns = s->waiting.until_ns - now;
	}
	return ns;
}

/* The lanes to watch, parked; words[0] is attention. Return: how many words. */
static unsigned park(struct sz_stage *s, struct sz_wait_word *words)
{
	unsigned n = 0;

	words[n++] = (struct sz_wait_word){ &attention_word, attention_seen };
	for (uint32_t i = 0; s->waiting.input && i < s->n_in && n < SZ_WAIT_MAX; i++) {
		if (s->in_ended[i] || s->in_skipped[i])
			continue;
		sz_lane_park(&s->in[i]);
		words[n++] = wait_word(&s->in[i]);
	}
	for (uint32_t i = 0; s->waiting.room && i < s->n_edges && n < SZ_WAIT_MAX; i++) {
		if (!s->edges[i].starved)
			continue;
		sz_lane_park(s->edges[i].lane);
		words[n++] = wait_word(s->edges[i].lane);
	}
	return n;
}

static void unpark(struct sz_stage *s)
{
	for (uint32_t i = 0; i < s->n_in; i++)
		sz_lane_unpark(&s->in[i]);
	for (uint32_t i = 0; i < s->n_out; i++)
		sz_lane_unpark(&s->out[i]);
}

/* The signal is let through only inside the wait, so that one that comes after the look is not missed. */
static void wait_io(struct sz_stage *s, const struct sz_wait_word *words, unsigned n, uint64_t ns)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SZ_ATTENTION_SIGNAL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (sz_load_relaxed(&attention_word) == attention_seen)
		sz_io_wait(&s->io, words, n, ns, &wait_mask);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

void sz_sleep(struct sz_stage *s)
{
	bool lanes = s->waiting.input || s->waiting.room;
	struct sz_wait_word words[SZ_WAIT_MAX];
	uint64_t start, ns;
	unsigned n;

	sz_wake_peers(s, true);
	if (lanes && spin(s))
		return;
	sz_gauges_update(s);
	start = sz_clock_ns(CLOCK_MONOTONIC);
	n = park(s, words);
	/* our flags are out before the positions are looked at again (by the kernel too) */
	sz_fence_full();
	ns = timeout(s);
	if (ns && !lanes_moved(s)) {
		s->gauges[SZ_G_SLEEPS]++;
		if (s->io.inflight)
			wait_io(s, words + 1, n - 1, ns);
		else
			sz_futex_wait_any(words, n, ns);
	}
	unpark(s);
	s->gauges[s->waiting.room ? SZ_G_BLOCKED_NS : SZ_G_IDLE_NS] +=
		sz_clock_ns(CLOCK_MONOTONIC) - start;
}
