/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - what the launcher tells people: always stderr, since stdout is data
 */
#ifndef LAUNCHER_LOG_H
#define LAUNCHER_LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level {
	LOG_QUIET,  /* -q: errors and warnings */
	LOG_NORMAL, /* and what an operator wants to know: starts, deaths, resumes */
	LOG_VERBOSE /* -v: every transition of every worker */
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* One line each, "streamz-launch: " in front. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As log_say() without a prefix, for tables. */
void log_plain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Show a line that the next message erases; NULL or "" takes it away. Only for terminals. */
void log_status(const char *line);

#endif
