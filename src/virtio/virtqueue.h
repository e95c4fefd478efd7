// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device side of a virtqueue, split (VIRTIO 1.4, 2.7) or packed (2.8) behind one type.
 *
 * The driver's memory is hostile: each field is read once, then checked. What no correct driver can
 * do breaks the queue (virtqueue_broken): it hands out no more requests and writes nothing more to
 * the ring, until it is set up again after a reset.
 *
 * A queue belongs to one thread. Nothing is allocated after virtqueue_start.
 */
#ifndef AVP_VIRTIO_VIRTQUEUE_H
#define AVP_VIRTIO_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/guest_memory.h"
#include "virtio/request.h"

/* The largest ring that the device side accepts. The specification allows 32768. */
#define VIRTQUEUE_SIZE_MAX 1024

struct virtqueue;
struct virtqueue_format;
struct virtqueue_inflight;
struct virtio_device;

/* How the guest is notified: provided by the transport or the hypervisor. */
struct virtqueue_ops {
	/* Notifies the driver that buffers were used. */
	void (*notify)(struct virtqueue *queue);
};

/* Where the driver put the ring, and the device's positions in it. */
struct virtqueue_setup {
	uint16_t size; /* entries; a power of two for split rings */
	struct guest_addr descriptors;
	struct guest_addr driver; /* available ring, or driver event suppression */
	struct guest_addr device; /* used ring, or device event suppression */
	uint16_t available_index; /* next entry to take; packed: bit 15 is the wrap counter */
	uint16_t used_index;	  /* packed only, with bit 15 likewise; split has it in the ring */
	/*
	 * While memory->log is set: the device's writes to the ring are logged, those to its device
	 * area as if that were at this guest-physical address (vhost-user, "Migration").
	 */
	bool log;
	uint64_t log_address;
};

struct virtqueue {
	/* Set by the owner before virtqueue_start. */
	uint16_t index; /* of the queue in its device */
	struct virtio_device *device;
	struct guest_memory *memory;
	const struct virtqueue_ops *ops;
	struct virtqueue_inflight *inflight; /* NULL: requests in flight are not tracked */
	bool discards; /* by the device type: while disabled, complete requests undone */
	bool disabled; /* by the transport, of a queue that discards */

	/* The rest is the queue's own; read it through functions. */
	const struct virtqueue_format *format;
	struct virtqueue_setup setup; /* with the positions at which it was really started */
	bool started;
	/* Being stopped for a successor, which finds uncompleted requests in the record. */
	bool leaving;
	bool event_index, in_order, indirect; /* negotiated */
	bool used_wrap, available_wrap;	      /* packed */
	bool kicks_enabled;
	bool kicks_stale;   /* requests were taken since kicks were enabled */
	bool notify_anyway; /* the next notification is not suppressed: state was lost */
	uint16_t size;
	uint16_t available_index, used_index;
	uint16_t available_shadow; /* split: the driver's index as last read */
	uint16_t unsignalled;	   /* used entries since the last check for a notification */
	uint16_t in_flight;	   /* requests popped and not pushed to the ring */
	uint64_t handed_out;	   /* all requests popped, minus those unpopped */
	const char *broken;	   /* why, or NULL */

	void *descriptors; /* the three areas, in host memory */
	void *driver_area;
	void *device_area;

	struct virtio_request *requests; /* of size entries */
	struct virtio_request *free;
	struct virtio_request *oldest, *youngest; /* in flight, in ring order */
	struct virtio_segment *segments; /* VIRTQUEUE_SEGMENTS a request, and again for the log */
	uint16_t *replay;		 /* inflight entries to hand out again, oldest first */
	uint16_t replay_count, replay_next;
};

/*
 * The longest chain that is accepted. No driver may make one longer than the queue (VIRTIO 1.4,
 * 2.7.5.3.1), but Linux does in indirect tables when a device takes more segments than the queue
 * has entries, so tables may be as long as in the largest queue.
 */
#define VIRTQUEUE_CHAIN_MAX VIRTQUEUE_SIZE_MAX

/* Segments that one request may need: a full chain, cut at each border between regions. */
#define VIRTQUEUE_SEGMENTS (VIRTQUEUE_CHAIN_MAX + GUEST_MEMORY_REGIONS_MAX)

