#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A launcher that is killed after its pipeline has ended, before it has cleared up: the next start does not do it all again.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

seq 1 1000 >in.txt
cat >g.conf <<END
pipeline $name
source in file path=in.txt
sink out file path=out.txt mode=append
in -> out
END

# It blocks where it prints its report: into a pipe that is full and that nobody reads.
mkfifo full
exec 3<>full
dd if=/dev/zero of=full bs=4096 count=64 oflag=nonblock 2>/dev/null
"$launch" -q --report json g.conf 2>full &
pid=$!
ended() {
	[ "$("$BIN/streamz" ls --json | tr -d ' \n' | grep -c "\"pipeline\":\"$name\",\"state\":\"ended\"")" = 1 ]
}
until_true ended
kill -9 "$pid"
wait "$pid" 2>/dev/null
exec 3<&-
same in.txt out.txt
[ -n "$(objects)" ] || fail "nothing is left: the test shows nothing"

run 0 g.conf
said "had come to its end"
same in.txt out.txt
[ -z "$(objects)" ] || fail "left in /dev/shm: $(objects)"

# And the run after that is another run.
run 0 -q g.conf
[ "$(wc -l <out.txt)" = 2000 ] || fail "another run should append again"
