#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# TERM drains, a second signal stops, a missed deadline is said; what is stopped can be resumed.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

slow_graph g.conf

start g.conf
until_true has_lines out.txt 100
kill -TERM "$pid"
ended 0
said "draining"
said "audit: clean"
[ -z "$(objects)" ] || fail "objects after a drain"
rm -f out.txt

# A whole process group is signalled, as Ctrl-C does: only the launcher acts on it.
setsid "$launch" g.conf 2>err &
pid=$!
until_true has_lines out.txt 100
kill -INT -- "-$(ps -o pgid= -p "$pid" | tr -d ' ')"
ended 0
grep -q "was killed" err && fail "a stage died of SIGINT"
rm -f out.txt

# A stage that is slow to drain: the second signal stops at once; resumed, it ends, with every record.
cat >slow.conf <<END
pipeline $name
source in generate count=200 size=20
stage slow delay time=10ms
sink out file path=out.txt mode=append
in -> slow -> out
END
start slow.conf
until_true has_lines out.txt 20
kill -TERM "$pid"
sleep 0.1
kill -TERM "$pid"
ended 2
said "stopping"
said "start the same graph again"
run 0 slow.conf
said "resuming"
[ "$(wc -l <out.txt)" -eq 200 ] || fail "$(wc -l <out.txt) records, expected 200"
[ "$(sort -u out.txt | wc -l)" -eq 200 ] || fail "repeated records"
rm -f out.txt

# The deadline passes: 2, and it says who is not finished.
sed 's/time=10ms/time=10ms shutdown=300ms/; s/^source.*/& shutdown=300ms/; s/^sink.*/& shutdown=300ms/' slow.conf >hurry.conf
start hurry.conf
until_true has_lines out.txt 5
kill -TERM "$pid"
ended 2
said "not finished: "
run 0 slow.conf

# Workers that are killed are replaced, one line each, and nothing is lost.
rm -f out.txt
start -v slow.conf
until_true has_lines out.txt 20
victim=$(sed -n 's/.*slow: new -> starting.*/x/p' err | head -n 1)
[ -n "$victim" ] || fail "no transition was logged"
kill_workers
ended 0
said "was killed by signal 9"
[ "$(wc -l <out.txt)" -eq 200 ] || fail "$(wc -l <out.txt) records, expected 200"
[ "$(sort -u out.txt | wc -l)" -eq 200 ] || fail "repeated records"
exit 0
