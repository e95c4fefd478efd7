// SPDX-License-Identifier: BSD-3-Clause
/* Events that a device tells its driver, kept as states. */
#include "device/kit/event_queue.h"

#include <string.h>

void event_queue_add(struct event_queue *queue, uint16_t source, uint32_t events)
{
	queue->pending[source] |= events;
}

/* Sends the next event of a source. Returns false when there is no buffer. */
static bool send_event(struct event_queue *queue, uint16_t source)
{
	struct virtio_device *device = queue->queue->device;
	struct virtio_request *request = virtqueue_pop(queue->queue);
	uint32_t event = queue->pending[source] & -queue->pending[source];

	if (!request)
		return false;
	if (!queue->write(device, source, event, request)) {
		virtio_device_fault(device, queue->queue, "buffer too small for an event");
		return false;
	}
	virtqueue_push(queue->queue, request);
	queue->pending[source] &= ~event;
	return true;
}

void event_queue_send(struct event_queue *queue)
{
	for (uint16_t i = 0; i < queue->sources; i++)
		while (queue->pending[i] && send_event(queue, i))
			;
	virtqueue_notify(queue->queue);
}

void event_queue_reset(struct event_queue *queue)
{
	memset(queue->pending, 0, queue->sources * sizeof(queue->pending[0]));
}
