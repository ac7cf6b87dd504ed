/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "step.h"

static void *need(void *memory)
{
	if (!memory) {
		perror("step");
		abort();
	}
	return memory;
}

size_t step_image_bytes(const struct step_watch *watch, unsigned n_watch)
{
	size_t sum = 0;

	for (unsigned i = 0; i < n_watch; i++)
		sum += watch[i].len;
	return sum;
}

void step_pack(const struct step_watch *watch, unsigned n_watch, uint8_t *image)
{
	for (unsigned i = 0; i < n_watch; i++) {
		memcpy(image, watch[i].at, watch[i].len);
		image += watch[i].len;
	}
}

void step_unpack(const struct step_watch *watch, unsigned n_watch, const uint8_t *image)
{
	for (unsigned i = 0; i < n_watch; i++) {
		memcpy(watch[i].at, image, watch[i].len);
		image += watch[i].len;
	}
}

/* Takes the changed parts over into shadow. Return: 1 if there were any. */
static int update(const struct step_plan *plan, uint8_t *shadow)
{
	int changed = 0;

	for (unsigned i = 0; i < plan->n_watch; i++) {
		if (memcmp(shadow, plan->watch[i].at, plan->watch[i].len) != 0) {
			memcpy(shadow, plan->watch[i].at, plan->watch[i].len);
			changed = 1;
		}
		shadow += plan->watch[i].len;
	}
	return changed;
}

static pid_t start(const struct step_plan *plan)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(127);
	step_ask();
	_exit(plan->child(plan->ctx));
}

void step_ask(void)
{
	kill(getpid(), SIGSTOP);
}

static void kill_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* One stop of the child. Return: 1 go on, 0 it has exited, -errno. */
static int next_stop(pid_t pid, int *asked, struct step_result *r)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status)) {
		r->exit_status = WEXITSTATUS(status);
		return 0;
	}
	if (!WIFSTOPPED(status))
		return -ECHILD;
	*asked = WSTOPSIG(status) == SIGSTOP;
	if (!*asked && WSTOPSIG(status) != SIGTRAP) {
		fprintf(stderr, "step: the child got signal %d\n", WSTOPSIG(status));
		kill_child(pid);
		return -ECHILD;
	}
	return 1;
}

static int step_loop(const struct step_plan *plan, struct step_result *r, pid_t pid,
		     uint8_t *shadow)
{
	int asked, rc = next_stop(pid, &asked, r);

	while (rc == 1) {
		if (++r->steps > plan->max_steps) {
			kill_child(pid);
			return -ELOOP;
		}
		if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
			return -errno;
		rc = next_stop(pid, &asked, r);
		if (rc != 1)
			break;
		if (asked && plan->asked)
			plan->asked(plan->ctx);
		if (!update(plan, shadow))
			continue;
		r->changes++;
		if (plan->changed && plan->changed(plan->ctx, r->steps)) {
			kill_child(pid);
			break;
		}
	}
	return rc < 0 ? rc : 0;
}

int step_run(const struct step_plan *plan, struct step_result *result)
{
	uint8_t *shadow = need(malloc(step_image_bytes(plan->watch, plan->n_watch)));
	struct step_result r = { .exit_status = -1 };
	pid_t pid;
	int rc;

	step_pack(plan->watch, plan->n_watch, shadow);
	pid = start(plan);
	rc = pid < 0 ? -errno : step_loop(plan, &r, pid, shadow);
	free(shadow);
	*result = r;
	return rc;
}

uint64_t step_hash(const void *bytes, size_t len, uint64_t seed)
{
	const uint64_t k = 0x9e3779b97f4a7c15ull;
	const uint8_t *p = bytes;
	uint64_t h = seed ^ (len * k);

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		h = (h ^ word) * k;
		h ^= h >> 32;
	}
	while (len--)
		h = (h ^ *p++) * k;
	h ^= h >> 29;
	return h ? h : 1;
}

int step_set_add(struct step_set *set, uint64_t hash)
{
	size_t i;

	if (set->used * 2 >= set->size) {
		struct step_set grown = { .size = set->size ? set->size * 2 : 1024 };

		grown.slot = need(calloc(grown.size, sizeof(*grown.slot)));
		for (i = 0; i < set->size; i++)
			if (set->slot[i])
				step_set_add(&grown, set->slot[i]);
		free(set->slot);
		*set = grown;
	}
	for (i = hash & (set->size - 1); set->slot[i]; i = (i + 1) & (set->size - 1))
		if (set->slot[i] == hash)
			return 0;
	set->slot[i] = hash;
	set->used++;
	return 1;
}

void step_set_free(struct step_set *set)
{
	free(set->slot);
	memset(set, 0, sizeof(*set));
}

int step_store_add(struct step_store *store, const uint8_t *image, uint64_t step)
{
	if (!step_set_add(&store->seen, step_hash(image, store->image_bytes, 0)))
		return 0;
	if (store->n == store->room) {
		store->room = store->room ? store->room * 2 : 256;
		store->image = need(realloc(store->image, store->room * sizeof(*store->image)));
		store->step = need(realloc(store->step, store->room * sizeof(*store->step)));
	}
	store->image[store->n] = need(malloc(store->image_bytes));
	memcpy(store->image[store->n], image, store->image_bytes);
	store->step[store->n++] = step;
	return 1;
}

void step_store_free(struct step_store *store)
{
	for (size_t i = 0; i < store->n; i++)
		free(store->image[i]);
	free(store->image);
	free(store->step);
	step_set_free(&store->seen);
	memset(store, 0, sizeof(*store));
}
