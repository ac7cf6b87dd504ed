/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chaos - run a pipeline and SIGKILL its workers at random until it has ended
 *
 *   chaos [--kills N] [--seed S] [--every US] [--stage NAME] [--json-fd FD] --pipeline NAME -- streamz-launch ARG...
 *
 * Kills at most N workers (default: without limit), a victim drawn from those alive (of stage NAME only), every 0..US microseconds (default
 * 10000). Prints one line of JSON, to stdout or to the descriptor of --json-fd: kills, restarts, by worker, and whether anybody restarted who was not killed. Exit
 * status: that of the launcher, or 99 if a worker restarted that was not killed, or whose kill was not answered.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <streamz/contract.h>
#include <streamz/object.h>

#define WORKERS_MAX 64
#define UNEXPECTED  99

static uint64_t random_state;
static const char *only_stage;
static int json_fd = STDOUT_FILENO;

static uint64_t random_below(uint64_t n)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (z ^ (z >> 31)) % n;
}

static const struct sz_ctl *open_ctl(const char *pipeline, pid_t launcher)
{
	char name[SZ_OBJECT_NAME_MAX];
	const struct sz_ctl *c;
	struct stat st;
	int fd;

	if (sz_object_name(name, pipeline, geteuid(), SZ_OBJ_CTL, 0))
		return NULL;
	fd = sz_object_open(name, 0);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) || st.st_size < (off_t)sizeof(*c)) {
		close(fd);
		return NULL;
	}
	c = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (c == MAP_FAILED)
		return NULL;
	if (sz_ctl_check(c, (uint64_t)st.st_size) == 0 && c->state == SZ_P_RUNNING &&
	    c->launcher_pid == launcher)
		return c;
	munmap((void *)(uintptr_t)c, (size_t)st.st_size);
	return NULL;
}

static void pause_us(uint64_t us)
{
	struct timespec t = { .tv_sec = (time_t)(us / 1000000),
			      .tv_nsec = (long)(us % 1000000) * 1000 };

	nanosleep(&t, NULL);
}

struct victim {
	unsigned kills;
	uint32_t generation; /* the life killed last */
};

/*
 * Kill one worker. The pid is taken through a pidfd and the table looked at again, so that a pid that was given to
 * somebody else meanwhile is not hit.
 */
static bool kill_one(const struct sz_ctl *c, struct victim *victims)
{
	uint32_t i = (uint32_t)random_below(c->n_workers);
	const struct sz_ctl_worker *w = &SZ_CTL_WORKERS(c)[i];
	int32_t pid = sz_load_acquire(&w->pid);
	uint32_t generation = sz_load_acquire(&w->generation);
	int fd;

	if (only_stage && strcmp(SZ_CTL_STAGES(c)[w->stage].name, only_stage) != 0)
		return false;
	if (pid <= 0 || victims[i].generation == generation)
		return false;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return false;
	if (sz_load_acquire(&w->pid) == pid && sz_load_acquire(&w->generation) == generation &&
	    w->state >= SZ_W_STARTING && w->state <= SZ_W_RUNNING &&
	    syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0) {
		victims[i].kills++;
		victims[i].generation = generation;
		close(fd);
		return true;
	}
	close(fd);
	return false;
}

/* A worker killed at its very end is not started again if it had committed that end: kills >= restarts >= 0. */
static int report(const struct sz_ctl *c, const struct victim *victims, unsigned kills, int status)
{
	unsigned restarts = 0, wrong = 0;

	dprintf(json_fd, "{\"kills\":%u,\"workers\":[", kills);
	for (uint32_t i = 0; c && i < c->n_workers; i++) {
		const struct sz_ctl_worker *w = &SZ_CTL_WORKERS(c)[i];

		restarts += w->restarts;
		wrong += w->restarts > victims[i].kills;
		dprintf(json_fd, "%s{\"stage\":\"%s\",\"kills\":%u,\"restarts\":%u}", i ? "," : "",
			SZ_CTL_STAGES(c)[w->stage].name, victims[i].kills, w->restarts);
	}
	dprintf(json_fd,
		"],\"restarts\":%u,\"not_killed_but_restarted\":%u,\"launcher_status\":%d}\n",
		restarts, wrong, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	if (wrong)
		return UNEXPECTED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "kills", required_argument, NULL, 'k' },
						 { "seed", required_argument, NULL, 's' },
						 { "every", required_argument, NULL, 'e' },
						 { "stage", required_argument, NULL, 'S' },
						 { "json-fd", required_argument, NULL, 'j' },
						 { "pipeline", required_argument, NULL, 'p' },
						 { NULL, 0, NULL, 0 } };
	struct victim victims[WORKERS_MAX] = { { 0 } };
	const struct sz_ctl *ctl = NULL;
	const char *pipeline = NULL;
	unsigned kills = 0, most = UINT32_MAX;
	uint64_t every = 10000;
	int status = 0, c;
	pid_t launcher;

	random_state = (uint64_t)time(NULL);
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 'k': most = (unsigned)strtoul(optarg, NULL, 10); break;
		case 's': random_state = strtoull(optarg, NULL, 10); break;
		case 'e': every = strtoull(optarg, NULL, 10); break;
		case 'j': json_fd = atoi(optarg); break;
		case 'S': only_stage = optarg; break;
		case 'p': pipeline = optarg; break;
		default: return 100;
		}
	}
	if (!pipeline || optind >= argc)
		return fprintf(stderr, "usage: chaos [--kills N] [--seed S] [--every US] "
				       "--pipeline NAME -- COMMAND...\n"),
		       100;
	launcher = fork();
	if (launcher == 0) {
		execvp(argv[optind], argv + optind);
		_exit(127);
	}
	while (waitpid(launcher, &status, WNOHANG) == 0) {
		if (!ctl) {
			ctl = open_ctl(pipeline, launcher);
			if (ctl && ctl->n_workers > WORKERS_MAX)
				return fprintf(stderr, "chaos: too many workers\n"), 100;
			pause_us(200);
			continue;
		}
		if (kills >= most)
			pause_us(1000);
		else if (!kill_one(ctl, victims))
			pause_us(50); /* drawn one that is not alive: draw again */
		else if (++kills, every)
			pause_us(random_below(every + 1));
	}
	return report(ctl, victims, kills, status);
}
