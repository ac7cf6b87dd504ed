#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh [-o LOGDIR] TEST... - run test programs and scripts one after the other
#
# A test passes if it exits 0 and leaves nothing behind: no object in /dev/shm, no process, no report of a sanitizer
# (of any process it started: a stage that a sanitizer stopped is otherwise just one more crash to recover from).
# 77 means that it could not run here and says why. The output of each goes to LOGDIR/NAME.log and is shown if it
# fails. The last line is "N passed, N failed, N skipped". TEST_TIMEOUT: seconds a test may take (300). TEST_SHARED=1:
# do not look for objects left behind, for a machine on which others run pipelines.
set -u

logs=build/test-logs
if [ "${1:-}" = -o ]; then
	logs=$2
	shift 2
fi
mkdir -p "$logs"
logs=$(cd "$logs" && pwd)
passed=0 failed=0 skipped=0

objects() {
	find /dev/shm -maxdepth 1 -name 'streamz.*' 2>/dev/null | sort
}

# Objects that are there and were not before; none of them if they all go within 3 seconds: somebody else's, at work.
left_behind() {
	local try left
	for try in 1 2 3 4 5 6; do
		left=$(comm -13 <(echo "$1") <(objects))
		[ -n "$left" ] || return
		[ "$try" -lt 6 ] && sleep 0.5
	done
	# shellcheck disable=SC2001 # a line each
	sed 's/^/left behind: /' <<<"$left"
}

# Processes that carry $1 in their environment, each with its command; none of them if they all end within 3 seconds.
left_running() {
	local try pid left
	for try in 1 2 3 4 5 6; do
		mapfile -t left < <(grep -lsz "^STREAMZ_TEST=$1\$" /proc/[0-9]*/environ | tr -dc '0-9\n')
		[ "${#left[@]}" -eq 0 ] && return
		[ "$try" -lt 6 ] && sleep 0.5
	done
	for pid in "${left[@]}"; do
		echo "left running: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
		kill -KILL "$pid"
	done 2>/dev/null
}

for test in "$@"; do
	name=$(basename "$test")
	log=$logs/$name.log
	report=$logs/$name.sanitizer
	rm -f "$report".*
	before=$(objects)
	start=${EPOCHREALTIME/[.,]/}
	# Sanitizers append the process id.
	STREAMZ_TEST=$$-$name \
		ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$report \
		UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}print_stacktrace=1:log_path=$report \
		LSAN_OPTIONS=${LSAN_OPTIONS:+$LSAN_OPTIONS:}print_suppressions=0 \
		TSAN_OPTIONS=${TSAN_OPTIONS:+$TSAN_OPTIONS:}log_path=$report \
		timeout --kill-after=10 "${TEST_TIMEOUT:-300}" "$test" >"$log" 2>&1 </dev/null
	status=$?
	ms=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
	took=$((ms / 1000)).$((ms % 1000 / 100))
	[ "$status" -eq 124 ] && echo "timed out" >>"$log"
	wrong=$(
		left_running "$$-$name"
		[ "${TEST_SHARED:-0}" = 1 ] || left_behind "$before"
		cat "$report".* 2>/dev/null
	)
	if [ -n "$wrong" ]; then
		echo "$wrong" >>"$log"
		[ "$status" -eq 0 ] || [ "$status" -eq 77 ] && status=1
	fi
	case $status in
	0)
		passed=$((passed + 1))
		echo "ok    $name ($took s)"
		;;
	77)
		skipped=$((skipped + 1))
		echo "skip  $name: $(tail -n 1 "$log")"
		;;
	*)
		failed=$((failed + 1))
		echo "FAIL  $name ($took s, status $status)"
		tail -n 60 "$log" | sed 's/^/      /'
		;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
