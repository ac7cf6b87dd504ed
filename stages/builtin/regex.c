/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>

#include "regex.h"

#define JIT_STACK_START 32768
#define JIT_STACK_MAX   (1u << 20)

static pcre2_code *compile(const struct sz_value *v, uint32_t options, int *error, PCRE2_SIZE *at)
{
	return pcre2_compile((PCRE2_SPTR)v->text, v->len, options, error, at, NULL);
}

int regex_plan(struct sz_plan *p, const char *option)
{
	const struct sz_value *v = sz_plan_option(p, option);
	pcre2_code *code;
	PCRE2_SIZE at;
	char text[128];
	int error;

	if (!v->text)
		return 0;
	code = compile(v, PCRE2_NEVER_BACKSLASH_C, &error, &at);
	if (!code) {
		pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof(text));
		return sz_plan_error(
			p, option,
			"not a regular expression (PCRE2): %s at byte %zu of the pattern", text,
			(size_t)at);
	}
	pcre2_code_free(code);
	return 0;
}

int regex_init(struct sz_stage *s, struct regex *re, const char *option, bool literal)
{
	PCRE2_SIZE at;
	int error;

	re->code = compile(sz_option(s, option), literal ? PCRE2_LITERAL : PCRE2_NEVER_BACKSLASH_C,
			   &error, &at);
	if (!re->code)
		return sz_error(s, -EINVAL, "%s= does not compile", option);
	/* Without JIT the interpreter gives the same answers. */
	re->jit = pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE) == 0;
	re->match = pcre2_match_data_create_from_pattern(re->code, NULL);
	re->context = pcre2_match_context_create(NULL);
	re->stack = re->jit ? pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL) : NULL;
	if (!re->match || !re->context || (re->jit && !re->stack))
		return -ENOMEM;
	if (re->jit)
		pcre2_jit_stack_assign(re->context, NULL, re->stack);
	return 0;
}

void regex_free(struct regex *re)
{
	pcre2_jit_stack_free(re->stack);
	pcre2_match_context_free(re->context);
	pcre2_match_data_free(re->match);
	pcre2_code_free(re->code);
}

int regex_match(const struct regex *re, const void *data, size_t len)
{
	int rc = re->jit ? pcre2_jit_match(re->code, data, len, 0, 0, re->match, re->context)
			 : pcre2_match(re->code, data, len, 0, 0, re->match, re->context);

	if (rc >= 0)
		return rc;
	switch (rc) {
	case PCRE2_ERROR_NOMATCH: return 0;
	case PCRE2_ERROR_NOMEMORY: return -ENOMEM;
	default: return -E2BIG; /* match, depth or heap limit, JIT stack */
	}
}
