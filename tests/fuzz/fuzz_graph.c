/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_graph.c - libFuzzer target for the graph parser
 *
 *	clang -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Ilibshm/include -Ilauncher/graph -Itests/unit/graph \
 *		tests/fuzz/fuzz_graph.c launcher/graph/[a-z]*.c libshm/option.c libshm/catalog.c -lbsd -o fuzz_graph
 *	./fuzz_graph -dict=tests/fuzz/graph.dict NEW_CORPUS tests/fuzz/corpus/graph
 *
 * An input is one graph, or several files separated by lines "%%NAME": the first is the graph, the others can be
 * included. An input that begins with '!' is a command line, one word a line. What holds for every input: the parser
 * returns, diagnostics print, and the model of a right graph, parsed again, is the same model.
 */
#include <stdint.h>
#include "catalogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILES_MAX 8
#define WORDS_MAX 64

struct fuzz_file {
	const char *name, *text;
	size_t len;
};

struct fuzz_files {
	struct test_world world; /* first: the callbacks of catalogue.h see this one */
	struct fuzz_file files[FILES_MAX];
	size_t count;
};

static int read_fuzz_file(void *ctx, const char *path, char **text, size_t *len)
{
	const struct fuzz_files *f = ctx;
	size_t i;

	for (i = 1; i < f->count; i++) {
		if (strcmp(f->files[i].name, path) != 0)
			continue;
		*text = malloc(f->files[i].len + 1);
		memcpy(*text, f->files[i].text, f->files[i].len);
		*len = f->files[i].len;
		return 0;
	}
	return -ENOENT;
}

/* Cut at lines "%%NAME"; names are terminated in place. */
static void split(char *text, size_t size, struct fuzz_files *f)
{
	char *end = text + size, *mark, *name_end;

	f->files[0] = (struct fuzz_file){ "fuzz.conf", text, size };
	f->count = 1;
	while (f->count < FILES_MAX && (mark = memmem(text, (size_t)(end - text), "\n%%", 3))) {
		f->files[f->count - 1].len = (size_t)(mark - f->files[f->count - 1].text);
		name_end = memchr(mark + 3, '\n', (size_t)(end - mark - 3));
		if (!name_end)
			return;
		*name_end = '\0';
		text = name_end + 1;
		f->files[f->count++] = (struct fuzz_file){ mark + 3, text, (size_t)(end - text) };
	}
}

static struct graph *parse_words(const struct graph_input *in, char *text)
{
	const char *words[WORDS_MAX];
	size_t count = 0;
	char *word;

	while (count < WORDS_MAX && (word = strsep(&text, "\n")))
		words[count++] = word;
	return graph_parse_words(in, words, count, 1);
}

static void check_model(const char *model)
{
	struct test_world world = { 0 };
	struct graph_input in = test_input(&world, "again.conf", model);
	struct graph *again;
	char *text;

	if (strncmp(model, "pipeline ", 9) != 0 || strstr(model, "***"))
		return;
	again = graph_parse(&in);
	text = test_render(again);
	if (strcmp(model, text) != 0) {
		fprintf(stderr, "--- model\n%s--- parsed again\n%s", model, text);
		abort();
	}
	free(text);
	graph_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *model;
	struct fuzz_files f = { .count = 0 };
	struct graph_input in = test_input(&f.world, "fuzz.conf", "");
	struct graph *graph;

	memcpy(text, data, size);
	text[size] = '\0';
	in.read_file = read_fuzz_file;
	if (size && text[0] == '!') {
		graph = parse_words(&in, text + 1);
	} else {
		split(text, size, &f);
		in.text = f.files[0].text;
		in.text_len = f.files[0].len;
		graph = graph_parse(&in);
	}
	model = test_render(graph);
	if (graph->error_count == 0)
		check_model(model);
	free(model);
	graph_free(graph);
	free(text);
	return 0;
}
