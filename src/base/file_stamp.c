// SPDX-License-Identifier: BSD-3-Clause
/* Notices that a file was changed since a guest's first start. */
#include "base/file_stamp.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

int file_stamp_check(struct file_stamp *stamp, int fd, const char *name, struct error *error)
{
	struct stat status;

	if (fd < 0)
		return 0;
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "%s", name);
	if (!stamp->known)
		*stamp = (struct file_stamp){true, (uint64_t)status.st_size, status.st_mtim};
	if (stamp->size == (uint64_t)status.st_size &&
	    stamp->written.tv_sec == status.st_mtim.tv_sec &&
	    stamp->written.tv_nsec == status.st_mtim.tv_nsec)
		return 0;
	return error_set(error, ESTALE,
			 "%s: was changed since the guest's first start (%" PRIu64
			 " bytes then, %" PRIu64 " now), and a reset would load it; start the "
			 "guest again, and replace files rather than write into them",
			 name, stamp->size, (uint64_t)status.st_size);
}
