/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - hold options against their tables, merge them with the defaults that apply
 *
 * An option of a stage comes from the first of: the stage's own line; `defaults` of its role and type; `defaults` of
 * its role; both again in the file that included this one, and so on; the table.
 */
#include <string.h>
#include "impl.h"

/* Whose options are checked. */
struct owner {
	const struct sz_option *tables[2]; /* own first; the second may be NULL */
	const char *what;                  /* for messages: "a pipeline", "a sink of type file" */
	const char *missing_hint;          /* said instead of a list of options */
	bool open;                         /* type unknown: further keys may be right */
};

static const struct sz_option no_options[1];

static const struct sz_option *find_decl(const struct owner *o, const char *key)
{
	const struct sz_option *decl = sz_option_find(o->tables[0], key);

	return decl || !o->tables[1] ? decl : sz_option_find(o->tables[1], key);
}

/* The options of another thing, written in the wrong place. */
static const char *belongs_elsewhere(const struct owner *o, const char *key)
{
	if (o->tables[0] != graph_edge_options && sz_option_find(graph_edge_options, key))
		return ": it belongs to an edge, on the line of its arrow";
	if (o->tables[0] == graph_edge_options && sz_option_find(graph_stage_options, key))
		return ": it belongs to a stage, on the line that declares it";
	if (o->tables[0] != graph_pipeline_options && sz_option_find(graph_pipeline_options, key))
		return ": it belongs to the pipeline, on the pipeline line";
	return NULL;
}

static void unknown_key(struct parser *p, const struct owner *o, const struct raw_opt *raw)
{
	const char *elsewhere = belongs_elsewhere(o, raw->key);
	const struct sz_option *d;
	char hint[HINT_SIZE], list[256] = "";
	struct nearest n;
	int t;

	nearest_init(&n, raw->key);
	for (t = 0; t < 2; t++) {
		for (d = o->tables[t]; d && d->name; d++) {
			nearest_try(&n, d->name);
			list_add(list, sizeof(list), d->name);
		}
	}
	if (n.found[0]) {
		d = find_decl(o, n.found);
		if (d && (d->flags & SZ_OPT_SECRET))
			hide(p->impl, raw->loc);
	}
	if (elsewhere)
		error_at(p->impl, raw->key_loc, "%s has no option \"%s\"%s", o->what, raw->key,
			 elsewhere);
	else if (n.found[0])
		error_at(p->impl, raw->key_loc, "%s has no option \"%s\"%s", o->what, raw->key,
			 nearest_hint(&n, hint, sizeof(hint)));
	else if (o->missing_hint)
		error_at(p->impl, raw->key_loc, "not %s has an option \"%s\": %s", o->what,
			 raw->key, o->missing_hint);
	else
		error_at(p->impl, raw->key_loc, "%s has no option \"%s\": expected one of %s",
			 o->what, raw->key, list);
}

static void bad_value(struct parser *p, const struct sz_option *decl, const struct raw_opt *raw,
		      const char *error)
{
	const char *choice = decl->choices ? decl->choices : "";
	char hint[HINT_SIZE] = "", word[64];
	struct nearest n;

	if (decl->type == SZ_OPT_ENUM && !(decl->flags & SZ_OPT_SECRET)) {
		nearest_init(&n, raw->value.s);
		while (*choice) {
			size_t len = strcspn(choice, "|");

			if (len < sizeof(word)) {
				memcpy(word, choice, len);
				word[len] = '\0';
				nearest_try(&n, word);
			}
			choice += len + (choice[len] == '|');
		}
		if (n.found[0])
			snprintf(hint, sizeof(hint), "; did you mean \"%s\"?", n.found);
	}
	error_at(p->impl, raw->loc, "%s: %s%s", raw->key, error, hint);
}

static void add_opt(struct parser *p, struct graph_opts *opts, size_t *cap, struct graph_opt opt)
{
	opts->items = arena_grow(p->impl, opts->items, opts->count, cap, sizeof(opt));
	opts->items[opts->count++] = opt;
}

/* Check what stands on one line. All keys that were understood get an item, even if the value is wrong. */
static void check_raw(struct parser *p, const struct owner *o, const struct raw_opts *raw,
		      struct graph_opts *opts, size_t *cap)
{
	char error[SZ_VALUE_ERROR_SIZE];
	size_t i, k;

