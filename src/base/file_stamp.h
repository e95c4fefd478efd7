// SPDX-License-Identifier: BSD-3-Clause
/* Notices that a file was changed since a guest's first start. */
#ifndef AVP_BASE_FILE_STAMP_H
#define AVP_BASE_FILE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"

/* Size and time of a file at the first check. Starts zeroed. */
struct file_stamp {
	bool known;
	uint64_t size;
	struct timespec written;
};

/*
 * Checks that the file behind @fd (-1: none) has the same size and time of its last write as at the
 * first call with this stamp. A new file under the same name does not matter. Returns 0 or, with
 * *error set, a negative errno.
 */
int file_stamp_check(struct file_stamp *stamp, int fd, const char *name, struct error *error);

#endif
