/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dump.c - print the model as a graph file that stands for the same model
 */
#include <string.h>
#include "impl.h"

static bool is_plain(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c <= 0x20 || c == 0x7f || c == '\'' || c == '"')
			return false;
		if (c == '$' && i + 1 < len && s[i + 1] == '{')
			return false;
	}
	return len > 0;
}

static bool is_one_line(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	return true;
}

static void dump_quoted(const char *s, size_t len, FILE *to)
{
	size_t i;

	putc('\'', to);
	for (i = 0; i < len; i++) {
		putc(s[i], to);
		if (s[i] == '\'')
			putc('\'', to);
	}
	putc('\'', to);
}

static void dump_escaped(const char *s, size_t len, FILE *to)
{
	size_t i;

	putc('"', to);
	for (i = 0; i < len; i++) {
		switch (s[i]) {
		case '\n': fputs("\\n", to); break;
		case '\t': fputs("\\t", to); break;
		case '\r': fputs("\\r", to); break;
		case '\0': fputs("\\0", to); break;
		case '\\': fputs("\\\\", to); break;
		case '"': fputs("\\\"", to); break;
		case '$': fputs("\\$", to); break;
		default: putc(s[i], to);
		}
	}
	putc('"', to);
}

static void dump_value(const char *s, size_t len, FILE *to)
{
	if (is_plain(s, len))
		fwrite(s, 1, len, to);
	else if (is_one_line(s, len))
		dump_quoted(s, len, to);
	else
		dump_escaped(s, len, to);
}

static void dump_opts(const struct graph_opts *opts, FILE *to)
{
	size_t i;

	for (i = 0; i < opts->given; i++) {
		const struct graph_opt *o = opts->items + i;

		fprintf(to, " %s=", o->key);
		if (o->decl->flags & SZ_OPT_SECRET)
			fputs("***", to);
		else
			dump_value(o->value.text, o->value.len, to);
	}
	putc('\n', to);
}

void graph_dump(const struct graph *graph, FILE *to)
{
	size_t i;

	fprintf(to, "pipeline %s", graph->name ? graph->name : "?");
	dump_opts(&graph->opts, to);
	for (i = 0; i < graph->stage_count; i++) {
		const struct graph_stage *s = graph->stages + i;

		fprintf(to, "%s %s ", sz_role_name(s->role), s->name);
		dump_value(s->type_name, strlen(s->type_name), to);
		dump_opts(&s->opts, to);
	}
	for (i = 0; i < graph->edge_count; i++) {
		const struct graph_edge *e = graph->edges + i;

		fprintf(to, "%s%s%s -> %s", graph->stages[e->from].name, e->port ? "." : "",
			e->port ? e->port : "", graph->stages[e->to].name);
		dump_opts(&e->opts, to);
	}
}
