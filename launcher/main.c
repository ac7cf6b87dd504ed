/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - streamz-launch: arguments, then graph, plan, pipeline
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "catalog.h"
#include "graph/graph.h"
#include "log.h"
#include "pipeline.h"
#include "plan.h"

static const char usage_text[] =
	"usage: streamz-launch [options] GRAPH.conf\n"
	"       streamz-launch [options] -e SOURCE opts ! STAGE opts ! SINK opts\n"
	"\n"
	"Runs a pipeline: one process a stage, joined by shared memory, restarted when they die.\n"
	"\n"
	"      --check           print the plan (processes, lanes, bytes) and start nothing\n"
	"      --fresh           give up what a dead run of this pipeline holds\n"
	"      --resume          go on where a dead run stopped (the default)\n"
	"      --name NAME       the pipeline's name, instead of the graph's\n"
	"      --set NAME=VALUE  value of ${NAME} in the graph; may be repeated\n"
	"      --report FORMAT   the summary at the end: text or json, on stderr\n"
	"      --strict          exit 3 if records went to a failed port\n"
	"  -e, --exec            the pipeline stands on the command line\n"
	"  -q, --quiet           only errors and warnings\n"
	"  -v, --verbose         every transition of every process\n"
	"  -h, --help            this text\n"
	"  -V, --version         the version\n"
	"\n"
	"Exit status: 0 drained, 1 a stage gave up, 2 stopped before the end (resumable),\n"
	"3 records failed (with --strict), 100 graph or usage, 111 the system refused\n"
	"something.\n";

struct arguments {
	bool check, fresh, resume, strict, json, one_line, quiet, verbose;
	const char *name, *file;
	const char **sets;
	size_t set_count;
	const char *const *words;
	size_t word_count;
};

enum { OPT_CHECK = 256, OPT_FRESH, OPT_RESUME, OPT_NAME, OPT_SET, OPT_REPORT, OPT_STRICT };

