// SPDX-License-Identifier: BSD-3-Clause
/*
 * The options of `avp conform`.
 */
#ifndef AVP_CONFORM_CONFORM_OPTIONS_H
#define AVP_CONFORM_CONFORM_OPTIONS_H

#include <stdint.h>

#include "base/error.h"
#include "base/option.h"

#define CONFORM_MEMORY (UINT64_C(256) << 20) /* of the guest, unless --memory is given */

enum image_format {
	IMAGE_NATIVE,
	IMAGE_ELF,
	IMAGE_BZIMAGE,
	IMAGE_ARM64,
	IMAGE_EFI_AMD64,
	IMAGE_EFI_ARM64,
	IMAGE_DISK, /* for firmware of either architecture */
};

struct conform_options {
	uint64_t engine; /* index in guest_engine_choices */
	uint64_t cpus, memory, silence, slow, repeat, format;
	char *only, *command, *image, *junit, *json, *html, *log, *waivers, *host, *hypervisor,
		*adapter;
	struct option_list from, profile;
	const char *keep; /* the result file to write, not an option; or NULL */
};

/* The words of --image-format, by their numbers; it ends with NULL. */
extern const char *const conform_formats[];

/* The size of the guest's memory in bytes. */
uint64_t conform_options_memory(const struct conform_options *options);

/*
 * Checks that --only can match the name of a test, and the names of --profile. Returns 0, or a
 * negative errno with *error set: a usage error.
 */
int conform_options_check(const struct conform_options *options, struct error *error);

/*
 * For reports: what booted the guest, and which tests were selected. Frees and replaces *text,
 * which the caller owns. Returns 0, or -ENOMEM with *error set.
 */
int conform_options_describe_command(char **text, const struct conform_options *options,
				     struct error *error);
int conform_options_describe_filter(char **text, const struct conform_options *options,
				    struct error *error);

#endif
