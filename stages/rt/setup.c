/* SPDX-License-Identifier: BSD-2-Clause */
/* setup.c - options, --describe and --check: what a stage program says before it is a worker */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rt.h"

struct sz_plan {
	const struct sz_stage_ops *ops;
	const struct sz_wiring *wiring;
	struct sz_value *values;
	uint64_t arena_bytes, journal_bytes;
	uint32_t max_out;
	int errors;
};

static const struct sz_wire_option *wired_option(const struct sz_wiring *w, const char *key)
{
	const struct sz_wire_option *o = sz_wire_at(w, w->options_at);

	for (uint32_t i = 0; i < w->n_options; i++)
		if (strcmp(sz_wire_text(w, o[i].key), key) == 0)
			return &o[i];
	return NULL;
}

int sz_values_parse(const struct sz_stage_ops *ops, const struct sz_wiring *w,
		    struct sz_value **out, char error[SZ_VALUE_ERROR_SIZE], const char **option)
{
	struct sz_value *values;
	size_t count = 0;

	while (ops->options && ops->options[count].name)
		count++;
	values = calloc(count + 1, sizeof(*values));
	if (!values) {
		*option = "";
		snprintf(error, SZ_VALUE_ERROR_SIZE, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		const struct sz_option *o = &ops->options[i];
		const struct sz_wire_option *given = wired_option(w, o->name);
		int rc = 0;

		if (given)
			rc = sz_value_parse(o, sz_wire_text(w, given->value), given->value_len,
					    &values[i], error);
		else if (o->def)
			rc = sz_value_parse(o, o->def, strlen(o->def), &values[i], error);
		if (rc) {
			*option = o->name;
			free(values);
			return rc;
		}
		values[i].given = given != NULL;
	}
	*out = values;
	return 0;
}

const struct sz_value *sz_value_of(const struct sz_stage_ops *ops, const struct sz_value *values,
				   const char *name)
{
	for (const struct sz_option *o = ops->options; o && o->name; o++)
		if (strcmp(o->name, name) == 0)
			return &values[o - ops->options];
	SZ_ASSERT(!"an option that the type does not declare");
	return NULL;
}

int sz_describe_main(const struct sz_stage_ops *const *types)
{
	static const struct sz_port no_ports[1];
	static const struct sz_option no_options[1];

	for (; *types; types++) {
		const struct sz_stage_ops *t = *types;
		struct sz_type type = {
			.name = t->name,
			.role = t->role,
			.flags = t->type_flags,
			.summary = t->summary,
			.ports = t->ports ? t->ports : no_ports,
			.options = t->options ? t->options : no_options,
		};

		if (sz_type_write(stdout, &type))
			return SZ_EXIT_SYSTEM;
	}
	return fflush(stdout) ? SZ_EXIT_SYSTEM : 0;
}

/* Tabs and line ends would break the format; a text that holds them is shown with blanks. */
static void say(const char *head, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	printf("%s\t%s\n", head, text);
}

const struct sz_value *sz_plan_option(const struct sz_plan *p, const char *name)
{
	return sz_value_of(p->ops, p->values, name);
}

enum sz_role sz_plan_role(const struct sz_plan *p)
{
	return p->ops->role;
}

const char *sz_plan_pipeline(const struct sz_plan *p)
{
	return sz_wire_text(p->wiring, p->wiring->pipeline);
}

const char *sz_plan_stage(const struct sz_plan *p)
{
	return sz_wire_text(p->wiring, p->wiring->stage);
}

bool sz_plan_resuming(const struct sz_plan *p)
{
	return p->wiring->generation > 0;
}

uint32_t sz_plan_max_in(const struct sz_plan *p)
{
	return p->wiring->max_in;
}

void sz_plan_max_out(struct sz_plan *p, uint32_t bytes)
{
	p->max_out = bytes;
}

void sz_plan_arena(struct sz_plan *p, uint64_t bytes)
{
	p->arena_bytes = bytes;
}

void sz_plan_journal(struct sz_plan *p, uint64_t bytes)
{
	p->journal_bytes = bytes;
}

void sz_plan_size(struct sz_plan *p, uint64_t bytes)
{
	(void)p;
	printf("size\t%llu\n", (unsigned long long)bytes);
}

void sz_plan_claim(struct sz_plan *p, bool write, const char *fmt, ...)
{
	va_list ap;

	(void)p;
	va_start(ap, fmt);
	say(write ? "claim\twrite" : "claim\tread", fmt, ap);
	va_end(ap);
}

void sz_plan_note(struct sz_plan *p, const char *fmt, ...)
{
	va_list ap;

	(void)p;
	va_start(ap, fmt);
	say("note", fmt, ap);
	va_end(ap);
}

int sz_plan_error(struct sz_plan *p, const char *option, const char *fmt, ...)
{
	char head[128];
	va_list ap;

	snprintf(head, sizeof(head), "error\t%s", option ? option : "");
	va_start(ap, fmt);
	say(head, fmt, ap);
	va_end(ap);
	p->errors++;
	return -EINVAL;
}

static void print_needs(const struct sz_plan *p)
{
	const struct sz_stage_ops *ops = p->ops;

	printf("need\tstate\t%u\n", ops->state_bytes);
	printf("need\tjournal\t%llu\n", (unsigned long long)p->journal_bytes);
	printf("need\tarena\t%llu\n", (unsigned long long)p->arena_bytes);
	if (ops->ring_entries)
		printf("need\tring\t%u\n", ops->ring_entries);
	if (ops->emits != SZ_EMITS_INPUT && ops->emits != SZ_EMITS_IF_ROOM)
		printf("need\troom\t%u\n", ops->emits);
	if (p->max_out)
		printf("max_out\t%u\n", p->max_out);
	for (uint32_t i = 0; i < ops->n_counters; i++)
		printf("counter\t%s\t%s\t%s\n", ops->counters[i].name, ops->counters[i].unit,
		       ops->counters[i].help);
}

int sz_check_main(const struct sz_stage_ops *ops, const struct sz_wiring *w)
{
	struct sz_plan p = { .ops = ops, .wiring = w };
	char error[SZ_VALUE_ERROR_SIZE];
	const char *option;
	int rc = sz_values_parse(ops, w, &p.values, error, &option);

	if (rc) {
		sz_plan_error(&p, option, "%s", error);
		fflush(stdout);
		return SZ_EXIT_USAGE;
	}
	/* Enough for many calls a commit; plan() may ask for more. */
	p.journal_bytes = 64ull * ops->journal_per_call;
	if (ops->plan) {
		rc = ops->plan(&p);
		if (rc && !p.errors)
			sz_plan_error(&p, NULL, "%s", strerror(-rc));
	}
	if (!p.errors)
		print_needs(&p);
	free(p.values);
	if (fflush(stdout))
		return SZ_EXIT_SYSTEM;
	return p.errors ? SZ_EXIT_USAGE : 0;
}
