/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spawn.c - one life of a worker: wiring, fork, exec
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "log.h"
#include "pipeline.h"

struct wire_lanes {
	struct sz_wire_lane *in, *out;
	struct sz_wire_edge *edges;
};

static void wire_lanes(const struct pipeline *p, const struct worker *w, struct sz_wire_builder *b,
		       struct wire_lanes *to)
{
	const struct plan *plan = p->plan;

	for (uint32_t i = 0; i < plan->n_lanes; i++) {
		const struct plan_lane *l = &plan->lanes[i];
		const struct plan_edge *e = &plan->edges[l->edge];
		const char *from = plan->stages[e->from].name, *into = plan->stages[e->to].name;

		if (l->producer == w->index) {
			struct sz_wire_edge *edge = &to->edges[l->producer_edge];

			if (edge->n_out++ == 0)
				edge->first_out = l->producer_out;
			to->out[l->producer_out] = (struct sz_wire_lane){
				.fd = p->lanes[i].fd,
				.lane_index = i,
				.edge = l->producer_edge,
				.peer = sz_wire_string(b, into, strlen(into)),
			};
		}
		if (l->consumer == w->index)
			to->in[l->consumer_in] = (struct sz_wire_lane){
				.fd = p->lanes[i].fd,
				.lane_index = i,
				.peer = sz_wire_string(b, from, strlen(from)),
			};
	}
	for (uint32_t i = 0; i < w->stage->n_edges; i++) {
		const struct plan_edge *e = &plan->edges[w->stage->first_edge + i];

		to->edges[i].port = sz_wire_string(b, e->port, strlen(e->port));
		to->edges[i].overflow = e->overflow;
	}
}

static void wire_head(const struct pipeline *p, const struct worker *w, struct sz_wiring *h)
{
	h->worker_index = w->index;
	h->worker = w->plan->number;
	h->n_workers = w->stage->n_workers;
	h->generation = w->shown->generation;
	h->flags = (p->spin ? SZ_WIRE_SPIN : 0) | (p->plain ? SZ_WIRE_PLAIN : 0);
	h->launcher_pid = getpid();
	h->ctl_fd = p->ctl_fd;
	h->page_fd = w->page_fd;
	h->stats_fd = w->stats_fd;
	h->bell_fd = p->bell_fd;
	h->ring_fd = w->ring_fd;
	h->seed = w->seed;
}

/* Return: a descriptor, -errno. */
static int make_wiring(const struct pipeline *p, const struct worker *w)
{
	uint32_t n_in = w->plan->n_in, n_out = w->plan->n_out, n_edges = w->stage->n_edges;
	struct sz_wire_builder *b = sz_wire_new();
	struct wire_lanes lanes = {
		.in = calloc(n_in + 1, sizeof(*lanes.in)),
		.out = calloc(n_out + 1, sizeof(*lanes.out)),
		.edges = calloc(n_edges + 1, sizeof(*lanes.edges)),
	};
	uint32_t in_at, out_at, edges_at, params_at;
	int fd = -ENOMEM;

	if (b && lanes.in && lanes.out && lanes.edges) {
		struct sz_wiring *h;

		plan_wire_stage(p->plan, w->stage, b);
		wire_lanes(p, w, b, &lanes);
		in_at = sz_wire_put(b, lanes.in, n_in * sizeof(*lanes.in));
		out_at = sz_wire_put(b, lanes.out, n_out * sizeof(*lanes.out));
		edges_at = sz_wire_put(b, lanes.edges, n_edges * sizeof(*lanes.edges));
		params_at = sz_wire_put(b, &w->ring_params, sizeof(w->ring_params));
		h = sz_wire_head(b);
		wire_head(p, w, h);
		h->n_in = n_in;
		h->n_out = n_out;
		h->n_edges = n_edges;
		h->in_at = in_at;
		h->out_at = out_at;
		h->edges_at = edges_at;
		h->ring_params = params_at;
		fd = sz_wire_finish(b);
	}
	free(lanes.in);
	free(lanes.out);
	free(lanes.edges);
	sz_wire_free(b);
	return fd;
}

/*
 * The terminal stops a background process group that reads from it (or writes to it, as `stty tostop` wants it). The
 * stage that has the terminal as its data therefore stays in the launcher's own group.
 */
static bool owns_stdin(const struct worker *w)
{
	return w->stage->role == SZ_SOURCE && strcmp(w->stage->type_name, "stdin") == 0;
}

static bool owns_stdout(const struct worker *w)
{
	return w->stage->role == SZ_SINK && strcmp(w->stage->type_name, "stdout") == 0;
}

static bool needs_terminal(const struct worker *w)
{
	return (owns_stdin(w) && isatty(STDIN_FILENO)) || (owns_stdout(w) && isatty(STDOUT_FILENO));
}

