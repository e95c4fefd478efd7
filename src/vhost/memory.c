// SPDX-License-Identifier: BSD-3-Clause
/* Guest memory that a frontend shares (vhost-user specification, "Memory access"). */
#include "vhost/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void vhost_memory_init(struct vhost_guest_memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	guest_memory_init(&memory->guest, NULL);
}

void vhost_memory_clear(struct vhost_guest_memory *memory)
{
	for (size_t i = 0; i < memory->count; i++)
		vhost_mapping_close(&memory->regions[i].mapping);
	memory->count = 0;
	memory->lost = false;
	guest_memory_clear(&memory->guest);
}

static struct vhost_mapped_region *find_region(struct vhost_guest_memory *memory,
					       const struct vhost_region *region)
{
	for (size_t i = 0; i < memory->count; i++) {
		struct vhost_mapped_region *slot = &memory->regions[i];

		if (slot->region.guest_address == region->guest_address &&
		    slot->region.user_address == region->user_address &&
		    slot->region.size == region->size)
			return slot;
	}
	return NULL;
}

static int add_region(struct vhost_guest_memory *memory, const struct vhost_region *region, int fd,
		      struct error *error)
{
	struct vhost_mapped_region *slot = &memory->regions[memory->count];
	uint64_t last;
	int ret;

	if (memory->count == GUEST_MEMORY_REGIONS_MAX)
		return error_set(error, ENOSPC, "there are %d regions already",
				 GUEST_MEMORY_REGIONS_MAX);
	if (region->size == 0 ||
	    __builtin_add_overflow(region->guest_address, region->size - 1, &last) ||
	    __builtin_add_overflow(region->user_address, region->size - 1, &last))
		return error_set(error, EINVAL, "its size 0x%" PRIx64 " is not valid",
				 region->size);
	/* Ensures that a ring aligned in guest addresses is aligned in our memory, too. */
	if (((region->guest_address ^ region->mmap_offset) |
	     (region->user_address ^ region->mmap_offset)) %
	    VHOST_MEMORY_ALIGNMENT)
		return error_set(error, EINVAL,
				 "its addresses and its offset 0x%" PRIx64 " are not aligned alike",
				 region->mmap_offset);
	ret = vhost_mapping_open(&slot->mapping, fd, region->mmap_offset, region->size,
				 &memory->lost, error);
	if (ret < 0)
		return ret;
	ret = guest_memory_add(&memory->guest, guest_addr(region->guest_address), region->size,
			       slot->mapping.content);
	if (ret < 0) {
		vhost_mapping_close(&slot->mapping);
		return error_set(error, -ret, "it overlaps another region");
	}
	slot->region = *region;
	slot->additions = 1;
	memory->count++;
	return 0;
}

int vhost_memory_add(struct vhost_guest_memory *memory, const struct vhost_region *region, int fd,
		     struct error *error)
{
	struct vhost_mapped_region *there = find_region(memory, region);
	int ret;

	if (there && there->region.mmap_offset == region->mmap_offset) {
		there->additions++;
		return 0;
	}
	ret = add_region(memory, region, fd, error);
	if (ret < 0)
		error_prefix(error, "memory region at guest address 0x%" PRIx64,
			     region->guest_address);
	return ret;
}

int vhost_memory_remove(struct vhost_guest_memory *memory, const struct vhost_region *region)
{
	struct vhost_mapped_region *slot = find_region(memory, region);

	if (!slot)
		return -ENOENT;
	if (--slot->additions > 0)
		return 0;
	guest_memory_remove(&memory->guest, guest_addr(region->guest_address), region->size);
	vhost_mapping_close(&slot->mapping);
	*slot = memory->regions[--memory->count];
	return 0;
}

static const struct vhost_mapped_region *find_user(const struct vhost_guest_memory *memory,
						   uint64_t user)
{
	for (size_t i = 0; i < memory->count; i++)
		if (user - memory->regions[i].region.user_address < memory->regions[i].region.size)
			return &memory->regions[i];
	return NULL;
}

int vhost_memory_find_user(const struct vhost_guest_memory *memory, uint64_t user, uint64_t *length,
			   void **host)
{
	const struct vhost_mapped_region *slot = find_user(memory, user);
	uint64_t offset;

	if (!slot)
		return -EFAULT;
	offset = user - slot->region.user_address;
	if (*length > slot->region.size - offset)
		*length = slot->region.size - offset;
	*host = slot->mapping.content + offset;
	return 0;
}

int vhost_memory_user_to_guest(const struct vhost_guest_memory *memory, uint64_t user,
			       struct guest_addr *guest)
{
	const struct vhost_mapped_region *slot = find_user(memory, user);

	if (!slot)
		return -EFAULT;
	*guest = guest_addr(slot->region.guest_address + (user - slot->region.user_address));
	return 0;
}
