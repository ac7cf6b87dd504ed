#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs to the end: results, summaries, exit statuses, plans; nothing stays behind.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

log=$here/examples/data/Linux.log
cat >g.conf <<END
pipeline $name
source in file path=$log
stage some filter match='session opened'
sink out file path=out.txt mode=truncate
in -> some -> out
END
grep -F 'session opened' "$log" >want.txt

run 0 g.conf
same out.txt want.txt
said "audit: clean"
[ -z "$(objects)" ] || fail "objects after an orderly end"

run 0 -q g.conf
[ -s err ] && fail "-q says something"

run 0 --report json -q g.conf
python3 -c 'import json,sys
r = json.load(open("err"))
assert r["schema"] == "streamz.report/1" and r["exit"] == 0 and r["state"] == "ended", r
assert [s["records_out"] for s in r["stages"] if s["stage"] == "out"] == [int(sys.argv[1])], r
assert r["audit"]["made"] and r["audit"]["failures"] == 0, r' "$(wc -l <want.txt)" || fail "--report json"

run 0 --name "$name-b" g.conf
run 0 -e file path="$log" ! filter match='session opened' ! stdout >piped.txt
same piped.txt want.txt
# A reader that leaves is no failure.
seq 200000 >many.txt
timeout -s KILL 60 "$launch" -q -e file path=many.txt ! stdout 2>err | head -n 1 >/dev/null
[ "${PIPESTATUS[0]}" -eq 0 ] || fail "head: ${PIPESTATUS[0]}"

run 0 --check g.conf >plan.txt
grep -q "^in -> some .*block" plan.txt || fail "--check: no edge"
grep -q "quarantine.*(added)" plan.txt || fail "--check: no quarantine"
grep -q "in all$" plan.txt || fail "--check: no sum"

# Records that fail: 3 with --strict, 0 without, and the quarantine has them.
printf 'short\n%s\nshort\n' "$(head -c 5000 /dev/zero | tr '\0' x)" >long.txt
cat >long.conf <<END
pipeline $name
source in file path=long.txt max_record=1K
sink out file path=long.out mode=truncate
in -> out
END
run 0 long.conf
run 3 --strict long.conf
[ "$(wc -l <long.out)" -eq 2 ] || fail "long.out"
[ "$(wc -l <"$name.failed.ndjson")" -eq 2 ] || fail "quarantine"

run 0 --help >out
run 0 --version >out
for args in "" "--wrong" "--report xml g.conf" "--fresh --resume g.conf" "-q -v g.conf" "g.conf more" "-e"; do
	# shellcheck disable=SC2086 # words
	run 100 $args
done
exit 0
