# SPDX-License-Identifier: BSD-2-Clause
# streamz-stages(7) holds the option tables of the stage types as the program knows them.
man_pages := $(wildcard docs/man/*.[1-8]) $B/man/streamz-stages.7
$B/man/streamz-stages.7: docs/man/streamz-stages.7.in docs/rules.mk $B/bin/streamz $B/bin/streamz-stage
	@mkdir -p $(@D)
	$B/bin/streamz types --man >$@.types
	sed -e '/^\.\\" The line @TYPES@/d' -e '/^@TYPES@$$/{r $@.types' -e 'd;}' $< >$@
ifeq ($(SAN),)
all: $B/man/streamz-stages.7
endif

# What depends on where it is installed. $(1): the file; folders below prefix are written as such, so that pkg-config can
# move them.
below_prefix = $(patsubst $(prefix)/%,$${prefix}/%,$(1))
fill_in = sed -e 's|@prefix@|$(prefix)|g' -e 's|@libdir@|$(call below_prefix,$(libdir))|g' \
	-e 's|@includedir@|$(call below_prefix,$(includedir))|g' -e 's|@bindir@|$(bindir)|g' \
	-e 's|@version@|$(VERSION)|g' $(1)
