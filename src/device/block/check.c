// SPDX-License-Identifier: BSD-3-Clause
/* Checks the options of a disk and its file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/disk_format.h"
#include "base/file_check.h"
#include "base/log.h"
#include "base/text.h"
#include "device/block/options.h"
#include "device/kit/device_type.h"

/* VIRTIO 1.4, 5.2.4: capacity counts sectors of this size, whatever the block size. */
#define SECTOR_SIZE 512

/* Opens the disk as the device will, and suggests readonly if it can be opened for reading only. */
static int open_disk(const struct block_options *block, uint64_t *size, struct error *error)
{
	int fd = file_open_checked("file", block->file, block->readonly ? O_RDONLY : O_RDWR, true,
				   size, error);

	if (fd == -EINVAL && error && !block->readonly &&
	    file_check("file", block->file, O_RDONLY, true, size, NULL) == 0)
		return error_set_usage(error, "%s, or add readonly", error->message);
	return fd;
}

/* A sparse image may be larger than its file system can ever hold. */
static void warn_of_small_file_system(const char *path, int fd, uint64_t size)
{
	char image[TEXT_SIZE_LENGTH], whole[TEXT_SIZE_LENGTH];
	struct statvfs system;
	struct stat status;
	uint64_t bytes;

	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || fstatvfs(fd, &system) < 0)
		return;
	bytes = (uint64_t)system.f_blocks * system.f_frsize;
	/* 0: the size is unlimited or unknown. */
	if (bytes == 0 || size <= bytes)
		return;
	log_warning("file: %s: is %s long, but its file system holds only %s: writes of the guest "
		    "will find no room",
		    path, text_format_size(image, size),
		    text_format_size(whole, bytes & ~UINT64_C(0xfffff)));
}

int block_options_check(const void *options, struct error *error)
{
	const struct block_options *block = options;
	uint64_t size = 0;
	cleanup_fd int fd = -1;
	int result;

	/* An inherited descriptor is checked when it is taken over. */
	if (text_inherited_fd(block->file) >= 0)
		return 0;
	fd = open_disk(block, &size, error);
	if (fd < 0)
		return fd;
	/* Before the size check: an image of another format may have an odd size. */
	if (block->format != BLOCK_FORMAT_RAW) {
		result = disk_format_check("file", block->file, fd, size, error);
		if (result < 0)
			return result;
	}
	if (!block->readonly)
		warn_of_small_file_system(block->file, fd, size);
	if (!size)
		return error_set_usage(error,
				       "file: %s: is empty; give it a size: truncate -s 1G FILE",
				       block->file);
	if (size % SECTOR_SIZE)
		return error_set_usage(error,
				       "file: %s: its size, %" PRIu64 " bytes, is not a multiple "
				       "of the sector of 512; fill it up: truncate -s %%512 FILE",
				       block->file, size);
	if (size % block->logical_block_size)
		return error_set_usage(error,
				       "logical-block-size: the size of %s, %" PRIu64
				       " bytes, is not a multiple of %" PRIu64
				       "; fill it up: truncate -s %%%" PRIu64 " FILE",
				       block->file, size, block->logical_block_size,
				       block->logical_block_size);
	if (block->physical_block_size && block->physical_block_size < block->logical_block_size)
		return error_set_usage(error,
				       "physical-block-size: %" PRIu64
				       " is smaller than the logical block size; give at least "
				       "%" PRIu64,
				       block->physical_block_size, block->logical_block_size);
	return 0;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	/* A block device can have several nodes. */
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Two disks in one file, one of them writable, would corrupt the file system. */
static int refuse_shared_file(const struct device_peer *peers, size_t index, struct error *error)
{
	const struct block_options *block = peers[index].options;
	struct stat status, other_status;

	if (stat(block->file, &status) < 0)
		return 0;
	for (size_t i = 0; i < index; i++) {
		const struct block_options *other = peers[i].options;

		if ((!block->readonly || !other->readonly) &&
		    stat(other->file, &other_status) == 0 && is_same_file(&status, &other_status))
			return error_set_usage(error,
					       "file: %s: is also the disk of %s; give each its "
					       "own file, or make both readonly",
					       block->file, peers[i].name);
	}
	return 0;
}

int block_options_complete(const struct device_peer *peers, size_t count, size_t index,
			   const char *guest, struct error *error)
{
	struct block_options *block = peers[index].options;

	/*
	 * The disk was found to be raw. A restarted device process must not probe it again:
	 * meanwhile the guest may have written the signature of another format.
	 */
	block->format = BLOCK_FORMAT_RAW;
	return refuse_shared_file(peers, index, error);
}
