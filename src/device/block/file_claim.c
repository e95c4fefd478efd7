// SPDX-License-Identifier: BSD-3-Clause
/* Other uses of a disk image on the host. */
#include "device/block/file_claim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Reads the path of the backing file of a loop device from file @path below /sys. */
static bool read_backing_path(const char *path, char backing[PATH_MAX])
{
	cleanup_file FILE *file = fopen(path, "re");

	if (!file || !fgets(backing, PATH_MAX, file))
		return false;
	backing[strcspn(backing, "\n")] = 0;
	return true;
}

/*
 * Finds the backing file of loop device @name; false when it is not attached, or is device @image
 * itself: closing that again would end the lock that this process has on it.
 */
static bool find_backing(const char *name, dev_t image, struct stat *status)
{
	char path[NAME_MAX + 64], backing[PATH_MAX];
	struct loop_info64 info;
	cleanup_fd int fd = -1;
	struct stat loop;

	/* Only an attached device has this file. */
	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	if (!read_backing_path(path, backing))
		return false;
	snprintf(path, sizeof(path), "/dev/%s", name);
	if (stat(path, &loop) == 0 && loop.st_rdev == image)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0) {
		status->st_dev = info.lo_device;
		status->st_ino = info.lo_inode;
		status->st_rdev = info.lo_rdevice;
		return true;
	}
	/* Without the right to open the device use the path, which may be out of date. */
	return stat(backing, status) == 0;
}

/* Refuses the backing file of a loop device. */
static int refuse_backing_file(const struct stat *status, const char *path, struct error *error)
{
	cleanup_directory DIR *directory = opendir("/sys/block");
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		struct stat other;

		if (strncmp(entry->d_name, "loop", strlen("loop")) ||
		    !find_backing(entry->d_name, status->st_rdev, &other))
			continue;
		if (S_ISBLK(status->st_mode) ?
			    other.st_rdev != status->st_rdev :
			    other.st_dev != status->st_dev || other.st_ino != status->st_ino)
			continue;
		return error_set(error, EBUSY,
				 "file: %s: is the backing file of /dev/%s; detach that: losetup "
				 "-d /dev/%s, or add readonly",
				 path, entry->d_name, entry->d_name);
	}
	return 0;
}

/* Refuses a loop device whose backing file another process has locked. */
static int refuse_locked_backing(const struct stat *status, const char *path,
				 file_guest_finder *find_guest, struct error *error)
{
	struct file_holder holder;
	pid_t pid;
	/* For a partition it is one directory higher. */
	static const char *const places[] = {"loop", "../loop"};
	char backing[PATH_MAX] = "";
	cleanup_fd int fd = -1;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !backing[0]; i++) {
		char link[64];

		snprintf(link, sizeof(link), "/sys/dev/block/%u:%u/%s/backing_file",
			 major(status->st_rdev), minor(status->st_rdev), places[i]);
		read_backing_path(link, backing);
	}
	if (!backing[0])
		return 0;
	fd = open(backing, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || !file_is_locked(fd, &pid))
		return 0;
	file_holder_describe(&holder, pid, find_guest);
	return error_set(error, EBUSY, "file: %s: %s has its backing file %s open; %s", path,
			 holder.name, backing, holder.remedy);
}

static int claim_block_device(int fd, const char *path, int *claim, struct error *error)
{
	char link[64];
	int readonly = 0;

	if (ioctl(fd, BLKROGET, &readonly) == 0 && readonly)
		return error_set_usage(error,
				       "file: %s: is a read-only device; add readonly, or make it "
				       "writable: blockdev --setrw DEVICE",
				       path);
	/* The kernel lets only one holder claim a device: a mount, a device built on it, or us. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	*claim = open(link, O_RDWR | O_EXCL | O_CLOEXEC);
	if (*claim >= 0)
		return 0;
	if (errno == EBUSY)
		return error_set(
			error, EBUSY,
			"file: %s: is mounted or otherwise in use, as lsblk shows; unmount "
			"it, or add readonly",
			path);
	log_warning("%s cannot be claimed (%s): make sure that it is not mounted", path,
		    strerror(errno));
	return 0;
}

int file_claim(int fd, const char *path, file_guest_finder *find_guest, int *claim,
	       struct error *error)
{
	struct stat status;
	int result;

	*claim = -1;
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "file: %s", path);
	result = refuse_backing_file(&status, path, error);
	if (result < 0 || !S_ISBLK(status.st_mode))
		return result;
	result = refuse_locked_backing(&status, path, find_guest, error);
	return result < 0 ? result : claim_block_device(fd, path, claim, error);
}
