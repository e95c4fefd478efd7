// SPDX-License-Identifier: BSD-3-Clause
/*
 * A raw disk image: a regular file or a block device of the host, opened, looked at and locked.
 */
#ifndef AVP_BACKEND_FILE_IMAGE_H
#define AVP_BACKEND_FILE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct file_image {
	int fd;	       /* -1: not open */
	uint64_t size; /* bytes, a multiple of the block size asked for */
	bool readonly;
	bool block_device;
	uint32_t discard_granularity; /* bytes; 0: storage cannot be given back */
};

/*
 * Opens @path for reading and, unless @readonly, for writing. `/dev/fd/N` means the inherited
 * descriptor N itself, which is owned from now on, with its lock if it has one; any other path is
 * opened anew.
 *
 * The image is locked with an open file description lock: shared for reading, else exclusive, so
 * that no two devices write one image. The lock goes with the last copy of the descriptor, so one
 * held by a process that was killed is gone a moment later, and is waited for that long.
 *
 * Errors: usage errors for a path that does not open, is no image, is empty or has a size that is
 * no multiple of @block_size; -EBUSY when another process has the image.
 */
int file_image_open(struct file_image *image, const char *path, bool readonly, uint32_t block_size,
		    struct error *error);

void file_image_close(struct file_image *image);

#endif
