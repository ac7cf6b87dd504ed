/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.c - all memory of a graph: allocated piece by piece, released at once
 *
 * When memory runs out while parsing, control goes back to graph_parse() by longjmp: nothing is held but the arena, so
 * no caller needs a clean-up path of its own.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "impl.h"

#define CHUNK_BYTES (16 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	_Alignas(max_align_t) char data[];
};

static void *out_of_memory(struct impl *impl)
{
	if (impl->oom)
		longjmp(*impl->oom, 1);
	return NULL;
}

void *arena_alloc(struct impl *impl, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	struct arena_chunk *c = impl->chunks;
	void *p;

	if (size > SIZE_MAX / 4)
		return out_of_memory(impl);
	size = (size + align - 1) & ~(align - 1);
	if (!c || c->size - c->used < size) {
		size_t data_size = size > CHUNK_BYTES ? size : CHUNK_BYTES;
		struct arena_chunk *fresh = calloc(1, sizeof(*fresh) + data_size);

		if (!fresh)
			return out_of_memory(impl);
		fresh->size = data_size;
		if (c && size > CHUNK_BYTES) {
			/* A chunk of its own; the current one goes on being filled. */
			fresh->next = c->next;
			c->next = fresh;
		} else {
			fresh->next = c;
			impl->chunks = fresh;
		}
		c = fresh;
	}
	p = c->data + c->used;
	c->used += size;
	return p;
}

char *arena_text(struct impl *impl, const char *s, size_t len)
{
	char *copy = arena_alloc(impl, len + 1);

	if (copy && len)
		memcpy(copy, s, len);
	return copy;
}

char *arena_printf(struct impl *impl, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		return out_of_memory(impl);
	text = arena_alloc(impl, (size_t)len + 1);
	if (!text)
		return NULL;
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}

void *arena_grow(struct impl *impl, void *items, size_t count, size_t *cap, size_t item_size)
{
	void *more;

	if (count < *cap)
		return items;
	*cap = *cap ? *cap * 2 : 8;
	more = arena_alloc(impl, *cap * item_size);
	if (count)
		memcpy(more, items, count * item_size);
	return more;
}

void arena_free(struct impl *impl)
{
	struct arena_chunk *c = impl->chunks, *next;

	for (; c; c = next) {
		next = c->next;
		free(c);
	}
	impl->chunks = NULL;
}
