/* SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static enum log_level current = LOG_NORMAL;
static bool status_shown;

void log_set_level(enum log_level level)
{
	current = level;
}

enum log_level log_get_level(void)
{
	return current;
}

/* stderr may be a pipe that is full or gone: what cannot be said is dropped, nothing waits for it to be heard. */
static void put(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, text, len);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* One write a line, so that lines of several processes do not mix. */
static void line(const char *severity, const char *format, va_list args)
{
	char text[4096];
	size_t used;
	int n;

	used = (size_t)snprintf(text, sizeof(text), "%s%s%s", status_shown ? "\r\033[K" : "",
				severity ? "streamz-launch: " : "", severity ? severity : "");
	n = vsnprintf(text + used, sizeof(text) - used - 1, format, args);
	if (n < 0)
		return;
	used += (size_t)n < sizeof(text) - used - 1 ? (size_t)n : sizeof(text) - used - 2;
	text[used++] = '\n';
	status_shown = false;
	put(text, used);
}

#define LINE(severity, format)                 \
	do {                                   \
		va_list args_;                 \
		va_start(args_, format);       \
		line(severity, format, args_); \
		va_end(args_);                 \
	} while (0)

void log_error(const char *format, ...)
{
	LINE("error: ", format);
}

void log_warn(const char *format, ...)
{
	LINE("warning: ", format);
}

void log_say(const char *format, ...)
{
	if (current >= LOG_NORMAL)
		LINE("", format);
}

void log_plain(const char *format, ...)
{
	if (current >= LOG_NORMAL)
		LINE(NULL, format);
}

void log_verbose(const char *format, ...)
{
	if (current >= LOG_VERBOSE)
		LINE("", format);
}

void log_status(const char *text)
{
	char out[512];
	struct winsize size;
	int n, width = (int)sizeof(out);

	if (!text || !*text) {
		if (status_shown)
			put("\r\033[K", 4);
		status_shown = false;
		return;
	}
	/* A line that wraps could not be taken back. */
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		width = size.ws_col - 1;
	n = snprintf(out, sizeof(out), "\r\033[K%.*s", width, text);
	put(out, (size_t)n < sizeof(out) ? (size_t)n : sizeof(out) - 1);
	status_shown = true;
}
