#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# kills.sh [--long] - real kills: processes of a pipeline over real log lines are SIGKILLed at random, and what comes out
# is what comes out of an undisturbed run, byte for byte; nobody restarts who was not killed; the audit is clean.
# The long form takes more data and more kills.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

chaos=${TESTBIN:-$here/build/tests}/chaos
megabytes=128 kills=220 rounds=1
if [ "${1:-}" = --long ]; then
	megabytes=512 kills=1000 rounds=5
fi

"$here/examples/data/expand" "$megabytes" >in.log

# chaos_run SEED OUT EVERY LAUNCH-ARG... : kills are counted in $killed
killed=0
chaos_run() {
	local seed=$1 out=$2 every=$3 n
	shift 3
	timeout -s KILL 300 "$chaos" --kills "$kills" --seed "$seed" --every "$every" --pipeline "$name" -- \
		"$launch" "$@" >json 2>err || fail "chaos: exit status $? $(tail -n 1 json)"
	n=$(sed -nE 's/^\{"kills":([0-9]+),.*"not_killed_but_restarted":0,"launcher_status":0\}$/\1/p' json)
	[ -n "$n" ] || fail "chaos: $(cat json)"
	said "audit: clean"
	same want "$out"
	killed=$((killed + n))
}

cat >files.conf <<-END
	pipeline $name
	source in file path=in.log
	stage keep filter regex='(Failed|Accepted) password|blk_|error'
	stage cut map regex='(\d+)\.(\d+)\.(\d+)\.(\d+)' replace='<\$1-\$2-\$3-\$4>' all=true
	sink out file path=out.log mode=truncate
	in -> keep -> cut -> out
END
run 0 -q files.conf
mv out.log want
for ((round = 0; round < rounds; round++)); do
	killed=0
	for ((seed = round * 100; killed < kills; seed++)); do
		[ "$seed" -lt $((round * 100 + 40)) ] || fail "only $killed kills in 40 runs"
		chaos_run "$seed" out.log 4000 files.conf
	done
	echo "files: identical, $killed deaths, 0 lost, 0 repeated"
done

killed=0
STREAMZ_NO_URING=1 chaos_run 7 out.log 4000 files.conf
echo "files, plain system calls: identical, $killed deaths"

# Fan-out, fan-in, a named port: each branch whole and in order; the branches meet in any order.
cat >fan.conf <<-END
	pipeline $name
	source in file path=in.log
	stage keep filter match='password'
	sink yes file path=yes.log mode=truncate
	sink no file path=no.log mode=truncate
	sink all file path=all.log mode=truncate
	in -> keep
	keep -> yes
	keep.rest -> no
	keep, keep.rest -> all
END
grep -F password in.log >yes.want
grep -vF password in.log >no.want
: >want && : >empty
killed=0
chaos_run 11 empty 4000 fan.conf
same yes.want yes.log
same no.want no.log
grep -F password all.log | cmp - yes.want || fail "the branch of what matches came out of order behind the fan-in"
grep -vF password all.log | cmp - no.want || fail "the branch of the rest came out of order behind the fan-in"
echo "fan-out and fan-in: identical, $killed deaths"

# Pipes: what was read from one or written to one cannot be rewound; the io_uring instance outlives the worker.
seq 1 $((megabytes * 20000)) >want
cat >pipe.conf <<-END
	pipeline $name
	source in stdin
	stage pass pass
	sink out stdout
	in -> pass -> out
END
killed=0
if [ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" = 0 ]; then
	# The line of JSON goes to descriptor 3: stdout is the pipeline's.
	for seed in 1 2 3; do
		# shellcheck disable=SC2002 # the pipe is the point
		cat want | timeout -s KILL 120 "$chaos" --json-fd 3 --kills "$kills" --seed "$seed" --every 3000 \
			--pipeline "$name" -- "$launch" pipe.conf 3>json 2>err | cat >out
		grep -q '"not_killed_but_restarted":0,"launcher_status":0' json || fail "chaos: $(cat json)"
		said "audit: clean"
		same want out
		killed=$((killed + $(sed -E 's/^\{"kills":([0-9]+),.*/\1/' json)))
	done
	timeout -s KILL 120 "$chaos" --json-fd 3 --kills "$kills" --seed 4 --every 3000 --pipeline "$name" -- \
		"$launch" pipe.conf <want 3>json 2>err >out
	same want out
	echo "stdin and stdout, pipes and files: identical, $killed deaths"
else
	echo "stdin and stdout: not run, io_uring is disabled here"
fi
