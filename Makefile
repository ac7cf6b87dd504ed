# SPDX-License-Identifier: BSD-2-Clause
#
# One non-recursive Makefile plus a fragment (rules.mk) a folder. `make help` lists the targets.
#
# A fragment declares programs, libraries and objects through a few variables:
#   lib_src            sources of libstreamz (shared memory + runtime), installed for out-of-tree stages
#   PROG_src, PROG_libs and a word in `programs`        a program built to build/bin/PROG
#   test_programs      likewise; built by `make test`, to build/tests/PROG
#
# SAN=asan|tsan builds with that sanitizer in a folder of its own.

.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules

VERSION := 0.1.0
CC      ?= cc
ifeq ($(origin CC),default)
CC      := cc
endif
AR      ?= ar
SAN     ?=
B       := build$(if $(SAN),/$(SAN))

CFLAGS  ?= -O2 -g
prefix  ?= /usr/local
bindir  ?= $(prefix)/bin
libdir  ?= $(prefix)/lib
libexecdir ?= $(prefix)/libexec
includedir ?= $(prefix)/include
mandir  ?= $(prefix)/share/man
docdir  ?= $(prefix)/share/doc/streamz

SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_tsan := -fsanitize=thread -fno-omit-frame-pointer
SANFLAGS := $(SAN_$(SAN))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
WERROR ?=
CPPFLAGS_ALL := -D_GNU_SOURCE -DSZ_VERSION='"$(VERSION)"' -Ilibshm/include -Istages/rt/include $(CPPFLAGS)
CFLAGS_ALL := -std=gnu11 $(WARN) $(WERROR) -fPIC -fno-plt $(CFLAGS) $(SANFLAGS)
LDFLAGS_ALL := $(LDFLAGS) $(SANFLAGS)

programs :=
test_programs :=
lib_src :=
generated :=

all:

include libshm/rules.mk
include stages/rules.mk
include launcher/rules.mk
include tests/rules.mk
include docs/rules.mk

obj = $(patsubst %.c,$B/obj/%.o,$(1))

lib_obj := $(call obj,$(lib_src))
$B/lib/libstreamz.a: $(lib_obj)
	@mkdir -p $(@D); rm -f $@
	$(AR) rcs $@ $^

$B/lib/libstreamz.so.0: $(lib_obj)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -shared -Wl,-soname,libstreamz.so.0 -o $@ $^ $(lib_libs)

$B/lib/libstreamz.so: $B/lib/libstreamz.so.0
	ln -sf libstreamz.so.0 $@

$B/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CPPFLAGS_$(firstword $(subst /, ,$*))) $(CFLAGS_ALL) $($*_cflags) -MMD -MP -c -o $@ $<

# $(1) program, $(2) folder
define program_rule
$B/$(2)/$(1): $$(call obj,$$($(1)_src)) $B/lib/libstreamz.a
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS_ALL) $$($(1)_ldflags) -o $$@ $$(call obj,$$($(1)_src)) $B/lib/libstreamz.a $$($(1)_libs) $$(lib_libs)
all_src += $$($(1)_src)
endef
all_src := $(lib_src)
$(foreach p,$(programs),$(eval $(call program_rule,$p,bin)))
$(foreach p,$(test_programs),$(eval $(call program_rule,$p,tests)))

all: $(programs:%=$B/bin/%) $B/lib/libstreamz.a $B/lib/libstreamz.so
tests-built: all $(test_programs:%=$B/tests/%)

-include $(patsubst %.c,$B/obj/%.d,$(sort $(all_src)))

# Tests: cmocka programs, crash and stress programs, scripts against the built programs.
UNIT_TESTS := $(unit_programs:%=$B/tests/%)
MORE_TESTS := $(run_programs:%=$B/tests/%)
SYSTEM_TESTS := $(filter-out tests/system/lib.sh,$(wildcard tests/system/*.sh))

.PHONY: all tests-built demo test check chaos bench lint fuzz install clean help
demo:
	@tests/setup.sh build
	@$(MAKE) --no-print-directory -s -j$$(nproc) all $B/tests/chaos
	@examples/demo.sh

test:
	@tests/setup.sh test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all tests-built
	@$(MAKE) --no-print-directory -s check

# Sanitizer builds run the programs; the scripts run the optimized build, and with SAN=asan that one.
check: all tests-built
ifeq ($(SAN),tsan)
	@tests/run.sh -o $B/test-logs $(tsan_programs:%=$B/tests/%)
else
	@BIN=$(abspath $B/bin) TESTBIN=$(abspath $B/tests) tests/run.sh -o $B/test-logs $(UNIT_TESTS) $(MORE_TESTS) $(SYSTEM_TESTS)
endif

chaos: all tests-built
	@BIN=$(abspath $B/bin) TESTBIN=$(abspath $B/tests) tests/system/kills.sh --long

bench: all $(bench_programs:%=$B/tests/%)
	@BIN=$(abspath $B/bin) TESTBIN=$(abspath $B/tests) tests/bench/bench.sh

clean:
	rm -rf build

help:
	@grep -hE '^## ' Makefile */rules.mk | sed 's/^## //'
## make            build everything into build/
## make demo       install missing packages, build, run the main job on real logs, show the result
## make test       install missing packages, build, run all tests
## make check      the tests alone; SAN=asan or SAN=tsan for a sanitizer build
## make chaos      the long form of the kill tests
## make bench      measure; prints metric<TAB>value<TAB>unit
## make lint       clang-format, clang-tidy, cppcheck, shellcheck
## make install    DESTDIR= prefix=/usr/local
## make clean      remove build/
