// SPDX-License-Identifier: BSD-3-Clause
/* The shared memory of in-flight records (vhost-user specification, "Inflight I/O tracking"). */
#include "vhost/inflight_area.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtio/device_state.h"
#include "virtio/inflight.h"

/* The records, and so the area, are aligned to this. */
#define AREA_ALIGNMENT 64

/* Two of them, written in turn; the one with the higher sequence counts. */
struct state_slot {
	uint64_t sequence; /* written last; 0: the slot was never used */
	uint64_t length;
	uint8_t bytes[DEVICE_STATE_MAX];
};

/* A multiple of AREA_ALIGNMENT, as each record is: what follows is aligned, too. */
static uint64_t records_size(const struct vhost_inflight *description, bool packed)
{
	return description->queue_count *
	       (uint64_t)inflight_region_size(description->queue_size, packed);
}

static struct state_slot *slot(const struct vhost_inflight_area *area, uint64_t sequence)
{
	return (struct state_slot *)(area->mapping.content + area->state_offset) + sequence % 2;
}

int vhost_inflight_create(struct vhost_inflight *description, bool packed, struct error *error)
{
	/* The pages of the state take no memory until one is kept. */
	uint64_t size = records_size(description, packed) + 2 * sizeof(struct state_slot);
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
	uint64_t needed = records_size(description, packed);
	uint64_t whole = needed + 2 * sizeof(struct state_slot);
	bool has_state = description->mmap_size >= whole;
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
	ret = vhost_mapping_open(&area->mapping, fd, description->mmap_offset,
				 has_state ? whole : needed, lost, error);
	if (ret < 0) {
		error_prefix(error, "in-flight record");
		return ret;
	}
	area->packed = packed;
	area->queue_count = description->queue_count;
	area->queue_size = description->queue_size;
	area->state_offset = has_state ? needed : 0;
	if (has_state) {
		uint64_t first = slot(area, 0)->sequence, second = slot(area, 1)->sequence;

		area->sequence = first > second ? first : second;
	}
	return 0;
}

void vhost_inflight_close(struct vhost_inflight_area *area)
{
	vhost_mapping_close(&area->mapping);
	area->queue_count = 0;
	area->state_offset = area->sequence = 0;
}

void vhost_inflight_keep_state(struct vhost_inflight_area *area, const void *bytes, size_t length)
{
	struct state_slot *next;

	if (!area->state_offset || (length == 0 && area->sequence == 0))
		return;
	next = slot(area, ++area->sequence);
	if (length > 0)
		memcpy(next->bytes, bytes, length);
	next->length = length;
	/* A process that dies before this leaves the other slot as the newest. */
	__atomic_store_n(&next->sequence, area->sequence, __ATOMIC_RELEASE);
}

size_t vhost_inflight_copy_state(const struct vhost_inflight_area *area, void *bytes)
{
	uint64_t length;

	if (!area->state_offset || area->sequence == 0)
		return 0;
	length = *(volatile uint64_t *)&slot(area, area->sequence)->length;
	if (length > DEVICE_STATE_MAX)
		return 0;
	memcpy(bytes, slot(area, area->sequence)->bytes, length);
	return length;
}

void *vhost_inflight_record(const struct vhost_inflight_area *area, uint16_t index, uint16_t size)
{
	if (index >= area->queue_count || size > area->queue_size)
		return NULL;
	return area->mapping.content + index * inflight_region_size(area->queue_size, area->packed);
}
