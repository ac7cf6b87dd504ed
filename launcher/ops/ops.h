/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.h - streamz, the operator's tool: what its verbs share
 *
 * stdout carries data, everything else goes to stderr. A verb returns the exit status; only main() exits.
 */
#ifndef SZ_OPS_H
#define SZ_OPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <streamz/view.h>

enum {
	EXIT_OK = 0,
	EXIT_NO = 1,       /* an audit that does not hold, a removal that is refused */
	EXIT_USAGE = 100,  /* wrong arguments, no such pipeline or type */
	EXIT_SYSTEM = 111, /* the system refused something */
};

/**
 * struct verb - one word of the command line and what it does
 * @synopsis:	its arguments, for the usage line
 * @summary:	a line for the list of verbs
 * @help:	options, a line each
 * @run:	argv[0] is the verb; returns the exit status
 */
struct verb {
	const char *name, *synopsis, *summary, *help;
	int (*run)(int argc, char **argv);
};

extern const struct verb verb_audit, verb_ls, verb_rm, verb_stat, verb_types;

/* "streamz: ..." to stderr. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Usage line of a verb to stderr. Return: EXIT_USAGE. */
int usage(const struct verb *v);
void print_help(const struct verb *v);

/**
 * open_view() - the view of a named pipeline, or of the only one
 * @name:	NULL: there must be exactly one
 *
 * Says on stderr what is wrong. Return: EXIT_OK and @view set, else the exit status.
 */
int open_view(const char *name, struct sz_view **view);

/* Say that there is no such pipeline, which it may have been, or which there are. Return: EXIT_USAGE. */
int no_such_pipeline(const char *name);

/**
 * struct names - a sorted list of owned strings
 */
struct names {
	char **name;
	size_t count;
};
/* The pipelines of this uid. Return: 0, -errno. */
int pipelines(struct names *list);
/* Return: 0, -ENOMEM. */
int names_add(struct names *list, const char *name);
void names_free(struct names *list);

/* State of a worker as far as it can be known: "dead" if it should run and no process holds its page. */
const char *worker_state(const struct sz_view *view, uint32_t worker);
/* Its process, 0 if it has none. */
int worker_pid(const struct sz_view *view, uint32_t worker);

/* JSON; integers beyond int64 are cut off there. */
json_t *json_u64(uint64_t n);
/* Print and free. Return: EXIT_OK, EXIT_SYSTEM. */
int json_print(json_t *j);

/*
 * Aligned columns: cells are added row by row, printed at the end. Numbers go to the right, words to the left.
 */
struct table {
	char **cell;
	size_t columns, count, size;
	bool failed;
};
void table_begin(struct table *t, size_t columns);
void table_word(struct table *t, const char *text);
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* @right: a character a column, 'l' or 'r'. Print with an indent, and free. */
void table_print(struct table *t, const char *align, int indent);

/* 1536 -> "1.5K"; for people, not for programs. Return: @buf. */
char *human_bytes(uint64_t bytes, char *buf, size_t size);
/* Local time. Return: @buf. */
char *human_time(uint64_t time_ns, char *buf, size_t size);

/* types --man: the sections of streamz-stages(7). */
void types_man(const struct sz_type *const *types, size_t count);
/* The word a user reads for an option's type, and the range as he would write it ("" without one). */
const char *option_type_word(const struct sz_option *o);
char *option_range(const struct sz_option *o, char *buf, size_t size);

#endif
