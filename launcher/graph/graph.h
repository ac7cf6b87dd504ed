/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * graph.h - the graph language and the model it describes
 *
 * graph_parse() turns a graph.conf into a checked model, graph_parse_words() does so for the words after
 * `streamz-launch -e`. Both report every mistake they find in one go. There is no I/O here: files, the environment
 * and the catalogue of stage types are reached through callbacks, and diagnostics are printed to a stream on request.
 *
 * A struct graph owns everything that hangs from it; graph_free() releases it. The callbacks are called only while
 * graph_parse() runs; the types they return must outlive the graph.
 */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <streamz/catalog.h>

/* Limits. What goes beyond one is a diagnostic, never a truncation. */
#define GRAPH_FILE_MAX        (1024u * 1024)      /* bytes of one file */
#define GRAPH_TEXT_MAX        (8u * 1024 * 1024)  /* bytes of all files */
#define GRAPH_VALUE_MAX       (256u * 1024)       /* bytes of one value after expansion */
#define GRAPH_EXPANSION_MAX   (16u * 1024 * 1024) /* bytes of all values after expansion */
#define GRAPH_EXPANSION_DEPTH 8                   /* ${A:-${B:-...}} */
#define GRAPH_INCLUDE_DEPTH   16
#define GRAPH_INCLUDES_MAX    256
#define GRAPH_WORDS_MAX       4096 /* words of one statement */
#define GRAPH_STATEMENTS_MAX  20000
#define GRAPH_STAGES_MAX      1000
#define GRAPH_EDGES_MAX       10000
#define GRAPH_VARIABLES_MAX   2000
#define GRAPH_OPTIONS_MAX     256  /* options given to one stage, edge, defaults or pipeline line */
#define GRAPH_DEFAULTS_MAX    1000 /* defaults lines */
#define GRAPH_KEY_MAX         128  /* bytes of a KEY */
#define GRAPH_ERRORS_MAX      200  /* mistakes reported before giving up */

struct graph_file;

/**
 * struct graph_loc - a place in a file of the graph
 * @file:	NULL if there is no such place (an option's default, --set)
 * @offset:	of its first byte
 * @len:	in bytes
 */
struct graph_loc {
	const struct graph_file *file;
	uint32_t offset, len;
};

/**
 * struct graph_opt - one option, given or not
 * @key:	as written, so case.PORT for a prefix option
 * @decl:	its declaration
 * @value:	parsed; value.text is NULL if the option is unset, value.given 0 if it is the table's default
 * @key_loc:	where the key stands; no file if it was not given
 * @loc:	where the value stands
 * @inherited:	1 if it comes from a `defaults` line, which is where @loc points then
 */
struct graph_opt {
	const char *key;
	const struct sz_option *decl;
	struct sz_value value;
	struct graph_loc key_loc, loc;
	int inherited;
};

/**
 * struct graph_opts - options of a stage, an edge or the pipeline, merged
 * @items:	first the @given ones, own before inherited; then all declared ones that were not given, in the order
 *		of their tables, with their defaults
 */
struct graph_opts {
	struct graph_opt *items;
	size_t count, given;
};

/**
 * struct graph_stage - a stage of the model
 * @name:	unique, include prefix included
 * @role:	as declared; equals type->role
 * @type_name:	the TYPE as resolved: a name, or a path as seen from the working directory
 * @type:	as resolve_type() returned it
 * @opts:	options of its type and those every stage has
 * @loc:	of the name in its declaration
 * @type_loc:	of the TYPE
 */
struct graph_stage {
	const char *name;
	enum sz_role role;
	const char *type_name;
	const struct sz_type *type;
	struct graph_opts opts;
	struct graph_loc loc, type_loc;
};

/**
 * struct graph_edge - one arrow between two stages
 * @from, @to:	indices of stages[]
 * @port:	output port, NULL for the default one
 * @opts:	options every edge has
 * @loc:	of the name left of the arrow
 */
struct graph_edge {
	size_t from, to;
	const char *port;
	struct graph_opts opts;
	struct graph_loc loc;
};

/**
 * struct graph - a graph and the diagnostics about it
 *
 * If error_count is not 0 only the diagnostics mean anything.
 */
struct graph {
	const char *name;
	struct graph_loc name_loc;
	struct graph_opts opts;
	struct graph_stage *stages;
	size_t stage_count;
	struct graph_edge *edges;
	size_t edge_count;
	size_t error_count, warning_count;
};

