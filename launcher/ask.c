/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ask.c - what each stage says of itself when its program is run with --check
 *
 * The lines are described in contract.h. A program may be somebody's own, so nothing in them is trusted: numbers are
 * range-checked, and a line that makes no sense is a mistake of that stage with its text.
 */
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "log.h"
#include "plan.h"

#define FIELDS_MAX 4
#define OWN_MAX    256
#define RING_MAX   4096
#define ROOM_MAX   (1u << 20)
#define ARENA_MAX  ((uint64_t)UINT32_MAX)

static struct graph_loc place(const struct plan_stage *s, const char *option)
{
	const struct graph_opt *o = NULL;

	if (!s->origin)
		return (struct graph_loc){ 0 };
	if (*option)
		o = graph_opt_find(&s->origin->opts, option);
	return o && o->loc.file ? o->loc : s->origin->loc;
}

static void refuse(struct plan *p, const struct plan_stage *s, const char *option, const char *text)
{
	graph_report(p->graph, GRAPH_ERROR, place(s, option), "%s \"%s\": %s%s%s",
		     sz_role_name(s->role), s->name, option, *option ? ": " : "", text);
}

static bool read_number(const char *text, uint64_t max, uint64_t *n)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*n = strtoull(text, &end, 10);
	return !errno && !*end && *n <= max;
}

static bool read_need(struct plan_stage *s, char *const *field)
{
	uint64_t ring, room;

	if (strcmp(field[1], "room") == 0) {
		if (!read_number(field[2], ROOM_MAX, &room))
			return false;
		s->room = (uint32_t)room;
		return true;
	}
	if (strcmp(field[1], "state") == 0)
		return read_number(field[2], SZ_STATE_MAX, &s->state_bytes);
	if (strcmp(field[1], "journal") == 0)
		return read_number(field[2], SZ_JOURNAL_BYTES_MAX, &s->journal_bytes);
	if (strcmp(field[1], "arena") == 0)
		return read_number(field[2], ARENA_MAX, &s->arena_bytes);
	if (strcmp(field[1], "ring") != 0 || !read_number(field[2], RING_MAX, &ring))
		return false;
	s->ring_entries = (uint32_t)ring;
	return true;
}

static bool read_counter(struct plan *p, struct plan_stage *s, char *const *field)
{
	struct sz_stat_desc *d;

	if (s->n_own == OWN_MAX)
		return false;
	if (!s->own)
		s->own = plan_alloc(p, OWN_MAX * sizeof(*s->own));
	d = &s->own[s->n_own++];
	return strlcpy(d->name, field[1], sizeof(d->name)) < sizeof(d->name) &&
	       strlcpy(d->unit, field[2], sizeof(d->unit)) < sizeof(d->unit) &&
	       strlcpy(d->help, field[3], sizeof(d->help)) < sizeof(d->help);
}

/* A file has other names (links), and may be our standard input or output. */
static void identify(struct plan_claim *c)
{
	struct stat st;
	int rc = -1;

	if (strncmp(c->name, "file:", 5) == 0)
		rc = stat(c->name + 5, &st);
	else if (strcmp(c->name, "stdin") == 0)
		rc = fstat(STDIN_FILENO, &st);
	else if (strcmp(c->name, "stdout") == 0)
		rc = fstat(STDOUT_FILENO, &st);
	c->is_file = rc == 0 && S_ISREG(st.st_mode);
	if (c->is_file) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
	}
}

static bool read_claim(struct plan *p, struct plan_stage *s, char *const *field)
{
	struct plan_claim *c;
	bool write = strcmp(field[1], "write") == 0;

	if (!write && strcmp(field[1], "read") != 0)
		return false;
	c = plan_alloc(p, sizeof(*c));
	c->name = plan_text(p, field[2], strlen(field[2]));
	c->write = write;
	identify(c);
	c->next = s->claims;
	s->claims = c;
	return true;
}

static bool add_note(struct plan *p, const struct plan_stage *s, const char *text)
{
	const char **grown = plan_alloc(p, (p->n_notes + 1) * sizeof(*grown));
	char *note = plan_alloc(p, strlen(s->name) + strlen(text) + 3);

	sprintf(note, "%s: %s", s->name, text);
	for (uint32_t i = 0; i < p->n_notes; i++)
		grown[i] = p->notes[i];
	grown[p->n_notes++] = note;
	p->notes = grown;
	return true;
}

