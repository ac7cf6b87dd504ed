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
	pcre2_match_context *context; /* with a JIT stack that grows with hard patterns */
	pcre2_jit_stack *stack;
	bool jit;
};

/* Does the option's pattern compile? For plan(). Return: 0, or -EINVAL with the error reported. */
int regex_plan(struct sz_plan *p, const char *option);

/*
 * Compile the option's value, as a pattern (checked before by regex_plan()) or as the bytes it is: PCRE2 finds these
 * faster than memmem(). Return: 0, -EINVAL with sz_error() set, -ENOMEM.
 */
int regex_init(struct sz_stage *s, struct regex *re, const char *option, bool literal);
void regex_free(struct regex *re);

/**
 * regex_match() - search a record
 *
 * Return: number of groups set + 1, 0: no match, -E2BIG: the match limit was hit (a pattern that backtracks without
 * end on this record), -errno.
 */
int regex_match(const struct regex *re, const void *data, size_t len);

#endif
