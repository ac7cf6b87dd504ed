/* SPDX-License-Identifier: BSD-2-Clause */
/* fail.c - failed records: one JSON line on the failed port, in the same commit that advances past the record */
#include <jansson.h>
#include <resolv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <streamz/clock.h>

#include "rt.h"

#define ENVELOPE_VERSION 1

static json_t *time_text(uint64_t ns)
{
	struct timespec t = sz_timespec(ns);
	char day[32], all[48];
	struct tm tm;

	gmtime_r(&t.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(all, sizeof(all), "%s.%09luZ", day, (unsigned long)t.tv_nsec);
	return json_string(all);
}

static json_t *base64(const void *data, uint32_t len)
{
	size_t size = ((size_t)len + 2) / 3 * 4 + 1;
	char *text = malloc(size);
	json_t *value = NULL;

	if (text && b64_ntop(data, len, text, size) >= 0)
		value = json_string(text);
	free(text);
	return value;
}

/* File names and what libraries say need not be UTF-8. */
static json_t *printable(const char *text)
{
	char copy[sizeof(((struct sz_stage *)0)->error_text)];
	json_t *value = json_string(text);

	if (value)
		return value;
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(copy);
}

/* As text if it is valid UTF-8 and the line does not grow too long, else in base64. */
static char *envelope(struct sz_stage *s, int error, const char *text, const void *data,
		      uint32_t len, bool as_text)
{
	json_t *record = NULL, *o;
	char *line;

	if (data && as_text)
		record = json_stringn(data, len);
	if (data && as_text && !record)
		as_text = false;
	if (data && !as_text)
		record = base64(data, len);
	o = json_pack("{s:i, s:o, s:s, s:s, s:i, s:o, s:i, s:i}", "v", ENVELOPE_VERSION, "time",
		      time_text(s->now_ns), "pipeline", sz_pipeline_name(s), "stage",
		      sz_stage_name(s), "worker", (int)sz_worker_number(s), "error",
		      printable(text), "errno", error, "attempts", 1);
	SZ_ASSERT(o);
	if (record)
		json_object_set_new(o, as_text ? "record" : "record_b64", record);
	line = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(o);
	SZ_ASSERT(line);
	return line;
}

static void send_envelope(struct sz_stage *s, int error, const char *text, const void *data,
			  uint32_t len)
{
	const struct sz_port_edges *p = &s->port[s->failed_port];
	uint64_t time_ns = s->emit_time_ns;
	uint32_t limit = UINT32_MAX;
	char *line;

	if (!s->failed_port || !p->count)
		sz_give_up(s, "a record failed and this type has no port for it: %s", text);
	for (uint32_t i = 0; i < p->count; i++)
		if (s->by_port[p->first + i]->lane->max_record < limit)
			limit = s->by_port[p->first + i]->lane->max_record;
	line = envelope(s, error, text, data, len, true);
	if (strlen(line) > limit) {
		free(line);
		line = envelope(s, error, text, data, len, false);
	}
	if (strlen(line) > limit) {
		free(line); /* not even so: a record longer than this stage was told to expect */
		line = envelope(s, error, text, NULL, 0, false);
	}
	s->emit_time_ns = s->now_ns;
	sz_emit(s, s->failed_port, line, (uint32_t)strlen(line));
	s->emit_time_ns = time_ns;
	free(line);
}

int sz_error(struct sz_stage *s, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error_text, sizeof(s->error_text), fmt, ap);
	va_end(ap);
	return error;
}

void sz_fail_current(struct sz_stage *s, int error)
{
	send_envelope(s, error, s->error_text[0] ? s->error_text : strerror(error),
		      s->current->data, s->current->len);
	s->error_text[0] = 0;
}

void sz_fail(struct sz_stage *s, int error, const void *data, uint32_t len, const char *fmt, ...)
{
	char text[sizeof(s->error_text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	send_envelope(s, error < 0 ? -error : error, text, data, len);
	s->ledger.counters[SZ_C_FAILED]++;
	if (s->ops->role == SZ_SOURCE)
		s->ledger.counters[SZ_C_RECORDS_IN]++;
	else
		s->ledger.counters[SZ_C_HELD]--;
}

static void last_words(struct sz_stage *s, const char *text)
{
	struct sz_last_words *w;

	if (!s->ledger.live)
		return;
	w = &s->ledger.live->words;
	snprintf(w->text, sizeof(w->text), "%s", text);
	sz_store_release(&w->text_len, (uint32_t)strlen(w->text));
}

void sz_log(const struct sz_stage *s, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(STDERR_FILENO, "streamz: %s/%s: %s\n", sz_pipeline_name(s), sz_stage_name(s), text);
}

void sz_give_up(struct sz_stage *s, const char *fmt, ...)
{
	char text[sizeof(((struct sz_last_words *)0)->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	last_words(s, text);
	_exit(SZ_EXIT_FAILED);
}

void sz_assert_failed(const char *cond, const char *file, int line)
{
	dprintf(STDERR_FILENO,
		"streamz: %s:%d: assertion failed: %s (this is a bug in streamz or in a stage)\n",
		file, line, cond);
	abort();
}
