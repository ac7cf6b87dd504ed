#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# make install into a folder of its own: what is there, a pipeline with the installed programs, stages built out of the
# tree with pkg-config alone, make uninstall.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

root=$dir/root
prefix=/opt/streamz
at=$root$prefix
make_here() {
	# Not a part of the make that runs the tests: its job slots are its own. Compiler and flags come in the environment.
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s --no-print-directory -C "$here" B="${BIN%/bin}" DESTDIR="$root" prefix="$prefix" "$@" \
		>>"$dir/err.make" 2>&1 || fail "make $*"
}
unset STREAMZ_STAGE
make_here install

for file in bin/streamz bin/streamz-launch libexec/streamz/streamz-stage include/streamz/stage.h lib/libstreamz.a \
	lib/libstreamz.so.0 lib/libstreamz.so lib/pkgconfig/streamz.pc share/man/man1/streamz.1 share/man/man5/graph.conf.5 \
	share/man/man7/streamz-stages.7 share/bash-completion/completions/streamz-launch \
	lib/systemd/system/streamz@.service share/doc/streamz/LICENSE share/doc/streamz/examples/01-filter-and-rewrite.conf; do
	[ -s "$at/$file" ] || fail "not installed: $file"
done
grep -rlF -e @prefix@ -e @bindir@ -e @TYPES@ "$at/lib/pkgconfig" "$at/lib/systemd" "$at/share/man" && fail "not filled in"
grep -qx "ExecStart=$prefix/bin/streamz-launch .*" "$at/lib/systemd/system/streamz@.service" || fail "unit: ExecStart"
grep -q 'max_record' "$at/share/man/man7/streamz-stages.7" || fail "streamz-stages(7) without types"

# The host has the whole runtime for plug-ins, not only what it calls itself.
missing=$(comm -23 <(nm -D --defined-only "$at/lib/libstreamz.so" | awk '{ print $3 }' | sort) \
	<(nm -D --defined-only "$at/libexec/streamz/streamz-stage" | awk '{ print $3 }' | sort))
[ -z "$missing" ] || fail "streamz-stage does not export $missing"

PATH=$at/bin:$PATH
streamz types file >out || fail "streamz types"
seq 1000 >in
streamz-launch -q -e file path=in ! filter match=7 ! file path=out mode=truncate 2>err || fail "a pipeline, installed"
cmp -s out <(grep 7 in) || fail "a pipeline, installed: wrong output"

# As a stranger: no path into the tree, only pkg-config; a plug-in, and programs with the shared and the static library.
command -v pkg-config >/dev/null || skip "installed, and runs; no pkg-config to build stages with"
export PKG_CONFIG_PATH=$at/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root LD_LIBRARY_PATH=$at/lib
cc=${CC:-cc}
cat >own.c <<'END'
#include <streamz/stage.h>
static int own_record(struct sz_stage *s, const struct sz_record *r)
{
	sz_emit(s, 0, r->data, r->len);
	return SZ_OK;
}
static const struct sz_stage_ops own = {
	.api = SZ_STAGE_API, .name = "own", .role = SZ_TRANSFORM, .summary = "hand on", .record = own_record,
};
const struct sz_stage_ops *const sz_stage_types[] = { &own, NULL };
#ifdef PROGRAM
int main(int argc, char **argv)
{
	return sz_stage_main(argc, argv, sz_stage_types);
}
#endif
END
flags="-std=c11 -Wall -Wextra -Werror own.c"
# shellcheck disable=SC2046,SC2086 # lists of options
{
	$cc -shared -fPIC $(pkg-config --cflags streamz) -o own.so $flags 2>err || fail "a plug-in does not build"
	$cc -DPROGRAM $(pkg-config --cflags streamz) -o own-shared $flags $(pkg-config --libs streamz) 2>err ||
		fail "a program with the shared library does not build"
	$cc -DPROGRAM $(pkg-config --cflags streamz) -o own-static $flags "$at/lib/libstreamz.a" \
		$(pkg-config --static --libs streamz | sed 's/-lstreamz//') 2>err || fail "a program with the static library does not build"
}
readelf -d own-shared | grep -q 'libstreamz.so.0' || fail "own-shared is not linked to libstreamz.so.0"
for type in ./own.so ./own-shared ./own-static; do
	rm -f out
	streamz types "$type" >table 2>err || fail "streamz types $type"
	grep -q "hand on" table || fail "streamz types $type does not describe it"
	streamz-launch -q -e file path=in ! "$type" ! file path=out 2>err || fail "a pipeline with $type"
	cmp -s in out || fail "a pipeline with $type: wrong output"
done

# The examples that are built out of the tree.
tried=0
for example in plugin program; do
	[ -e "$here/examples/$example/Makefile" ] || {
		echo "examples/$example is missing"
		continue
	}
	cp -R "$here/examples/$example" "$dir/$example"
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -C "$dir/$example" >"$dir/err.$example" 2>&1 || fail "examples/$example does not build"
	product=$(find "$dir/$example" -type f -perm -100 ! -name '*.o')
	streamz types "$product" >table 2>err || fail "streamz types $product"
	tried=$((tried + 1))
done
if [ -x plugin/upper.so ]; then
	sed 's/^/line /' in >lines
	streamz-launch -q -e file path=lines ! plugin/upper.so ! file path=out mode=truncate 2>err || fail "a pipeline with examples/plugin"
	cmp -s out <(tr '[:lower:]' '[:upper:]' <lines) || fail "a pipeline with examples/plugin: wrong output"
fi

make_here uninstall
left=$(find "$root" ! -type d)
[ -z "$left" ] || fail "make uninstall left $left"
[ "$tried" -eq 2 ] || skip "installed, ran, uninstalled; an example is missing"
