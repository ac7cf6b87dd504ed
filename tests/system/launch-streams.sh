#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# stdin and stdout of a pipeline that is resumed: whatever they are the second time, the stream goes on where it was.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# dead_launcher : kill -9 it, and see its workers leave
dead_launcher() {
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	until_true no_process
}

# stdout: a file, then another one; a file, then the same one emptied by `>`; a file appended to; a pipe.
cat >out.conf <<END
pipeline $name
source in generate count=3000 rate=5000/s size=20
sink out stdout
in -> out
END
"$launch" -q -e generate count=3000 size=20 ! stdout >want || fail "the undisturbed run"
for second in other same append pipe; do
	rm -f first second
	if [ "$second" = append ]; then
		"$launch" -q out.conf >>first 2>err &
	else
		"$launch" -q out.conf >first 2>err &
	fi
	pid=$!
	until_true has_lines first 200
	dead_launcher
	case $second in
	other) "$launch" -q out.conf >second 2>err || fail "resume" ;;
	same)
		cp first kept
		"$launch" -q out.conf >first 2>err || fail "resume"
		mv first second
		mv kept first
		;;
	append)
		"$launch" -q out.conf >>first 2>err || fail "resume"
		: >second
		;;
	pipe) "$launch" -q out.conf 2>err | cat >second ;;
	esac
	cat first second >got
	cmp want got || fail "stdout, then $second: the stream does not go on"
done

# stdin: a pipe, then a file with the rest; a file, then the same file again.
cat >in.conf <<END
pipeline $name
source in stdin
stage slow delay time=100us
sink out file path=out.txt
in -> slow -> out
END
seq 1 1000 >want
seq 501 1000 >rest
mkfifo pipe
exec 3<>pipe
"$launch" -q in.conf <pipe 2>err &
pid=$!
seq 1 500 >&3
until_true has_lines out.txt 500
dead_launcher
exec 3<&-
"$launch" -q in.conf <rest 2>err || fail "resume"
same want out.txt

rm out.txt
"$launch" -q in.conf <want 2>err &
pid=$!
until_true has_lines out.txt 100
dead_launcher
"$launch" -q in.conf <want 2>err || fail "resume"
same want out.txt
