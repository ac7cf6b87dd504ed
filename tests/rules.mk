# SPDX-License-Identifier: BSD-2-Clause
# Every tests/unit/FOLDER/test_X.c is a cmocka program of its own, build/tests/FOLDER-test_X. What several of them share
# lies beside them without the prefix (FOLDER/*.c) and is linked to all of that folder.

unit_src := $(wildcard tests/unit/*/test_*.c)
unit_programs := $(foreach f,$(unit_src),$(notdir $(patsubst %/,%,$(dir $f)))-$(basename $(notdir $f)))

# What a folder's tests need besides libstreamz.
unit_graph_src := $(graph_src)
unit_graph_cflags := -Ilauncher/graph
unit_rt_src := tests/rig/rig.c
unit_stages_src := tests/rig/rig.c $(wildcard stages/builtin/*.c)
unit_stages_libs := -lpcre2-8
comma := ,
unit_proofs_src := tests/rig/rig.c examples/plugin/upper.c examples/program/tally.c
unit_proofs_cflags := -DSZ_TOP='"$(CURDIR)"'
# Points of death (proofs/mortal.h).
unit_proofs_libs := $(patsubst %,-Wl$(comma)--wrap=%,sz_emit sz_journal sz_hold sz_count sz_timer sz_ledger_commit \
	sz_wake_peers sz_io_submit)
unit_launcher_src := $(filter-out launcher/main.c,$(wildcard launcher/*.c)) $(graph_src)
unit_launcher_cflags := -Ilauncher
unit_launcher_libs := $(streamz-launch_libs)

# $(1) program, $(2) folder, $(3) source
define unit_rule
$(1)_src := $(3) $$(filter-out tests/unit/$(2)/test_%,$$(wildcard tests/unit/$(2)/*.c)) $$(unit_$(2)_src)
$(1)_libs := -lcmocka $$(unit_$(2)_libs)
$(basename $(3))_cflags := $$(unit_$(2)_cflags)
endef
$(foreach f,$(unit_src),$(eval $(call unit_rule,$(notdir $(patsubst %/,%,$(dir $f)))-$(basename $(notdir $f)),$(notdir $(patsubst %/,%,$(dir $f))),$f)))
test_programs += $(unit_programs)

# The kill runs (tests/system/*.sh use it, and `make chaos`).
test_programs += chaos
chaos_src := tests/system/chaos.c

# Programs that `make check` runs beside the unit tests; those of tests/stress run under ThreadSanitizer too.
stress_programs := $(basename $(notdir $(wildcard tests/stress/stress_*.c)))
$(foreach p,$(stress_programs),$(eval $(p)_src := tests/stress/$(p).c)$(eval $(p)_libs := -lpthread))
crash_programs := $(basename $(notdir $(wildcard tests/crash/test_*.c)))
$(foreach p,$(crash_programs),$(eval $(p)_src := tests/crash/$(p).c $(filter-out tests/crash/test_%,$(wildcard tests/crash/*.c)))$(eval $(p)_libs := -lcmocka))
run_programs := $(stress_programs) $(crash_programs)
tsan_programs := stress_lane
# Not with AddressSanitizer: it multiplies the instructions that the crash test has to step through (100 s and more, and
# what it looks at is judged word by word anyhow); what install.sh builds is a stranger's, without sanitizer.
asan_skip := test_ledger_steps tests/system/install.sh
bench_programs := $(basename $(notdir $(wildcard tests/bench/*.c)))
$(foreach p,$(bench_programs),$(eval $(p)_src := tests/bench/$(p).c))
test_programs += $(run_programs) $(bench_programs)
# The limit is measured with all the compiler can do; ours is built as it is shipped.
tests/bench/ring_limit_cflags := -O3 -march=native

# libFuzzer targets, to build/fuzz/NAME with SAN=fuzz CC=clang; the corpus of fuzz_X is tests/fuzz/corpus/X.
fuzz_programs := $(basename $(notdir $(wildcard tests/fuzz/fuzz_*.c)))
$(foreach p,$(fuzz_programs),$(eval $(p)_src := tests/fuzz/$(p).c)$(eval $(p)_ldflags := -fsanitize=fuzzer))
fuzz_graph_src += $(graph_src)
tests/fuzz/fuzz_graph_cflags := -Ilauncher/graph -Itests/unit/graph
