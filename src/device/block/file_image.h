// SPDX-License-Identifier: BSD-3-Clause
/* A raw disk image: a regular file or a block device of the host, opened, examined and locked. */
#ifndef AVP_DEVICE_BLOCK_FILE_IMAGE_H
#define AVP_DEVICE_BLOCK_FILE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "device/block/file_lock.h"

struct file_image {
	int fd;	       /* -1: not open */
	uint64_t size; /* bytes, a multiple of the requested block size */
	bool readonly;
	bool block_device;
	bool locked;
	int claim_fd;		      /* keeps others off a block device; -1: none */
	uint32_t discard_granularity; /* bytes; 0: storage cannot be freed */
};

/* How an image is to be opened. */
struct file_image_request {
	bool readonly;
	bool any_format;	       /* raw, even if it begins like an image of another format */
	uint32_t block_size;	       /* bytes; its size has to be a multiple of this */
	file_guest_finder *find_guest; /* names the guest that has the image; NULL: none is named */
};

/*
 * Opens @path for reading and, unless request->readonly, for writing. `/dev/fd/N` means the
 * inherited descriptor N itself, which is owned from now on, with its lock if it has one; any other
 * path is opened.
 *
 * The image is locked (device/block/file_lock.h), shared for reading, else exclusive, so that no
 * two devices write one image. One to be written is claimed, too (device/block/file_claim.h). The
 * process must not open the same file elsewhere.
 *
 * Errors: usage errors for a path that does not open, is not an image, has another format, is empty
 * or has a size that does not fit; -EBUSY when it is in use; -EINTR when a signal asked the process
 * to end during the wait.
 */
int file_image_open(struct file_image *image, const char *path,
		    const struct file_image_request *request, struct error *error);

/* Call it when the image is not used any more. Safe on one that is closed. */
void file_image_close(struct file_image *image);

#endif
