#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Every numbered example runs from its folder and does what its comments and examples/README.md say.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

examples=$here/examples
data=$examples/data
conf= # the example that is being tried
export LC_ALL=C OUT=$dir

listing() {
	find "$examples" "$data" -maxdepth 1 -type f -printf '%p %s\n' | sort
}

# try STATUS ARG... : run it in its folder, with its output in ours
try() {
	local want=$1 got
	shift
	(cd "$examples" && exec timeout -s KILL 60 "$launch" --name "$name" "$@" "$conf") 2>err
	got=$?
	[ "$got" -eq "$want" ] || fail "$conf: exit status $got, expected $want"
}

# try_start ARG... : the same in the background
try_start() {
	(cd "$examples" && exec "$launch" --name "$name" "$@" "$conf") 2>err &
	pid=$!
}

# as_told N : run the Nth command that the comments tell, on our pipeline
as_told() {
	local command
	command=$(sed -n 's/^#\t\(.*streamz-launch .*[^&]\)$/\1/p' "$examples/$conf" | sed -n "$1p")
	[ -n "$command" ] || fail "$conf: there is no command $1 in its comments"
	command=${command/streamz-launch/"'$launch' --name '$name'"}
	(cd "$examples" && eval "set -o pipefail; $command") 2>err || fail "$conf: $command"
}

# a number of one stage, or with A:B of one edge, from a report or from streamz stat --json
number() {
	local who=$1 member=$2 from=$3 is
	case $who in
	*:*) is="\"from\":\"${who%:*}\",\"port\":\"\",\"to\":\"${who#*:}\"" ;;
	*) is="\"stage\":\"$who\"" ;;
	esac
	tr -d ' \n' <"$from" | sed 's/{"stage":/\n&/g; s/{"from":/\n&/g; s/"lanes":/\n/g' | grep -F "$is" | head -n 1 |
		grep -o "\"$member\":[^,}]*" | head -n 1 | cut -d: -f2
}

equal() {
	[ "$1" = "$2" ] || fail "$conf: $3 is \"$1\", expected \"$2\""
}

fewer_lines() {
	[ "$(wc -l <"$1")" -lt "$2" ] || fail "$conf: too late to see anything, $1 has $(wc -l <"$1") lines"
}

# As file sources take it, and grep: the last line of a file counts without its newline.
lines_of() {
	awk 1 "$@"
}

example_01() {
	cp "$data/OpenSSH.log" "$examples/$conf" .
	run 0 -q --name "$name" "$conf"
	grep -F 'Failed password' OpenSSH.log |
		sed -E 's/^(.{15}).* for (invalid user )?(.*) from ([^ ]+) port .*/\1 \4 \3/' >want
	same want attackers.log
}

example_02() {
	try 0 -q
	grep -F '[error]' "$data/Apache.log" >want
	same want apache-errors.log
	grep -vF '[error]' "$data/Apache.log" >want
	same want apache-others.log
	lines_of "$data/Apache.log" >want
	same want apache-all.log
}

example_03() {
	try 0 -q
	grep -hi fail "$data/HDFS.log" "$data/OpenSSH.log" >want
	grep -v ' combo ' failures.log >got
	same want got
	grep -i fail "$data/Linux.log" >want
	grep ' combo ' failures.log >got
	same want got
}

example_04() {
	sed -E 's/^\[[^]]*\] \[([^]]*)\].*/\1/' "$data/Apache.log" | lines_of >want
	as_told 2 >got
	same want got
	grep -qv '^streamz-launch: warning: ' err && fail "$conf: more than warnings in spite of -q"
	sort want | uniq -c >want.counts
	as_told 1 >got
	same want.counts got
	# More than pipes and lanes hold, so that the pipeline has to notice that head has gone.
	"$data/expand" 16 >big.log
	try 0 -q <big.log | head -n 1 >got
	equal "${PIPESTATUS[0]}" 0 "the exit status after head"
	equal "$(wc -l <got)" 1 "head's output"
}

