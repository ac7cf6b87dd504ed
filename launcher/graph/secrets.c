/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * secrets.c - keep secrets out of the source lines that diagnostics show
 *
 * A line may be shown because of a mistake that keeps its options from being understood. So what looks like a secret
 * is hidden as soon as its words are known: the value of every key that is, or nearly is, the name of a secret option
 * of any known type, and of the variables such a value is made from.
 */
#include <string.h>
#include "impl.h"

#define TYPES_MAX 1000

void find_secret_names(struct parser *p)
{
	const struct sz_option *o;
	const struct sz_type *type;
	size_t i;

	for (i = 0; p->in->list_type && i < TYPES_MAX; i++) {
		type = p->in->list_type(p->in->ctx, i);
		if (!type)
			break;
		for (o = type->options; o->name; o++) {
			if (!(o->flags & SZ_OPT_SECRET))
				continue;
			p->secret_names = arena_grow(p->impl, p->secret_names, p->secret_count,
						     &p->secret_cap, sizeof(*p->secret_names));
			p->secret_names[p->secret_count++] = o->name;
		}
	}
}

static bool names_secret(const struct parser *p, const char *text, size_t len)
{
	char key[64];
	struct nearest n;
	size_t i;

	if (len == 0 || len >= sizeof(key))
		return false;
	memcpy(key, text, len);
	key[len] = '\0';
	nearest_init(&n, key);
	for (i = 0; i < p->secret_count; i++)
		nearest_try(&n, p->secret_names[i]);
	return n.found[0] != '\0';
}

/* Hide the definitions of the variables in text[from, to). */
static void hide_variables(struct parser *p, const struct scope *scope, const char *text,
			   uint32_t from, uint32_t to)
{
	for (; from + 2 < to; from++) {
		struct variable *v;
		struct text name;
		uint32_t end;

		if (text[from] != '$' || text[from + 1] != '{')
			continue;
		for (end = from + 2; end < to && text[end] != '}' && text[end] != ':'; end++)
			;
		name.len = end - from - 2;
		name.s = arena_text(p->impl, text + from + 2, name.len);
		v = scope_lookup(p, scope, name);
		if (v)
			hide(p->impl, v->value_loc);
	}
}

void hide_secrets(struct parser *p, const struct scope *scope, const struct lexer *lx)
{
	const char *text = lx->file->text;
	size_t i;

	for (i = 0; p->secret_count && i < lx->word_count; i++) {
		const struct word *w = lx->words + i, *last = w;
		uint32_t equals = lex_equals(lx, w), from = equals + 1;

		if (!names_secret(p, text + w->from, equals - w->from))
			continue;
		/* KEY =VALUE, KEY = VALUE and KEY= VALUE are mistakes, but no less secret. */
		if (equals == w->to) {
			if (i + 1 == lx->word_count || text[w[1].from] != '=')
				continue;
			last = w + 1;
			from = last->from + 1;
		}
		if (from == last->to && (size_t)(last - lx->words) + 1 < lx->word_count)
			last++;
		if (from >= last->to)
			continue;
		hide(p->impl, loc_of(lx->file, from, last->to));
		hide_variables(p, scope, text, from, last->to);
	}
}
