/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define TURNS_MAX 100000u

static char folder[64];

int folder_setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/streamz-test.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int forget(const char *path, const struct stat *sb, int type, struct FTW *at)
{
	(void)sb;
	(void)type;
	(void)at;
	return remove(path);
}

int folder_teardown(void **state)
{
	(void)state;
	return nftw(folder, forget, 8, FTW_DEPTH | FTW_PHYS);
}

const char *in_folder(const char *name)
{
	static char buf[8][PATH_MAX];
	static unsigned next;
	char *to = buf[next++ % 8];

	snprintf(to, PATH_MAX, "%s/%s", folder, name);
	return to;
}

const char *option_in_folder(const char *key, const char *name)
{
	static char buf[8][PATH_MAX];
	static unsigned next;
	char *to = buf[next++ % 8];

	snprintf(to, PATH_MAX, "%s=%s/%s", key, folder, name);
	return to;
}

void write_file(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

const char *read_file(const char *path, size_t *len)
{
	static char all[4 << 20];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(all, 1, sizeof(all) - 1, f);
	fclose(f);
	all[n] = 0;
	if (len)
		*len = n;
	return all;
}

void close_all_in_folder(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		char to[PATH_MAX];
		ssize_t n = readlinkat(dirfd(dir), d->d_name, to, sizeof(to) - 1);

		if (n <= 0)
			continue;
		to[n] = 0;
		if (folder[0] && strncmp(to, folder, strlen(folder)) == 0)
			close(atoi(d->d_name));
	}
	closedir(dir);
}

int die(struct rig *r)
{
	close_all_in_folder();
	return rig_crash(r);
}

void take(struct rig *r, uint32_t edge, struct text *to)
{
	static char buf[1 << 20];
	int n;

	while ((n = rig_get(r, edge, buf, sizeof(buf))) >= 0) {
		to->at = realloc(to->at, to->len + (size_t)n + 2);
		assert_non_null(to->at);
		memcpy(to->at + to->len, buf, (size_t)n);
		to->len += (size_t)n;
		to->at[to->len++] = '\n';
		to->at[to->len] = 0;
	}
}

unsigned run_to_end(struct rig *r, unsigned first, unsigned every, struct text *to)
{
	for (unsigned n = 1; n < TURNS_MAX; n++) {
		enum sz_turn t = sz_rt_turn(&r->stage);

		if (to)
			take(r, 0, to);
		if (t == SZ_TURN_ENDED)
			return n;
		if (first && n >= first && (n == first || (every && (n - first) % every == 0)))
			assert_int_equal(die(r), 0);
	}
	fail_msg("no end after %u turns", TURNS_MAX);
	return 0;
}

const char *gives_up(struct rig *r)
{
	static char text[sizeof(((struct sz_last_words *)0)->text)];
	const struct sz_last_words *words = &r->stage.ledger.live->words;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		rig_run(r);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), SZ_EXIT_FAILED);
	snprintf(text, sizeof(text), "%.*s", (int)words->text_len, words->text);
	return text;
}
