# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lib.sh - what the system tests share; sourced, not run
#
# A test gets a folder of its own (it is the working directory), a unique pipeline name in $name, and fails if it leaves
# a shared-memory object or a process behind. Exit status 77 means that it could not run here.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${BIN:-$here/build/bin}
launch=$BIN/streamz-launch
export here launch
name=t$$-$RANDOM
dir=$(mktemp -d)
cd "$dir" || exit 1

skip() {
	echo "$*"
	exit 77
}

[ -x "$BIN/streamz-stage" ] || skip "no $BIN/streamz-stage: run make first"

fail() {
	echo "FAIL: $*" >&2
	for f in "$dir"/err*; do
		[ -s "$f" ] && sed "s|^|  ${f##*/}: |" "$f" | tail -n 40 >&2
	done
	exit 1
}

objects() {
	find /dev/shm -maxdepth 1 -name "streamz.$name*" 2>/dev/null
}

# Processes of our pipelines: launchers by their arguments, workers by the objects they have mapped.
processes() {
	for p in /proc/[0-9]*; do
		grep -qs "/dev/shm/streamz\.$name" "$p/maps" && echo "${p#/proc/}"
	done
}

clean_up() {
	status=$?
	trap - EXIT
	sleep 0.05
	for pid in $(processes); do
		[ "$status" -eq 0 ] && echo "process $pid was left behind" >&2 && status=1
		kill -9 "$pid" 2>/dev/null
	done
	for object in $(objects); do
		[ "$status" -eq 0 ] && echo "$object was left behind" >&2 && status=1
		rm -f "$object"
	done
	cd / && rm -rf "$dir"
	exit "$status"
}
trap clean_up EXIT

# run STATUS ARG... : run the launcher to its end, within a minute; its stderr goes to the file err
run() {
	local want=$1 got
	shift
	timeout -s KILL 60 "$launch" "$@" 2>err
	got=$?
	[ "$got" -eq "$want" ] || fail "streamz-launch $*: exit status $got, expected $want"
}

said() {
	grep -qF -- "$1" "${2:-err}" || fail "expected to read: $1"
}

same() {
	cmp "$1" "$2" || fail "$1 and $2 differ"
}

# until_true COMMAND... : wait for it, up to 10 s
until_true() {
	local i
	for ((i = 0; i < 500; i++)); do
		"$@" && return 0
		sleep 0.02
	done
	fail "waited in vain for: $*"
}

has_lines() {
	[ -f "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]
}

no_process() {
	[ -z "$(processes)" ]
}

# SIGKILL whatever the launcher has forked
kill_workers() {
	local children
	read -ra children <"/proc/$pid/task/$pid/children"
	kill -9 "${children[@]}" 2>/dev/null
}

# slow_graph FILE : a pipeline that runs for many seconds and makes out.txt
slow_graph() {
	cat >"$1" <<-END
		pipeline $name
		source in generate count=3000 rate=2000/s size=20
		stage middle pass
		sink out file path=out.txt mode=append
		in -> middle -> out
	END
}

# start ARG... : run the launcher in the background; $pid is its process
start() {
	"$launch" "$@" 2>err &
	pid=$!
}

# ended STATUS : wait for it
ended() {
	local got
	wait "$pid"
	got=$?
	[ "$got" -eq "$1" ] || fail "the launcher's exit status is $got, expected $1"
}
