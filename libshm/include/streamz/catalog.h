/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * catalog.h - what a stage type says of itself: name, role, ports, options
 *
 * Part of the contract between launcher and stages. A stage program prints its types with `--describe`, in the
 * tab-separated form that sz_type_write() and sz_type_read() share; the launcher knows no type by itself.
 */
#ifndef STREAMZ_CATALOG_H
#define STREAMZ_CATALOG_H

#include <stdio.h>
#include <streamz/option.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sz_role { SZ_SOURCE, SZ_TRANSFORM, SZ_SINK };

/* Longest NAME of the graph language, without the NUL. */
#define SZ_NAME_MAX 32
/* Most output ports of a type, the default one included. */
#define SZ_PORTS_MAX 16

/**
 * struct sz_port - an output port
 * @name:	NULL ends a table. The default port is not listed: sources and transforms have it, sinks do not.
 * @help:	one sentence
 *
 * The port named "failed" is special: records that a handler refuses travel there in an envelope, and where it is
 * not wired the planner wires it to a quarantine sink.
 */
struct sz_port {
	const char *name;
	const char *help;
};

#define SZ_TYPE_DYNAMIC_PORTS (1u << 0) /* further ports are made by options, as case.PORT= does */

/**
 * struct sz_type - a stage type as the launcher sees it
 * @name:	the TYPE of the graph language; for a plug-in or executable the name it gives itself
 * @role:	what it may be declared as
 * @flags:	SZ_TYPE_*
 * @summary:	one line
 * @ports:	named output ports, ends with a NULL name; never NULL
 * @options:	its own options, ends with a NULL name; never NULL
 */
struct sz_type {
	const char *name;
	enum sz_role role;
	unsigned flags;
	const char *summary;
	const struct sz_port *ports;
	const struct sz_option *options;
};

/**
 * sz_type_write() - print a type in the form sz_type_read() takes
 * Return: 0, or -EIO.
 */
int sz_type_write(FILE *to, const struct sz_type *type);

/**
 * sz_type_read() - read the next type
 * @type:	allocated; free with sz_type_free()
 *
 * Return: 1, 0 at the end of the stream, -EBADMSG (malformed), -ENOMEM.
 */
int sz_type_read(FILE *from, struct sz_type **type);
void sz_type_free(struct sz_type *type);

/* "source", "stage", "sink": the keyword that declares a role. */
const char *sz_role_name(enum sz_role role);

#ifdef __cplusplus
}
#endif
#endif
