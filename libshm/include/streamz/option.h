/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * option.h - options declared in a table: one source for parsing, error texts, `streamz types` and the man pages
 *
 * A stage type (or an edge, or the pipeline itself) declares its options as an array of struct sz_option that ends
 * with an entry whose name is NULL. The launcher checks a graph against the table, the stage's runtime parses the
 * texts with the same function, so what the launcher accepted is what the stage sees.
 */
#ifndef STREAMZ_OPTION_H
#define STREAMZ_OPTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sz_option_type {
	SZ_OPT_STRING,  /* any bytes, NUL included */
	SZ_OPT_PATH,    /* a file name without NUL; not empty */
	SZ_OPT_BOOL,    /* true | false */
	SZ_OPT_INT,     /* decimal integer, may be negative */
	SZ_OPT_SIZE,    /* bytes: 64K 4M 1G, capital, powers of 1024; a bare number is bytes */
	SZ_OPT_TIME,    /* 500us 5ms 10s 2m 2h 1d; a unit is required, but for 0 */
	SZ_OPT_PERCENT, /* 80% or 12.5% */
	SZ_OPT_RATE,    /* 1000 (a second) or 1000/s, 60/m; 0 where the range allows it */
	SZ_OPT_ENUM,    /* one word of choices, "a|b|c" */
	SZ_OPT_REGEX,   /* a PCRE2 pattern; compiled by the stage's own check */
	SZ_OPT_LIMIT,   /* 10000 (records), 64M (bytes) or 10000,64M (whichever comes first) */
	SZ_OPT_BACKOFF, /* 100ms..30s: first wait and longest wait */
	SZ_OPT_COUNT_PER_TIME, /* 5/10s: so many within a period */
};

enum {
	SZ_OPT_REQUIRED = 1u << 0,
	SZ_OPT_SECRET = 1u << 1,   /* takes file:PATH or env:NAME, never printed */
	SZ_OPT_PREFIX = 1u << 2,   /* name is a prefix: case.PORT=, env.VAR= */
	SZ_OPT_MAY_LOSE = 1u << 3, /* a value other than the default may lose records */
};

/**
 * struct sz_option - one declared option
 * @name:	the KEY in graph.conf; NULL ends the table
 * @type:	how the text is parsed, and in which unit
 * @def:	the default as a user would write it, or NULL: unset unless given
 * @min:	least value of a number, in its unit (bytes, ns, count, 1/1000 of a percent); min == max == 0: no range
 * @max:	largest value
 * @choices:	SZ_OPT_ENUM: the words, separated by '|'; else NULL
 * @help:	one sentence, no final stop, for --help and man pages
 * @flags:	SZ_OPT_REQUIRED ...
 */
struct sz_option {
	const char *name;
	enum sz_option_type type;
	const char *def;
	int64_t min, max;
	const char *choices;
	const char *help;
	unsigned flags;
};

/**
 * struct sz_value - a parsed option value
 * @text:	the text as given (or the default), NUL-terminated; NULL if the option is unset
 * @len:	its length in bytes; the text itself may hold NULs only for SZ_OPT_STRING
 * @num:	BOOL 0/1; INT; SIZE in bytes; TIME in ns; PERCENT in 1/1000 of a percent; RATE in events per 1000 s;
 *		ENUM the index of the word in choices; BACKOFF the first wait in ns; COUNT_PER_TIME the count
 * @num2:	BACKOFF the longest wait, COUNT_PER_TIME the period, both ns; LIMIT the bytes (0: no such limit)
 * @records:	LIMIT: the records (0: no such limit)
 * @given:	1 if it stood in the graph, 0 if it is the default
 */
struct sz_value {
	const char *text;
	size_t len;
	int64_t num, num2, records;
	int given;
};

#define SZ_VALUE_ERROR_SIZE 256

/**
 * sz_value_parse() - parse and range-check a value against its declaration
 * @opt:	the declaration
 * @text:	the value, @len bytes, followed by a NUL that does not count
 * @len:	length in bytes
 * @out:	set on success; out->text points at @text (no copy is made)
 * @error:	on failure: what is wrong and what was expected, without the value's position
 *
 * Return: 0, or -EINVAL (malformed), -ERANGE (outside min..max).
 */
int sz_value_parse(const struct sz_option *opt, const char *text, size_t len, struct sz_value *out,
		   char error[SZ_VALUE_ERROR_SIZE]);

/**
 * sz_option_find() - the declaration for a key, SZ_OPT_PREFIX entries included
 *
 * Return: the entry, or NULL.
 */
const struct sz_option *sz_option_find(const struct sz_option *table, const char *key);

/**
 * sz_option_type_name() - what a user is told to write, e.g. "a size such as 64K or 4M"
 */
const char *sz_option_type_name(enum sz_option_type type);

/**
 * sz_format_size(), sz_format_time() - the shortest exact way a user would write the number ("64K", "1500ms")
 *
 * Return: @buf.
 */
char *sz_format_size(uint64_t bytes, char *buf, size_t size);
char *sz_format_time(uint64_t ns, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
