// SPDX-License-Identifier: BSD-3-Clause
/* Files that an option names, checked before anything is started. Messages start with its name. */
#ifndef AVP_BASE_FILE_CHECK_H
#define AVP_BASE_FILE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Opens @path with @flags: its descriptor, the caller's, when it is a regular file, or a block
 * device where @block_device allows one, with its size in *size; else a usage error that starts
 * with @option.
 */
int file_open_checked(const char *option, const char *path, int flags, bool block_device,
		      uint64_t *size, struct error *error);

/* As file_open_checked, and closes the file: 0 or a usage error. */
int file_check(const char *option, const char *path, int flags, bool block_device, uint64_t *size,
	       struct error *error);

#endif
