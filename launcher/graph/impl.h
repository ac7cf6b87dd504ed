/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * impl.h - what the parts of the graph parser share
 *
 *	arena.c   memory		diag.c     diagnostics		nearest.c  "did you mean"
 *	lex.c     text -> words		expand.c   words -> values	parse.c    names, options
 *	statements.c  words -> statements			secrets.c  what is not shown
 *	scope.c   variables, includes	edges.c    arrow lines		options.c  checking, merging
 *	model.c   entry points		oneline.c  -e			check.c    what the edges mean
 *	dump.c    model -> text
 *
 * The parser never stops at a mistake. What a mistake makes unknowable is marked (a bad word, a poisoned stage, names
 * or edges that were lost), and checks that would build on it keep silent: one mistake, one message.
 */
#ifndef GRAPH_IMPL_H
#define GRAPH_IMPL_H

#include <setjmp.h>
#include <stdbool.h>
#include "graph.h"
#include "nearest.h"

struct arena_chunk;

struct text {
	const char *s; /* NUL-terminated beyond len */
	size_t len;
};

struct graph_file {
	const char *name;
	const char *dir; /* ${HERE} */
	const char *text;
	size_t len;
	bool one_line; /* the re-joined command line: no line structure */
	unsigned index;
	struct graph_loc included_at;
	struct graph_file *next;
};

struct diag {
	enum graph_severity severity;
	struct graph_loc loc;
	const char *message;
	struct diag *notes, **notes_end;
	struct diag *next;
};

/* A part of a file that is never shown. */
struct secret {
	struct graph_loc loc;
	struct secret *next;
};

struct impl {
	struct graph graph; /* first: a struct graph * is a struct impl * */
	struct arena_chunk *chunks;
	void *loaned; /* a buffer of read_file's until it is copied */
	jmp_buf *oom; /* where to go when memory runs out; NULL: return NULL */
	struct graph_file *files, **files_end;
	struct diag *diags, **diags_end;
	struct diag *last; /* that notes go to; NULL: drop them */
	struct secret *secrets;
	bool too_many;
};

/* Words */

enum piece_kind { PIECE_BARE, PIECE_SINGLE, PIECE_DOUBLE, PIECE_TRIPLE, PIECE_RAW };

/* Offsets into the file's text; those of the content, quotes not included. */
struct piece {
	enum piece_kind kind;
	uint32_t from, to;
};

struct word {
	uint32_t from, to;
	uint32_t first_piece, piece_count;
	bool bad;         /* its mistake was reported: has no value */
	bool starts_line; /* first on a continuation line */
};

struct lexer {
	struct impl *impl;
	const struct graph_file *file;
	uint32_t pos;
	bool single; /* the whole text is one statement */
	/* The current statement. */
	struct word *words;
	struct piece *pieces;
	size_t word_count, word_cap, piece_count, piece_cap;
	bool truncated; /* by a mistake: what should follow is not missing */
	bool lost;      /* a mistake swallowed the rest of the file */
};

/* Part of a word; both ends outside quotes. */
struct slice {
	const struct word *word;
	uint32_t from, to;
};

/* Scopes */

struct variable {
	struct text name, value;
	struct graph_loc loc, value_loc;
	bool used;
	struct variable *next;
};

/* One option as written: KEY=VALUE, expanded, not yet held against a table. */
struct raw_opt {
	const char *key;
	struct text value;
	struct graph_loc key_loc, loc;
	bool bad;
};

struct raw_opts {
	struct raw_opt *items;
	size_t count, cap;
	bool truncated;
};

enum defaults_kind { DEFAULTS_SOURCE, DEFAULTS_STAGE, DEFAULTS_SINK, DEFAULTS_EDGE };

struct defaults {
	enum defaults_kind kind; /* the first three as enum sz_role */
	const char *type_name;   /* NULL: of every type */
	const struct sz_type *type;
	struct graph_loc loc;
	struct raw_opts raw;
	struct graph_opts opts;
	struct defaults *next;
};

/* What is visible in a file; an include with a prefix or arguments opens a scope of its own. */
struct scope {
	struct scope *parent;
	const char *prefix; /* "P-", or "" */
	struct variable *args, *lets;
	struct defaults *defaults, **defaults_end;
	struct scope *next; /* all of them */
};

/* A file being read, for cycles. */
struct open_file {
	const struct graph_file *file;
	const struct open_file *parent;
	unsigned depth;
};

struct included {
	const char *path, *prefix;
	struct graph_loc loc;
	struct included *next;
};

/* The model under construction */

struct decl {
	struct graph_stage stage;
	const struct scope *scope;
	struct raw_opts raw;
	bool poisoned; /* role or type unknown: say nothing more about its edges */
	bool repeated; /* its name was taken */
	bool has_in, has_out, has_port, touched;
	size_t first_edge; /* resolved edges out of it, linked by raw_edge.next_out; NO_INDEX ends */
	size_t hash_next;
};

struct raw_end {
	const char *name; /* prefixed; NULL: was bad */
	const char *shown, *port;
	struct graph_loc loc, port_loc;
};

struct raw_edge {
	struct raw_end from, to;
	const struct scope *scope;
	struct raw_opts *raw; /* shared by the edges of a statement */
	struct graph_opts *opts;
	unsigned arrows; /* of its statement */
	size_t from_index, to_index, next_out;
};

#define NO_INDEX     ((size_t)-1)
#define HASH_BUCKETS 512

