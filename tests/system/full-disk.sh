#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A full disk: said once, held without effort, and gone on from when there is room, also across kills and a stop.
#
# The disk is a tmpfs in a mount namespace of our own.
if [ -z "${FULL_DISK_PRIVATE:-}" ]; then
	how=-m
	[ "$(id -u)" -eq 0 ] || how=-rm
	if ! unshare "$how" mount -t tmpfs none /mnt 2>/dev/null; then
		echo "no mount namespace to fill a disk in: not root, or not allowed"
		exit 77
	fi
	FULL_DISK_PRIVATE=1 exec unshare "$how" "$0" "$@"
fi
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

disk=/mnt out=/mnt/out.txt
hold="No space left on device: holding what arrives"

# Small: all of it waits in the sink. Large: more than sink and lane hold, so that the source has to wait as well.
seq -f 'record %g of a file that is small' 8000 >small.txt
seq -f 'record %g of a file that is larger than lanes and sinks' 80000 >large.txt
[ "$(stat -c %s large.txt)" -gt 3000000 ] || fail "large.txt is not large"

# graph FILE [OPTION...] : copy it to the disk
graph() {
	local file=$1
	shift
	cat >g.conf <<-END
		pipeline $name
		defaults source shutdown=1s
		defaults sink   shutdown=1s
		source in  file path=$dir/$file
		sink   out file path=$out $*
		in -> out
	END
}

# new_disk : 8 MiB, of which 100 KiB are free
new_disk() {
	umount "$disk" 2>/dev/null
	mount -t tmpfs -o size=8m none "$disk" || fail "cannot mount a tmpfs"
	head -c $((8 * 1048576 - 100 * 1024)) /dev/zero >"$disk/filler"
}

make_room() {
	rm "$disk/filler"
}

times_said() {
	[ ! -f err ] || grep -cF "$hold" err
}

# shellcheck disable=SC2317 # called by until_true
is_holding() {
	[ -f err ] && [ "$(times_said)" -ge "$1" ] && [ "$(df --output=avail "$disk" | tail -n 1)" -eq 0 ]
}

# CPU time of all our processes, in ticks of 10 ms
cpu_ticks() {
	local p
	for p in $(processes); do
		sed 's/.*) //' "/proc/$p/stat"
	done | awk '{ n += $12 + $13 } END { print n + 0 }'
}

pid_of() {
	"$BIN/streamz" stat --json "$name" | tr -d ' \n' | sed 's/{"stage":/\n&/g' | grep "^{\"stage\":\"$1\"" |
		sed 's/.*"pid":\([0-9]*\),.*/\1/'
}

starts_to_hold() {
	rm -f err # of the run before
	start g.conf
	until_true is_holding 1
}

has_ended() {
	! kill -0 "$pid" 2>/dev/null
}

for file in small.txt large.txt; do
	# Held: one message, no CPU time, no restart, no end. Both processes stay what they were.
	new_disk
	graph $file
	starts_to_hold
	sleep 0.5
	sink=$(pid_of out)
	before=$(cpu_ticks)
	[ "$(processes | wc -l)" -ge 2 ] || fail "$file: no processes to look at"
	sleep 2
	after=$(cpu_ticks)
	[ $((after - before)) -le 5 ] || fail "$file: $((after - before)) ticks of CPU time in 2 s of doing nothing"
	has_ended && fail "$file: it has ended"
	[ "$(pid_of out)" = "$sink" ] || fail "$file: the sink was restarted"
	[ "$(times_said)" -eq 1 ] || fail "$file: said $(times_said) times that the disk is full"
	# Room: it goes on by itself, and soon.
	make_room
	began=${EPOCHREALTIME/[.,]/}
	ended 0
	waited=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
	[ "$waited" -lt 2500 ] || fail "$file: it took $waited ms to find out that there is room"
	said "there is room again"
	said "audit: clean"
	grep -q restarted err && fail "$file: something was restarted"
	same $file "$out"

	# The sink is killed while it holds, four times over; each life says it once.
	for mode in append replace; do
		new_disk
		graph $file mode=$mode
		[ $mode = replace ] && sed -i "s|path=$out|path=$disk/other.txt|" g.conf
		starts_to_hold
		for i in 1 2 3 4; do
			kill -9 "$(pid_of out)"
			until_true is_holding $((i + 1))
		done
		sleep 0.5
		[ "$(times_said)" -eq 5 ] || fail "$file: 5 lives said $(times_said) times that the disk is full"
		has_ended && fail "$file: it has ended"
		[ "$(grep -c 'was killed by signal 9' err)" -eq 4 ] || fail "$file: other deaths than our four"
		make_room
		ended 0
		said "audit: clean"
		[ $mode = replace ] && out=$disk/other.txt
		same $file "$out"
		out=$disk/out.txt
	done

	# The launcher is killed while the sink holds: resumed on the full disk it holds again, then goes on.
	new_disk
	graph $file
	starts_to_hold
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	until_true no_process
	starts_to_hold
	said "resuming"
	make_room
	ended 0
	same $file "$out"

	# TERM: the deadline passes, the stage that is stuck is named, nothing is lost.
	new_disk
	graph $file
	starts_to_hold
	began=${EPOCHREALTIME/[.,]/}
	kill -TERM "$pid"
	ended 2
	waited=$(((${EPOCHREALTIME/[.,]/} - began) / 1000))
	grep -qE "not finished: (.*, )?out(,|\$)" err || fail "$file: the stage that is stuck is not named"
	if [ "$waited" -lt 900 ] || [ "$waited" -gt 3000 ]; then
		fail "$file: stopped after $waited ms, shutdown=1s"
	fi
	said "start the same graph again"
	make_room
	run 0 g.conf
	said "resuming"
	said "audit: clean"
	same $file "$out"
done
umount "$disk"

# Not even the file can be created: the sink gives up, and is resumed when it can.
mount -t tmpfs -o size=8m,nr_inodes=2 none "$disk" || fail "cannot mount a tmpfs"
touch "$disk/filler"
graph small.txt
run 1 g.conf
said "$out: No space left on device"
# The others, which may just be starting, are stopped, not killed: by chance, so time and again.
for ((i = 0; i < 100; i++)); do
	run 1 --name "$name-$i" -e generate count=5 ! file path="$out"
	grep -q 'killed by signal' err && fail "a stage that was starting was killed"
done
make_room
run 0 g.conf
said "resuming"
same small.txt "$out"
umount "$disk"
exit 0
