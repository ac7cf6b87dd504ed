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

/* Text of its own line or lines: nothing of it may start a request, and a sentence ends its line. */
static void flowing(const char *s)
{
	size_t n = s ? strlen(s) : 0;
	bool start = true;

	for (size_t i = 0; i < n; i++) {
		if (start && (s[i] == '.' || s[i] == '\''))
			fputs("\\&", stdout);
		start = s[i] == '\n';
		if (s[i] == '\\') {
			fputs("\\e", stdout);
		} else if (i + 2 < n && strchr(".:!?", s[i]) && s[i] != ':' && s[i + 1] == ' ' &&
			   isupper((unsigned char)s[i + 2])) {
			printf("%c\n", s[i++]);
			start = true;
		} else {
			putchar(s[i]);
		}
	}
	if (n && !strchr(".!?", s[n - 1]))
		putchar('.');
	if (n)
		putchar('\n');
}

static void option(const struct sz_option *o)
{
	size_t n = strlen(o->name);
	char range[100];

	fputs(".It Cm ", stdout);
	quoted(o->name);
	if (o->flags & SZ_OPT_PREFIX)
		printf(" Ns %sAr NAME", n && o->name[n - 1] == '.' ? "" : ". Ns ");
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

void types_man(struct sz_type *const *types, size_t count)
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
