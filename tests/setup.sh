#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# setup.sh [build|test|lint] - install the Debian packages that are missing, and say which. Nothing missing: no output.
set -eu

build="gcc libc6-dev make libbsd-dev liburing-dev libpcre2-dev libjansson-dev"
test="$build libcmocka-dev pkg-config python3"
lint="$test clang clang-format clang-tidy cppcheck shellcheck mandoc libclang-rt-14-dev g++"

case "${1:-build}" in
build) want=$build ;;
test) want=$test ;;
lint) want=$lint ;;
*)
	echo "usage: setup.sh [build|test|lint]" >&2
	exit 100
	;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "setup: not a Debian system: make sure that these are installed (Debian names): $want" >&2
	exit 0
fi

missing=
for package in $want; do
	case "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)" in
	*" installed") ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
	command -v sudo >/dev/null 2>&1 || {
		echo "setup: these packages are missing and only root can install them:$missing" >&2
		exit 1
	}
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
	$sudo apt-get update -q
	$sudo apt-get install -y -q --no-install-recommends $missing
}
