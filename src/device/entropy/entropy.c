// SPDX-License-Identifier: BSD-3-Clause
/* The entropy device (VIRTIO 1.4, 5.4). */
#include "device/entropy/entropy.h"

#include <errno.h>
#include <string.h>

#include "virtio/container_of.h"
#include "virtio/device_state.h"

static struct entropy_device *to_entropy(struct virtio_device *device)
{
	return container_of(device, struct entropy_device, device);
}

/* Writes random bytes straight into guest memory, up to the bound. */
static void fill_request(struct entropy_device *entropy, struct virtio_request *request)
{
	struct virtio_stream *room = &request->writable;

	while (room->count > 0 && request->written < ENTROPY_REQUEST_MAX) {
		size_t length = room->segments->length;
		size_t filled;

		if (length > ENTROPY_REQUEST_MAX - request->written)
			length = ENTROPY_REQUEST_MAX - request->written;
		filled = entropy->backend->fill(entropy->backend, room->segments->base, length);
		if (filled == 0)
			return;
		request->written += (uint32_t)filled;
		stream_advance(room, filled);
	}
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct entropy_device *entropy = to_entropy(device);
	struct virtio_request *request;

	for_each_request(request, queue) {
		/*
		 * VIRTIO 1.4, 5.4.6.2: one byte or more; a request without room for one is a fault.
		 */
		if (request->writable.left == 0) {
			virtio_device_fault(device, queue, "entropy request without room");
			return;
		}
		fill_request(entropy, request);
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
}

/* A driver cannot set anything. */
static void save(struct virtio_device *device, struct device_state *state)
{
}

static int load(struct virtio_device *device, struct device_state *state)
{
	return state_is_complete(state) ? 0 : -EINVAL;
}

static const struct virtio_device_class entropy_class = {
	.name = "entropy",
	.id = 4,
	.handle = handle,
	.state_version = 1,
	.save = save,
	.load = load,
};

void entropy_device_init(struct entropy_device *entropy, struct entropy_backend *backend)
{
	memset(entropy, 0, sizeof(*entropy));
	entropy->backend = backend;
	virtio_device_init(&entropy->device, &entropy_class, 0, NULL, 0, &entropy->queue, 1,
			   ENTROPY_QUEUE_SIZE);
}
