// SPDX-License-Identifier: BSD-3-Clause
/* Events from a device to its driver, kept as states. */
#include "device/kit/event_queue.h"

#include <string.h>

void event_queue_add(struct event_queue *events, uint16_t source, uint32_t added)
{
	events->pending[source] |= added;
}

/* Sends the next event of a source. Returns false when there is no buffer. */
static bool send_event(struct event_queue *events, uint16_t source)
{
	struct virtio_device *device = events->queue->device;
	struct virtio_request *request = virtqueue_pop(events->queue);
	uint32_t event = events->pending[source] & -events->pending[source];

	if (!request)
		return false;
	if (!events->write(device, source, event, request)) {
		virtio_device_fault(device, events->queue, "buffer too small for an event");
		return false;
	}
	virtqueue_push(events->queue, request);
	events->pending[source] &= ~event;
	return true;
}

bool event_queue_send(struct event_queue *events)
{
	bool sent = false;

	for (uint16_t i = 0; i < events->sources; i++)
		while (events->pending[i] && send_event(events, i))
			sent = true;
	virtqueue_notify(events->queue);
	return sent;
}

void event_queue_reset(struct event_queue *events)
{
	memset(events->pending, 0, events->sources * sizeof(events->pending[0]));
}