/**
 * struct graph_input - what graph_parse() works on
 * @file_name:		as diagnostics show it; its folder is ${HERE} and what relative include and plug-in paths start
 *			from. graph_parse_words() ignores it.
 * @text:		the file's bytes, copied; NUL bytes are refused
 * @text_len:		in bytes
 * @pipeline_name:	--name, or NULL
 * @sets:		--set: "NAME=VALUE" each
 * @set_count:		their number
 * @read_file:		read a whole included file into a malloc'd buffer, which the graph frees. Returns 0 or -errno.
 *			It should give up with -EFBIG beyond GRAPH_FILE_MAX. NULL: there are no files.
 * @resolve_type:	the type of that name, or of the plug-in or executable if it holds a "/". A name may be taken
 *			twice, once in each role (a file is a source and a sink): the one of @role is preferred, one
 *			of another role returned if there is none. NULL if there is none at all; *error may then be
 *			set to a reason, which must live until graph_parse() returns.
 * @list_type:		the known types by index, NULL after the last, for suggestions. May be NULL.
 * @get_env:		as getenv(). NULL: there is no environment.
 * @ctx:		handed to the callbacks
 */
struct graph_input {
	const char *file_name;
	const char *text;
	size_t text_len;
	const char *pipeline_name;
	const char *const *sets;
	size_t set_count;
	int (*read_file)(void *ctx, const char *path, char **text, size_t *len);
	const struct sz_type *(*resolve_type)(void *ctx, const char *name, enum sz_role role,
					      const char **error);
	const struct sz_type *(*list_type)(void *ctx, size_t index);
	const char *(*get_env)(void *ctx, const char *name);
	void *ctx;
};

/**
 * graph_parse() - parse and check a graph file
 *
 * Return: the graph with its diagnostics, see graph->error_count; NULL only if memory ran out.
 */
struct graph *graph_parse(const struct graph_input *in);

/**
 * graph_parse_words() - parse and check the one-line form
 * @in:		file_name, text and text_len are not used
 * @words:	the words after -e. Each is one token, its value taken raw; a single word is lexed as text.
 * @word_count:	their number
 * @pid:	names the pipeline cmd-<pid>, unless pipeline_name is set
 *
 * Return: as graph_parse().
 */
struct graph *graph_parse_words(const struct graph_input *in, const char *const *words,
				size_t word_count, long pid);

void graph_free(struct graph *graph);

/**
 * graph_option() - an option's parsed value, or its default
 *
 * Return: the value, whose text is NULL if the option is unset; NULL if no table of @opts declares @key.
 */
const struct sz_value *graph_option(const struct graph_opts *opts, const char *key);

/**
 * graph_opt_find() - the same with its place, for diagnostics
 */
const struct graph_opt *graph_opt_find(const struct graph_opts *opts, const char *key);

/**
 * graph_stage_index() - the index of a stage by its name, or stage_count
 */
size_t graph_stage_index(const struct graph *graph, const char *name);

/**
 * graph_dump() - print the model in a stable form that is itself a graph file
 *
 * Only what was given or inherited is printed, secrets as ***.
 */
void graph_dump(const struct graph *graph, FILE *to);

/* Diagnostics */

enum graph_severity { GRAPH_ERROR, GRAPH_WARNING, GRAPH_NOTE };

/**
 * graph_report() - add a diagnostic, for checks made later than the parser's
 * @loc:	where; an empty struct graph_loc if there is no such place
 *
 * A note belongs to the diagnostic before it. Errors and warnings are counted. What is reported twice for the same
 * place is kept once.
 *
 * Return: 0, or -ENOMEM.
 */
int graph_report(struct graph *graph, enum graph_severity severity, struct graph_loc loc,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));

/**
 * graph_print_diags() - print all diagnostics by their place, each with its source line and a caret
 */
void graph_print_diags(const struct graph *graph, FILE *to);

/**
 * graph_loc_position() - line and column, both counted from 1, columns in characters
 *
 * Return: the file's name, or NULL if @loc has no place.
 */
const char *graph_loc_position(struct graph_loc loc, unsigned *line, unsigned *column);

/* Options that belong to no type; the tables end with a NULL name. */
extern const struct sz_option graph_pipeline_options[];
extern const struct sz_option graph_stage_options[];
extern const struct sz_option graph_edge_options[];

#endif
