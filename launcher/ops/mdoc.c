/* SPDX-License-Identifier: BSD-2-Clause */
/* mdoc.c - the stage types as sections of a manual page */
#include <ctype.h>
#include <string.h>

#include "ops.h"

/* Text as an argument of a macro: quoted, so that no word of it is taken for a macro. */
static void quoted(const char *s)
{
	putchar('"');
	for (; s && *s; s++) {
		switch (*s) {
		case '"': fputs("\\(dq", stdout); break;
		case '\\': fputs("\\e", stdout); break;
		case '-': fputs("\\-", stdout); break;
		case '\n': putchar(' '); break;
		default: putchar(*s);
		}
	}
	putchar('"');
}

#define LINE_WIDTH 78

/* One word of running text. Return: columns it takes. */
static size_t word(const char *s, size_t n, bool line_start, bool capital)
{
	size_t columns = n;

	if (line_start && (s[0] == '.' || s[0] == '\''))
		fputs("\\&", stdout);
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\')
			fputs("\\e", stdout);
		else
			putchar(i == 0 && capital ? toupper((unsigned char)s[i]) : s[i]);
	}
	return columns;
}

/*
 * A help text as running text: a capital, a final stop, a new line after each sentence, none too long, and nothing
 * in it that could be taken for a request.
 */
static void flowing(const char *s)
{
	bool first = true, sentence_end = false;
	size_t column = 0, n = 0;

	for (s = s ? s : ""; *s; s += n) {
		s += strspn(s, " \n\t");
		n = strcspn(s, " \n\t");
		if (n == 0)
			break;
		if (column && (sentence_end || column + 1 + n > LINE_WIDTH)) {
			putchar('\n');
			column = 0;
		} else if (column) {
			putchar(' ');
			column++;
		}
		/* A first word that is all lower case; max_record and PCRE2 stay as they are. */
		column += word(s, n, column == 0,
			       first && strspn(s, "abcdefghijklmnopqrstuvwxyz,;") == n);
		sentence_end = strchr(".!?", s[n - 1]) != NULL;
		first = false;
	}
	if (!first)
		puts(sentence_end ? "" : ".");
}

static void option(const struct sz_option *o)
{
	size_t n = strlen(o->name);
	char range[100], name[128];

	if ((o->flags & SZ_OPT_PREFIX) && n && o->name[n - 1] == '.')
		n--;
	snprintf(name, sizeof(name), "%.*s", (int)n, o->name);
	fputs(".It Cm ", stdout);
	quoted(name);
	if (o->flags & SZ_OPT_PREFIX)
		fputs(" . Ns Ar NAME", stdout);
	fputs(" Ns = Ns ", stdout);
	fputs(o->type == SZ_OPT_ENUM || o->type == SZ_OPT_BOOL ? "Cm " : "Ar ", stdout);
	quoted(option_type_word(o));
	putchar('\n');
	flowing(o->help);
	option_range(o, range, sizeof(range));
	if (range[0]) {
		fputs("Range:\n.Li ", stdout);
		quoted(range);
		fputs(" .\n", stdout);
	}
	if (o->flags & SZ_OPT_REQUIRED)
		puts("Required.");
	if (o->def) {
		fputs("Default:\n.Li ", stdout);
		quoted(o->def[0] ? o->def : "''");
		fputs(" .\n", stdout);
	}
	if (o->flags & SZ_OPT_SECRET)
		puts("Written as file:PATH or env:NAME; never printed.");
	if (o->flags & SZ_OPT_MAY_LOSE)
		puts("May lose records.");
}

static void type(const struct sz_type *t)
{
	fputs(".Ss ", stdout);
	quoted(t->name);
	putchar('\n');
	flowing(t->summary);
	if (t->options->name) {
		puts(".Bl -tag -width Ds");
		for (const struct sz_option *o = t->options; o->name; o++)
			option(o);
		puts(".El");
	}
	if (!t->ports->name)
		return;
	puts(".Pp\nOutput ports:\n.Bl -tag -width Ds");
	for (const struct sz_port *p = t->ports; p->name; p++) {
		fputs(".It Pf . Cm ", stdout);
		quoted(p->name);
		putchar('\n');
		flowing(p->help);
	}
	puts(".El");
}

void types_man(const struct sz_type *const *types, size_t count)
{
	static const char *const sections[] = {
		[SZ_SOURCE] = "SOURCES",
		[SZ_TRANSFORM] = "STAGES",
		[SZ_SINK] = "SINKS",
	};

	for (unsigned role = SZ_SOURCE; role <= SZ_SINK; role++) {
		bool any = false;

		for (size_t i = 0; i < count; i++) {
			if (types[i]->role != (enum sz_role)role)
				continue;
			if (!any)
				printf(".Sh %s\n", sections[role]);
			any = true;
			type(types[i]);
		}
	}
}
