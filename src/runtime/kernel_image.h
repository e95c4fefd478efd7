// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tells whether a file can be a kernel, from its first bytes.
 */
#ifndef AVP_RUNTIME_KERNEL_IMAGE_H
#define AVP_RUNTIME_KERNEL_IMAGE_H

#include <stdint.h>

#include "base/error.h"

/*
 * Returns 0 when the file at @path starts like a kernel that an engine may be able to boot, else a
 * usage error whose message leaves the path to the caller.
 * On success *memory is the end, in the guest's memory, of what the kernel needs to unpack itself; 0
 * where its header does not tell.
 */
int kernel_image_check(const char *path, uint64_t *memory, struct error *error);

#endif