example_05() {
	local f=hdfs-failed.ndjson
	try 0 -q --report json
	awk 'length($0) <= 300 && length("hdfs: " $0) <= 300 { print "hdfs: " $0 }' "$data/HDFS.log" >want
	same want hdfs.log
	equal "$(wc -l <$f)" 3 "the number of failed records"
	# By size and position
	awk 'length($0) > 300 { print "line of " length($0) " bytes at offset " at + 0 " is" } { at += length($0) + 1 }' \
		"$data/HDFS.log" >want
	equal "$(wc -l <want)" 2 "the number of long lines"
	grep '"stage":"log"' $f | grep -o 'line of [0-9]* bytes at offset [0-9]* is' >got
	same want got
	grep '"stage":"log"' $f | grep -q '"record"' && fail "$conf: a line that is too long was kept"
	# As a whole
	awk 'length($0) <= 300 && length("hdfs: " $0) > 300' "$data/HDFS.log" >want
	sed -n 's/.*"stage":"mark".*"record":"\(.*\)"}$/\1/p' $f >got
	same want got

	equal "$(number log failed err)" 2 "log's count of failed records"
	equal "$(number mark failed err)" 1 "mark's count of failed records"
	try 3 --strict

	# Not wired: the quarantine file, in the folder of the start, told at the start
	head -n -2 "$examples/$conf" | sed "s|\${HERE}|$examples|" >unwired.conf
	run 0 --name "$name" unwired.conf
	said "$name.failed.ndjson"
	for f in hdfs-failed.ndjson "$name.failed.ndjson"; do
		sed 's/"time":"[^"]*",//; s/"error":"[^"]*HDFS.log:/"error":"HDFS.log:/' "$f" | sort >"$f.cut"
	done
	same hdfs-failed.ndjson.cut "$name.failed.ndjson.cut"
}

# variables SSH_LOG WEB : what 06 makes of these
variables() {
	grep -F 'Failed password' "$1" | sed 's/^/Failed password: /' >want
	grep '^Failed password: ' variables.log >got
	same want got
	grep -F "[$2]" "$data/Apache.log" | sed "s/^/apache $2: /" >want
	grep "^apache $2: " variables.log >got
	same want got
	equal "$(wc -l <variables.log)" \
		"$(($(grep -cF 'Failed password' "$1") + $(grep -cF "[$2]" "$data/Apache.log")))" "the number of records"
}

example_06() {
	as_told 1
	variables "$data/OpenSSH.log" error
	as_told 2
	variables "$data/OpenSSH.log" notice
	as_told 3
	variables "$data/Linux.log" error
	# The include's argument and --set go before the let.
	try 0 -q --set LABEL=found
	equal "$(grep -vc '^found: ' variables.log)" 0 "the number of records without the label of --set"
}

example_07() {
	local fill out=slow-consumer.txt
	seq 0 999 >want
	try_start -q
	until_true has_lines $out 100
	"$BIN/streamz" stat --json "$name" >numbers
	fewer_lines $out 800
	fill=$(number in:slow records numbers)
	if [ "$fill" -lt 20 ] || [ "$fill" -gt 50 ]; then
		fail "$conf: $fill records wait, expected about 50"
	fi
	equal "$(number in state numbers)" '"running"' "the state of the source"
	ended 0
	same want $out
	rm $out

	# With room for all, the source has ended long before the rest.
	sed -n 's/^#\tstreamz-launch --set \(ROOM=[0-9]*\) .*/\1/p' "$examples/$conf" >room
	try_start -q --set "$(cat room)"
	until_true has_lines $out 100
	"$BIN/streamz" stat --json "$name" >numbers
	fewer_lines $out 800
	equal "$(number in records_out numbers)" 1000 "the number of records the source has put out"
	equal "$(number in state numbers)" '"ended"' "the state of the source"
	ended 0
	same want $out
}

