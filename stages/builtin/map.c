/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map - rewrite records: replace what a pattern matches
 *
 * The replacement knows $1, ${1}, ${name} and $$ (pcre2api(3), pcre2_substitute). By default only the first match is
 * replaced, as sed does; all=true replaces all of them. A record that does not match goes on unchanged.
 */
#include <errno.h>
#include <string.h>

#include "builtin.h"
#include "regex.h"

struct map {
	struct regex re;
	const struct sz_value *replace;
	uint32_t options;
};

static uint32_t substitute_options(int64_t all)
{
	return PCRE2_SUBSTITUTE_UNSET_EMPTY | (all ? PCRE2_SUBSTITUTE_GLOBAL : 0);
}

static int map_init(struct sz_stage *s)
{
	struct map *m = sz_private(s);

	m->replace = sz_option(s, "replace");
	m->options = substitute_options(sz_option(s, "all")->num);
	return regex_init(s, &m->re, "regex");
}

/* The record is rewritten right in the output lane. */
static int map_record(struct sz_stage *s, const struct sz_record *r)
{
	const struct map *m = sz_private(s);
	uint32_t max = sz_max_out(s);
	PCRE2_SIZE len = max;
	int hit, rc;
	uint8_t *to;

	hit = regex_match(&m->re, r->data, r->len, 0, 0);
	if (hit < 0)
		return sz_error(s, hit, "regex= could not be decided for this record: match limit reached");
	if (hit == 0 && r->len <= max) {
		sz_emit(s, 0, r->data, r->len);
		return SZ_OK;
	}
	/* One byte is kept for the NUL that PCRE2 adds. */
	to = sz_reserve(s, 0, max);
	len = max;
	rc = pcre2_substitute(m->re.code, r->data, r->len, 0, m->options | PCRE2_SUBSTITUTE_MATCHED, m->re.match, NULL,
			      (PCRE2_SPTR)m->replace->text, m->replace->len, to, &len);
	if (rc == PCRE2_ERROR_NOMEMORY)
		return sz_error(s, -EMSGSIZE, "the rewritten record is longer than max_record (%u bytes)", max);
	if (rc < 0)
		return sz_error(s, -EINVAL, "replace= failed on this record (PCRE2 error %d)", rc);
	sz_commit(s, 0, (uint32_t)len);
	return SZ_OK;
}

static void map_fini(struct sz_stage *s)
{
	struct map *m = sz_private(s);

	regex_free(&m->re);
}

/* A wrong group in the replacement would fail every record that matches: find it now, on an empty subject if need be. */
static int check_replacement(struct sz_plan *p)
{
	const struct sz_value *regex = sz_plan_option(p, "regex"), *replace = sz_plan_option(p, "replace");
	uint32_t groups = 0;
	pcre2_code *code;
	PCRE2_SIZE at;
	int error;

	code = pcre2_compile((PCRE2_SPTR)regex->text, regex->len, 0, &error, &at, NULL);
	if (!code)
		return 0;
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	for (size_t i = 0; i < replace->len; i++) {
		size_t k = i + 1;
		unsigned long n = 0;

		if (replace->text[i] != '$')
			continue;
		if (k < replace->len && replace->text[k] == '$') {
			i++;
			continue;
		}
		if (k < replace->len && replace->text[k] == '{')
			k++;
		if (k >= replace->len || replace->text[k] < '0' || replace->text[k] > '9')
			continue; /* a name, or a mistake that PCRE2 tells below */
		while (k < replace->len && replace->text[k] >= '0' && replace->text[k] <= '9' && n < 1000000)
			n = n * 10 + (unsigned long)(replace->text[k++] - '0');
		if (n > groups) {
			pcre2_code_free(code);
			return sz_plan_error(p, "replace", "$%lu: the pattern has only %u group%s", n, groups,
					     groups == 1 ? "" : "s");
		}
	}
	pcre2_code_free(code);
	/* Syntax and names: substitute in an empty subject with a pattern that always matches and has the same names
	 * cannot be made; PCRE2 parses the whole replacement only on a match, so what remains is told per record. */
	return 0;
}

static int map_plan(struct sz_plan *p)
{
	int rc = regex_plan(p, "regex");

	return rc ? rc : check_replacement(p);
}

static const struct sz_option map_options[] = {
	{ .name = "regex", .type = SZ_OPT_REGEX, .flags = SZ_OPT_REQUIRED, .help = "the pattern to look for (PCRE2)" },
	{ .name = "replace", .type = SZ_OPT_STRING, .flags = SZ_OPT_REQUIRED, .help = "what the match becomes; $1 or ${name} is a group, $$ a dollar sign" },
	{ .name = "all", .type = SZ_OPT_BOOL, .def = "false", .help = "replace all matches of a record, not only the first" },
	{ .name = NULL },
};

static const struct sz_port map_ports[] = {
	{ "failed", "records that grow beyond max_record, or hit the match limit" },
	{ NULL, NULL },
};

const struct sz_stage_ops sz_stage_map = {
	.api = SZ_STAGE_API,
	.name = "map",
	.role = SZ_TRANSFORM,
	.summary = "rewrite records by a regular expression",
	.options = map_options,
	.ports = map_ports,
	.private_bytes = sizeof(struct map),
	.emits = 1,
	.plan = map_plan,
	.init = map_init,
	.record = map_record,
	.fini = map_fini,
};
