/* SPDX-License-Identifier: BSD-2-Clause */
#include "program.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "launch.h"

#define ASK_SECONDS 20
#define ANSWER_MAX  (4u << 20)
#define HOST_NAME   "streamz-stage"

char *program_find_host(char error[PROGRAM_ERROR_SIZE])
{
	static const char *const places[] = { "/" HOST_NAME, "/../libexec/streamz/" HOST_NAME };
	const char *given = getenv("STREAMZ_STAGE");
	char self[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n;

	if (given && *given) {
		if (access(given, X_OK) == 0)
			return strdup(given);
		snprintf(error, PROGRAM_ERROR_SIZE,
			 "the stage program %s, named by $STREAMZ_STAGE: %s", given,
			 strerror(errno));
		return NULL;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0) {
		snprintf(error, PROGRAM_ERROR_SIZE, "/proc/self/exe: %s: is /proc mounted?",
			 strerror(errno));
		return NULL;
	}
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", self, places[i]);
		if (access(path, X_OK) == 0)
			return strdup(path);
	}
	snprintf(error, PROGRAM_ERROR_SIZE,
		 "no " HOST_NAME
		 " in %.200s or its ../libexec/streamz: set STREAMZ_STAGE to its path",
		 self);
	return NULL;
}

void program_arguments(const struct program *program, const char *verb, int wiring_fd, char *wiring,
		       size_t wiring_size, char *plugin, size_t plugin_size,
		       char *argv[PROGRAM_ARGS])
{
	int n = 0;

	argv[n++] = (char *)(uintptr_t)program->path;
	if (program->plugin) {
		snprintf(plugin, plugin_size, "--plugin=%s", program->plugin);
		argv[n++] = plugin;
	}
	if (verb)
		argv[n++] = (char *)(uintptr_t)verb;
	if (wiring_fd >= 0) {
		snprintf(wiring, wiring_size, "--wiring=%d", wiring_fd);
		argv[n++] = wiring;
	}
	argv[n] = NULL;
}

char *program_status_text(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "was killed by signal %d (%s%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)), WCOREDUMP(status) ? ", core dumped" : "");
	else
		snprintf(buf, size, "exited with status %d", WEXITSTATUS(status));
	return buf;
}

static _Noreturn void ask_child(const struct program *program, const char *verb, int wiring_fd,
				int out_fd)
{
	char wiring[32], plugin[PATH_MAX + 16], text[PATH_MAX + 128];
	char *argv[PROGRAM_ARGS];
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), n;
	sigset_t none;

	program_arguments(program, verb, wiring_fd, wiring, sizeof(wiring), plugin, sizeof(plugin),
			  argv);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(out_fd, STDOUT_FILENO);
	if (wiring_fd >= 0)
		fcntl(wiring_fd, F_SETFD, 0);
	execv(program->path, argv);
	/* Said as an answer, so that it lands in a diagnostic with its place in the graph. */
	n = snprintf(text, sizeof(text), "exec\t%s\n", strerror(errno));
	if (write(STDOUT_FILENO, text, (size_t)n) < 0)
		_exit(126);
	_exit(127);
}

/* Read to the end. Return: 0, -ETIMEDOUT, -E2BIG, -ENOMEM, -errno. */
static int collect(int fd, char **answer, size_t *answer_len)
{
	uint64_t end_ns = sz_clock_ns(CLOCK_MONOTONIC) + ASK_SECONDS * NS_PER_S;
	size_t used = 0, size = 4096;
	char *text = malloc(size);
	int rc = text ? 0 : -ENOMEM;

	while (!rc) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now_ns = sz_clock_ns(CLOCK_MONOTONIC);
		ssize_t n;

		if (now_ns >= end_ns || poll(&p, 1, (int)((end_ns - now_ns) / NS_PER_MS)) == 0) {
			rc = -ETIMEDOUT;
			break;
		}
		if (used + 1 == size) {
			char *grown = size < ANSWER_MAX ? realloc(text, size * 2) : NULL;

			if (!grown) {
				rc = size < ANSWER_MAX ? -ENOMEM : -E2BIG;
				break;
			}
			text = grown;
			size *= 2;
		}
		n = read(fd, text + used, size - used - 1);
		if (n < 0 && errno != EINTR)
			rc = -errno;
		if (n == 0) {
			text[used] = '\0';
			*answer = text;
			*answer_len = used;
			return 0;
		}
		used += n > 0 ? (size_t)n : 0;
	}
	free(text);
	return rc;
}

static void explain(const struct program *program, const char *verb, int rc,
		    char error[PROGRAM_ERROR_SIZE])
{
	if (rc == -ETIMEDOUT)
		snprintf(error, PROGRAM_ERROR_SIZE, "%s %s did not answer within %d s",
			 program->path, verb, ASK_SECONDS);
	else if (rc == -E2BIG)
		snprintf(error, PROGRAM_ERROR_SIZE, "%s %s said more than %u MiB", program->path,
			 verb, ANSWER_MAX >> 20);
	else
		snprintf(error, PROGRAM_ERROR_SIZE, "%s %s: %s", program->path, verb,
			 strerror(-rc));
}

int program_ask(const struct program *program, const char *verb, int wiring_fd, char **answer,
		size_t *answer_len, int *status, char error[PROGRAM_ERROR_SIZE])
{
	int ends[2] = { -1, -1 }, rc;
	char *text = NULL;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		rc = -errno;
		explain(program, verb, rc, error);
		return rc;
	}
	pid = fork();
	if (pid == 0)
		ask_child(program, verb, wiring_fd, ends[1]);
	rc = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (!rc) {
		rc = collect(ends[0], &text, answer_len);
		if (rc)
			kill(pid, SIGKILL);
		while (waitpid(pid, status, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	if (rc) {
		explain(program, verb, rc, error);
		return rc;
	}
	if (strncmp(text, "exec\t", 5) == 0) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(error, PROGRAM_ERROR_SIZE, "cannot execute %s: %s", program->path,
			 text + 5);
		free(text);
		return -ENOEXEC;
	}
	*answer = text;
	return 0;
}
