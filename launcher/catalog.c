/* SPDX-License-Identifier: BSD-2-Clause */
#include "catalog.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What one program, or the host with one plug-in, has said of itself. */
struct entry {
	char *path; /* as the graph names it; NULL: the built-ins */
	struct program program;
	struct sz_type **types;
	size_t type_count;
	char error[PROGRAM_ERROR_SIZE]; /* "": it answered */
	struct entry *next;
};

struct catalog {
	char *host;
	struct entry *entries; /* what was opened first: the built-ins */
};

static bool is_plugin(const char *path)
{
	size_t n = strlen(path);

	return n > 3 && strcmp(path + n - 3, ".so") == 0;
}

static int read_types(struct entry *e, char *answer, size_t len)
{
	FILE *from = fmemopen(answer, len ? len : 1, "r");
	int rc = from ? 1 : -ENOMEM;

	while (rc == 1) {
		struct sz_type **grown = reallocarray(e->types, e->type_count + 1, sizeof(*grown));
		struct sz_type *type;

		if (!grown) {
			rc = -ENOMEM;
			break;
		}
		e->types = grown;
		rc = sz_type_read(from, &type);
		if (rc == 1)
			e->types[e->type_count++] = type;
	}
	if (from)
		fclose(from);
	return rc;
}

static void describe(struct entry *e)
{
	const char *name = e->program.plugin ? e->program.plugin : e->program.path;
	char text[100], *answer = NULL;
	size_t len;
	int status, rc;

	if (program_ask(&e->program, "--describe", -1, &answer, &len, &status, e->error))
		return;
	if (status != 0) {
		snprintf(e->error, sizeof(e->error), "%s --describe %s: is it a stage?", name,
			 program_status_text(status, text, sizeof(text)));
	} else {
		rc = len ? read_types(e, answer, len) : 0;
		if (rc)
			snprintf(e->error, sizeof(e->error), "%s --describe: type %zu: %s", name,
				 e->type_count + 1,
				 rc == -EBADMSG ? "malformed description" : strerror(-rc));
		else if (e->type_count == 0)
			snprintf(e->error, sizeof(e->error), "%s --describe names no types", name);
	}
	free(answer);
}

/* A missing or unreadable file is said as such, before a host stumbles over it. */
static bool check_file(struct entry *e)
{
	bool plugin = is_plugin(e->path);
	struct stat st;

	if (stat(e->path, &st) == 0 && S_ISDIR(st.st_mode))
		errno = EISDIR;
	else if (access(e->path, plugin ? R_OK : X_OK) == 0)
		return true;
	snprintf(e->error, sizeof(e->error), "%s: %s: expected %s", e->path, strerror(errno),
		 plugin ? "a shared object" : "an executable file");
	return false;
}

static struct entry *add_entry(struct catalog *c, const char *path)
{
	struct entry *e = calloc(1, sizeof(*e)), **end;

	if (!e)
		return NULL;
	if (path && !(e->path = strdup(path))) {
		free(e);
		return NULL;
	}
	e->program.path = path && !is_plugin(path) ? e->path : c->host;
	e->program.plugin = path && is_plugin(path) ? e->path : NULL;
	for (end = &c->entries; *end; end = &(*end)->next)
		;
	*end = e;
	if (!path || check_file(e))
		describe(e);
	return e;
}

struct catalog *catalog_open(const char *path, char error[PROGRAM_ERROR_SIZE])
{
	struct catalog *c = calloc(1, sizeof(*c));
	bool needs_host = !path || is_plugin(path);

	snprintf(error, PROGRAM_ERROR_SIZE, "%s", strerror(ENOMEM));
	if (!c)
		return NULL;
	if (needs_host)
		c->host = program_find_host(error);
	if ((c->host || !needs_host) && add_entry(c, path)) {
		if (!c->entries->error[0])
			return c;
		memcpy(error, c->entries->error, PROGRAM_ERROR_SIZE);
	}
	catalog_free(c);
	return NULL;
}

void catalog_free(struct catalog *c)
{
	struct entry *e, *next;

	if (!c)
		return;
	for (e = c->entries; e; e = next) {
		next = e->next;
		for (size_t i = 0; i < e->type_count; i++)
			sz_type_free(e->types[i]);
		free(e->types);
		free(e->path);
		free(e);
	}
	free(c->host);
	free(c);
}

const struct sz_type *catalog_resolve(void *ctx, const char *name, enum sz_role role,
				      const char **error)
{
	bool is_path = strchr(name, '/') != NULL;
	const struct sz_type *other = NULL;
	struct catalog *c = ctx;
	struct entry *e = c->entries;

	if (is_path) {
		for (e = c->entries->next; e && strcmp(e->path, name) != 0; e = e->next)
			;
		if (!e)
			e = add_entry(c, name);
		if (!e || e->error[0]) {
			*error = e ? e->error : strerror(ENOMEM);
			return NULL;
		}
	}
	for (size_t i = 0; i < e->type_count; i++) {
		if (!is_path && strcmp(e->types[i]->name, name) != 0)
			continue;
		if (e->types[i]->role == role)
			return e->types[i];
		other = e->types[i];
	}
	return other;
}

const struct sz_type *catalog_list(void *ctx, size_t index)
{
	const struct catalog *c = ctx;

	return index < c->entries->type_count ? c->entries->types[index] : NULL;
}

const struct program *catalog_program(const struct catalog *c, const struct sz_type *type)
{
	for (const struct entry *e = c->entries; e; e = e->next)
		for (size_t i = 0; i < e->type_count; i++)
			if (e->types[i] == type)
				return &e->program;
	return NULL;
}
