/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diag.c - collect diagnostics, print them with their source line and a caret
 *
 * A message is file:line:column: severity: text. Columns count characters, not bytes. What was marked as secret is
 * shown as ***, control characters as '?', and of a very long line the part around the caret.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "impl.h"

#define SHOWN_CHARS 160 /* of a source line */
#define CUT_BYTES \
	700 /* of a source line looked at, each side of the caret; characters have up to 4 */

static const char *const severity_names[] = { "error", "warning", "note" };

struct graph_loc loc_of(const struct graph_file *file, uint32_t from, uint32_t to)
{
	return (struct graph_loc){ file, from, to - from };
}

void hide(struct impl *impl, struct graph_loc loc)
{
	struct secret *s;

	if (!loc.file)
		return;
	s = arena_alloc(impl, sizeof(*s));
	s->loc = loc;
	s->next = impl->secrets;
	impl->secrets = s;
}

static bool same_loc(struct graph_loc a, struct graph_loc b)
{
	if (a.file == b.file)
		return a.offset == b.offset && a.len == b.len;
	/* The same file included twice. */
	return a.file && b.file && a.offset == b.offset && a.len == b.len &&
	       strcmp(a.file->name, b.file->name) == 0;
}

static struct diag *find_same(const struct impl *impl, const struct diag *d)
{
	struct diag *o;

	for (o = impl->diags; o; o = o->next)
		if (o->severity == d->severity && same_loc(o->loc, d->loc) &&
		    strcmp(o->message, d->message) == 0)
			return o;
	return NULL;
}

/* @message is in the arena. Return: 0 or -ENOMEM. */
static int report(struct impl *impl, enum graph_severity severity, struct graph_loc loc,
		  const char *message)
{
	size_t *count =
		severity == GRAPH_ERROR ? &impl->graph.error_count : &impl->graph.warning_count;
	struct diag *d = arena_alloc(impl, sizeof(*d));

	if (!d || !message)
		return -ENOMEM;
	d->severity = severity;
	d->loc = loc;
	d->message = message;
	d->notes_end = &d->notes;
	if (severity == GRAPH_NOTE) {
		if (impl->last) {
			*impl->last->notes_end = d;
			impl->last->notes_end = &d->next;
		}
		return 0;
	}
	impl->last = NULL;
	if (find_same(impl, d))
		return 0;
	++*count;
	*impl->diags_end = d;
	impl->diags_end = &d->next;
	impl->last = d;
	return 0;
}

/* Once too many were reported, further ones take neither time nor memory. */
static bool is_full(struct impl *impl, enum graph_severity severity)
{
	const struct graph *g = &impl->graph;

	if (severity == GRAPH_NOTE)
		return !impl->last;
	if ((severity == GRAPH_ERROR ? g->error_count : g->warning_count) < GRAPH_ERRORS_MAX)
		return false;
	impl->too_many = true;
	impl->last = NULL;
	return true;
}

