/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nearest.h - "did you mean": the valid name that a wrong one was probably meant to be
 *
 * Used by the operator's tool as well: it depends on nothing else of the graph.
 */
#ifndef GRAPH_NEAREST_H
#define GRAPH_NEAREST_H

#include <stddef.h>

/**
 * struct nearest - a search for one word among candidates
 * @word:	as written; must live as long as the search
 * @best:	a candidate has to be nearer than that
 * @found:	the nearest so far, "": none is near enough
 */
struct nearest {
	const char *word;
	size_t len, best;
	char found[64];
};

void nearest_init(struct nearest *n, const char *word);
/* Of several that are equally near the first stays. */
void nearest_try(struct nearest *n, const char *candidate);

#define HINT_SIZE 96
/* ": did you mean "X"?", or "". Return: @buf. */
const char *nearest_hint(const struct nearest *n, char *buf, size_t size);

/* "a, b and c" of a growing list, cut at a readable length */
void list_add(char *buf, size_t size, const char *name);

#endif
