// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sources of numbers that are random enough for a test (VIRTIO 1.4, 5.4): one behind virtio-mmio,
 * one behind PCI that has an administration queue.
 */
#include "reference.h"

static struct reference sources[2];

static uint64_t next_number(void)
{
	static uint64_t state;

	/* splitmix64, stirred by the time. */
	state += UINT64_C(0x9e3779b97f4a7c15) + arch_ticks();
	uint64_t number = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);

	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct virtio_request *request;

	(void)device;
	for_each_request(request, queue) {
		while (request->writable.left > 0) {
			uint64_t number = next_number();

			request_write(request, &number, sizeof(number));
		}
		virtqueue_push(queue, request);
	}
}

static const struct virtio_device_class entropy_class = {
	.name = "entropy",
	.id = VIRTIO_ID_RNG,
	.handle = handle,
};

void reference_add_entropy(void)
{
	reference_init(&sources[0], &entropy_class, 0, NULL, 0, 1, RING_SMALL);
	windows_add(&sources[0]);
	reference_init(&sources[1], &entropy_class, FEATURE(VIRTIO_F_ADMIN_VQ), NULL, 0, 2,
		       RING_SMALL);
	sources[1].admin_queue = 1;
	functions_add(&sources[1]);
}
