/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map - rewrite records: replace what a pattern matches
 *
 * The replacement knows $1, ${1}, ${name} and $$ (pcre2api(3), pcre2_substitute). By default only the first match is
 * replaced, as sed does; all=true replaces all of them. A record that does not match goes on unchanged.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "builtin.h"
#include "regex.h"

struct map {
	struct regex re;
	const struct sz_value *replace;
	uint32_t options;
	uint8_t *spare; /* max_out + 1 bytes */
};

static int map_init(struct sz_stage *s)
{
	struct map *m = sz_private(s);

	m->replace = sz_option(s, "replace");
	m->options = PCRE2_SUBSTITUTE_UNSET_EMPTY |
		     (sz_option(s, "all")->num ? PCRE2_SUBSTITUTE_GLOBAL : 0);
	m->spare = malloc((size_t)sz_max_out(s) + 1);
	return m->spare ? regex_init(s, &m->re, "regex", false) : -ENOMEM;
}

static int substitute(const struct map *m, const struct sz_record *r, uint8_t *to, PCRE2_SIZE *len)
{
	return pcre2_substitute(m->re.code, r->data, r->len, 0, m->options, m->re.match,
				m->re.context, (PCRE2_SPTR)m->replace->text, m->replace->len, to,
				len);
}

/*
 * The record is rewritten right in the output lane. PCRE2 ends it with a NUL, for which there is no room if the result
 * is exactly max_record long; that one case goes through a spare buffer.
 */
static int map_record(struct sz_stage *s, const struct sz_record *r)
{
	const struct map *m = sz_private(s);
	uint32_t max = sz_max_out(s);
	PCRE2_SIZE len = max;
	int rc = substitute(m, r, sz_reserve(s, 0, max), &len);

	if (sz_likely(rc >= 0)) {
		sz_commit(s, 0, (uint32_t)len);
		return SZ_OK;
	}
	if (rc == PCRE2_ERROR_NOMEMORY) {
		len = (PCRE2_SIZE)max + 1;
		rc = substitute(m, r, m->spare, &len);
		if (rc >= 0) {
			sz_emit(s, 0, m->spare, (uint32_t)len);
			return SZ_OK;
		}
	}
	switch (rc) {
	case PCRE2_ERROR_NOMEMORY:
		return sz_error(s, -EMSGSIZE,
				"the rewritten record is longer than max_record (%u bytes)", max);
	case PCRE2_ERROR_MATCHLIMIT:
	case PCRE2_ERROR_DEPTHLIMIT:
	case PCRE2_ERROR_HEAPLIMIT:
	case PCRE2_ERROR_JIT_STACKLIMIT:
		return sz_error(s, -E2BIG,
				"regex= could not be decided for this record: match limit reached");
	default: return sz_error(s, -EINVAL, "replace= failed on this record (PCRE2 error %d)", rc);
	}
}

static void map_fini(struct sz_stage *s)
{
	struct map *m = sz_private(s);

	regex_free(&m->re);
	free(m->spare);
}

/*
 * A mistake in the replacement would fail every record that matches: find it now. "(?:PATTERN)?" matches the empty
 * subject and has the same groups; where the pattern does not bear the brackets, the first record tells.
 */
static int check_replacement(struct sz_plan *p)
{
	const struct sz_value *regex = sz_plan_option(p, "regex"),
			      *replace = sz_plan_option(p, "replace");
	size_t size = regex->len + 16;
	char *pattern = malloc(size), text[128];
	PCRE2_SIZE at, len = 0;
	pcre2_code *code;
	int error, rc;

	if (!pattern)
		return -ENOMEM;
	size = (size_t)snprintf(pattern, size, "(?:%s\n)?", regex->text);
	code = pcre2_compile((PCRE2_SPTR)pattern, size, 0, &error, &at, NULL);
	free(pattern);
	if (!code)
		return 0;
	/* OVERFLOW_LENGTH: read on to the end of the replacement, though there is no room for it. */
	rc = pcre2_substitute(code, (PCRE2_SPTR) "", 0, 0,
			      PCRE2_SUBSTITUTE_UNSET_EMPTY | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH, NULL,
			      NULL, (PCRE2_SPTR)replace->text, replace->len, (PCRE2_UCHAR *)text,
			      &len);
	pcre2_code_free(code);
	if (rc >= 0 || rc == PCRE2_ERROR_NOMEMORY)
		return 0;
	pcre2_get_error_message(rc, (PCRE2_UCHAR *)text, sizeof(text));
	return sz_plan_error(p, "replace",
			     "not a replacement for this pattern: %s; groups are $1 or ${name}, a "
			     "dollar sign is $$",
			     text);
}

static int map_plan(struct sz_plan *p)
{
	int rc = regex_plan(p, "regex");

	return rc ? rc : check_replacement(p);
}

static const struct sz_option map_options[] = {
	{ .name = "regex",
	  .type = SZ_OPT_REGEX,
	  .flags = SZ_OPT_REQUIRED,
	  .help = "the pattern to look for (PCRE2)" },
	{ .name = "replace",
	  .type = SZ_OPT_STRING,
	  .flags = SZ_OPT_REQUIRED,
	  .help = "what the match becomes; $1 or ${name} is a group, $$ a dollar sign" },
	{ .name = "all",
	  .type = SZ_OPT_BOOL,
	  .def = "false",
	  .help = "replace all matches of a record, not only the first" },
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
