/* SPDX-License-Identifier: BSD-2-Clause */
/* table.c - aligned columns of text */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

#define GAP 2

void table_begin(struct table *t, size_t columns)
{
	memset(t, 0, sizeof(*t));
	t->columns = columns;
}

static void take(struct table *t, char *text)
{
	if (t->count == t->size) {
		size_t size = t->size ? 2 * t->size : 64;
		char **grown = realloc(t->cell, size * sizeof(*grown));

		if (!grown) {
			t->failed = true;
			free(text);
			return;
		}
		t->cell = grown;
		t->size = size;
	}
	if (!text)
		t->failed = true;
	else
		t->cell[t->count++] = text;
}

void table_word(struct table *t, const char *text)
{
	take(t, strdup(text));
}

void table_cell(struct table *t, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	take(t, text);
}

static size_t width(const struct table *t, size_t column)
{
	size_t widest = 0;

	for (size_t i = column; i < t->count; i += t->columns) {
		size_t n = strlen(t->cell[i]);

		if (n > widest)
			widest = n;
	}
	return widest;
}

static void print_row(const struct table *t, size_t row, const size_t *widths, const char *align,
		      int indent)
{
	size_t last = t->columns, pad = (size_t)indent;

	/* No blanks at line ends. */
	while (last > 0 && !t->cell[row + last - 1][0])
		last--;
	for (size_t c = 0; c < last; c++) {
		size_t blank = widths[c] - strlen(t->cell[row + c]);

		if (align[c] == 'r') {
			printf("%*s%s", (int)(pad + blank), "", t->cell[row + c]);
			pad = GAP;
		} else {
			printf("%*s%s", (int)pad, "", t->cell[row + c]);
			pad = GAP + blank;
		}
		/* An empty column takes no room. */
		if (widths[c] == 0)
			pad -= pad >= GAP ? GAP : 0;
	}
	putchar('\n');
}

void table_print(struct table *t, const char *align, int indent)
{
	size_t *widths = calloc(t->columns, sizeof(*widths));

	if (!widths || t->failed) {
		say("out of memory");
	} else {
		for (size_t c = 0; c < t->columns; c++)
			widths[c] = width(t, c);
		for (size_t row = 0; row + t->columns <= t->count; row += t->columns)
			print_row(t, row, widths, align, indent);
	}
	for (size_t i = 0; i < t->count; i++)
		free(t->cell[i]);
	free(t->cell);
	free(widths);
	memset(t, 0, sizeof(*t));
}
