#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What one call of a stage may emit has to fit into the lanes behind it: planned for, or refused where buffer= says less.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# All that the planner hears of a stage program is text, so a script can speak it.
cat >burst <<'END'
#!/bin/sh
case "$1" in
--describe) printf 'type\tburst\tstage\t0\temits up to 40 records a call\nend\n' ;;
--check) printf 'need\tstate\t0\nneed\tjournal\t0\nneed\tarena\t0\nneed\troom\t40\n' ;;
esac
END
chmod +x burst

graph() { # graph EDGE-OPTIONS
	cat >g.conf <<-END
		pipeline $name
		source in generate count=1
		stage burst ./burst
		sink out null
		in -> burst
		burst -> out $1
	END
}

graph ""
"$launch" --check g.conf >plan 2>err || fail "--check refused it"
grep -q '^burst -> out  *block  *1  *4M' plan || fail "a lane for 40 records of 64K should take 4M: $(cat plan)"
grep -q '^in -> burst  *block  *1  *1M' plan || fail "the lane before it should be as ever: $(cat plan)"

graph buffer=39
run 100 --check g.conf
said '"burst" may emit 40 records at once: expected room for as many, 40 or more'
graph buffer=40
run 0 --check g.conf
graph buffer=1M
run 100 --check g.conf
said 'expected room for 40 of them'
graph "buffer=39 overflow=drop_newest"
run 0 --check g.conf
