// SPDX-License-Identifier: BSD-3-Clause
/*
 * A raw disk image: opening, checking and locking it.
 */
#include "device/block/file_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/disk_format.h"
#include "base/inherited_fd.h"
#include "base/text.h"
#include "device/block/file_claim.h"
#include "device/block/file_lock.h"

/*
 * Takes over descriptor @fd if its access mode is sufficient. Opening it by path would lose its
 * lock.
 */
static int use_inherited(int fd, const char *path, bool readonly, struct error *error)
{
	int flags = fcntl(fd, F_GETFL);
	cleanup_fd int own = -1;

	if (flags < 0)
		return error_set_usage(error, "file: %s: no such descriptor was inherited", path);
	if ((flags & O_ACCMODE) == O_WRONLY || (!readonly && (flags & O_ACCMODE) != O_RDWR))
		return error_set_usage(error, "file: %s: is not open for %s; open it that way",
				       path, readonly ? "reading" : "reading and writing");
	own = inherited_fd_take(fd);
	if (own < 0)
		return error_set_errno(error, -own, "file: %s", path);
	/* With O_NONBLOCK io_uring fails reads that have to wait for the medium. */
	if (fcntl(own, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return error_set_errno(error, errno, "file: %s", path);
	return take_fd(&own);
}

static int open_path(const char *path, bool readonly, struct error *error)
{
	int number = text_inherited_fd(path);
	int fd;

	if (number >= 0)
		return use_inherited(number, path, readonly, error);
	/* O_NONBLOCK: do not hang on a FIFO. */
	fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_set_usage(error, "file: %s: %s; give a file that this user may %s",
				       path, strerror(errno), readonly ? "read" : "read and write");
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

/* One number in the directory of the block device @device below /sys, or 0. */
static uint32_t read_queue_limit(dev_t device, const char *limit)
{
	/* A partition has no queue of its own: the disk above it has. */
	static const char *const places[] = {"queue", "../queue"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		cleanup_file FILE *file = NULL;
		char path[128];
		uint64_t value;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(device),
			 minor(device), places[i], limit);
		file = fopen(path, "re");
		if (file && fscanf(file, "%" SCNu64, &value) == 1)
			return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
	}
	return 0;
}

static uint32_t find_discard_granularity(const struct file_image *image, const struct stat *status)
{
	if (image->readonly)
		return 0;
	if (image->block_device) {
		if (read_queue_limit(status->st_rdev, "discard_max_bytes") == 0)
			return 0;
		return read_queue_limit(status->st_rdev, "discard_granularity");
	}
	/* The first discard finds out whether it is supported: any probe would change the file. */
	return (uint32_t)status->st_blksize;
}

/* Refuses files that cannot be images, before anything is done to them. */
static int check_kind(struct file_image *image, const char *path, struct error *error)
{
	struct stat status;

	if (fstat(image->fd, &status) < 0)
		return error_set_errno(error, errno, "file: %s", path);
	image->block_device = S_ISBLK(status.st_mode);
	if (!S_ISREG(status.st_mode) && !image->block_device)
		return error_set_usage(
			error, "file: %s: is neither a regular file nor a block device", path);
	return 0;
}

/* Otherwise the guest's writes to the end of its disk would fail. */
static int check_limit(const struct file_image *image, const char *path, struct error *error)
{
	struct rlimit limit;

	if (image->readonly || image->block_device || getrlimit(RLIMIT_FSIZE, &limit) < 0 ||
	    limit.rlim_cur >= image->size)
		return 0;
	return error_set(error, EFBIG,
			 "file: %s: has %" PRIu64
			 " bytes, but this process may write a file only up to %" PRIu64
			 "; raise the limit (RLIMIT_FSIZE, `ulimit -f`), or make "
			 "the disk readonly",
			 path, image->size, (uint64_t)limit.rlim_cur);
}

static int examine(struct file_image *image, const char *path,
		   const struct file_image_request *request, struct error *error)
{
	const uint32_t block_size = request->block_size;
	struct stat status;
	off_t end;

	if (fstat(image->fd, &status) < 0)
		return error_set_errno(error, errno, "file: %s", path);
	/* stat does not report the size of a block device. */
	end = lseek(image->fd, 0, SEEK_END);
	if (end < 0)
		return error_set_errno(error, errno, "file: %s: cannot find its size", path);
	if (end == 0)
		return error_set_usage(
			error, "file: %s: is empty; give it a size: truncate -s 1G FILE", path);
	image->size = (uint64_t)end;
	/* Before the size check: an image of another format may have an odd size. */
	if (!request->any_format) {
		int result = disk_format_check("file", path, image->fd, image->size, error);

		if (result < 0)
			return result;
	}
	if (image->size % block_size)
		return error_set_usage(error,
				       "file: %s: its size, %" PRIu64 " bytes, is not a multiple "
				       "of the block size of %u; fill it up: truncate -s %%%u FILE",
				       path, image->size, block_size, block_size);
	image->discard_granularity = find_discard_granularity(image, &status);
	return check_limit(image, path, error);
}

/* The name of an inherited descriptor in messages: its path, if it has one. */
static const char *name_of(const struct file_image *image, const char *path, char name[PATH_MAX])
{
	char link[64];
	ssize_t length;

	if (text_inherited_fd(path) < 0)
		return path;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", image->fd);
	length = readlink(link, name, PATH_MAX - 1);
	if (length <= 0 || name[0] != '/')
		return path;
	name[length] = 0;
	return name;
}

int file_image_open(struct file_image *image, const char *path,
		    const struct file_image_request *request, struct error *error)
{
	int fd = open_path(path, request->readonly, error);
	char name[PATH_MAX];
	int result;

	*image = (struct file_image){
		.fd = fd < 0 ? -1 : fd,
		.readonly = request->readonly,
		.claim_fd = -1,
	};
	if (fd < 0)
		return fd;
	path = name_of(image, path, name);
	result = check_kind(image, path, error);
	/* Examine it after locking: then no other process may change it. */
	if (result == 0)
		result = file_lock(image->fd, path, request->readonly, request->find_guest, error);
	image->locked = result == 0;
	if (result == 0 && !request->readonly)
		result = file_claim(image->fd, path, request->find_guest, &image->claim_fd, error);
	/* A file in use is a usage error: the user decides what uses it. */
	if (result == -EBUSY && error)
		error->usage = true;
	if (result == 0)
		result = examine(image, path, request, error);
	if (result < 0)
		file_image_close(image);
	return result;
}

void file_image_close(struct file_image *image)
{
	/* Before the lock, because the next process claims what it has locked. */
	close_fd(&image->claim_fd);
	/* Without our lock, another process with the same descriptor may hold one. */
	if (image->locked)
		file_unlock(image->fd);
	image->locked = false;
	close_fd(&image->fd);
}
