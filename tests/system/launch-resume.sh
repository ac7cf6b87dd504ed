#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The launcher dies, or is told to stop: what is left can be resumed, given up, and is protected from others.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

slow_graph g.conf

start g.conf
until_true has_lines out.txt 200
# A live pipeline's name is taken, with and without --fresh, and it goes on undisturbed.
cp err err.first
run 100 g.conf
said "is running, its launcher is process $pid"
run 100 --fresh g.conf
said "is running"

kill -9 "$pid"
wait "$pid" 2>/dev/null
until_true no_process
[ -n "$(objects)" ] || fail "nothing left to resume"

# Another shape is refused, and nothing is lost by it.
sed 's/stage middle pass/stage centre pass/; s/middle/centre/' g.conf >other.conf
run 100 other.conf
said "had other stages or edges"
said "--fresh"

# Moving lines about is no other shape. The run goes on where it stopped: the very bytes of an undisturbed one.
{
	head -n 1 g.conf
	grep '^sink' g.conf
	grep '^stage' g.conf
	grep '^source' g.conf
	grep -e '->' g.conf
} >moved.conf
run 0 moved.conf
said "resuming \"$name\": run 2"
mv out.txt resumed.txt
run 0 g.conf
same out.txt resumed.txt
rm -f out.txt

# Killed again, and again while it resumes.
start g.conf
for i in 1 2 3; do
	until_true has_lines out.txt $((i * 300))
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	start g.conf
done
ended 0
same out.txt resumed.txt
rm -f out.txt

# --fresh gives up what is held.
start g.conf
until_true has_lines out.txt 100
kill -9 "$pid"
wait "$pid" 2>/dev/null
until_true no_process
rm -f out.txt
run 0 --fresh g.conf
said "--fresh: removing"
same out.txt resumed.txt

# An option that changes what a lane holds is refused by name.
rm -f out.txt
start g.conf
until_true has_lines out.txt 100
kill -9 "$pid"
wait "$pid" 2>/dev/null
until_true no_process
sed 's/^in -> middle.*/in -> middle buffer=4M\nmiddle -> out/' g.conf >larger.conf
run 100 larger.conf
said "in -> middle"
# Damage is said, and --fresh is the way out.
lane=$(find /dev/shm -name "streamz.$name.*.lane.0")
printf 'xxxxxxxx' | dd of="$lane" conv=notrunc status=none
run 111 g.conf
said "damaged"
run 0 --fresh -q g.conf
exit 0
