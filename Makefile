# SPDX-License-Identifier: BSD-2-Clause
#
# One non-recursive Makefile plus a fragment (rules.mk) a folder. `make help` lists the targets.
#
# A fragment declares programs, libraries and objects through a few variables:
#   lib_src            sources of libstreamz (shared memory + runtime), installed for out-of-tree stages
#   PROG_src, PROG_libs and a word in `programs`        a program built to build/bin/PROG
#   PROG_whole         not empty: has all of libstreamz in it, not only what it calls itself
#   test_programs      likewise; built by `make test`, to build/tests/PROG
#   public_headers     installed to include/streamz
#
# SAN=asan|tsan|fuzz builds with that sanitizer in a folder of its own, B=FOLDER in any other.

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
INSTALL ?= install
prefix  ?= /usr/local
bindir  ?= $(prefix)/bin
libdir  ?= $(prefix)/lib
libexecdir ?= $(prefix)/libexec
includedir ?= $(prefix)/include
mandir  ?= $(prefix)/share/man
docdir  ?= $(prefix)/share/doc/streamz
unitdir ?= $(prefix)/lib/systemd/system
completiondir ?= $(prefix)/share/bash-completion/completions

SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_tsan := -fsanitize=thread -fno-omit-frame-pointer
SAN_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifneq ($(SAN),$(filter asan tsan fuzz,$(SAN)))
$(error SAN=$(SAN): asan, tsan or fuzz)
endif
SANFLAGS := $(SAN_$(SAN))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
WERROR ?=
CPPFLAGS_ALL := -D_GNU_SOURCE -DSZ_VERSION='"$(VERSION)"' -Ilibshm/include -Istages/rt/include $(CPPFLAGS)
CFLAGS_ALL := -std=gnu11 $(WARN) $(WERROR) -fPIC -fno-plt $(CFLAGS) $(SANFLAGS)
LDFLAGS_ALL := $(LDFLAGS) $(SANFLAGS)
ifeq ($(SAN),asan)
# gcc's shared runtimes of both in one program: UBSan's ignores log_path, by which tests/run.sh finds any process's report.
LDFLAGS_ALL += $(if $(findstring clang,$(shell $(CC) --version)),,-static-libasan -static-libubsan)
endif

programs :=
test_programs :=
lib_src :=
public_headers :=

all:

include libshm/rules.mk
include stages/rules.mk
include launcher/rules.mk
include tests/rules.mk
include docs/rules.mk

obj = $(patsubst %.c,$B/obj/%.o,$(1))
flags = $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_ALL)

# Two files that change when the command line (CC=clang, CFLAGS=-O0) or a list of sources does, so that what was made
# with another one is made again. -Werror is left out: it changes no object.
$B/.flags: export stamp = $(filter-out $(WERROR),$(flags))
$B/.sources: export stamp = $(sort $(all_src))
$B/.flags $B/.sources: force
	@mkdir -p $(@D); printf '%s\n' "$$stamp" | cmp -s - $@ || printf '%s\n' "$$stamp" >$@

lib_obj := $(call obj,$(lib_src))
$B/lib/libstreamz.a: $(lib_obj) $B/.sources
	@mkdir -p $(@D); rm -f $@
	$(AR) rcs $@ $(lib_obj)

$B/lib/libstreamz.so.0: $(lib_obj) $B/.sources
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -shared -Wl,-soname,libstreamz.so.0 -o $@ $(lib_obj) $(lib_libs)

$B/lib/libstreamz.so: $B/lib/libstreamz.so.0
	ln -sf libstreamz.so.0 $@

$B/obj/%.o: %.c $B/.flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $($*_cflags) -MMD -MP -c -o $@ $<

# $(1) program, $(2) its folder in build, with a slash
define program_rule
$B/$(2)$(1): $$(call obj,$$($(1)_src)) $B/lib/libstreamz.a $B/.sources
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS_ALL) $$($(1)_ldflags) -o $$@ $$(call obj,$$($(1)_src)) \
		$(if $($(1)_whole),-Wl$(comma)--whole-archive) $B/lib/libstreamz.a $(if $($(1)_whole),-Wl$(comma)--no-whole-archive) \
		$$($(1)_libs) $$(lib_libs)
all_src += $$($(1)_src)
endef
comma := ,
all_src := $(lib_src)
$(foreach p,$(programs),$(eval $(call program_rule,$p,bin/)))
$(foreach p,$(test_programs),$(eval $(call program_rule,$p,tests/)))
$(foreach p,$(if $(filter fuzz,$(SAN)),$(fuzz_programs)),$(eval $(call program_rule,$p,)))

all: $(programs:%=$B/bin/%) $B/lib/libstreamz.a $B/lib/libstreamz.so
tests-built: all $(test_programs:%=$B/tests/%)

-include $(patsubst %.c,$B/obj/%.d,$(sort $(all_src)))

