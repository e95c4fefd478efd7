// SPDX-License-Identifier: BSD-3-Clause
/* Files that an option names, checked before anything is started. */
#include "base/file_check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What a user can do about a file that does not open. */
static const char *open_remedy(int code, int flags)
{
	switch (code) {
	case ENOENT:
	case ENOTDIR:
		return "; check the path";
	case EACCES:
	case EPERM:
		return flags == O_RDONLY ? "; make it readable for this user" :
					   "; make it readable and writable for this user";
	case EROFS:
		return "; mount its file system for writing";
	}
	return "; check the file";
}

static bool is_kind(const struct stat *status, bool block_device)
{
	return S_ISREG(status->st_mode) || (block_device && S_ISBLK(status->st_mode));
}

/*
 * Opens a file of the wanted kind, or returns a negative errno: -EMEDIUMTYPE for anything else,
 * which is not opened, because opening may have side effects, such as rewinding a tape.
 */
static int open_kind(const char *path, int flags, bool block_device, struct stat *status)
{
	cleanup_fd int fd = -1;

	if (stat(path, status) < 0)
		return -errno;
	if (!is_kind(status, block_device))
		return -EMEDIUMTYPE;
	/* O_NONBLOCK: do not hang if a FIFO has replaced the file meanwhile. */
	fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, status) < 0)
		return -errno;
	return is_kind(status, block_device) ? take_fd(&fd) : -EMEDIUMTYPE;
}

int file_open_checked(const char *option, const char *path, int flags, bool block_device,
		      uint64_t *size, struct error *error)
{
	struct stat status;
	cleanup_fd int fd = open_kind(path, flags, block_device, &status);
	off_t end;

	if (fd == -EMEDIUMTYPE)
		return error_set_usage(error, "%s: %s: is %s; give a regular file%s", option, path,
				       S_ISDIR(status.st_mode) ? "a directory" :
								 "not a regular file",
				       block_device ? " or a block device" : "");
	if (fd < 0)
		return error_set_usage(error, "%s: %s: %s%s", option, path, strerror(-fd),
				       open_remedy(-fd, flags));
	/* stat does not report the size of a block device. */
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return error_set_errno(error, errno, "%s: %s: cannot find its size", option, path);
	*size = end;
	return take_fd(&fd);
}

int file_check(const char *option, const char *path, int flags, bool block_device, uint64_t *size,
	       struct error *error)
{
	int fd = file_open_checked(option, path, flags, block_device, size, error);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}
