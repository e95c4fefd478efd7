// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tells whether a file can be a kernel, from its first bytes.
 */
#ifndef AVP_GUEST_CONFIG_KERNEL_IMAGE_H
#define AVP_GUEST_CONFIG_KERNEL_IMAGE_H

#include <stdint.h>

#include "base/error.h"

/* What the header of a kernel says of it; 0 where it does not. */
struct kernel_image {
	uint64_t memory;       /* the end, in the guest's memory, of what it unpacks itself into */
	uint64_t command_line; /* characters that it takes */
};

/*
 * Returns 0 with *image set when the file at @path starts like a kernel that an engine may be able to boot, else a
 * usage error whose message leaves the path to the caller.
 */
int kernel_image_check(const char *path, struct kernel_image *image, struct error *error);

#endif