# Tests: cmocka programs, crash and stress programs, scripts against the built programs. With SAN=asan all of these but
# asan_skip, built with AddressSanitizer and UBSan; with SAN=tsan the stress programs that run as threads on one mapping.
UNIT_TESTS := $(unit_programs:%=$B/tests/%)
MORE_TESTS := $(run_programs:%=$B/tests/%)
SYSTEM_TESTS := $(filter-out tests/system/lib.sh,$(wildcard tests/system/*.sh))
TESTS_ := $(UNIT_TESTS) $(MORE_TESTS) $(SYSTEM_TESTS)
TESTS_asan := $(filter-out $(asan_skip:%=$B/tests/%) $(asan_skip),$(TESTS_))
TESTS_tsan := $(tsan_programs:%=$B/tests/%)

.PHONY: all tests-built demo test check chaos bench lint tidy fuzz fuzz-run install uninstall clean help force
force:

demo:
	@tests/setup.sh build
	@$(MAKE) --no-print-directory -s -j$$(nproc) all $B/tests/chaos
	@examples/demo.sh

test:
	@tests/setup.sh test
	@$(MAKE) --no-print-directory -s -j$$(nproc) all tests-built
	@$(MAKE) --no-print-directory -s check

check: $(if $(filter tsan,$(SAN)),$(TESTS_tsan),all tests-built)
	@BIN=$(abspath $B/bin) TESTBIN=$(abspath $B/tests) tests/run.sh -o $B/test-logs $(TESTS_$(SAN))

chaos: all tests-built
	@BIN=$(abspath $B/bin) TESTBIN=$(abspath $B/tests) tests/system/kills.sh --long

bench: all $(bench_programs:%=$B/tests/%)
	@BIN=$(abspath $B/bin) TESTBIN=$(abspath $B/tests) tests/bench/bench.sh

lint:
	@tests/setup.sh lint
	@.ci/lint

# One stamp a source; made again with its object, so when a header changes too.
$B/tidy/%.ok: $B/obj/%.o .clang-tidy .ci/analyzer.h
	@mkdir -p $(@D)
	@clang-tidy --quiet $*.c -- $(CPPFLAGS_ALL) -std=gnu11 $($*_cflags) -include .ci/analyzer.h 2>$@.err || { cat $@.err >&2; exit 1; }
	@touch $@
tidy: $(patsubst %.c,$B/tidy/%.ok,$(sort $(all_src)))

# New inputs stay in build/fuzz/corpus; the corpus in the tree is read only.
FUZZ_SECONDS ?= 60
fuzz:
	@tests/setup.sh lint
	@$(MAKE) --no-print-directory -s SAN=fuzz CC=clang fuzz-run
fuzz-run: $(fuzz_programs:%=fuzz-run-%)
fuzz-run-fuzz_%: $B/fuzz_%
	@mkdir -p $B/corpus/$*
	@$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 -artifact_prefix=$B/ \
		$(addprefix -dict=,$(wildcard tests/fuzz/$*.dict)) \
		$B/corpus/$* $(wildcard tests/fuzz/corpus/$*) >$B/fuzz_$*.log 2>&1 </dev/null || \
		{ tail -n 60 $B/fuzz_$*.log; echo "FAIL  fuzz_$*"; exit 1; }
	@echo "ok    fuzz_$* ($(FUZZ_SECONDS) s, $$(sed -n 's/^stat::number_of_executed_units: *//p' $B/fuzz_$*.log) runs)"

D = $(DESTDIR)
install: all $(man_pages)
	$(INSTALL) -d $(D)$(bindir) $(D)$(libexecdir)/streamz $(D)$(libdir)/pkgconfig $(D)$(includedir)/streamz \
		$(D)$(mandir)/man1 $(D)$(mandir)/man5 $(D)$(mandir)/man7 $(D)$(completiondir) $(D)$(unitdir) $(D)$(docdir)
	$(INSTALL) $B/bin/streamz $B/bin/streamz-launch $(D)$(bindir)
	$(INSTALL) $B/bin/streamz-stage $(D)$(libexecdir)/streamz
	$(INSTALL) -m 644 $(public_headers) $(D)$(includedir)/streamz
	$(INSTALL) -m 644 $B/lib/libstreamz.a $B/lib/libstreamz.so.0 $(D)$(libdir)
	ln -sf libstreamz.so.0 $(D)$(libdir)/libstreamz.so
	$(call fill_in,docs/streamz.pc.in) >$(D)$(libdir)/pkgconfig/streamz.pc
	for page in $(man_pages); do $(INSTALL) -m 644 $$page $(D)$(mandir)/man$${page##*.} || exit; done
	$(INSTALL) -m 644 docs/completions/streamz $(D)$(completiondir)
	ln -sf streamz $(D)$(completiondir)/streamz-launch
	$(call fill_in,docs/systemd/streamz@.service.in) >$(D)$(unitdir)/streamz@.service
	$(INSTALL) -m 644 LICENSE $(wildcard README.md docs/*.md) $(D)$(docdir)
	tar -c --exclude='*.o' --exclude='*.so' --exclude=demo.sh examples | tar -x --no-same-owner -C $(D)$(docdir)

uninstall:
	rm -f $(D)$(bindir)/streamz $(D)$(bindir)/streamz-launch
	rm -f $(addprefix $(D)$(libdir)/,libstreamz.a libstreamz.so.0 libstreamz.so pkgconfig/streamz.pc)
	rm -f $(foreach page,$(man_pages),$(D)$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -f $(D)$(completiondir)/streamz $(D)$(completiondir)/streamz-launch $(D)$(unitdir)/streamz@.service
	rm -rf $(D)$(libexecdir)/streamz $(D)$(includedir)/streamz $(D)$(docdir)

clean:
	rm -rf build

help:
	@grep -hE '^## ' Makefile */rules.mk | sed 's/^## //'
## make            build everything into build/; CC= CFLAGS= CPPFLAGS= LDFLAGS= WERROR=-Werror are honoured
## make demo       install missing packages, build, run the main job on real logs, show the result
## make test       install missing packages, build, run all tests
## make check      the tests alone; SAN=asan or SAN=tsan for a sanitizer build in build/asan, build/tsan
## make chaos      the long form of the kill tests
## make fuzz       each fuzz target FUZZ_SECONDS=60 long, on its corpus
## make bench      measure; prints metric<TAB>value<TAB>unit
## make lint       all static checks, and -Werror builds with gcc and clang
## make install    build and install; DESTDIR= prefix=/usr/local (bindir= libdir= libexecdir= mandir= unitdir= ...)
## make uninstall  remove what install put there, with the same variables
## make clean      remove build/
