/* SPDX-License-Identifier: BSD-2-Clause */
/* main.c - streamz-stage: the program that hosts the built-in types, or those of a plug-in */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <streamz/contract.h>

#include "../builtin/builtin.h"

static const struct sz_stage_ops *const builtins[] = {
	&sz_stage_delay,
	&sz_stage_file_source,
	&sz_stage_file_sink,
	&sz_stage_filter,
	&sz_stage_generate,
	&sz_stage_map,
	&sz_stage_null,
	&sz_stage_pass,
	&sz_stage_stdin,
	&sz_stage_stdout,
	NULL,
};

static const struct sz_stage_ops *const *plugin_types(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct sz_stage_ops *const *types;

	if (!handle) {
		fprintf(stderr, "streamz-stage: cannot load plug-in: %s\n", dlerror());
		return NULL;
	}
	types = dlsym(handle, "sz_stage_types");
	if (!types)
		fprintf(stderr,
			"streamz-stage: %s is not a stage plug-in: it exports no sz_stage_types\n",
			path);
	return types;
}

int main(int argc, char **argv)
{
	static const char plugin[] = "--plugin=";
	const struct sz_stage_ops *const *types = builtins;

	if (argc > 1 && strncmp(argv[1], plugin, sizeof(plugin) - 1) == 0) {
		types = plugin_types(argv[1] + sizeof(plugin) - 1);
		if (!types)
			return SZ_EXIT_USAGE;
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	return sz_stage_main(argc, argv, types);
}
