/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scope.c - variables, and the files they are seen in
 *
 * A variable is looked up in --set, then from the innermost scope outwards in the include's arguments and the lets,
 * then in the environment. An include with a prefix or with arguments opens a scope; a plain include reads the file as
 * if it stood in the place of the include.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "impl.h"

struct scope *scope_new(struct parser *p, struct scope *parent, const char *prefix)
{
	struct scope *s = arena_alloc(p->impl, sizeof(*s));

	s->parent = parent;
	s->prefix = prefix;
	s->defaults_end = &s->defaults;
	s->next = p->scopes;
	p->scopes = s;
	return s;
}

static struct variable *find(struct variable *list, struct text name)
{
	for (; list; list = list->next)
		if (list->name.len == name.len && memcmp(list->name.s, name.s, name.len) == 0)
			return list;
	return NULL;
}

struct variable *scope_own(const struct scope *scope, struct text name)
{
	return find(scope->lets, name);
}

struct variable *scope_lookup(struct parser *p, const struct scope *scope, struct text name)
{
	struct variable *v = find(p->sets, name);
	const char *value;

	for (; !v && scope; scope = scope->parent) {
		v = find(scope->args, name);
		if (!v)
			v = find(scope->lets, name);
	}
	if (!v && p->in->get_env) {
		value = p->in->get_env(p->in->ctx, name.s);
		if (value) {
			size_t len = strlen(value);

			v = arena_alloc(p->impl, sizeof(*v));
			v->name = name;
			v->value = (struct text){ arena_text(p->impl, value, len), len };
		}
	}
	if (v)
		v->used = true;
	return v;
}

struct variable *variable_new(struct parser *p, struct variable **list, struct text name,
			      struct text value, struct graph_loc loc)
{
	struct variable *v = arena_alloc(p->impl, sizeof(*v));

	*v = (struct variable){ .name = name, .value = value, .loc = loc, .next = *list };
	*list = v;
	if (++p->variable_total == GRAPH_VARIABLES_MAX + 1) {
		error_at(p->impl, loc, "more than %u variables: expected fewer",
			 GRAPH_VARIABLES_MAX);
		p->stop = true;
	}
	return v;
}

static void try_all(struct nearest *n, const struct variable *list)
{
	for (; list; list = list->next)
		nearest_try(n, list->name.s);
}

void scope_suggest(struct parser *p, const struct scope *scope, struct nearest *n)
{
	nearest_try(n, "HERE");
	try_all(n, p->sets);
	for (; scope; scope = scope->parent) {
		try_all(n, scope->args);
		try_all(n, scope->lets);
	}
}

static bool is_let(const struct parser *p, struct text name)
{
	const struct scope *s;

	for (s = p->scopes; s; s = s->next)
		if (find(s->lets, name))
			return true;
	return false;
}

void scope_warn_unused(struct parser *p)
{
	const struct scope *s;
	const struct variable *v;

	for (v = p->sets; v; v = v->next)
		if (!v->used && !is_let(p, v->name))
			warning_at(p->impl, v->loc,
				   "--set %s: the graph has no ${%s}, so this changes nothing",
				   v->name.s, v->name.s);
	for (s = p->scopes; s; s = s->next)
		for (v = s->args; v; v = v->next)
			if (!v->used && !find(s->lets, v->name))
				warning_at(
					p->impl, v->loc,
					"the included file has no ${%s}, so this changes nothing",
					v->name.s);
}

/* --set NAME=VALUE; the last of several for one name holds. */
void read_sets(struct parser *p)
{
	struct graph_loc nowhere = { 0 };
	size_t i;

	for (i = 0; i < p->in->set_count; i++) {
		const char *set = p->in->sets[i], *equals = strchr(set, '=');
		struct text name, value;

		if (!equals) {
			error_at(p->impl, nowhere, "--set %s: expected NAME=VALUE", set);
			continue;
		}
		name.len = (size_t)(equals - set);
		name.s = arena_text(p->impl, set, name.len);
		value.len = strlen(equals + 1);
		value.s = arena_text(p->impl, equals + 1, value.len);
		if (strcmp(name.s, "HERE") == 0) {
			error_at(p->impl, nowhere,
				 "--set HERE: HERE is always the folder of the graph; expected "
				 "another name");
			continue;
		}
		if (!check_name(p, name, nowhere, "variable"))
			continue;
		if (holds_control(value.s, value.len) || value.len > GRAPH_VALUE_MAX) {
			error_at(p->impl, nowhere,
				 "--set %s: the value holds a control character or is too long",
				 name.s);
			continue;
		}
		variable_new(p, &p->sets, name, value, nowhere);
	}
}

/* Files */

static char *folder_of(struct impl *impl, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return arena_text(impl, ".", 1);
	if (slash == path)
		return arena_text(impl, "/", 1);
	return arena_text(impl, path, (size_t)(slash - path));
}

