#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Files of all sizes around the size of a read come out as they went in, byte for byte, once.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

seq -f 'line %g of a file whose end is near the end of a read' 40000 >all.txt
for size in 0 1 53 131071 131072 131073 200000 262144 393216 524287 524288 524289 655360 1048576 1188894 2000000; do
	head -c "$size" all.txt >in.txt
	# The last line counts with or without its newline; a sink writes one.
	cp in.txt want.txt
	[ "$size" -eq 0 ] || [ -z "$(tail -c 1 in.txt)" ] || echo >>want.txt
	for i in 1 2 3; do
		run 0 -q --name "$name-$i" -e file path=in.txt ! file path=out.txt mode=truncate
		cmp want.txt out.txt || fail "$size bytes"
	done
done
exit 0