	for (i = 0; i < raw->count; i++) {
		const struct raw_opt *r = raw->items + i;
		struct graph_opt opt = { .key = r->key,
					 .decl = find_decl(o, r->key),
					 .key_loc = r->key_loc,
					 .loc = r->loc };

		for (k = 0; k < i && strcmp(raw->items[k].key, r->key) != 0; k++)
			;
		if (k < i) {
			error_at(p->impl, r->key_loc,
				 "option \"%s\" is given twice: expected it once", r->key);
			note_at(p->impl, raw->items[k].key_loc, "given here before");
			continue;
		}
		if (!opt.decl) {
			if (!o->open)
				unknown_key(p, o, r);
			continue;
		}
		if (opt.decl->flags & SZ_OPT_SECRET)
			hide(p->impl, r->loc);
		if (!r->bad &&
		    sz_value_parse(opt.decl, r->value.s, r->value.len, &opt.value, error))
			bad_value(p, opt.decl, r, error);
		add_opt(p, opts, cap, opt);
	}
}

const struct graph_opt *graph_opt_find(const struct graph_opts *opts, const char *key)
{
	size_t i;

	for (i = 0; i < opts->count; i++)
		if (strcmp(opts->items[i].key, key) == 0)
			return opts->items + i;
	return NULL;
}

const struct sz_value *graph_option(const struct graph_opts *opts, const char *key)
{
	const struct graph_opt *opt = graph_opt_find(opts, key);

	return opt ? &opt->value : NULL;
}

static void inherit(struct parser *p, const struct owner *o, const struct defaults *d,
		    struct graph_opts *opts, size_t *cap)
{
	size_t i;

	for (i = 0; i < d->opts.given; i++) {
		struct graph_opt opt = d->opts.items[i];

		if (graph_opt_find(opts, opt.key))
			continue;
		/* A type may give an option of every stage a meaning of its own. */
		if (find_decl(o, opt.key) != opt.decl)
			continue;
		opt.inherited = 1;
		add_opt(p, opts, cap, opt);
	}
}

static void inherit_all(struct parser *p, const struct owner *o, const struct scope *scope,
			enum defaults_kind kind, const char *type_name, struct graph_opts *opts,
			size_t *cap)
{
	const struct defaults *d;
	int typed;

	for (; scope; scope = scope->parent) {
		for (typed = 1; typed >= 0; typed--) {
			for (d = scope->defaults; d; d = d->next) {
				if (d->kind != kind || typed != (d->type_name != NULL))
					continue;
				if (typed && (!type_name || strcmp(type_name, d->type_name) != 0))
					continue;
				inherit(p, o, d, opts, cap);
			}
		}
	}
}

/* Append what was not given, with the defaults of the tables. Return: a required option that is missing, or NULL. */
static const struct sz_option *add_table_defaults(struct parser *p, const struct owner *o,
						  struct graph_opts *opts, size_t *cap)
{
	const struct sz_option *d, *missing = NULL;
	char error[SZ_VALUE_ERROR_SIZE];
	size_t i;
	int t;

	opts->given = opts->count;
	for (t = 0; t < 2; t++) {
		for (d = o->tables[t]; d && d->name; d++) {
			struct graph_opt opt = { .key = d->name, .decl = d };

			for (i = 0; i < opts->given && opts->items[i].decl != d; i++)
				;
			if (i < opts->given || graph_opt_find(opts, d->name))
				continue;
			if ((d->flags & SZ_OPT_REQUIRED) && !missing)
				missing = d;
			if (d->flags & SZ_OPT_PREFIX)
				continue;
			if (d->def && sz_value_parse(d, d->def, strlen(d->def), &opt.value, error))
				error_at(p->impl, (struct graph_loc){ 0 },
					 "%s: the default of option \"%s\" is wrong: %s", o->what,
					 d->name, error);
			opt.value.given = 0;
			add_opt(p, opts, cap, opt);
		}
	}
	return missing;
}

static bool nearest_is(const struct raw_opts *raw, const struct sz_option *decl)
{
	size_t i;

	for (i = 0; i < raw->count; i++) {
		struct nearest n;

		nearest_init(&n, raw->items[i].key);
		nearest_try(&n, decl->name);
		if (n.found[0])
			return true;
	}
	return false;
}

static void stage_opts(struct parser *p, struct decl *decl)
{
	struct graph_stage *s = &decl->stage;
	const struct sz_type *type = decl->poisoned ? NULL : s->type;
	struct owner o = { .tables = { type ? type->options : no_options, graph_stage_options },
			   .open = !type };
	/* As written in its file: one that is included twice has its mistakes once. */
	const char *shown = s->name + strlen(decl->scope->prefix);
	const struct sz_option *missing;
	size_t cap = 0;

	o.what = type ? arena_printf(p->impl, "%s \"%s\" (%s)", sz_role_name(s->role), shown,
				     type->name)
		      : "a stage";
	check_raw(p, &o, &decl->raw, &s->opts, &cap);
	inherit_all(p, &o, decl->scope, (enum defaults_kind)s->role, type ? s->type_name : NULL,
		    &s->opts, &cap);
	missing = add_table_defaults(p, &o, &s->opts, &cap);
	if (!missing || decl->raw.truncated || nearest_is(&decl->raw, missing))
		return;
	error_at(p->impl, decl->stage.loc, "%s needs option \"%s\": expected %s%s=%s%s", o.what,
		 missing->name, missing->flags & SZ_OPT_SECRET ? "a secret, as in " : "",
		 missing->name, missing->flags & SZ_OPT_SECRET ? "file:PATH" : "VALUE",
		 missing->flags & SZ_OPT_SECRET
			 ? ""
			 : arena_printf(p->impl, ", %s", sz_option_type_name(missing->type)));
}

