#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The launcher dies while it is starting: itself, before its first object is whole; a worker, before that holds its page.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# Killed between creating ctl and giving it its size.
: >"/dev/shm/streamz.$name.$(id -u).ctl"
chmod 600 "/dev/shm/streamz.$name.$(id -u).ctl"
seq 1 100 >want
cat >files.conf <<-END
	pipeline $name
	source in file path=want
	sink out file path=out.txt mode=truncate
	in -> out
END
run 0 files.conf
same want out.txt
rm out.txt

# Each life of the stage that reads stdin waits for its turn before it becomes the stage program. (bash keeps the signals
# blocked that it finds blocked.)
cat >host <<-END
	#!/bin/bash
	case "\$*" in *--check*|*--describe*) exec "$BIN/streamz-stage" "\$@";; esac
	if [ "\$(readlink /proc/self/fd/0)" != /dev/null ]; then
		life=\$((\$(cat "$dir/life") + 1))
		echo \$life >"$dir/life"
		echo \$\$ >"$dir/pid.\$life"
		while [ ! -e "$dir/go.\$life" ]; do sleep 0.02; done
	fi
	exec "$BIN/streamz-stage" "\$@"
END
chmod +x host
echo 0 >life
export STREAMZ_STAGE=$dir/host
cat >stdin.conf <<-END
	pipeline $name
	source in stdin
	sink out file path=out.txt
	in -> out
END
mkfifo fifo
exec 3<>fifo
start_on_fifo() {
	"$launch" stdin.conf <&3 2>err &
	pid=$!
}

ended_life() {
	! grep -qs '^State:.[^Z]' "/proc/$1/status" # nobody may reap it
}

# Something is read and written in the first life; the second is forked and does not come far.
: >go.1
start_on_fifo
seq 1 10 >&3
until_true has_lines out.txt 10
until_true test -s pid.1
kill -9 "$(cat pid.1)"
until_true test -s pid.2
kill -9 "$pid"
wait "$pid" 2>/dev/null

# The next launcher has recovered everything and has started a life of its own when the old one wakes up.
start_on_fifo
until_true test -s pid.3
: >go.2
until_true ended_life "$(cat pid.2)"
: >go.3
seq 11 20 >&3
until_true has_lines out.txt 20
kill "$pid"
ended 0
seq 1 20 | cmp - out.txt || fail "a life of the dead run took results that were not for it"
