// SPDX-License-Identifier: BSD-3-Clause
/*
 * Events from a device to its driver, each in a buffer that the driver puts into a queue for it.
 * While there is no buffer, an event is kept as a state and not as a message: an event of a source
 * is pending or not, and is written with the state at the time when a buffer is there. So memory is
 * bounded however slow the driver is, and the driver gets the latest state only.
 *
 * An event queue belongs to its device's thread.
 */
#ifndef AVP_DEVICE_KIT_EVENT_QUEUE_H
#define AVP_DEVICE_KIT_EVENT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/device.h"

struct event_queue {
	struct virtqueue *queue;
	/*
	 * Writes an event of @source, one bit, as it is now. Returns false when @request has too
	 * little room, a fault of the driver.
	 */
	bool (*write)(struct virtio_device *device, uint16_t source, uint32_t event,
		      struct virtio_request *request);
	uint16_t sources;
	uint32_t *pending; /* a set of events for each source; the caller's memory */
};

/* Makes @added, a set of bits, pending. What is pending already is not sent twice. */
void event_queue_add(struct event_queue *events, uint16_t source, uint32_t added);

/*
 * Sends what is pending while there are buffers, the sources in order and the lowest bit first, and
 * notifies the driver. Call it after additions, and when the driver kicks. Returns whether anything
 * was sent.
 */
bool event_queue_send(struct event_queue *events);

/* Forgets what is pending: the driver was reset. */
void event_queue_reset(struct event_queue *events);

#endif
