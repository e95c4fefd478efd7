// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the two ring formats share inside src/virtio, and how memory shared with the peer is read.
 */
#ifndef AVP_VIRTIO_RING_H
#define AVP_VIRTIO_RING_H

#include <linux/virtio_ring.h>

#include "virtio/inflight.h"
#include "virtio/virtqueue.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rings are little-endian, and so must the host be"
#endif

/* Bits of a packed descriptor's flags, and of the event suppression areas (VIRTIO 1.4, 2.8). */
#define PACKED_AVAILABLE (1u << VRING_PACKED_DESC_F_AVAIL)
#define PACKED_USED	 (1u << VRING_PACKED_DESC_F_USED)
#define PACKED_WRAP	 (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* Fields that the peer writes at the same time: read and written whole, exactly once. */
#define shared_read(pointer)	     __atomic_load_n(pointer, __ATOMIC_RELAXED)
#define shared_write(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELAXED)
/* What was written by the peer before this field is visible after reading it, and vice versa. */
#define shared_acquire(pointer)	       __atomic_load_n(pointer, __ATOMIC_ACQUIRE)
#define shared_release(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELEASE)
/* Orders our write of one field before our read of another: all event suppression needs this. */
#define shared_barrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/*
 * Whether these flags make a packed descriptor available, or used, in the round of @wrap (2.8.1).
 */
static inline bool packed_is_available(uint16_t flags, bool wrap)
{
	return !!(flags & PACKED_AVAILABLE) == wrap && !!(flags & PACKED_USED) != wrap;
}

static inline bool packed_is_used(uint16_t flags, bool wrap)
{
	return !!(flags & PACKED_AVAILABLE) == wrap && !!(flags & PACKED_USED) == wrap;
}

/* Moves a position in a packed ring of @size entries forward by up to a whole ring. */
static inline void packed_advance(uint16_t size, uint16_t *index, bool *wrap, uint16_t slots)
{
	uint32_t next = (uint32_t)*index + slots;

	if (next >= size) {
		next -= size;
		*wrap = !*wrap;
	}
	*index = (uint16_t)next;
}

/* A position in a packed ring and its wrap counter, as one field (2.8.10 and 2.9). */
static inline void packed_split(uint16_t position, uint16_t *index, bool *wrap)
{
	*index = position & (PACKED_WRAP - 1);
	*wrap = position & PACKED_WRAP;
}

static inline uint16_t packed_join(uint16_t index, bool wrap)
{
	return index | (wrap ? PACKED_WRAP : 0);
}

/*
 * What one side of a packed ring writes for the other (2.8.10): whether it wants notifications of
 * more entries and, with EVENT_IDX, from which one on.
 */
static inline void packed_ask_events(struct vring_packed_desc_event *event, bool enabled,
				     bool event_index, uint16_t index, bool wrap)
{
	if (!enabled) {
		shared_write(&event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	} else if (!event_index) {
		shared_write(&event->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
	} else {
		shared_write(&event->off_wrap, packed_join(index, wrap));
		shared_release(&event->flags, VRING_PACKED_EVENT_FLAG_DESC);
	}
}

/*
 * Whether the other side wants a notification for the last @count entries before this position in a
 * ring of @size entries.
 */
static inline bool packed_event_wanted(const struct vring_packed_desc_event *event,
				       bool event_index, uint16_t size, uint16_t index, bool wrap,
				       uint16_t count)
{
	uint16_t flags = shared_acquire(&event->flags);
	uint16_t asked;
	bool asked_wrap;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !event_index)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	packed_split(shared_read(&event->off_wrap), &asked, &asked_wrap);
	if (asked_wrap != wrap)
		asked -= size;
	return vring_need_event(asked, index, index - count);
}

/* The two formats of a virtqueue, on the device side. */
struct virtqueue_format {
	bool size_is_power_of_two;
	/* Bytes and alignments of the three areas for a ring of @size entries. */
	uint64_t (*descriptor_bytes)(uint16_t size);
	uint64_t (*driver_bytes)(uint16_t size);
	uint64_t (*device_bytes)(uint16_t size);
	uint64_t descriptor_alignment, driver_alignment, device_alignment;
	bool descriptors_written; /* by the device */
	/* Sets the positions from queue->setup and the record of requests in flight. */
	int (*resume)(struct virtqueue *queue);
	bool (*has_request)(struct virtqueue *queue);
	/*
	 * Fills a cleared request with the next one, which is known to exist: request->replayed
	 * says whether it comes from the replay list. 0, -EAGAIN with nothing changed, or -EPROTO
	 * with the queue broken.
	 */
	int (*take)(struct virtqueue *queue, struct virtio_request *request);
	/* Undoes the last take; not called for replayed requests. */
	void (*untake)(struct virtqueue *queue, const struct virtio_request *request);
	/*
	 * Writes used entries for @batch and those that follow it (request->next), so that the
	 * driver sees all or none of them, also when the process dies and another resumes.
	 */
	void (*use)(struct virtqueue *queue, struct virtio_request *batch);
	/* Whether the driver wants a notification for the last @unsignalled entries. */
	bool (*notification_wanted)(struct virtqueue *queue, uint16_t unsignalled);
	void (*set_kicks)(struct virtqueue *queue, bool enabled);
	/* Positions as in struct virtqueue_setup. */
	void (*positions)(const struct virtqueue *queue, uint16_t *available, uint16_t *used);
};

extern const struct virtqueue_format split_format;
extern const struct virtqueue_format packed_format;

/* A chain on its way to becoming a request. */
struct chain {
	struct virtqueue *queue;
	struct virtio_request *request;
	uint64_t total;	      /* bytes */
	uint32_t descriptors; /* seen so far */
	bool writable_seen;
};

/* Counts one more descriptor; -EPROTO when there are more than @limit. */
int chain_count(struct chain *chain, uint32_t limit);
/* Appends one buffer. 0, -EAGAIN, or -EPROTO with the queue broken. */
int chain_add(struct chain *chain, uint64_t address, uint32_t length, bool writable);
/* Breaks the queue; returns -EPROTO. */
int chain_broken(struct chain *chain, const char *reason);

#endif
