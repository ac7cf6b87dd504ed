/* SPDX-License-Identifier: BSD-2-Clause */
/* regex.h - PCRE2 patterns as options: compiled once a life, with JIT where there is one */
#ifndef STREAMZ_BUILTIN_REGEX_H
#define STREAMZ_BUILTIN_REGEX_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <streamz/stage.h>

struct regex {
	pcre2_code *code;
	pcre2_match_data *match;
};

/* Does the option's pattern compile? For plan(). Return: 0, or -EINVAL with the error reported. */
int regex_plan(struct sz_plan *p, const char *option);

/* Compile the option's pattern, checked before by regex_plan(). Return: 0, -EINVAL with sz_error() set. */
int regex_init(struct sz_stage *s, struct regex *re, const char *option);
void regex_free(struct regex *re);

/**
 * regex_match() - search from an offset
 *
 * Return: number of groups set + 1, 0: no match, -E2BIG: the match limit was hit (a pattern that backtracks without
 * end on this record), -errno.
 */
int regex_match(const struct regex *re, const void *data, size_t len, size_t from, uint32_t options);

#endif
