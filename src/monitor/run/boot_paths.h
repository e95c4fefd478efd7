// SPDX-License-Identifier: BSD-3-Clause
/*
 * The files that a guest is started from, opened by the paths that the command line has.
 */
#ifndef AVP_MONITOR_RUN_BOOT_PATHS_H
#define AVP_MONITOR_RUN_BOOT_PATHS_H

#include <limits.h>

#include "base/error.h"
#include "monitor/boot.h"
#include "monitor/run/process.h"

/* A file that is read at each start: its descriptor, and what a person calls it. */
struct boot_path {
	int fd; /* -1: none */
	char name[PATH_MAX];
};

/* All that a guest is started from. */
struct boot_paths {
	struct boot_path kernel, firmware, initrd;
	struct boot_source source; /* of these, and the file for the device tree */
};

/*
 * Opens the files of @setup, and makes the one that the device tree is written to. Returns 0 or a
 * negative errno with *error set, a usage error that names the option; close in both cases.
 */
int boot_paths_open(struct boot_paths *paths, const struct monitor_setup *setup,
		    struct error *error);
void boot_paths_close(struct boot_paths *paths);

#endif
