// SPDX-License-Identifier: BSD-3-Clause
/*
 * Opens the files that a guest boots from, by the paths on the command line.
 */
#ifndef AVP_MONITOR_RUN_BOOT_PATHS_H
#define AVP_MONITOR_RUN_BOOT_PATHS_H

#include <limits.h>

#include "base/error.h"
#include "monitor/boot.h"
#include "monitor/run/process.h"

/* A file that is read at each start: its descriptor, and its name for users. */
struct boot_path {
	int fd; /* -1: none */
	char name[PATH_MAX];
};

/* All files that a guest boots from. */
struct boot_paths {
	struct boot_path kernel, firmware, initrd;
	struct boot_source source; /* made of these, and the file for the device tree */
};

/*
 * Opens the files of @setup, and creates the file for the device tree. Returns 0 or a negative
 * errno with *error set, a usage error that names the option; call boot_paths_close in both cases.
 */
int boot_paths_open(struct boot_paths *paths, const struct monitor_setup *setup,
		    struct error *error);
void boot_paths_close(struct boot_paths *paths);

#endif