static char *format_message(struct impl *impl, const char *format, va_list args)
{
	/* Names and values in messages are limited, so this is never cut in practice. */
	char buf[2048];
	int len = vsnprintf(buf, sizeof(buf), format, args);
	char *c;

	if (len < 0)
		len = 0;
	if ((size_t)len >= sizeof(buf))
		len = sizeof(buf) - 1;
	for (c = buf; c < buf + len; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return arena_text(impl, buf, (size_t)len);
}

#define REPORT(impl, severity, loc, format)                                       \
	do {                                                                      \
		va_list args_;                                                    \
		if (is_full(impl, severity))                                      \
			break;                                                    \
		va_start(args_, format);                                          \
		report(impl, severity, loc, format_message(impl, format, args_)); \
		va_end(args_);                                                    \
	} while (0)

void error_at(struct impl *impl, struct graph_loc loc, const char *format, ...)
{
	REPORT(impl, GRAPH_ERROR, loc, format);
}

void warning_at(struct impl *impl, struct graph_loc loc, const char *format, ...)
{
	REPORT(impl, GRAPH_WARNING, loc, format);
}

void note_at(struct impl *impl, struct graph_loc loc, const char *format, ...)
{
	REPORT(impl, GRAPH_NOTE, loc, format);
}

int graph_report(struct graph *graph, enum graph_severity severity, struct graph_loc loc,
		 const char *format, ...)
{
	struct impl *impl = (struct impl *)graph;
	va_list args;
	char *message;

	if (is_full(impl, severity))
		return 0;
	va_start(args, format);
	message = format_message(impl, format, args);
	va_end(args);
	return report(impl, severity, loc, message);
}

/* Printing */

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* The bounds of the line that holds @offset; a CR before the line's end does not belong to it. */
static void find_line(const struct graph_file *file, size_t offset, size_t *from, size_t *to)
{
	*from = *to = offset;
	if (file->one_line) {
		*from = 0;
		*to = file->len;
		return;
	}
	while (*from > 0 && file->text[*from - 1] != '\n')
		--*from;
	while (*to < file->len && file->text[*to] != '\n')
		++*to;
	if (*to > *from && *to > offset && file->text[*to - 1] == '\r')
		--*to;
}

const char *graph_loc_position(struct graph_loc loc, unsigned *line, unsigned *column)
{
	const struct graph_file *f = loc.file;
	size_t from, to, i;

	if (!f)
		return NULL;
	find_line(f, loc.offset, &from, &to);
	*line = *column = 1;
	for (i = 0; i < from; i++)
		*line += f->text[i] == '\n';
	for (i = from; i < loc.offset; i++)
		*column += !is_continuation(f->text[i]);
	return f->name;
}

/* The end of the secret that @offset lies in, or 0. */
static size_t secret_end(const struct impl *impl, const struct graph_file *file, size_t offset)
{
	const struct secret *s;

	for (s = impl->secrets; s; s = s->next)
		if (s->loc.file == file && offset >= s->loc.offset &&
		    offset < (size_t)s->loc.offset + s->loc.len)
			return (size_t)s->loc.offset + s->loc.len;
	return 0;
}

/* A printed source line and the marks below it, one mark a character. */
struct shown {
	char *line, *marks;
	size_t line_len, mark_count;
	size_t caret; /* index of the mark */
};

static void add_char(struct shown *s, const char *bytes, size_t len, char mark)
{
	memcpy(s->line + s->line_len, bytes, len);
	s->line_len += len;
	s->marks[s->mark_count++] = mark;
}

static char mark_for(struct shown *s, struct graph_loc loc, size_t from, size_t to, char c)
{
	size_t end = (size_t)loc.offset + (loc.len ? loc.len : 1);

	if (loc.offset >= from && loc.offset < to) {
		s->caret = s->mark_count;
		return '^';
	}
	if (from >= loc.offset && from < end && c != '\t')
		return '~';
	return c == '\t' ? '\t' : ' ';
}

static void build_line(const struct impl *impl, struct graph_loc loc, size_t from, size_t to,
		       struct shown *s)
{
	const char *text = loc.file->text;
	size_t i, next;

	for (i = from; i < to; i = next) {
		size_t secret = secret_end(impl, loc.file, i);
		char c = text[i];

		if (secret) {
			next = secret < to ? secret : to;
			add_char(s, "*", 1, mark_for(s, loc, i, next, '*'));
			c = s->marks[s->mark_count - 1] == ' ' ? ' ' : '~';
			add_char(s, "*", 1, c);
			add_char(s, "*", 1, c);
			continue;
		}
		for (next = i + 1; next < to && is_continuation(text[next]); next++)
			;
		if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
			add_char(s, "?", 1, mark_for(s, loc, i, next, '?'));
		else
			add_char(s, text + i, next - i, mark_for(s, loc, i, next, c));
	}
	if (loc.offset >= to)
		add_char(s, "", 0, mark_for(s, loc, loc.offset, loc.offset + 1, ' '));
}

/* Print characters [from, from + count) of a line. */
static void print_part(FILE *to, const struct shown *s, size_t from, size_t count)
{
	const char *line = s->line, *end = s->line + s->line_len;
	size_t i;

	for (i = 0; i < from + count && line < end; i++) {
		const char *start = line++;

		while (line < end && is_continuation(*line))
			line++;
		if (i >= from)
			fwrite(start, 1, (size_t)(line - start), to);
	}
}

static void print_line(const struct impl *impl, struct graph_loc loc, FILE *to)
{
	struct shown s = { 0 };
	size_t line_from, line_to, cut_from, cut_to, from = 0, count, marks_end;
	bool before;

	find_line(loc.file, loc.offset, &line_from, &line_to);
	cut_from = line_from + CUT_BYTES < loc.offset ? loc.offset - CUT_BYTES : line_from;
	cut_to = loc.offset + CUT_BYTES < line_to ? loc.offset + CUT_BYTES : line_to;
	while (cut_from > line_from && is_continuation(loc.file->text[cut_from]))
		cut_from--;
	while (cut_to < line_to && is_continuation(loc.file->text[cut_to]))
		cut_to++;
	/* A secret of one byte is shown as three characters. */
	s.line = calloc(1, (cut_to - cut_from) * 3 + 8);
	s.marks = calloc(1, (cut_to - cut_from) * 3 + 8);
	if (!s.line || !s.marks)
		goto out;
	build_line(impl, loc, cut_from, cut_to, &s);
	count = s.mark_count;
	if (count > SHOWN_CHARS) {
		from = s.caret > SHOWN_CHARS / 2 ? s.caret - SHOWN_CHARS / 2 : 0;
		count = count - from < SHOWN_CHARS ? count - from : SHOWN_CHARS;
	}
	before = from || cut_from > line_from;
	fputs(before ? "..." : "", to);
	print_part(to, &s, from, count);
	fputs(from + count < s.mark_count || cut_to < line_to ? "...\n" : "\n", to);
	fputs(before ? "   " : "", to);
	for (marks_end = from + count; marks_end > from; marks_end--)
		if (s.marks[marks_end - 1] == '^' || s.marks[marks_end - 1] == '~')
			break;
	fwrite(s.marks + from, 1, marks_end - from, to);
	putc('\n', to);
out:
	free(s.line);
	free(s.marks);
}

static void print_diag(const struct impl *impl, const struct diag *d, FILE *to)
{
	unsigned line, column;
	const char *name = graph_loc_position(d->loc, &line, &column);

	if (!name) {
		fprintf(to, "streamz-launch: %s: %s\n", severity_names[d->severity], d->message);
		return;
	}
	fprintf(to, "%s:%u:%u: %s: %s\n", name, line, column, severity_names[d->severity],
		d->message);
	print_line(impl, d->loc, to);
}

static int by_place(const void *a, const void *b)
{
	const struct diag *x = *(const struct diag *const *)a, *y = *(const struct diag *const *)b;
	unsigned xf = x->loc.file ? x->loc.file->index + 1 : 0;
	unsigned yf = y->loc.file ? y->loc.file->index + 1 : 0;

	if (xf != yf)
		return xf < yf ? -1 : 1;
	if (x->loc.offset != y->loc.offset)
		return x->loc.offset < y->loc.offset ? -1 : 1;
	return strcmp(x->message, y->message);
}

void graph_print_diags(const struct graph *graph, FILE *to)
{
	const struct impl *impl = (const struct impl *)graph;
	size_t count = graph->error_count + graph->warning_count, i = 0;
	const struct diag **sorted = reallocarray(NULL, count + 1, sizeof(struct diag *));
	const struct diag *d, *n;

	if (!sorted)
		return;
	for (d = impl->diags; d && i < count; d = d->next)
		sorted[i++] = d;
	qsort(sorted, i, sizeof(*sorted), by_place);
	count = i;
	for (i = 0; i < count; i++) {
		print_diag(impl, sorted[i], to);
		for (n = sorted[i]->notes; n; n = n->next)
			print_diag(impl, n, to);
	}
	if (impl->too_many)
		fprintf(to, "streamz-launch: error: more than %d mistakes: the rest is not shown\n",
			GRAPH_ERRORS_MAX);
	free(sorted);
}
