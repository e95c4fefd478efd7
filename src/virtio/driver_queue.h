// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver side of a virtqueue, split or packed: enough to drive every device from tests, the
 * load program and a bare-metal guest. The device is not trusted: an impossible id or length is an
 * error, never an access outside the driver's memory.
 *
 * A queue belongs to one thread. Nothing is allocated: the caller provides all memory.
 */
#ifndef AVP_VIRTIO_DRIVER_QUEUE_H
#define AVP_VIRTIO_DRIVER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/guest_memory.h"

/* A buffer as the device will see it. */
struct driver_buffer {
	struct guest_addr address;
	uint32_t length;
};

struct driver_queue;
struct driver_queue_format;

/* Where the parts of a ring lie in the memory given to driver_queue_init. */
struct driver_queue_layout {
	size_t descriptors, driver, device; /* offsets */
	size_t size;			    /* the total; align the start to 4096 or more */
};

/* What the driver keeps of each descriptor, in memory of its own that the device cannot write. */
struct driver_descriptor {
	void *token;
	uint16_t next;
	uint16_t count;	   /* of the chain that starts here; 0: none does */
	uint32_t writable; /* bytes that the device may write into the chain */
};

struct driver_queue {
	const struct driver_queue_format *format;
	uint16_t index; /* in the device */
	uint16_t size;
	bool event_index, in_order, indirect;
	bool available_wrap, used_wrap; /* packed */
	bool interrupts_enabled;
	uint16_t free_count, free_head;
	uint16_t available_index, used_index;
	uint16_t unkicked; /* ring entries added since the last check for a kick */
	uint16_t oldest;   /* IN_ORDER: the chain that is used next */
	bool batch;	   /* IN_ORDER: all chains up to @batch_end were used at once */
	uint16_t batch_end;
	uint32_t batch_written;
	uint8_t *ring; /* host pointer to the start of the layout */
	struct driver_queue_layout layout;
	struct driver_descriptor *descriptors; /* size of them */
	void *indirect_tables; /* size tables of DRIVER_INDIRECT_MAX descriptors, or NULL */
	struct guest_addr indirect_address;
};

/* Longest indirect table that driver_queue_add makes. */
#define DRIVER_INDIRECT_MAX 16

void driver_queue_layout(uint16_t size, bool packed, struct driver_queue_layout *layout);

/*
 * Sets up a queue of @size entries over zeroed @ring memory (as driver_queue_layout says), with
 * @descriptors zeroed, and the negotiated @features.
 */
void driver_queue_init(struct driver_queue *queue, uint16_t index, uint16_t size, uint64_t features,
		       void *ring, struct driver_descriptor *descriptors);

/*
 * Lends memory for indirect tables: @size * DRIVER_INDIRECT_MAX * 16 bytes, at @address for the
 * device. Used when INDIRECT_DESC was negotiated and a chain has more than one buffer.
 */
void driver_queue_set_indirect(struct driver_queue *queue, void *tables, struct guest_addr address);

/*
 * Adds a chain of @readable then @writable buffers. @token (not NULL) comes back when it is
 * used. -ENOSPC: no room in the ring now; -EINVAL: empty, or longer than the ring.
 */
int driver_queue_add(struct driver_queue *queue, const struct driver_buffer *buffers,
		     unsigned int readable, unsigned int writable, void *token);

/* After a batch of adds: whether the device wants a kick. Call once for each batch. */
bool driver_queue_kick_wanted(struct driver_queue *queue);

/* The value of a kick with NOTIFICATION_DATA (VIRTIO 1.4, 2.9). */
uint32_t driver_queue_notification_data(const struct driver_queue *queue);

/*
 * Takes the next used buffer: its token, and the bytes the device says it wrote in *written.
 * NULL: none. *error becomes -EPROTO (and stays otherwise) when the device broke the ring.
 */
void *driver_queue_take(struct driver_queue *queue, uint32_t *written, int *error);

/* Whether there is a used buffer. */
bool driver_queue_has_used(const struct driver_queue *queue);

/* Enabling returns true when a buffer was used in the meantime: no interrupt will come for it. */
void driver_queue_disable_interrupts(struct driver_queue *queue);
bool driver_queue_enable_interrupts(struct driver_queue *queue);

#endif
