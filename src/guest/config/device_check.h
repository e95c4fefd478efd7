// SPDX-License-Identifier: BSD-3-Clause
/*
 * Checks of the device types' options that a table cannot express, and of the files they name.
 * Messages start with the name of the option that is wrong.
 */
#ifndef AVP_GUEST_CONFIG_DEVICE_CHECK_H
#define AVP_GUEST_CONFIG_DEVICE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* @options: struct block_options. Opens the file for what the guest may do, and closes it. */
int block_options_check(const void *options, struct error *error);

/* @options: struct net_options. */
int net_options_check(const void *options, struct error *error);

/* @options: struct console_options. */
int console_options_check(const void *options, struct error *error);

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
