#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh [-o LOGDIR] TEST... - run test programs and scripts one after the other
#
# A test passes if it exits 0 and leaves nothing in /dev/shm; 77 means that it could not run here and says why. The
# output of each goes to LOGDIR/NAME.log and is shown if it fails. The last line is "N passed, N failed, N skipped".
set -u

logs=build/test-logs
if [ "${1:-}" = -o ]; then
	logs=$2
	shift 2
fi
mkdir -p "$logs"
passed=0 failed=0 skipped=0

objects() {
	find /dev/shm -maxdepth 1 -name 'streamz.*' 2>/dev/null | sort
}

for test in "$@"; do
	name=$(basename "$test")
	log=$logs/$name.log
	before=$(objects)
	start=$(date +%s.%N)
	timeout --kill-after=10 "${TEST_TIMEOUT:-300}" "$test" >"$log" 2>&1 </dev/null
	status=$?
	took=$(printf '%.1f s' "$(echo "$(date +%s.%N) $start" | awk '{ print $1 - $2 }')")
	leaked=$(comm -13 <(echo "$before") <(objects))
	if [ "$status" -eq 0 ] && [ -n "$leaked" ] && [ "${TEST_SHARED:-0}" = 0 ]; then
		echo "left in /dev/shm: $leaked" >>"$log"
		status=1
	fi
	case $status in
	0)
		passed=$((passed + 1))
		echo "ok    $name ($took)"
		;;
	77)
		skipped=$((skipped + 1))
		echo "skip  $name: $(tail -n 1 "$log")"
		;;
	*)
		failed=$((failed + 1))
		[ "$status" -eq 124 ] && echo "timed out" >>"$log"
		echo "FAIL  $name ($took, status $status)"
		tail -n 60 "$log" | sed 's/^/      /'
		;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
