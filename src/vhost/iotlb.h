// SPDX-License-Identifier: BSD-3-Clause
/*
 * The translations that a frontend with an IOMMU has given: I/O virtual addresses of the guest to
 * addresses of the frontend (vhost-user specification, "IOMMU support"). They come on demand: a
 * missing one is requested once, and the caller that needs it tries again when the answer has
 * arrived.
 *
 * Each area of a ring must be contiguous in host memory, also when translated in single pages.
 * Belongs to one thread.
 */
#ifndef AVP_VHOST_IOTLB_H
#define AVP_VHOST_IOTLB_H

#include <stdbool.h>

#include "vhost/memory.h"

/* The most translations kept; beyond it the one farthest from the newest is evicted. */
#define VHOST_IOTLB_ENTRIES 2048
/* The most requests tracked as pending; beyond it they are sent again. */
#define VHOST_IOTLB_PENDING 32

struct vhost_iotlb_entry {
	uint64_t iova;
	uint64_t last; /* inclusive, so that the end of the address space is no special case */
	uint64_t user;
	uint8_t access; /* VHOST_ACCESS_* */
};

struct vhost_iotlb {
	size_t count;
	struct vhost_iotlb_entry *entries; /* sorted, none overlaps another */
	size_t pending_count;		   /* of requests so far */
	struct {
		uint64_t iova;
		uint8_t access; /* 0: answered */
	} pending[VHOST_IOTLB_PENDING];
	/* Asks the frontend for a translation. */
	void (*miss)(void *context, uint64_t iova, uint8_t access);
	void *context;
};

/* Look-ups for vhost_guest_memory.guest.ops while addresses go through memory->iotlb. */
extern const struct guest_memory_ops vhost_iotlb_ops;

/* Starts empty. Returns 0 or -ENOMEM. */
int vhost_iotlb_open(struct vhost_iotlb *iotlb,
		     void (*miss)(void *context, uint64_t iova, uint8_t access), void *context);
void vhost_iotlb_close(struct vhost_iotlb *iotlb);

/* Forgets all translations and pending requests. */
void vhost_iotlb_clear(struct vhost_iotlb *iotlb);

/*
 * Adds a translation of @size bytes, in place of those known for the range. -EINVAL: it is empty,
 * wraps, gives no access, or the two addresses are aligned differently. @user is looked up in
 * memory only when it is used.
 */
int vhost_iotlb_update(struct vhost_iotlb *iotlb, uint64_t iova, uint64_t size, uint64_t user,
		       uint8_t access);

/*
 * Forgets the translations of a range. The host may not be working on any request. -EINVAL: it is
 * empty or wraps.
 */
int vhost_iotlb_invalidate(struct vhost_iotlb *iotlb, uint64_t iova, uint64_t size);

#endif
