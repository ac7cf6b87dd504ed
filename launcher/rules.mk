# SPDX-License-Identifier: BSD-2-Clause
programs += streamz-launch streamz
graph_src := $(wildcard launcher/graph/*.c)
streamz-launch_src := $(wildcard launcher/*.c) $(graph_src)
# The tool asks stage programs, and guesses what was meant, as the launcher does.
streamz_src := $(wildcard launcher/ops/*.c) launcher/catalog.c launcher/program.c launcher/graph/nearest.c
streamz-launch_libs := -lbsd -luring -ljansson
streamz_libs := -lbsd -ljansson
