# SPDX-License-Identifier: BSD-2-Clause
lib_src += $(wildcard stages/rt/*.c) $(wildcard stages/uring/*.c)
lib_libs += -luring -lbsd -ljansson -lresolv

programs += streamz-stage
streamz-stage_src := $(wildcard stages/host/*.c) $(wildcard stages/builtin/*.c)
streamz-stage_libs := -lpcre2-8
# plug-ins resolve the runtime's symbols from the host
streamz-stage_ldflags := -rdynamic
streamz-stage_whole := yes
public_headers += $(wildcard stages/rt/include/streamz/*.h)
