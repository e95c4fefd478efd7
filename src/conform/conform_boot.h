// SPDX-License-Identifier: BSD-3-Clause
/*
 * How one boot of the conformance guest is started: the guest's command line, and the program and
 * arguments that boot it. The devices come from device_types.
 */
#ifndef AVP_CONFORM_CONFORM_BOOT_H
#define AVP_CONFORM_CONFORM_BOOT_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arguments.h"
#include "base/error.h"
#include "conform/conform_options.h"

/* The paths of a run's files; "": not made. */
struct conform_files {
	char image[PATH_MAX], disk[PATH_MAX], read_only_disk[PATH_MAX];
	char socket[PATH_MAX]; /* for the command to make, and for the program of --adapter */
};

struct conform_boot {
	const struct conform_options *options;
	const struct conform_files *files;
	unsigned long number; /* of the boot, higher than those before */
	size_t start;	      /* number of the first test */
	uint32_t run;	      /* tells the boots of one run from those of others */
	const char *ending;   /* the only test of this boot, which ends the guest, or NULL */
	const char *repeat;   /* the only test of this boot, which has failed before, or NULL */
};

struct device_type;

/*
 * The name of the service that the guest's devices of @type join, and in @path that of its socket.
 * NULL: there are none, or they join none.
 */
const char *conform_boot_service(const struct conform_options *options,
				 const struct conform_files *files, const struct device_type *type,
				 char path[PATH_MAX]);

/*
 * Adds the program that boots the guest and its arguments: `avp run`, or the shell for --command,
 * whose variables are set in the environment of this process. Returns the path of the program, or
 * NULL with *error set.
 */
const char *conform_boot_command(struct arguments *arguments, const struct conform_boot *boot,
				 struct error *error);

#endif
