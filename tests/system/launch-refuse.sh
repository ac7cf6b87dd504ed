#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What cannot work is refused before anything starts, with the right status and nothing half-started.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

seq 1000 >in.txt
nothing_started() {
	[ -z "$(objects)" ] || fail "objects after a refusal: $(objects)"
	[ ! -e out.txt ] || fail "out.txt was made by a refused graph"
}

graph() { # SOURCE-PATH SINK-OPTIONS PIPELINE-OPTIONS
	cat >g.conf <<-END
		pipeline $name $3
		source in file path=$1
		sink out file path=out.txt $2
		in -> out
	END
}

graph missing.txt "" ""
run 100 g.conf
said "missing.txt"
said "g.conf:2:"
nothing_started
graph "$dir" "" ""
run 100 g.conf
said "directory"
nothing_started
graph in.txt "" ""
run 100 missing.conf
said "missing.conf"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	install -m 000 in.txt secret.txt
	chmod 755 "$dir"
	graph secret.txt "" ""
	setpriv --reuid=65534 --clear-groups "$launch" g.conf 2>err
	[ $? -eq 100 ] || fail "an unreadable input"
	said "secret.txt"
	nothing_started
fi

# All stages' mistakes in one go.
cat >g.conf <<END
pipeline $name
source in file path=missing.txt
stage x filter regex='(' 
sink out file path=/nowhere/at/all
in -> x -> out
END
run 100 g.conf
said "g.conf:2:"
said "g.conf:3:"
said "g.conf:4:"

# Two sinks on one path; a file that is read and written.
cat >g.conf <<END
pipeline $name
source in file path=in.txt
sink a file path=out.txt
sink b file path=./out.txt
in -> a, b
END
run 100 g.conf
said "written by"
nothing_started
cat >g.conf <<END
pipeline $name
source in file path=in.txt
sink out file path=in.txt
in -> out
END
run 100 g.conf
said "in.txt is"

# memory= and buffers
graph in.txt "" "memory=4M"
run 100 g.conf
said "the plan takes"
said "largest edge"
run 100 --check g.conf
nothing_started
graph in.txt "" ""
sed -i 's/^in -> out/& buffer=64K/' g.conf
run 100 g.conf
said "half a lane"
nothing_started

# Plug-ins and executables that are none
cat >plug.conf <<END
pipeline $name
source in file path=in.txt
stage p ./none.so
sink out file path=out.txt
in -> p -> out
END
run 100 plug.conf
said "none.so"
echo "not a shared object" >none.so
run 100 plug.conf
said "none.so"
sed -i 's|none.so|program|' plug.conf
run 100 plug.conf
said "program"
printf 'no program at all' >program
chmod +x program
run 100 plug.conf
said "cannot execute"
printf '#!/bin/sh\nexit 7\n' >program
run 100 plug.conf
said "exited with status 7"
nothing_started

# The stage program itself
STREAMZ_STAGE=/nowhere run 111 g.conf
said "STREAMZ_STAGE"
exit 0