example_08() {
	local dropped taken
	try 0 -q --report json
	seq 0 4999 >want
	same want drop-all.txt
	dropped=$(number in newest err)
	taken=$(number slow records_in err)
	equal $((dropped + taken)) 5000 "dropped and taken together"
	[ "$dropped" -gt 1000 ] || fail "$conf: only $dropped dropped"
	equal "$(wc -l <drop-some.txt)" "$taken" "the number of records behind the slow stage"
	sort -nu drop-some.txt >got
	same drop-some.txt got
	# The newest are dropped, not the oldest: the first that wait are all there.
	head -n 50 want >want.first
	head -n 50 drop-some.txt >got
	same want.first got
}

example_09() {
	local inode_truncate inode_replace mode
	lines_of "$data/OpenSSH.log" >log
	for mode in append truncate replace; do
		echo 'this was here before' >mode-$mode.log
	done
	inode_truncate=$(stat -c %i mode-truncate.log)
	exec 9<mode-replace.log # the old file stays, so its number is not used again
	inode_replace=$(stat -c %i mode-replace.log)
	try 0
	said "mode-append.log holds 21 bytes already"
	same log mode-truncate.log
	same log mode-new.log
	same log mode-replace.log
	{
		echo 'this was here before'
		cat log
	} >want
	same want mode-append.log
	equal "$(stat -c %i mode-truncate.log)" "$inode_truncate" "the file number after mode=truncate"
	[ "$(stat -c %i mode-replace.log)" != "$inode_replace" ] || fail "$conf: mode=replace wrote into the old file"
	exec 9<&-

	# Again: refused before anything is done
	try 100
	said "mode-new.log exists already"
	same want mode-append.log
	same log mode-truncate.log

	rm mode-new.log
	try 0
	cat log >>want
	same want mode-append.log
	same log mode-truncate.log
	same log mode-new.log
	same log mode-replace.log

	# While it runs, the old one is whole.
	rm mode-new.log
	sed 's/^source .*/source log generate count=1000 rate=1000/' "$examples/$conf" >slow.conf
	start -q --name "$name" slow.conf
	until_true has_lines mode-new.log 100
	same log mode-replace.log
	fewer_lines mode-new.log 1000
	ended 0
	seq 0 999 >want
	same want mode-replace.log
}

example_10() {
	local out=resumed.log
	try_start
	until_true has_lines $out 200
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	until_true no_process
	fewer_lines $out 1500
	"$BIN/streamz" ls >list
	grep -q "^$name  *dead" list || fail "$conf: streamz ls does not say that it is dead: $(cat list)"

	try_start
	until_true has_lines $out 600
	said "resuming"
	kill_workers
	until_true has_lines $out 800
	said "was killed by signal 9"
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	until_true no_process
	fewer_lines $out 1900
	try 0
	said "resuming"
	said "audit: clean"
	same "$data/HDFS.log" $out

	rm $out
	try_start -q
	until_true has_lines $out 100
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	until_true no_process
	try 0 --fresh
	said "--fresh: removing"
	same "$data/HDFS.log" $out
}

check() {
	case $conf in
	01-*) example_01 ;;
	02-*) example_02 ;;
	03-*) example_03 ;;
	04-*) example_04 ;;
	05-*) example_05 ;;
	06-*) example_06 ;;
	07-*) example_07 ;;
	08-*) example_08 ;;
	09-*) example_09 ;;
	10-*) example_10 ;;
	*) fail "$conf: this test does not know it" ;;
	esac
}

listing >before
checked=0
for file in "$examples"/[0-9]*.conf; do
	conf=${file##*/}
	grep -qF "[$conf]($conf)" "$examples/README.md" || fail "$conf: not in examples/README.md"
	echo "$conf"
	check
	[ -z "$(objects)" ] || fail "$conf: left $(objects)"
	checked=$((checked + 1))
done
equal "$checked" 10 "the number of examples"
# Nothing was written into the tree.
listing >after
same before after
exit 0
