// SPDX-License-Identifier: BSD-3-Clause
/* Files that a peer shares, mapped and guarded. */
#include "vhost/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vhost/guard.h"
#include "virtio/round_up.h"

bool vhost_file_never_waits(int fd)
{
	struct iovec part = {&(char){0}, 1};

	/* Only memory has seals. Of all others Linux asks no file system that does not offer it. */
	return fcntl(fd, F_GET_SEALS) >= 0 || preadv2(fd, &part, 1, 0, RWF_NOWAIT) >= 0 ||
	       errno == EAGAIN;
}

uint64_t vhost_file_page_size(int fd)
{
	struct statfs system;

	if (fstatfs(fd, &system) == 0 && system.f_type == HUGETLBFS_MAGIC && system.f_bsize > 0)
		return system.f_bsize;
	return sysconf(_SC_PAGESIZE);
}

int vhost_mapping_open(struct vhost_mapping *mapping, int fd, uint64_t offset, uint64_t size,
		       volatile bool *lost, struct error *error)
{
	uint64_t page = vhost_file_page_size(fd);
	uint64_t skip = offset % page;
	uint64_t end, length;
	struct stat status;
	void *start;
	int ret;

	*mapping = (struct vhost_mapping){0};
	if (size == 0)
		return error_set(error, EINVAL, "the memory is empty");
	if (__builtin_add_overflow(offset, size, &end) || end > INT64_MAX - page)
		return error_set(error, EINVAL, "offset 0x%" PRIx64 " and size 0x%" PRIx64 " wrap",
				 offset, size);
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "cannot examine the descriptor");
	if (!S_ISREG(status.st_mode))
		return error_set(error, EINVAL, "the descriptor is not a memory file");
	if (end > (uint64_t)status.st_size)
		return error_set(error, EINVAL,
				 "0x%" PRIx64 " bytes at offset 0x%" PRIx64
				 " reach beyond the file, which has 0x%" PRIx64,
				 size, offset, (uint64_t)status.st_size);
	length = round_up(skip + size, page);
	start = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		     offset - skip);
	if (start == MAP_FAILED)
		return error_set_errno(error, errno, "cannot map 0x%" PRIx64 " bytes", length);
	ret = vhost_guard_add(start, length, lost, error);
	if (ret < 0) {
		munmap(start, length);
		return ret;
	}
	*mapping = (struct vhost_mapping){start, length, (uint8_t *)start + skip};
	return 0;
}

void vhost_mapping_close(struct vhost_mapping *mapping)
{
	if (!mapping->start)
		return;
	vhost_guard_remove(mapping->start);
	munmap(mapping->start, mapping->length);
	*mapping = (struct vhost_mapping){0};
}
