#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Files under several names, closed descriptors, small limits, damaged left-overs: refused with a reason, nothing lost.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

seq 1000 >in.txt
graph() { # SOURCE-PATH SINK...
	local source=$1 i=0
	shift
	printf 'pipeline %s\nsource in file path=%s\n' "$name" "$source"
	for sink; do
		i=$((i + 1))
		printf 'sink out%d %s\nin -> out%d\n' $i "$sink" $i
	done
}

# One file by two names: a hard link, a link that leads to nothing yet, standard input and output.
ln in.txt hard.txt
graph in.txt "file path=hard.txt" >g.conf
run 100 g.conf
said "is written by \"out1\" and read by \"in\""
same in.txt hard.txt
ln -s later.txt link.txt
graph in.txt "file path=later.txt" "file path=link.txt" >g.conf
run 100 g.conf
said "is written by \"out2\" and written by \"out1\""
[ ! -e later.txt ] || fail "later.txt was made by a refused graph"
graph in.txt stdout "file path=both.txt" >g.conf
run 100 g.conf >both.txt
said "is written by \"out2\" and written by \"out1\""
cp in.txt self.txt
run 100 -e file path=self.txt ! stdout >>self.txt
run 100 -e stdin ! file path=self.txt <self.txt
said "is written by \"file\" and read by \"stdin\""
same in.txt self.txt

# A file named like a pattern
cp in.txt 'in[1].txt'
run 0 -e file path='in[1].txt' ! file path=out.txt
same in.txt out.txt
rm -f out.txt

# A replacement is read to its end.
# shellcheck disable=SC2016 # a group, not a variable
run 100 -e file path=in.txt ! map regex='(1)' replace='one: $2' ! null
said "unknown substring"
run 100 -e file path=in.txt ! map regex='(1)' replace='one$' ! null
said "invalid replacement"

# Names too long for the temporary file
long=$(printf 'n%.0s' $(seq 250))
graph in.txt "file path=$long mode=replace" >g.conf
run 100 g.conf
said "too long for mode=replace"

# Closed standard descriptors: of no matter, unless they are the data.
graph in.txt "file path=out.txt mode=truncate" >g.conf
for closed in '<&-' '>&-' '2>&-' '<&- >&- 2>&-'; do
	rm -f out.txt
	eval "timeout -s KILL 60 \"$launch\" -q g.conf $closed" || fail "$closed: exit status $?"
	same in.txt out.txt
done
run 1 -e stdin ! null <&-
said "standard input: Bad file descriptor"
run 1 -e file path=in.txt ! stdout >&-
said "standard output: write failed: Bad file descriptor"

# Few descriptors: the limit is raised as far as it may be, else said at once.
(ulimit -n 20 && run 111 g.conf) || exit 1
said "raise the limit (ulimit -n)"
[ -z "$(objects)" ] || fail "objects after a refusal: $(objects)"
(ulimit -Sn 20 && run 0 g.conf) || exit 1
# RLIMIT_FSIZE counts for shared memory as well.
bash -c 'ulimit -f 1 && exec "$@"' - timeout -s KILL 60 "$launch" g.conf 2>&1 | cat >err
[ "${PIPESTATUS[0]}" -eq 111 ] || fail "RLIMIT_FSIZE"
said "File too large"
[ -z "$(objects)" ] || fail "objects after a refusal: $(objects)"

# A run that was killed: the graph is named by its full path, what is held is counted everywhere alike.
cat >slow.conf <<END
pipeline $name
source in file path=in.txt
stage slow delay time=10ms
sink out file path=slow.txt
in -> slow -> out
END
"$launch" -q slow.conf 2>err &
pid=$!
until_true test -s slow.txt
kill -9 $pid
wait $pid 2>/dev/null
until_true test -z "$(processes)"
"$BIN/streamz" ls --json >ls.json
grep -qF "\"$dir/slow.conf\"" ls.json || fail "ls names the graph as $(grep graph ls.json)"
held=$("$BIN/streamz" rm "$name" 2>&1 | sed -n 's/.* holds \([0-9]*\) .*/\1/p')
run 100 g.conf
said "holds $held record"
# The output is gone or another file: nothing is lost, and it is said what to do.
mv slow.txt kept.txt
run 1 slow.conf
said "slow.txt, with"
said "is gone: put it back, or begin anew with --fresh"
cp kept.txt slow.txt
run 1 slow.conf
said "is not the file that was written before: put it back"
mv kept.txt slow.txt
sed -i 's/10ms/0/' slow.conf
run 0 slow.conf
said "it holds"
same in.txt slow.txt

# A full output is moved away, again and again, until all is there.
graph in.txt "file path=part.txt max_size=1K" >full.conf
for i in 1 2 3; do
	run 1 full.conf
	said "part.txt is full: max_size=1K; look at what is in it, move it away, and start again"
	run 1 full.conf # nothing was moved
	said "part.txt is full"
	[ "$(stat -c %s part.txt)" -gt 1000 ] || fail "part.txt is not full"
	mv part.txt part$i.txt
done
run 0 full.conf
cat part1.txt part2.txt part3.txt part.txt >whole.txt
same in.txt whole.txt

# A damaged ctl
head -c 4096 /dev/urandom >"/dev/shm/streamz.$name.$(id -u).ctl"
run 111 g.conf
said "is damaged or of another version"
run 0 --fresh g.conf
exit 0