char *path_from(struct impl *impl, const struct graph_file *file, const char *path)
{
	if (path[0] == '/' || strcmp(file->dir, ".") == 0)
		return arena_text(impl, path, strlen(path));
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	return arena_printf(impl, "%s/%s", strcmp(file->dir, "/") == 0 ? "" : file->dir, path);
}

struct graph_file *file_new(struct parser *p, const char *name, const char *text, size_t len)
{
	struct impl *impl = p->impl;
	struct graph_file *f = arena_alloc(impl, sizeof(*f));

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	f->name = arena_text(impl, name, strlen(name));
	f->dir = folder_of(impl, name);
	f->text = arena_text(impl, text, len);
	f->len = len;
	if (impl->files)
		f->index = ((struct graph_file *)((char *)impl->files_end -
						  offsetof(struct graph_file, next)))
				   ->index +
			   1;
	*impl->files_end = f;
	impl->files_end = &f->next;
	return f;
}

/* Compare paths that may differ in "./" and "//" only. */
static bool same_path(const char *a, const char *b)
{
	for (;;) {
		while (a[0] == '.' && a[1] == '/')
			a += 2;
		while (b[0] == '.' && b[1] == '/')
			b += 2;
		while (*a && *a == *b && *a != '/') {
			a++;
			b++;
		}
		if (*a != *b)
			return false;
		if (!*a)
			return true;
		a += strspn(a, "/");
		b += strspn(b, "/");
	}
}

/* An include that must not be followed. Return: whether it was reported. */
static bool refuse_include(struct parser *p, const struct scope *scope,
			   const struct open_file *from, const char *path, struct graph_loc loc)
{
	const struct open_file *o;
	struct included *i;

	for (o = from; o; o = o->parent) {
		if (!same_path(o->file->name, path))
			continue;
		if (o == from)
			error_at(p->impl, loc, "this file includes itself: expected another file");
		else
			error_at(p->impl, loc,
				 "include cycle: \"%s\" is being read already; expected another "
				 "file",
				 path);
		for (o = from; o && o->file->included_at.file; o = o->parent)
			note_at(p->impl, o->file->included_at, "included here");
		return true;
	}
	for (i = p->included; i; i = i->next) {
		if (strcmp(i->prefix, scope->prefix) != 0 || !same_path(i->path, path))
			continue;
		error_at(p->impl, loc,
			 "\"%s\" is included already: expected \"as NAME\" with another name, to "
			 "have its stages a second time",
			 path);
		note_at(p->impl, i->loc, "included here before");
		return true;
	}
	/* from is the file being read: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	if (from->depth == GRAPH_INCLUDE_DEPTH) {
		if (!p->too_deep)
			error_at(p->impl, loc, "includes more than %u deep: expected fewer",
				 GRAPH_INCLUDE_DEPTH);
		p->too_deep = true;
		return true;
	}
	if (++p->include_total > GRAPH_INCLUDES_MAX) {
		if (p->include_total == GRAPH_INCLUDES_MAX + 1)
			error_at(p->impl, loc, "more than %u includes: expected fewer",
				 GRAPH_INCLUDES_MAX);
		return true;
	}
	return false;
}

static void read_included(struct parser *p, struct scope *scope, const struct open_file *from,
			  const char *path, struct graph_loc loc)
{
	struct open_file open = { .parent = from, .depth = from->depth + 1 };
	struct graph_file *file;
	char *text = NULL;
	size_t len = 0;
	int r = p->in->read_file ? p->in->read_file(p->in->ctx, path, &text, &len) : -ENOENT;

	if (r) {
		error_at(p->impl, loc, "cannot read \"%s\": %s", path, strerror(-r));
		p->names_lost = p->edges_lost = true;
		return;
	}
	p->impl->loaned = text;
	p->text_total += len;
	if (len > GRAPH_FILE_MAX || p->text_total > GRAPH_TEXT_MAX) {
		error_at(p->impl, loc,
			 "\"%s\" is too large: expected at most %uK in a file, %uM in all", path,
			 GRAPH_FILE_MAX / 1024, GRAPH_TEXT_MAX / 1024 / 1024);
		p->names_lost = p->edges_lost = true;
	} else {
		file = file_new(p, path, text, len);
		file->included_at = loc;
		open.file = file;
	}
	free(text);
	p->impl->loaned = NULL;
	if (open.file)
		parse_file(p, scope, &open);
}

void include_file(struct parser *p, struct scope *scope, const struct open_file *from,
		  const char *path, struct graph_loc loc)
{
	struct included *i;
	struct variable *arg;

	if (refuse_include(p, scope, from, path, loc)) {
		for (arg = scope->args; arg; arg = arg->next)
			arg->used = true;
		p->names_lost = p->edges_lost = true;
		return;
	}
	i = arena_alloc(p->impl, sizeof(*i));
	*i = (struct included){ path, scope->prefix, loc, p->included };
	p->included = i;
	read_included(p, scope, from, path, loc);
}
