#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Stages that crash, give up, or leave children: what is restarted, what is given up, what is said, what can be resumed.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

command -v cc >/dev/null || skip "no C compiler"
cat >bad.c <<'END'
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <streamz/stage.h>

/* Goes wild: a published position that cannot be. */
static void write_nonsense(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[400], perms[8];
	unsigned long from, to, offset;

	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, ".lane.") && sscanf(line, "%lx-%lx %7s %lx", &from, &to, perms, &offset) == 4 &&
		    offset == SZ_PAGE_BYTES && perms[1] == 'w')
			((struct sz_lane_end *)from)->pos = 1ull << 60;
	fclose(fopen("cured", "w"));
	for (;;)
		pause();
}

/*
 * At the record "9": how=crash dies, fail gives up, child leaves a sleeping child behind and dies, nonsense harms its
 * neighbour. With a file "cured" it is well.
 */
static int bad_record(struct sz_stage *s, const struct sz_record *r)
{
	const char *how = sz_option(s, "how")->text;

	if (r->len == 1 && r->data[0] == '9' && access("cured", F_OK) != 0) {
		if (strcmp(how, "fail") == 0)
			sz_give_up(s, "nine is too much");
		if (strcmp(how, "child") == 0 && fork() == 0) {
			signal(SIGTERM, SIG_IGN);
			sleep(1000);
			_exit(0);
		}
		if (strcmp(how, "nonsense") == 0)
			write_nonsense();
		if (strcmp(how, "well") != 0)
			abort();
	}
	sz_emit(s, 0, r->data, r->len);
	return SZ_OK;
}

static const struct sz_option bad_options[] = {
	{ .name = "how", .type = SZ_OPT_ENUM, .choices = "crash|fail|child|nonsense|well", .def = "crash", .help = "what it does" },
	{ .name = NULL },
};

static const struct sz_stage_ops bad = {
	.api = SZ_STAGE_API,
	.name = "bad",
	.role = SZ_TRANSFORM,
	.summary = "crashes",
	.options = bad_options,
	.record = bad_record,
};

const struct sz_stage_ops *const sz_stage_types[] = { &bad, NULL };
END
cc -shared -fPIC -I"$here/libshm/include" -I"$here/stages/rt/include" -o bad.so bad.c 2>err || fail "bad.c"
seq 20 >in.txt
graph() {
	cat >g.conf <<-END
		pipeline $name
		source in file path=in.txt
		stage x ./bad.so $1
		sink out file path=out.txt mode=append
		in -> x -> out
	END
}

for how in crash fail child; do
	rm -f out.txt cured
	graph "how=$how restart_limit=3/10s restart_backoff=1ms..5ms"
	run 1 g.conf
	said "x gave up"
	said "keeps its state"
	if [ "$how" = fail ]; then
		said "nine is too much"
		grep -q "restarted" err && fail "restarted after it had given up"
	else
		said "deaths without progress"
		[ "$(grep -c 'x (process .*: restarted' err)" -eq 3 ] || fail "$how: not 3 restarts"
	fi
	until_true no_process
	[ -n "$(objects)" ] || fail "nothing left to resume"
	# Cured, it goes on where it stopped: every record once.
	touch cured
	run 0 g.conf
	said "resuming"
	same in.txt out.txt
done

rm -f out.txt cured
graph "restart=never"
run 1 g.conf
said "restart=never"
run 1 g.conf
said "resuming"
graph "how=well"
run 0 g.conf
same in.txt out.txt

# Nonsense in a lane: the writer is replaced, its ledger puts right what it wrote, and nothing is lost.
rm -f out.txt cured
graph "how=nonsense"
run 0 g.conf
said "wrote nonsense into the lane x -> out"
same in.txt out.txt

# One line leaves nothing, whatever happens.
rm -f cured
run 1 -e file path=in.txt ! ./bad.so restart=never ! null
[ -z "$(find /dev/shm -name 'streamz.cmd-*' -newer g.conf)" ] || fail "objects of -e"
exit 0
