// SPDX-License-Identifier: BSD-3-Clause
/* The shared memory of in-flight records (vhost-user specification, "Inflight I/O tracking"). */
#include "vhost/inflight_area.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtio/inflight.h"

/* The records, and so the area, are aligned to this. */
#define AREA_ALIGNMENT 64

int vhost_inflight_create(struct vhost_inflight *description, bool packed, struct error *error)
{
	uint64_t size = description->queue_count *
			(uint64_t)inflight_region_size(description->queue_size, packed);
	cleanup_fd int fd = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* Zeroes are a valid, empty record. */
	if (fd < 0 || ftruncate(fd, size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return error_set_errno(error, errno, "cannot make a record of requests in flight");
	description->mmap_size = size;
	description->mmap_offset = 0;
	return take_fd(&fd);
}

int vhost_inflight_open(struct vhost_inflight_area *area, const struct vhost_inflight *description,
			bool packed, int fd, volatile bool *lost, struct error *error)
{
	uint64_t needed = description->queue_count *
			  (uint64_t)inflight_region_size(description->queue_size, packed);
	int ret;

	vhost_inflight_close(area);
	if (description->mmap_size < needed)
		return error_set(
			error, EINVAL,
			"%u queues of size %u do not fit in %llu bytes of in-flight record",
			description->queue_count, description->queue_size,
			(unsigned long long)description->mmap_size);
	if (description->mmap_offset % AREA_ALIGNMENT)
		return error_set(error, EINVAL, "the in-flight record is not aligned");
	ret = vhost_mapping_open(&area->mapping, fd, description->mmap_offset, needed, lost, error);
	if (ret < 0) {
		error_prefix(error, "in-flight record");
		return ret;
	}
	area->packed = packed;
	area->queue_count = description->queue_count;
	area->queue_size = description->queue_size;
	return 0;
}

void vhost_inflight_close(struct vhost_inflight_area *area)
{
	vhost_mapping_close(&area->mapping);
	area->queue_count = 0;
}

void *vhost_inflight_record(const struct vhost_inflight_area *area, uint16_t index, uint16_t size)
{
	if (index >= area->queue_count || size > area->queue_size)
		return NULL;
	return area->mapping.content + index * inflight_region_size(area->queue_size, area->packed);
}
