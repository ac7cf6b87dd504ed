#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# demo.sh - the main job on real input, twice: once in peace, once while its processes are killed. Called by `make demo`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$here/../build/bin" && pwd)
chaos=$(cd "$here/../build/tests" && pwd)/chaos
work=$(mktemp -d "${TMPDIR:-/tmp}/streamz-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
PATH=$bin:$PATH

say() {
	if [ -t 1 ]; then
		printf '\n\033[1m%s\033[0m\n' "$*"
	else
		printf '\n%s\n' "$*"
	fi
}
run() {
	printf '$ %s\n' "$*"
	eval "$*"
}

cp "$here/data/OpenSSH.log" "$here/01-filter-and-rewrite.conf" .

say "1. Filter and rewrite a real log; every stage is a process of its own"
run "cat 01-filter-and-rewrite.conf"
run "streamz-launch 01-filter-and-rewrite.conf"
run "head -n 3 attackers.log"
say "   The same with grep and sed"
run "grep -F 'Failed password' OpenSSH.log | sed -E 's/^(.{15}).* for (invalid user )?(.*) from ([^ ]+) port .*/\\1 \\4 \\3/' > expected.log"
run "cmp expected.log attackers.log && echo identical, \$(wc -l < attackers.log) lines"

say "2. The same on 128 MB, while a process of it is killed (SIGKILL) 50 times"
run "'$here/data/expand' 128 > OpenSSH.log"
run "grep -F 'Failed password' OpenSSH.log | sed -E 's/^(.{15}).* for (invalid user )?(.*) from ([^ ]+) port .*/\\1 \\4 \\3/' > expected.log"
rm -f attackers.log
printf '$ %s\n' "chaos --kills 50 --pipeline attackers -- streamz-launch 01-filter-and-rewrite.conf"
"$chaos" --kills 50 --every 4000 --pipeline attackers -- streamz-launch 01-filter-and-rewrite.conf >chaos.json 2>launch.log ||
	{
		cat launch.log
		exit 1
	}
grep -v 'was killed by signal' launch.log
deaths=$(sed -E 's/^\{"kills":([0-9]+),.*/\1/' chaos.json)
printf '$ %s\n' "diff expected.log attackers.log"
lost=$(diff expected.log attackers.log | grep -c '^<' || true)
repeated=$(diff expected.log attackers.log | grep -c '^>' || true)
if cmp -s expected.log attackers.log; then
	say "identical, $deaths deaths, $lost lost, $repeated repeated"
else
	say "DIFFERENT: $deaths deaths, $lost lost, $repeated repeated or changed"
	exit 1
fi
