/* SPDX-License-Identifier: BSD-2-Clause */
#include "nearest.h"
#include <bsd/string.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/*
 * Edit distance with transposition of neighbours ("optimal string alignment"), upper and lower case being equal.
 * Three rows of the dynamic programming table; both words shorter than sizeof(nearest.found).
 */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][sizeof(((struct nearest *)0)->found) + 1];
	size_t i, j;

	for (j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (j = 1; j <= b_len; j++) {
			size_t change = lower(a[i - 1]) != lower(b[j - 1]);

			row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + change);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]) && above2[j - 2] + 1 < row[j])
				row[j] = above2[j - 2] + 1;
		}
	}
	return rows[a_len % 3][b_len];
}

void nearest_init(struct nearest *n, const char *word)
{
	n->word = word;
	n->len = strlen(word);
	n->found[0] = '\0';
	/* One mistake in a short word, one in three letters of a longer one; more would be guessing. */
	n->best = n->len < 3 ? 2 : n->len / 3 + 1;
	if (n->best > 4)
		n->best = 4;
}

void nearest_try(struct nearest *n, const char *candidate)
{
	size_t len = strlen(candidate), d;

	if (n->len == 0 || n->len >= sizeof(n->found) || len >= sizeof(n->found))
		return;
	d = distance(n->word, n->len, candidate, len);
	/* An abbreviation. */
	if (n->len >= 3 && strncasecmp(n->word, candidate, n->len) == 0 && d > 1)
		d = 1;
	/* Nothing in common is no suggestion. */
	if (d >= n->best || d >= len)
		return;
	n->best = d;
	strlcpy(n->found, candidate, sizeof(n->found));
}

const char *nearest_hint(const struct nearest *n, char *buf, size_t size)
{
	buf[0] = '\0';
	if (n->found[0])
		snprintf(buf, size, ": did you mean \"%s\"?", n->found);
	return buf;
}

void list_add(char *buf, size_t size, const char *name)
{
	size_t used = strlen(buf);

	if (used + strlen(name) + sizeof(", ...") < size)
		snprintf(buf + used, size - used, "%s%s", used ? ", " : "", name);
	else if (used < 3 || strcmp(buf + used - 3, "...") != 0)
		strlcat(buf, ", ...", size);
}