struct parser {
	struct impl *impl;
	const struct graph_input *in;
	struct scope *root, *scopes;
	struct variable *sets;
	struct included *included;
	struct decl *decls;
	size_t decl_count, decl_cap;
	struct raw_edge *edges;
	size_t edge_count, edge_cap;
	size_t buckets[HASH_BUCKETS];
	struct raw_opts pipeline_raw;
	const char **secret_names; /* options of known types that are secrets */
	size_t secret_count, secret_cap;
	char *buf; /* the value being expanded */
	size_t buf_len, buf_cap;
	size_t text_total, expansion_total, include_total, statement_total, variable_total,
		defaults_total;
	bool has_pipeline, too_deep;
	bool names_lost,
		edges_lost; /* by a mistake: do not call a name unknown, a stage unconnected */
	bool stop;          /* a limit was hit */
};

/* arena.c: zeroed memory that lives as long as the graph */
void *arena_alloc(struct impl *impl, size_t size);
char *arena_text(struct impl *impl, const char *s, size_t len);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct impl *impl, const char *format,
							 ...);
/* Make room for one more item. Return: the items, perhaps moved. */
void *arena_grow(struct impl *impl, void *items, size_t count, size_t *cap, size_t item_size);
void arena_free(struct impl *impl);

/* diag.c */
__attribute__((format(printf, 3, 4))) void error_at(struct impl *impl, struct graph_loc loc,
						    const char *format, ...);
__attribute__((format(printf, 3, 4))) void warning_at(struct impl *impl, struct graph_loc loc,
						      const char *format, ...);
__attribute__((format(printf, 3, 4))) void note_at(struct impl *impl, struct graph_loc loc,
						   const char *format, ...);
void hide(struct impl *impl, struct graph_loc loc);
struct graph_loc loc_of(const struct graph_file *file, uint32_t from, uint32_t to);

/* lex.c */
void lex_init(struct lexer *lx, struct impl *impl, const struct graph_file *file);
/* Read the next statement into lx->words. Return: false at the end of the file. */
bool lex_statement(struct lexer *lx);
/* Whether a word can only be KEY=VALUE. */
bool is_opt(const struct lexer *lx, size_t i);
/* The '=' of KEY=VALUE, outside quotes and ${}; word->to if there is none. */
uint32_t lex_equals(const struct lexer *lx, const struct word *word);
/* The end of the "${...}" at @pos, which is outside quotes; @end if it is not closed. */
uint32_t lex_variable_end(const char *text, uint32_t pos, uint32_t end);

/* expand.c: false if it was reported that there is no value */
bool expand(struct parser *p, const struct scope *scope, const struct lexer *lx, struct slice slice,
	    struct text *value);
bool holds_control(const char *s, size_t len);

/* scope.c */
struct scope *scope_new(struct parser *p, struct scope *parent, const char *prefix);
struct variable *scope_lookup(struct parser *p, const struct scope *scope, struct text name);
struct variable *scope_own(const struct scope *scope, struct text name);
struct variable *variable_new(struct parser *p, struct variable **list, struct text name,
			      struct text value, struct graph_loc loc);
void scope_suggest(struct parser *p, const struct scope *scope, struct nearest *n);
void scope_warn_unused(struct parser *p);
void read_sets(struct parser *p);
struct graph_file *file_new(struct parser *p, const char *name, const char *text, size_t len);
char *path_from(struct impl *impl, const struct graph_file *file, const char *path);
void include_file(struct parser *p, struct scope *scope, const struct open_file *from,
		  const char *path, struct graph_loc loc);

/* parse.c */
#define KEYWORD_COUNT 8
extern const char *const keywords[KEYWORD_COUNT];
bool is_keyword(const char *word);
bool is_name(struct text name);
bool check_name(struct parser *p, struct text name, struct graph_loc loc, const char *what);
/* Report a word in the place of an option. */
void not_an_option(struct parser *p, const struct lexer *lx, size_t i, const char *form);
/* KEY=VALUE ... up to the end of the statement; @form says so in messages. False: it broke off. */
bool parse_opts(struct parser *p, const struct scope *scope, struct lexer *lx, size_t first,
		const char *form, struct raw_opts *opts);
/* A word that is there, is not an option and expands; false if it was reported that it is not. */
bool need_word(struct parser *p, const struct scope *scope, struct lexer *lx, size_t i,
	       const char *expected, struct text *value);
struct slice whole(const struct word *w);
struct graph_loc word_loc(const struct lexer *lx, const struct word *word);
/* The place just behind a word, where something is missing. */
struct graph_loc after_word(const struct lexer *lx, size_t i);

/* statements.c */
void parse_file(struct parser *p, struct scope *scope, const struct open_file *open);
/* The TYPE of a stage, words[next], and its options, up to words[end]. */
void parse_type_and_opts(struct parser *p, struct scope *scope, struct lexer *lx, size_t next,
			 size_t end, struct decl *decl);

/* edges.c */
bool is_wrong_arrow(const char *s);
bool has_arrow(const struct lexer *lx, size_t first);
bool is_edges(const struct lexer *lx);
void parse_edges(struct parser *p, struct scope *scope, struct lexer *lx);

/* options.c */
void options_check(struct parser *p);
void find_secret_names(struct parser *p);
void hide_secrets(struct parser *p, const struct scope *scope, const struct lexer *lx);

/* model.c */
struct decl *decl_find(struct parser *p, const char *name);
struct decl *decl_new(struct parser *p, struct scope *scope, const char *name, enum sz_role role,
		      struct graph_loc loc);
void resolve_decl_type(struct parser *p, const struct graph_file *file, const char *type_name,
		       struct graph_loc loc, struct decl *decl);
const struct sz_type *find_type(struct parser *p, const struct graph_file *file, const char *name,
				enum sz_role role, struct graph_loc loc, const char **resolved);
const char *role_phrase(enum sz_role role);

/* check.c */
void check_edges(struct parser *p);
void check_stages(struct parser *p);
void check_cycles(struct parser *p);

/* oneline.c */
void parse_one_line(struct parser *p, const char *const *words, size_t count);

#endif