static _Noreturn void child_fails(int exec_fd, const char *what)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));

	(void)!write(exec_fd, text, (size_t)n); /* unheard, the status says as much */
	_exit(SZ_EXIT_SYSTEM);
}

static void child_signals(void)
{
	struct sigaction normal = { .sa_handler = SIG_DFL }, ignored = { .sa_handler = SIG_IGN };
	sigset_t set;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &normal, NULL);
	sigaction(SIGINT, &ignored, NULL);
	sigaction(SIGTERM, &ignored, NULL);
	sigaction(SIGHUP, &ignored, NULL);
	/* A reader that left is an answer (EPIPE), not a death. */
	sigaction(SIGPIPE, &ignored, NULL);
	/* What it says on stderr must not stop it. */
	sigaction(SIGTTOU, &ignored, NULL);
	sigemptyset(&set);
	sigaddset(&set, SZ_ATTENTION_SIGNAL);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void child_stdio(const struct worker *w, int exec_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		child_fails(exec_fd, "/dev/null");
	if (!owns_stdin(w))
		dup2(null, STDIN_FILENO);
	if (!owns_stdout(w))
		dup2(null, STDOUT_FILENO);
}

static void inherit(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
}

static void child_descriptors(const struct pipeline *p, const struct worker *w, int wiring_fd)
{
	inherit(wiring_fd);
	inherit(p->ctl_fd);
	inherit(p->bell_fd);
	inherit(w->page_fd);
	inherit(w->stats_fd);
	inherit(w->ring_fd);
	for (uint32_t i = 0; i < p->plan->n_lanes; i++)
		if (p->plan->lanes[i].producer == w->index ||
		    p->plan->lanes[i].consumer == w->index)
			inherit(p->lanes[i].fd);
}

static _Noreturn void child(const struct pipeline *p, const struct worker *w, int wiring_fd,
			    int exec_fd, pid_t parent)
{
	char wiring[32], plugin[PATH_MAX + 16];
	char *argv[PROGRAM_ARGS];

	close(p->lock_fd);
	if (w->pgid)
		setpgid(0, 0);
	child_signals();
	if (prctl(PR_SET_PDEATHSIG, SZ_ATTENTION_SIGNAL) < 0)
		child_fails(exec_fd, "PR_SET_PDEATHSIG");
	if (getppid() != parent)
		_exit(SZ_EXIT_STOPPED); /* the launcher died before that */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		child_fails(exec_fd, "PR_SET_NO_NEW_PRIVS");
	child_stdio(w, exec_fd);
	child_descriptors(p, w, wiring_fd);
	program_arguments(w->stage->program, NULL, wiring_fd, wiring, sizeof(wiring), plugin,
			  sizeof(plugin), argv);
	execv(w->stage->program->path, argv);
	child_fails(exec_fd, w->stage->program->path);
}

int worker_spawn(struct pipeline *p, struct worker *w)
{
	pid_t parent = getpid(), pid;
	int wiring_fd, ends[2], rc;
	sigset_t attention, before;

	w->shown->generation++;
	wiring_fd = make_wiring(p, w);
	if (wiring_fd < 0) {
		log_error("starting \"%s\": wiring: %s", worker_name(w), strerror(-wiring_fd));
		return wiring_fd;
	}
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		rc = -errno;
		close(wiring_fd);
		return rc;
	}
	w->pgid = !needs_terminal(w);
	/* Attention may be asked for before the child runs: it has to wait for the handler that the stage installs. */
	sigemptyset(&attention);
	sigaddset(&attention, SZ_ATTENTION_SIGNAL);
	sigprocmask(SIG_BLOCK, &attention, &before);
	pid = fork();
	if (pid == 0)
		child(p, w, wiring_fd, ends[1], parent);
	rc = pid < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(wiring_fd);
	close(ends[1]);
	if (!rc) {
		w->pidfd = pidfd_open(pid, 0);
		if (w->pidfd < 0)
			rc = -errno;
		if (rc) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
	if (rc) {
		close(ends[0]);
		log_error("starting \"%s\": %s", worker_name(w), strerror(-rc));
		return rc;
	}
	if (w->pgid)
		setpgid(pid, pid); /* as the child does: whoever is first */
	w->pgid = w->pgid ? pid : 0;
	w->pid = pid;
	if (w->exec_fd >= 0)
		close(w->exec_fd);
	w->exec_fd = ends[0];
	return 0;
}

const char *worker_exec_error(struct worker *w, char *buf, size_t size)
{
	ssize_t n = w->exec_fd >= 0 ? read(w->exec_fd, buf, size - 1) : 0;

	if (w->exec_fd >= 0)
		close(w->exec_fd);
	w->exec_fd = -1;
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	return buf;
}
