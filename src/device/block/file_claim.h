// SPDX-License-Identifier: BSD-3-Clause
/*
 * Other uses on the host of a disk image that is to be written: a mounted file system, a loop
 * device, a part of another block device. Locks on files do not show these.
 */
#ifndef AVP_DEVICE_BLOCK_FILE_CLAIM_H
#define AVP_DEVICE_BLOCK_FILE_CLAIM_H

#include "base/error.h"
#include "device/block/file_lock.h"

/*
 * Claims @fd, open for reading and writing, for this process alone: refuses a block device that is
 * read-only or in use, the backing file of a loop device, and a loop device whose backing file
 * another process has locked. @path and @find_guest are for messages.
 *
 * Returns 0 with *claim set to a descriptor that must stay open while the image is used, or to -1
 * where none is needed or, with a warning, permitted; else a negative errno with *error set, a
 * usage error for a read-only device.
 */
int file_claim(int fd, const char *path, file_guest_finder *find_guest, int *claim,
	       struct error *error);

#endif
