/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * catalog.h - the stage types there are: built in, in plug-ins, in executables
 *
 * The launcher knows no type by itself. It asks the stage programs, each once, and only those a graph names.
 */
#ifndef LAUNCHER_CATALOG_H
#define LAUNCHER_CATALOG_H

#include <streamz/catalog.h>
#include "program.h"

struct catalog;

/**
 * catalog_open() - ask a stage program for its types
 * @path:	NULL: the host, for its built-in ones; else a plug-in (FILE.so) or an executable, for a catalogue that is
 *		only listed: what a graph names is resolved beside the built-ins
 *
 * Return: the catalogue, or NULL with @error set.
 */
struct catalog *catalog_open(const char *path, char error[PROGRAM_ERROR_SIZE]);
void catalog_free(struct catalog *c);

/* The callbacks of graph.h; @ctx is the catalogue. What they return lives as long as it. */
const struct sz_type *catalog_resolve(void *ctx, const char *name, enum sz_role role,
				      const char **error);
/* The types of the program that was opened, in its order; NULL: no more. */
const struct sz_type *catalog_list(void *ctx, size_t index);

/* The program that runs a type of this catalogue. */
const struct program *catalog_program(const struct catalog *c, const struct sz_type *type);

#endif
