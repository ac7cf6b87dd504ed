# SPDX-License-Identifier: BSD-2-Clause
programs += streamz-launch streamz
graph_src := $(wildcard launcher/graph/*.c)
streamz-launch_src := $(wildcard launcher/*.c) $(graph_src)
streamz_src := $(wildcard launcher/ops/*.c)
streamz-launch_libs := -lbsd -luring -ljansson
streamz_libs := -lbsd -ljansson
