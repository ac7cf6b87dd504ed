/* SPDX-License-Identifier: BSD-2-Clause */
/* filter - keep the records that match; the others go to the port rest, if it is wired */
#include <errno.h>

#include "builtin.h"
#include "regex.h"

struct filter {
	struct regex re;
	bool invert, rest;
};

enum { FILTER_REST = 1 };

static int filter_init(struct sz_stage *s)
{
	struct filter *f = sz_private(s);
	bool literal = sz_option(s, "match")->text != NULL;

	f->invert = sz_option(s, "invert")->num;
	f->rest = sz_wired(s, FILTER_REST);
	return regex_init(s, &f->re, literal ? "match" : "regex", literal);
}

static int filter_record(struct sz_stage *s, const struct sz_record *r)
{
	const struct filter *f = sz_private(s);
	int hit = regex_match(&f->re, r->data, r->len);

	if (hit < 0)
		return sz_error(s, hit,
				"regex= could not be decided for this record: match limit reached");
	if ((hit != 0) != f->invert)
		sz_emit(s, 0, r->data, r->len);
	else if (f->rest)
		sz_emit(s, FILTER_REST, r->data, r->len);
	return SZ_OK;
}

static void filter_fini(struct sz_stage *s)
{
	struct filter *f = sz_private(s);

	regex_free(&f->re);
}

static int filter_plan(struct sz_plan *p)
{
	const struct sz_value *match = sz_plan_option(p, "match"),
			      *regex = sz_plan_option(p, "regex");

	if (!match->text == !regex->text)
		return sz_plan_error(
			p, match->text ? "regex" : NULL,
			match->text ? "match= and regex= exclude each other: give one of them"
				    : "nothing to match: give match='text' or regex='pattern'");
	return regex_plan(p, "regex");
}

static const struct sz_option filter_options[] = {
	{ .name = "match", .type = SZ_OPT_STRING, .help = "keep records that contain these bytes" },
	{ .name = "regex",
	  .type = SZ_OPT_REGEX,
	  .help = "keep records that match this pattern (PCRE2)" },
	{ .name = "invert",
	  .type = SZ_OPT_BOOL,
	  .def = "false",
	  .help = "keep those that do not match" },
	{ .name = NULL },
};

static const struct sz_port filter_ports[] = {
	{ "rest", "the records that are not kept" },
	{ "failed", "records for which the pattern could not be decided (match limit)" },
	{ NULL, NULL },
};

const struct sz_stage_ops sz_stage_filter = {
	.api = SZ_STAGE_API,
	.name = "filter",
	.role = SZ_TRANSFORM,
	.summary = "keep the records that match",
	.options = filter_options,
	.ports = filter_ports,
	.private_bytes = sizeof(struct filter),
	.plan = filter_plan,
	.init = filter_init,
	.record = filter_record,
	.fini = filter_fini,
};
