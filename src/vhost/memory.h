// SPDX-License-Identifier: BSD-3-Clause
/*
 * Guest memory that a frontend shares: regions mapped from its descriptors, found by guest address
 * and by the frontend's own address (vhost-user specification, "Memory access").
 *
 * A region that reaches beyond the end of its file is refused. If the file is truncated later,
 * vhost/guard.h handles it and sets *lost. Belongs to one thread.
 */
#ifndef AVP_VHOST_MEMORY_H
#define AVP_VHOST_MEMORY_H

#include "base/error.h"
#include "vhost/mapping.h"
#include "vhost/message.h"
#include "virtio/guest_memory.h"

/*
 * Addresses of the guest, of the frontend and our own are equal modulo this: the largest alignment
 * that a part of a ring needs (VIRTIO 1.4, 2.7 and 2.8.10). Frontends use whole pages.
 */
#define VHOST_MEMORY_ALIGNMENT 16

struct vhost_iotlb;

struct vhost_guest_memory {
	struct guest_memory guest; /* what the device uses; see vhost/iotlb.h for its ops */
	struct vhost_iotlb *iotlb; /* for those ops */
	volatile bool lost;	   /* some memory was taken away by the frontend */
	size_t count;
	struct vhost_mapped_region {
		struct vhost_region region;
		struct vhost_mapping mapping;
		unsigned int additions; /* and as many removals remove it */
	} regions[GUEST_MEMORY_REGIONS_MAX];
};

/* Starts without memory. */
void vhost_memory_init(struct vhost_guest_memory *memory);

/* Unmaps everything. */
void vhost_memory_clear(struct vhost_guest_memory *memory);

/*
 * Adds a region whose bytes lie at region->mmap_offset of the file @fd (which the caller keeps). A
 * negative errno with *error set when its numbers or its file are invalid, or it overlaps another
 * in guest addresses. Adding the same region again is counted: QEMU up to 7.2 adds each region, and
 * removes it, once for every queue pair of a network device.
 */
int vhost_memory_add(struct vhost_guest_memory *memory, const struct vhost_region *region, int fd,
		     struct error *error);

/* Removes the region of that guest address, user address and size; -ENOENT: there is none. */
int vhost_memory_remove(struct vhost_guest_memory *memory, const struct vhost_region *region);

/*
 * Looks up the frontend's address @user: *host is its place in our memory, *length is cut to what
 * is contiguous there. -EFAULT: it is in no region.
 */
int vhost_memory_find_user(const struct vhost_guest_memory *memory, uint64_t user, uint64_t *length,
			   void **host);

/* The guest address of the frontend's address @user. -EFAULT: it is in no region. */
int vhost_memory_user_to_guest(const struct vhost_guest_memory *memory, uint64_t user,
			       struct guest_addr *guest);

#endif
