// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the parts of `avp conform` share: its options, and the run of the guest.
 */
#ifndef AVP_CONFORM_CONFORM_RUN_H
#define AVP_CONFORM_CONFORM_RUN_H

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/option.h"
#include "conform/conform_log.h"

#define CONFORM_MEMORY (UINT64_C(256) << 20) /* of the guest, unless --memory is given */

enum image_format { IMAGE_NATIVE, IMAGE_ELF, IMAGE_BZIMAGE, IMAGE_ARM64 };
enum conform_engine { CONFORM_AUTO, CONFORM_KVM, CONFORM_QEMU };

struct conform_options {
	uint64_t engine, cpus, memory, silence, slow, format, profile;
	char *only, *command, *image, *junit, *json, *html, *log, *expect;
	struct option_list from;
};

/* The words of --engine and --profile, by their numbers. */
extern const char *const conform_engines[];
extern const char *const conform_profiles[];

/*
 * The image lies beside the program: where it was built, or where it was installed. Returns 0, or
 * a negative errno with *error set.
 */
int conform_find_image(char path[PATH_MAX], const struct conform_options *options,
		       struct error *error);

/*
 * Boots the guest until all its tests have a verdict in @log, which starts zeroed. What it says, and what
 * the hypervisor says on its standard error, goes to @kept, too, which may be NULL; without it the
 * messages of the hypervisor are counted and only shown where the guest said nothing. Blocks SIGINT,
 * SIGTERM and SIGHUP for this thread: they end the run. Returns 0, or a negative errno with *error set,
 * also when the guest said nothing before its hypervisor ended.
 */
int conform_run(const struct conform_options *options, struct conform_log *log, FILE *kept,
		struct error *error);

#endif