/* Several arrows on one line share their options, and so are checked once. */
static void edge_opts(struct parser *p, struct raw_edge *e, const struct raw_edge *before)
{
	struct owner o = { .tables = { graph_edge_options, NULL }, .what = "an edge" };
	const struct sz_value *v;
	char error[SZ_VALUE_ERROR_SIZE];
	size_t cap = 0, i;

	if (before && before->raw == e->raw) {
		e->opts = before->opts;
		return;
	}
	/* e is one of p->edges: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	e->opts = arena_alloc(p->impl, sizeof(*e->opts));
	check_raw(p, &o, e->raw, e->opts, &cap);
	for (i = 0; e->arrows > 1 && i < e->opts->count; i++) {
		const struct graph_opt *opt = e->opts->items + i;
		const struct sz_option *d = opt->decl;
		struct sz_value def = { 0 };

		v = &opt->value;
		if (!(d->flags & SZ_OPT_MAY_LOSE) || !v->text)
			continue;
		if (d->def && sz_value_parse(d, d->def, strlen(d->def), &def, error) == 0 &&
		    def.num == v->num && def.num2 == v->num2 && def.records == v->records)
			continue;
		error_at(p->impl,
			 loc_of(opt->key_loc.file, opt->key_loc.offset,
				opt->loc.offset + opt->loc.len),
			 "%s=%s may lose records and stands on a line of %u arrows: expected it on "
			 "a line of its own for the one edge that may lose",
			 opt->key, v->text, e->arrows);
	}
	inherit_all(p, &o, e->scope, DEFAULTS_EDGE, NULL, e->opts, &cap);
	add_table_defaults(p, &o, e->opts, &cap);
}

/* Each line of defaults is checked where it stands, once. */
static void defaults_opts(struct parser *p, const struct scope *scope, struct defaults *d)
{
	struct owner o = { .tables = { graph_stage_options, NULL } };
	const struct defaults *before;
	size_t cap = 0, i;

	if (d->kind == DEFAULTS_EDGE) {
		o.tables[0] = graph_edge_options;
		o.what = "an edge";
	} else if (d->type) {
		o.tables[0] = d->type->options;
		o.tables[1] = graph_stage_options;
		o.what = arena_printf(p->impl, "a %s of type %s",
				      sz_role_name((enum sz_role)d->kind), d->type->name);
	} else {
		const char *role = sz_role_name((enum sz_role)d->kind);

		o.what = arena_printf(p->impl, "every %s", role);
		o.missing_hint = arena_printf(
			p->impl, "to set an option of one type, write defaults %s TYPE KEY=VALUE",
			role);
	}
	check_raw(p, &o, &d->raw, &d->opts, &cap);
	d->opts.given = d->opts.count;
	for (before = scope->defaults; before != d; before = before->next) {
		if (before->kind != d->kind || !before->type_name != !d->type_name ||
		    (d->type_name && strcmp(before->type_name, d->type_name) != 0))
			continue;
		for (i = 0; i < d->opts.count && !p->impl->too_many; i++) {
			const struct graph_opt *old =
				graph_opt_find(&before->opts, d->opts.items[i].key);

			if (!old)
				continue;
			error_at(p->impl, d->opts.items[i].key_loc,
				 "a second default for \"%s\": expected one", old->key);
			note_at(p->impl, old->key_loc, "the first is here");
		}
	}
}

void options_check(struct parser *p)
{
	struct owner o = { .tables = { graph_pipeline_options, NULL }, .what = "a pipeline" };
	struct graph_opts *opts = &p->impl->graph.opts;
	const struct scope *scope;
	struct defaults *d;
	size_t cap = 0, i;

	check_raw(p, &o, &p->pipeline_raw, opts, &cap);
	add_table_defaults(p, &o, opts, &cap);
	for (scope = p->scopes; scope; scope = scope->next)
		for (d = scope->defaults; d; d = d->next)
			defaults_opts(p, scope, d);
	for (i = 0; i < p->decl_count; i++)
		stage_opts(p, p->decls + i);
	for (i = 0; i < p->edge_count; i++)
		edge_opts(p, p->edges + i, i ? p->edges + i - 1 : NULL);
}
