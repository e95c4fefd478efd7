// SPDX-License-Identifier: BSD-3-Clause
/* Files that an option names, checked before anything is started. Messages start with its name. */
#ifndef AVP_BASE_FILE_CHECK_H
#define AVP_BASE_FILE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Opens @path with @flags. It must be a regular file, or, where @block_device allows it, a block
 * device. Returns the descriptor, owned by the caller, with the size in *size, or a negative errno
 * with *error set to a message that starts with @option.
 */
int file_open_checked(const char *option, const char *path, int flags, bool block_device,
		      uint64_t *size, struct error *error);

/* As file_open_checked, and closes the file: 0 or a negative errno with *error set. */
int file_check(const char *option, const char *path, int flags, bool block_device, uint64_t *size,
	       struct error *error);

#endif