static const struct option options[] = {
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "fresh", no_argument, NULL, OPT_FRESH },
	{ "resume", no_argument, NULL, OPT_RESUME },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "set", required_argument, NULL, OPT_SET },
	{ "report", required_argument, NULL, OPT_REPORT },
	{ "strict", no_argument, NULL, OPT_STRICT },
	{ "exec", no_argument, NULL, 'e' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static _Noreturn void wrong_usage(const char *what)
{
	if (what)
		log_error("%s", what);
	fputs("Try 'streamz-launch --help'.\n", stderr);
	exit(EXIT_WRONG);
}

static void parse_option(struct arguments *a, int option)
{
	switch (option) {
	case OPT_CHECK: a->check = true; break;
	case OPT_FRESH: a->fresh = true; break;
	case OPT_RESUME: a->resume = true; break;
	case OPT_STRICT: a->strict = true; break;
	case OPT_NAME: a->name = optarg; break;
	case OPT_SET: a->sets[a->set_count++] = optarg; break;
	case OPT_REPORT:
		a->json = strcmp(optarg, "json") == 0;
		if (!a->json && strcmp(optarg, "text") != 0)
			wrong_usage("--report: expected text or json");
		break;
	case 'e': a->one_line = true; break;
	case 'q': a->quiet = true; break;
	case 'v': a->verbose = true; break;
	case 'h': fputs(usage_text, stdout); exit(0);
	case 'V': puts("streamz-launch " SZ_VERSION); exit(0);
	default: wrong_usage(NULL);
	}
}

/* Options end at the graph or at -e: what follows -e is the pipeline, whatever it looks like. */
static void parse_arguments(struct arguments *a, int argc, char **argv)
{
	int option;

	a->sets = calloc((size_t)argc, sizeof(*a->sets));
	if (!a->sets)
		exit(EXIT_SYSTEM);
	while (!a->one_line && (option = getopt_long(argc, argv, "+eqvhV", options, NULL)) != -1)
		parse_option(a, option);
	if (a->fresh && a->resume)
		wrong_usage("--fresh and --resume: expected one of them");
	if (a->quiet && a->verbose)
		wrong_usage("-q and -v: expected one of them");
	if (a->one_line) {
		a->words = (const char *const *)argv + optind;
		a->word_count = (size_t)(argc - optind);
		if (a->word_count == 0)
			wrong_usage("-e: expected SOURCE opts ! ... ! SINK opts after it");
		if (a->resume)
			wrong_usage("-e with --resume: such a pipeline leaves nothing to resume");
		return;
	}
	if (optind + 1 != argc)
		wrong_usage(optind == argc ? "expected the file of a graph, or -e"
					   : "expected one graph, and options before it");
	a->file = argv[optind];
}

/* Reading: the callbacks of the graph language */

static int read_file(void *ctx, const char *path, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = fd < 0 ? -errno : 0;
	size_t used = 0;
	struct stat st;
	char *buf;

	(void)ctx;
	if (rc)
		return rc;
	buf = malloc(GRAPH_FILE_MAX + 1);
	if (!buf)
		rc = -ENOMEM;
	else if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		rc = -EISDIR;
	while (!rc) {
		ssize_t n = read(fd, buf + used, GRAPH_FILE_MAX + 1 - used);

		if (n < 0 && errno != EINTR)
			rc = -errno;
		if (n == 0)
			break;
		used += n > 0 ? (size_t)n : 0;
		if (used > GRAPH_FILE_MAX)
			rc = -EFBIG;
	}
	close(fd);
	if (rc) {
		free(buf);
		return rc;
	}
	*text = buf;
	*len = used;
	return 0;
}

static const char *get_env(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

/* Return: the graph, or NULL with the exit status in *rc, after saying why. */
static struct graph *read_graph(const struct arguments *a, struct catalog *catalog, int *rc)
{
	struct graph_input in = {
		.file_name = a->file,
		.pipeline_name = a->name,
		.sets = a->sets,
		.set_count = a->set_count,
		.read_file = read_file,
		.resolve_type = catalog_resolve,
		.list_type = catalog_list,
		.get_env = get_env,
		.ctx = catalog,
	};
	struct graph *graph = NULL;
	char *text = NULL;
	int error;

	if (a->one_line) {
		graph = graph_parse_words(&in, a->words, a->word_count, getpid());
	} else {
		error = read_file(NULL, a->file, &text, &in.text_len);
		if (error) {
			log_error("%s: %s: expected a readable graph file", a->file,
				  error == -EFBIG ? "larger than 1 MiB" : strerror(-error));
			*rc = EXIT_WRONG;
			return NULL;
		}
		in.text = text;
		graph = graph_parse(&in);
	}
	free(text);
	if (!graph) {
		log_error("out of memory while reading the graph");
		*rc = EXIT_SYSTEM;
	}
	return graph;
}

/* Running */

static void say_start(const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->n_notes; i++)
		log_say("%s", plan->notes[i]);
	for (uint32_t i = 0; i < plan->n_stages; i++)
		if (!plan->stages[i].origin)
			log_say("%s: records of failed ports that are not wired go to %s",
				plan->stages[i].name, plan->stages[i].options[0].value);
}

/* The line would be torn by records where both go to the terminal. */
static bool may_show_progress(const struct arguments *a, const struct plan *plan)
{
	bool data = false;

	for (uint32_t i = 0; i < plan->n_stages; i++)
		data |= strcmp(plan->stages[i].type_name, "stdout") == 0;
	return !a->quiet && isatty(STDERR_FILENO) && !(data && isatty(STDOUT_FILENO));
}

static int run(const struct arguments *a, const struct plan *plan)
{
	struct settings settings = {
		.strict = a->strict,
		.json = a->json,
		.progress = may_show_progress(a, plan),
	};
	struct pipeline p;
	int rc;

	say_start(plan);
	plan_warn_ipc();
	rc = pipeline_open(&p, plan, a->fresh || a->one_line ? LEFT_FRESH : LEFT_RESUME);
	if (rc)
		return rc;
	if (a->resume && !p.resumed)
		log_say("nothing to resume: \"%s\" starts from the beginning", plan->name);
	p.keep = true;
	rc = supervise(&p, &settings);
	pipeline_close(&p, !p.keep || plan->one_line);
	return rc;
}

/* For whoever finds the pipeline later, in another folder. */
static const char *graph_path(const struct arguments *a, char full[PATH_MAX])
{
	struct stat st;

	if (a->one_line)
		return "-e";
	if (stat(a->file, &st) == 0 && S_ISREG(st.st_mode) && realpath(a->file, full))
		return full;
	return a->file;
}

static int launch(const struct arguments *a, struct catalog *catalog)
{
	struct graph *graph;
	enum pipeline_found found = FOUND_NOTHING;
	struct plan *plan = NULL;
	char full[PATH_MAX];
	int rc = 0;

	graph = read_graph(a, catalog, &rc);
	if (!graph)
		return rc;
	if (!graph->error_count && !a->one_line && !a->check)
		found = pipeline_look(graph->name, geteuid());
	if (found == FOUND_ENDED && !a->fresh) {
		rc = pipeline_clear_ended(graph->name, geteuid());
		if (!rc)
			log_warn("the last run of \"%s\" had come to its end when its launcher "
				 "was killed: nothing is left to do; start it again for another "
				 "run",
				 graph->name);
		graph_free(graph);
		return rc;
	}
	if (found == FOUND_LIVE) {
		rc = EXIT_WRONG;
	} else if (!graph->error_count) {
		plan = plan_make(graph, catalog, graph_path(a, full), a->one_line,
				 found == FOUND_DEAD && !a->fresh);
		rc = plan ? 0 : EXIT_SYSTEM;
	}
	if (plan && !graph->error_count && a->check)
		rc = plan_refused(plan);
	graph_print_diags(graph, stderr);
	if (graph->error_count)
		rc = EXIT_WRONG;
	else if (!rc && a->check)
		plan_show(plan, stdout);
	else if (!rc)
		rc = run(a, plan);
	plan_free(plan);
	graph_free(graph);
	return rc;
}

/*
 * A closed standard descriptor would be taken by the next file that is opened, which a child then takes for its input
 * or output. Each is held by one that cannot be used for what it is for, so that its use says EBADF.
 */
static void hold_standard_descriptors(void)
{
	static const int modes[] = { O_WRONLY, O_RDONLY, O_RDONLY };

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
			exit(EXIT_SYSTEM);
}

int main(int argc, char **argv)
{
	struct arguments a = { 0 };
	char error[PROGRAM_ERROR_SIZE];
	struct catalog *catalog;
	int rc;

	hold_standard_descriptors();
	parse_arguments(&a, argc, argv);
	log_set_level(a.quiet ? LOG_QUIET : a.verbose ? LOG_VERBOSE : LOG_NORMAL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* shared memory beyond RLIMIT_FSIZE is an EFBIG */
	catalog = catalog_open(NULL, error);
	if (!catalog)
		log_error("%s", error);
	rc = catalog ? launch(&a, catalog) : EXIT_SYSTEM;
	catalog_free(catalog);
	free(a.sets);
	return rc;
}
