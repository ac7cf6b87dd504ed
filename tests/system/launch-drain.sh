#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A drain that comes before the end of a file: what is in flight is written, the rest is read when the graph is started
# again; whether the drain came to its end, its deadline passed, or the launcher was killed in the middle of it.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

seq 1 200000 >in.txt

graph() { # graph DELAY SHUTDOWN MODE
	cat >g.conf <<-END
		pipeline $name
		source in file path=in.txt
		stage slow delay time=$1 shutdown=$2
		sink out file path=out.txt mode=$3
		in -> slow buffer=16000
		slow -> out
	END
}

# drain STATUS : start, TERM when some records have come through, see the exit status
drain() {
	local lines=0
	[ -f out.txt ] && lines=$(wc -l <out.txt)
	start g.conf
	until_true has_lines out.txt $((lines + 200))
	kill -TERM "$pid"
	wait "$pid"
	local got=$?
	[ "$got" -eq "$1" ] || fail "drain: exit status $got, expected $1"
	[ "$(wc -l <out.txt)" -lt 200000 ] || fail "it was at its end before the drain: the test shows nothing"
}

finish() {
	graph 0 5s "$1"
	run 0 g.conf
	said "resuming \"$name\""
	same in.txt out.txt
	[ -z "$(objects)" ] || fail "left in /dev/shm after the end: $(objects)"
	rm -f out.txt
}

# To its end, several times: all that was read is written, in order, and nothing twice.
graph 1us 10s append
for _ in 1 2 3; do
	drain 0
	said '"in" was stopped at '
	said "was drained before its end and keeps its state"
	head -n "$(wc -l <out.txt)" in.txt | cmp - out.txt || fail "what was written is not the beginning of the input"
done
finish append

# Past its deadline.
graph 1ms 200ms append
for _ in 1 2; do
	drain 2
done
finish append

# The launcher is killed while it drains.
graph 1ms 60s append
start g.conf
until_true has_lines out.txt 100
kill -TERM "$pid"
sleep 0.1
kill -9 "$pid"
wait "$pid" 2>/dev/null
until_true no_process
finish append

# --fresh begins anew, from a drained run too.
graph 1us 10s truncate
drain 0
graph 0 5s truncate
run 0 --fresh g.conf
same in.txt out.txt

# A source without a known end has nothing to go on with: nothing is left.
rm -f out.txt
slow_graph g.conf
start g.conf
until_true has_lines out.txt 50
kill -TERM "$pid"
wait "$pid" || fail "draining generate: exit status $?"
[ -z "$(objects)" ] || fail "left in /dev/shm after a drain: $(objects)"
