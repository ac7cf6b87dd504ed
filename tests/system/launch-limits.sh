#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A small /dev/shm, a control group's limit, no io_uring: an error that says what to do, or the fallback.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

seq 1000 >in.txt
cat >g.conf <<END
pipeline $name
source in file path=in.txt
sink out file path=out.txt mode=truncate
in -> out
END

# io_uring switched off: the same result on plain calls, said once.
export STREAMZ_NO_URING=1
run 0 g.conf
same in.txt out.txt
said "io_uring is switched off"
unset STREAMZ_NO_URING
if [ "$(id -u)" -eq 0 ] && [ -w /proc/sys/kernel/io_uring_disabled ] && [ "${STREAMZ_TEST_SYSCTL:-0}" = 1 ]; then
	before=$(cat /proc/sys/kernel/io_uring_disabled)
	echo 2 >/proc/sys/kernel/io_uring_disabled
	timeout 60 "$launch" g.conf 2>err
	status=$?
	echo "$before" >/proc/sys/kernel/io_uring_disabled
	[ "$status" -eq 0 ] || fail "io_uring_disabled=2: status $status"
	said "not permitted"
	same in.txt out.txt
else
	echo "kernel.io_uring_disabled is left alone (STREAMZ_TEST_SYSCTL=1 as root to try it)"
fi
rm -f out.txt

[ "$(id -u)" -eq 0 ] || skip "the rest needs root"

# in_small_shm SIZE COMMAND... : run it with another /dev/shm
in_small_shm() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -m bash -c 'mount -t tmpfs -o size=$1 none /dev/shm && shift && "$@"; status=$?
		ls -A /dev/shm >left; exit $status' - "$@"
}
if unshare -m true 2>/dev/null; then
	in_small_shm 1M "$launch" g.conf 2>err
	[ $? -eq 111 ] || fail "a full /dev/shm"
	said "/dev/shm has"
	said "largest edge"
	[ -s left ] && fail "left in the small /dev/shm: $(cat left)"
	[ -e out.txt ] && fail "something was started"
	in_small_shm 16M "$launch" -q g.conf || fail "a sufficient /dev/shm"
	same in.txt out.txt
	rm -f out.txt
else
	echo "no mount namespaces here: small /dev/shm not tried"
fi

# A memory control group, version 1 or 2
v1=/sys/fs/cgroup/memory
v2=/sys/fs/cgroup
group=
if [ -w $v1/memory.limit_in_bytes ] && mkdir "$v1/$name" 2>/dev/null; then
	group=$v1/$name
	echo 16M >"$group/memory.limit_in_bytes"
elif grep -qs memory $v2/cgroup.subtree_control && mkdir "$v2/$name" 2>/dev/null; then
	group=$v2/$name
	echo 16M >"$group/memory.max"
fi
if [ -n "$group" ]; then
	# shellcheck disable=SC2016 # expanded by the inner shell
	bash -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' - "$group" "$launch" \
		-e generate count=10 size=10 ! pass ! pass ! null 2>err
	status=$?
	rmdir "$group"
	[ "$status" -eq 111 ] || fail "over the control group's limit: status $status"
	said "memory limit of the control group"
	said "raise the limit"
else
	echo "no memory control group could be made: its limit not tried"
fi
exit 0
