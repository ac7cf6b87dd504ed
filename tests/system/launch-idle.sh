#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A pipeline at rest costs nothing: all its processes together, and no descriptor leaks over many restarts.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

mkfifo pipe
cat >g.conf <<END
pipeline $name
source in stdin
stage some filter match=x
sink out file path=out.txt
in -> some -> out
END
"$launch" g.conf <pipe 2>err &
pid=$!
exec 9>pipe
echo "x 1" >&9
until_true has_lines out.txt 1

family() { echo "$pid $(cat "/proc/$pid/task/$pid/children")"; }
# In nanoseconds; /proc/PID/stat counts only whole ticks.
cpu_ns() {
	local sum=0 p
	for p in $(family); do
		sum=$((sum + $(cut -d ' ' -f 1 "/proc/$p/schedstat")))
	done
	echo "$sum"
}
sleep 0.5
before=$(cpu_ns)
sleep 10
after=$(cpu_ns)
echo "CPU in 10 s at rest: $(((after - before) / 1000)) us"
[ $((after - before)) -lt 10000000 ] || fail "$((after - before)) ns of CPU in 10 s at rest"

fds=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)
for i in $(seq 2 20); do
	kill_workers
	echo "x $i" >&9
	until_true has_lines out.txt "$i"
done
sleep 0.3
now=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)
[ "$now" -le "$fds" ] || fail "$now descriptors, $fds before"
exec 9>&-
ended 0
seq -f 'x %g' 20 >want.txt
same out.txt want.txt
exit 0