/*
 * Bytes of zeroed memory, aligned for pointers, that a queue of up to @size entries needs. Most
 * of it stays untouched while requests are few and short, so take it from where untouched pages
 * cost nothing.
 */
size_t virtqueue_memory_size(uint16_t size);

/*
 * Starts a queue with the negotiated @features and @storage of virtqueue_memory_size(setup->size)
 * bytes, which the caller keeps until virtqueue_stop. The members above "the rest" must be set.
 * -EINVAL: the size, which the device may limit, or an address is not allowed; -EFAULT: an area is
 * not in guest memory; -EAGAIN: an address is not translated yet.
 */
int virtqueue_start(struct virtqueue *queue, const struct virtqueue_setup *setup, uint64_t features,
		    void *storage);

/*
 * Stops the queue and forgets its requests: nothing may be in flight at the host any more.
 * *available_index and *used_index get the positions, as in struct virtqueue_setup, unless NULL.
 * The record of requests in flight stays as it is: a queue that is started with it again continues
 * at its position, and hands out again what was not completed.
 */
void virtqueue_stop(struct virtqueue *queue, uint16_t *available_index, uint16_t *used_index);

/*
 * Whether the driver of a started queue had used it before, in another process or before a pause.
 * False also where a ring had wrapped to exactly its start.
 */
bool virtqueue_has_history(const struct virtqueue *queue);

/* Looks the ring areas up again after guest memory was changed. As virtqueue_start. */
int virtqueue_translate(struct virtqueue *queue);

/* Whether there is a request to take. Cheap: one read of shared memory at most. */
bool virtqueue_has_request(struct virtqueue *queue);

/*
 * Takes the next request, or NULL when there is none, when the queue is broken or stopped, or
 * when an address in it is not translated yet (the next call then tries again).
 */
struct virtio_request *virtqueue_pop(struct virtqueue *queue);

/*
 * Pops requests into @request, a variable of the caller's. It takes at most as many as the ring has
 * entries: a driver that adds requests as fast as they are done must not occupy the device for
 * ever. After the loop @request is NULL if there was nothing left to take.
 */
#define for_each_request(request, queue)                \
	for (uint32_t request##_budget = (queue)->size; \
	     request##_budget > 0 && ((request) = virtqueue_pop(queue)); request##_budget--)

/* Gives the last popped request back as if it had not been taken; with nothing popped since. */
void virtqueue_unpop(struct virtqueue *queue, struct virtio_request *request);

/*
 * Completes a request, with request->written bytes written. With IN_ORDER its used entry is written
 * when all older ones are complete (VIRTIO 1.4, 2.7.9 and 2.8.11).
 */
void virtqueue_push(struct virtqueue *queue, struct virtio_request *request);

/*
 * Completes @count requests, popped in this order, so that the driver sees all of them used or
 * none, even when the process dies in between: for a network frame that is spread over several
 * buffers. With IN_ORDER they wait for older ones, as in virtqueue_push.
 */
void virtqueue_push_batch(struct virtqueue *queue, struct virtio_request *const *requests,
			  uint16_t count);

/* Notifies the driver of what was pushed, unless it asked not to be. Once after a batch. */
void virtqueue_notify(struct virtqueue *queue);

/*
 * Whether the driver is asked to kick when it adds buffers. Enabling returns true when buffers
 * came in the meantime: handle them, for no kick will come.
 */
void virtqueue_disable_kicks(struct virtqueue *queue);
bool virtqueue_enable_kicks(struct virtqueue *queue);

/*
 * Whether the next buffer will bring a kick. With EVENT_IDX the driver kicks at one position only
 * (VIRTIO 1.4, 2.7.10 and 2.8.10): where the queue stood when kicks were enabled. A device that has
 * taken more since then, for whatever reason, has to enable them again before it waits.
 */
static inline bool virtqueue_awaits_kick(const struct virtqueue *queue)
{
	return queue->kicks_enabled && !queue->kicks_stale;
}

/* Marks the queue broken: @reason is a static string. Notifies the device. */
void virtqueue_break(struct virtqueue *queue, const char *reason);

/* Whether requests that a dead device process had taken are still to be taken again. */
static inline bool virtqueue_replaying(const struct virtqueue *queue)
{
	return queue->replay_next < queue->replay_count;
}

static inline bool virtqueue_broken(const struct virtqueue *queue)
{
	return queue->broken != NULL;
}

#endif
