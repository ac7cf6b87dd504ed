/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h - stage programs: where they are, and asking them questions
 */
#ifndef LAUNCHER_PROGRAM_H
#define LAUNCHER_PROGRAM_H

#include <stddef.h>

/**
 * struct program - how a stage is executed
 * @path:	the host program, or somebody's own executable
 * @plugin:	the shared object the host loads, or NULL
 */
struct program {
	const char *path;
	const char *plugin;
};

#define PROGRAM_ERROR_SIZE 400

/**
 * program_find_host() - the program that runs built-in stages and plug-ins
 *
 * $STREAMZ_STAGE, else streamz-stage beside this executable, else ../libexec/streamz/streamz-stage from there.
 *
 * Return: the path, to be freed; NULL with @error set.
 */
char *program_find_host(char error[PROGRAM_ERROR_SIZE]);

/**
 * program_ask() - run a stage program to its end and collect what it prints
 * @verb:	"--describe" or "--check"
 * @wiring_fd:	passed as --wiring=FD; -1: not passed
 * @answer:	NUL-terminated, to be freed
 * @status:	as waitpid() gives it
 *
 * The program has ASK_SECONDS; then it is killed.
 *
 * Return: 0; or -errno with @error set: it could not be run, took too long or said too much.
 */
int program_ask(const struct program *program, const char *verb, int wiring_fd, char **answer,
		size_t *answer_len, int *status, char error[PROGRAM_ERROR_SIZE]);

/* "exited with status 1", "was killed by signal 11 (Segmentation fault)". Return: @buf. */
char *program_status_text(int status, char *buf, size_t size);

/* The arguments for an exec, NULL-terminated; @wiring is the room for the last one. */
#define PROGRAM_ARGS 5
void program_arguments(const struct program *program, const char *verb, int wiring_fd, char *wiring,
		       size_t wiring_size, char *plugin, size_t plugin_size,
		       char *argv[PROGRAM_ARGS]);

#endif