static bool read_line(struct plan *p, struct plan_stage *s, char *const *field, int count)
{
	uint64_t n;

	if (strcmp(field[0], "need") == 0 && count == 3)
		return read_need(s, field);
	if (strcmp(field[0], "max_out") == 0 && count == 2) {
		if (!read_number(field[1], SZ_RECORD_LEN_MAX, &n))
			return false;
		s->max_out = (uint32_t)n;
		return true;
	}
	if (strcmp(field[0], "counter") == 0 && count == 4)
		return read_counter(p, s, field);
	if (strcmp(field[0], "claim") == 0 && count == 3)
		return read_claim(p, s, field);
	if (strcmp(field[0], "size") == 0 && count == 2)
		return read_number(field[1], INT64_MAX, &s->size);
	if (strcmp(field[0], "note") == 0 && count == 2)
		return add_note(p, s, field[1]);
	if (strcmp(field[0], "error") == 0 && count == 3) {
		refuse(p, s, field[1], field[2]);
		return true;
	}
	return false;
}

/* The last field of a line may hold tabs, if the line is one of those that end in text. */
static int split(char *line, char *field[FIELDS_MAX])
{
	int max = strncmp(line, "note\t", 5) == 0    ? 2
		  : strncmp(line, "error\t", 6) == 0 ? 3
		  : strncmp(line, "claim\t", 6) == 0 ? 3
						     : FIELDS_MAX;
	int n = 0;

	while (line && n < max - 1)
		field[n++] = strsep(&line, "\t");
	if (line)
		field[n++] = line;
	return n;
}

static void read_answer(struct plan *p, struct plan_stage *s, char *answer)
{
	char *line;

	while ((line = strsep(&answer, "\n")) != NULL) {
		char *field[FIELDS_MAX] = { NULL }, text[256];

		if (!*line)
			continue;
		snprintf(text, sizeof(text),
			 "its program said \"%.150s\": expected a line of the "
			 "check protocol",
			 line);
		if (!read_line(p, s, field, split(line, field)))
			refuse(p, s, "", text);
	}
}

static int check_wiring(struct plan *p, struct plan_stage *s)
{
	struct sz_wire_builder *b = sz_wire_new();
	int fd = -ENOMEM;

	if (b) {
		plan_wire_stage(p, s, b);
		sz_wire_head(b)->generation = p->resuming; /* it has lived: sz_plan_resuming() */
		fd = sz_wire_finish(b);
	}
	sz_wire_free(b);
	return fd;
}

void plan_ask(struct plan *p, struct plan_stage *s)
{
	char error[PROGRAM_ERROR_SIZE], what[100], *answer = NULL;
	int fd = check_wiring(p, s), status, rc;
	size_t errors = p->graph->error_count, len;

	if (fd < 0) {
		refuse(p, s, "", strerror(-fd));
		return;
	}
	rc = program_ask(s->program, "--check", fd, &answer, &len, &status, error);
	close(fd);
	if (rc) {
		refuse(p, s, "", error);
		return;
	}
	if (strlen(answer) != len) {
		refuse(p, s, "",
		       "its program's answer to --check holds a NUL: expected lines of text");
		free(answer);
		return;
	}
	read_answer(p, s, answer);
	free(answer);
	if (status == 0 || p->graph->error_count > errors)
		return;
	snprintf(error, sizeof(error), "%s --check %s without saying why", s->program->path,
		 program_status_text(status, what, sizeof(what)));
	refuse(p, s, "", error);
}

/* Claims */

static bool same_thing(const struct plan_claim *x, const struct plan_claim *y)
{
	return strcmp(x->name, y->name) == 0 ||
	       (x->is_file && y->is_file && x->dev == y->dev && x->ino == y->ino);
}

/* Nobody else may have standard input either, but it is not written. */
static const char *does(const struct plan_claim *c)
{
	return c->write && strcmp(c->name, "stdin") != 0 ? "written" : "read";
}

static void compare(struct plan *p, const struct plan_stage *a, const struct plan_claim *x,
		    const struct plan_stage *b, const struct plan_claim *y)
{
	const struct plan_stage *at = b->origin ? b : a, *other = at == b ? a : b;
	const struct plan_claim *mine = at == b ? y : x, *theirs = at == b ? x : y;
	const char *name = strncmp(mine->name, "file:", 5) == 0 ? mine->name + 5 : mine->name;

	if (!same_thing(x, y) || (!x->write && !y->write))
		return;
	graph_report(p->graph, GRAPH_ERROR, place(at, "path"),
		     "%s is %s by \"%s\" and %s by \"%s\": expected one of them to have it alone",
		     name, does(mine), at->name, does(theirs), other->name);
	if (other->origin)
		graph_report(p->graph, GRAPH_NOTE, place(other, "path"), "\"%s\" is here",
			     other->name);
}

void plan_compare_claims(struct plan *p)
{
	for (uint32_t i = 0; i < p->n_stages; i++)
		for (uint32_t k = i + 1; k < p->n_stages; k++)
			for (struct plan_claim *x = p->stages[i].claims; x; x = x->next)
				for (struct plan_claim *y = p->stages[k].claims; y; y = y->next)
					compare(p, &p->stages[i], x, &p->stages[k], y);
}
