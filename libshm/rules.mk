# SPDX-License-Identifier: BSD-2-Clause
lib_src += $(wildcard libshm/*.c)
lib_libs :=
public_headers += $(wildcard libshm/include/streamz/*.h)
