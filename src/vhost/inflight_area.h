// SPDX-License-Identifier: BSD-3-Clause
/*
 * The shared memory that holds the records of requests in flight of all queues: made for a
 * frontend, or taken back from it after a restart (vhost-user specification, "Inflight I/O
 * tracking"). For the records themselves see virtio/inflight.h. Belongs to one thread.
 *
 * Behind the records an area that was made here keeps the state of the device (device_state.h). As
 * the records it survives the process, and it belongs to the same driver: a frontend gives both
 * back, or neither.
 */
#ifndef AVP_VHOST_INFLIGHT_AREA_H
#define AVP_VHOST_INFLIGHT_AREA_H

#include "base/error.h"
#include "vhost/mapping.h"
#include "vhost/message.h"

struct vhost_inflight_area {
	struct vhost_mapping mapping;
	bool packed;
	uint16_t queue_count;
	uint16_t queue_size;
	uint64_t state_offset; /* in the mapping; 0: no room for a state */
	uint64_t sequence;     /* of the state kept last; 0: none was */
};

/*
 * Makes an empty area for queue_count rings of up to queue_size entries, sealed against a change of
 * its size, fills in the rest of *description and returns its descriptor (owned by the caller), or
 * a negative errno with *error set.
 */
int vhost_inflight_create(struct vhost_inflight *description, bool packed, struct error *error);

/*
 * Maps the area that *description describes from @fd (which the caller keeps) in place of the one
 * mapped before. *@lost as in vhost_guard_add. -EINVAL with *error set: it is too small, or the
 * records would not be aligned.
 */
int vhost_inflight_open(struct vhost_inflight_area *area, const struct vhost_inflight *description,
			bool packed, int fd, volatile bool *lost, struct error *error);
void vhost_inflight_close(struct vhost_inflight_area *area);

/*
 * Keeps a state of @length bytes, at most DEVICE_STATE_MAX, in place of the one before; 0: none. A
 * process that dies meanwhile leaves the one before.
 */
void vhost_inflight_keep_state(struct vhost_inflight_area *area, const void *bytes, size_t length);

/*
 * Copies the state that is kept to @bytes, which has room for DEVICE_STATE_MAX, and returns its
 * length; 0: there is none. It comes from memory of the frontend: nothing in it has been checked.
 */
size_t vhost_inflight_copy_state(const struct vhost_inflight_area *area, void *bytes);

/* The record of queue @index for a ring of @size entries, or NULL when the area has none. */
void *vhost_inflight_record(const struct vhost_inflight_area *area, uint16_t index, uint16_t size);

#endif
