#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bench.sh - measure; prints metric<TAB>value<TAB>unit, medians of RUNS runs (default 5), ours and the peers' in turn
#
# Compare ratios, not single figures: machines are shared. MB is 10^6 bytes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
bin=${BIN:-$here/../../build/bin}
tests=${TESTBIN:-$here/../../build/tests}
data=$here/../../examples/data
runs=${RUNS:-5}
megabytes=${MEGABYTES:-512}
work=$(mktemp -d /dev/shm/bench.XXXXXX)
trap 'rm -rf "$work"' EXIT

declare -A sample

note() { # note NAME VALUE
	sample[$1]="${sample[$1]:-} $2"
}

median() {
	tr ' ' '\n' <<<"$1" | grep . | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

show() { # show NAME UNIT
	printf '%s\t%s\t%s\n' "$1" "$(median "${sample[$1]}")" "$2"
}

seconds() { # seconds COMMAND...
	local start end
	start=$(date +%s.%N)
	"$@" >&2
	end=$(date +%s.%N)
	awk -v a="$start" -v b="$end" 'BEGIN { printf "%.4f", b - a }'
}

calc() {
	awk "BEGIN { printf \"%.4g\", $1 }"
}

ring() { # ring BYTES RECORDS -> M/s
	"$tests/ring_limit" 1024 "$1" "$2" 64 | sed -E 's/.*: ([0-9.]+) M\/s.*/\1/'
}

# Hops: bare ring and ours in turn.
for ((i = 0; i < runs; i++)); do
	note bare_64B_rate "$(ring 64 20000000)"
	note hop_64B_rate "$("$tests/hop" rate 64 20000000)"
	note bare_1K_rate "$(calc "$(ring 1024 3000000) * 1024 / 1000")"
	note hop_1K_rate "$(calc "$("$tests/hop" rate 1024 3000000) * 1024 / 1000")"
	note commit_cost "$("$tests/hop" commit 20000000)"
	note pingpong_spin "$("$tests/hop" pingpong 500000)"
	note wake_parked "$("$tests/hop" wake 20000)"
done
show hop_64B_rate M/s
show bare_64B_rate M/s
show hop_1K_rate GB/s
show bare_1K_rate GB/s
show commit_cost ns
show pingpong_spin ns
show wake_parked ns

# Five pass-through stages, processes all: from the source through six lanes to the sink.
records=10000000
cat >"$work/chain.conf" <<CONF
pipeline bench-chain
source g generate count=$records size=64
stage a pass
stage b pass
stage c pass
stage d pass
stage e pass
sink n null
g -> a -> b -> c -> d -> e -> n
CONF
for ((i = 0; i < runs; i++)); do
	t=$(seconds "$bin/streamz-launch" -q "$work/chain.conf")
	note chain5_per_hop "$(calc "$t * 1e9 / $records / 6")"
done
show chain5_per_hop ns

# The sample logs repeated, from memory to memory: what is measured is the pipeline, not the disk.
"$data/expand" "$megabytes" >"$work/in.log"
size=$(stat -c %s "$work/in.log")
cat >"$work/file.conf" <<CONF
pipeline bench-file
source in file path=$work/in.log
stage keep filter match='Failed password'
sink out file path=$work/out.log mode=truncate
in -> keep -> out
CONF
grep_file() { grep -F 'Failed password' "$work/in.log" >"$work/grep.log"; }
pipe_file() {
	# shellcheck disable=SC2002 # that is the peer
	cat "$work/in.log" | grep -F 'Failed password' | cat >"$work/pipe.log"
}
for ((i = 0; i < runs; i++)); do
	note file_filter_file "$(calc "$size / 1e6 / $(seconds "$bin/streamz-launch" -q "$work/file.conf")")"
	note grep_file "$(calc "$size / 1e6 / $(seconds grep_file)")"
	note cat_grep_cat "$(calc "$size / 1e6 / $(seconds pipe_file)")"
	cmp "$work/out.log" "$work/grep.log"
done
show file_filter_file MB/s
show grep_file MB/s
show cat_grep_cat MB/s
