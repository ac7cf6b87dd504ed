/* SPDX-License-Identifier: BSD-2-Clause */
/* audit.c - streamz audit: do the books of a pipeline balance? */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "ops.h"

struct audit_output {
	bool all, json;
	json_t *lines;
};

static const char *const kinds[SZ_AUDIT_KINDS] = {
	[SZ_AUDIT_OBJECT] = "object",
	[SZ_AUDIT_INPUT] = "input",
	[SZ_AUDIT_TAKEN] = "taken",
	[SZ_AUDIT_EDGE] = "edge",
	[SZ_AUDIT_PUBLISHED] = "published",
	[SZ_AUDIT_LANE] = "lane",
	[SZ_AUDIT_TAIL] = "tail",
	[SZ_AUDIT_HEAD] = "head",
	[SZ_AUDIT_STATISTICS] = "statistics",
};

static json_t *line_json(const struct sz_audit_check *c)
{
	json_t *right = json_object(), *j;

	for (unsigned i = 0; i < c->n_terms; i++)
		json_object_set_new(right, c->terms[i].name, json_u64(c->terms[i].value));
	j = json_pack("{s:s, s:s, s:s, s:{s:o}, s:o, s:I, s:o, s:b, s:b}", "kind", kinds[c->kind],
		      "name", c->name, "line", c->what, "left", c->left_name, json_u64(c->left),
		      "right", right, "difference", (json_int_t)(c->left - c->right), "slack",
		      json_u64(c->slack), "exact", c->exact, "holds", c->holds);
	if (c->why[0])
		json_object_set_new(j, "why", json_string(c->why));
	return j;
}

static void print_line(const struct sz_audit_check *c)
{
	printf("%-5s %-10s %s: ", c->holds ? "ok" : "WRONG", kinds[c->kind], c->name);
	if (c->kind == SZ_AUDIT_OBJECT) {
		puts(c->why);
		return;
	}
	printf("%s %" PRIu64 " %s", c->left_name, c->left, c->slack ? ">=" : "=");
	for (unsigned i = 0; i < c->n_terms; i++)
		printf("%s %s %" PRIu64, i ? " +" : "", c->terms[i].name, c->terms[i].value);
	if (!c->holds && c->left != c->right)
		printf(", difference %+" PRId64, (int64_t)(c->left - c->right));
	else if (c->slack && c->left != c->right)
		printf(" (%" PRIu64 " on the way)", c->left - c->right);
	if (c->why[0])
		printf(": %s", c->why);
	putchar('\n');
}

static void line(void *ctx, const struct sz_audit_check *c)
{
	struct audit_output *o = ctx;

	if (!o->all && c->holds)
		return;
	if (o->json)
		json_array_append_new(o->lines, line_json(c));
	else
		print_line(c);
}

static int audit(struct sz_view *v, struct audit_output *o)
{
	struct sz_audit_result r;
	int rc = sz_audit(v, line, o, &r);

	if (rc) {
		say("%s: %s", v->ctl->pipeline, strerror(-rc));
		return EXIT_SYSTEM;
	}
	if (o->json) {
		rc = json_print(json_pack("{s:s, s:s, s:s, s:o, s:i, s:i, s:O}", "schema",
					  "streamz.audit/1", "pipeline", v->ctl->pipeline, "state",
					  sz_view_state_name(v), "time_ns", json_u64(v->time_ns),
					  "checks", (int)r.checks, "failures", (int)r.failures,
					  "lines", o->lines));
	} else if (r.failures) {
		printf("%s (%s): %u of %u lines do not hold\n", v->ctl->pipeline,
		       sz_view_state_name(v), r.failures, r.checks);
	} else {
		printf("%s (%s): all %u lines hold\n", v->ctl->pipeline, sz_view_state_name(v),
		       r.checks);
	}
	if (rc)
		return rc;
	return r.failures ? EXIT_NO : EXIT_OK;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct audit_output o = { .all = false };
	struct sz_view *v;
	int c, rc;

	while ((c = getopt_long(argc, argv, "jv", options, NULL)) != -1) {
		switch (c) {
		case 'j': o.json = true; break;
		case 'v': o.all = true; break;
		default: return usage(&verb_audit);
		}
	}
	if (argc - optind > 1)
		return usage(&verb_audit);
	rc = open_view(argv[optind], &v);
	if (rc)
		return rc;
	o.lines = json_array();
	rc = audit(v, &o);
	json_decref(o.lines);
	sz_view_close(v);
	return rc;
}

const struct verb verb_audit = {
	.name = "audit",
	.synopsis = "[-v] [--json] [PIPELINE]",
	.summary = "check that every record is accounted for",
	.help = "  -v, --verbose   also the lines that hold\n"
		"  -j, --json      JSON, schema streamz.audit/1\n"
		"\n"
		"Exits 1 if a line does not hold, and prints it with the difference.\n",
	.run = run,
};
