// SPDX-License-Identifier: BSD-3-Clause
/* See hostile_driver.h. */
#include "fuzz/hostile_driver.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "virtio/driver_queue.h"

#define STEPS_MAX 200

uint8_t hostile_byte(struct hostile_driver *driver)
{
	if (driver->left == 0)
		return 0;
	driver->left--;
	return *driver->input++;
}

void hostile_bytes(struct hostile_driver *driver, void *buffer, size_t length)
{
	size_t there = length < driver->left ? length : driver->left;

	memset(buffer, 0, length);
	memcpy(buffer, driver->input, there);
	driver->input += there;
	driver->left -= there;
}

static void ignore_queue(struct virtqueue *queue)
{
	(void)queue;
}

static const struct virtqueue_ops queue_ops = {.notify = ignore_queue};

static void ignore_device(struct virtio_device *device)
{
	(void)device;
}

static const struct virtio_transport_ops transport_ops = {.config_changed = ignore_device};

static bool is_packed(const struct hostile_driver *driver)
{
	return virtio_has_feature(driver->device, VIRTIO_F_RING_PACKED);
}

/* The ring of queue N begins at page N of guest memory. */
static void start_queue(struct hostile_driver *driver, uint16_t index)
{
	struct virtqueue *queue = &driver->device->queues[index];
	uint64_t base = (uint64_t)index * 0x1000;
	struct driver_queue_layout layout;
	struct virtqueue_setup setup = {.size = HOSTILE_QUEUE_SIZE};

	/* Transports do not start queues of a device that needs a reset. */
	if (queue->started || (driver->device->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		return;
	driver_queue_layout(HOSTILE_QUEUE_SIZE, is_packed(driver), &layout);
	setup.descriptors = guest_addr(base + layout.descriptors);
	setup.driver = guest_addr(base + layout.driver);
	setup.device = guest_addr(base + layout.device);
	if (is_packed(driver))
		setup.available_index = setup.used_index = 1u << 15;
	/* Fresh zero pages, of which the queue will touch few. */
	madvise(driver->storage[index], virtqueue_memory_size(HOSTILE_QUEUE_SIZE), MADV_DONTNEED);
	queue->memory = &driver->memory;
	queue->ops = &queue_ops;
	virtqueue_start(queue, &setup, driver->device->negotiated, driver->storage[index]);
}

/* Memory for a queue, reused for all inputs. */
static void *queue_storage(uint16_t index)
{
	static void *storage[HOSTILE_QUEUES];

	if (!storage[index])
		storage[index] = mmap(NULL, virtqueue_memory_size(HOSTILE_QUEUE_SIZE),
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	PROMISE(storage[index] != MAP_FAILED);
	return storage[index];
}

static void set_up(struct hostile_driver *driver)
{
	uint64_t features;

	hostile_bytes(driver, &features, sizeof(features));
	features &= driver->device->offered;
	if (virtio_device_set_features(driver->device, features | UINT64_C(1)
									  << VIRTIO_F_VERSION_1))
		virtio_device_set_features(driver->device, UINT64_C(1) << VIRTIO_F_VERSION_1);
	virtio_device_set_status(driver->device, VIRTIO_CONFIG_S_DRIVER_OK);
	for (uint16_t i = 0; i < driver->device->queue_count; i++)
		start_queue(driver, i);
}

static void write_memory(struct hostile_driver *driver)
{
	uint16_t at, length;

	hostile_bytes(driver, &at, sizeof(at));
	hostile_bytes(driver, &length, sizeof(length));
	length %= 1024;
	if (length > 2 * HOSTILE_RANGE - at)
		length = (uint16_t)(2 * HOSTILE_RANGE - at);
	hostile_bytes(driver, driver->ram + at, length);
}

static void access_config(struct hostile_driver *driver, bool writing)
{
	uint8_t offset = hostile_byte(driver), length = hostile_byte(driver) % 80;
	uint8_t bytes[80];

	if (writing) {
		hostile_bytes(driver, bytes, sizeof(bytes));
		virtio_device_config_write(driver->device, offset, bytes, length);
	} else {
		virtio_device_config_read(driver->device, offset, bytes, length);
	}
}

static void check_promises(const struct hostile_driver *driver)
{
	for (uint16_t i = 0; i < driver->device->queue_count; i++) {
		const struct virtqueue *queue = &driver->device->queues[i];

		PROMISE(queue->in_flight <= HOSTILE_QUEUE_SIZE);
		/* A broken queue always sets DEVICE_NEEDS_RESET. */
		if (queue->broken)
			PROMISE(driver->device->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	}
}

static void take_step(struct hostile_driver *driver)
{
	struct virtio_device *device = driver->device;
	uint8_t step = hostile_byte(driver);
	struct virtqueue *queue = &device->queues[(step >> 4) % device->queue_count];

	switch (step & 15) {
	case 0:
	case 1:
	case 2:
		write_memory(driver);
		break;
	case 3:
		access_config(driver, false);
		break;
	case 4:
		access_config(driver, true);
		break;
	case 5:
		virtio_device_stop_queue(device, queue, NULL, NULL);
		PROMISE(queue->in_flight == 0);
		start_queue(driver, queue->index);
		break;
	case 6:
		virtio_device_quiesce(device);
		for (uint16_t i = 0; i < device->queue_count; i++)
			PROMISE(device->queues[i].in_flight == 0 || device->queues[i].broken);
		break;
	case 7:
		virtio_device_reset(device);
		set_up(driver);
		break;
	case 8:
	case 9:
	case 10:
		if (driver->happening)
			driver->happening(driver, hostile_byte(driver));
		break;
	default:
		virtio_device_kick(device, queue);
	}
	check_promises(driver);
}

void hostile_driver_run(struct hostile_driver *driver, struct virtio_device *device,
			const uint8_t *input, size_t length)
{
	driver->input = input;
	driver->left = length;
	driver->device = device;
	driver->ram = calloc(2, HOSTILE_RANGE);
	PROMISE(device->queue_count <= HOSTILE_QUEUES);
	for (uint16_t i = 0; i < device->queue_count; i++)
		driver->storage[i] = queue_storage(i);
	guest_memory_init(&driver->memory, NULL);
	guest_memory_add(&driver->memory, guest_addr(0), HOSTILE_RANGE, driver->ram);
	guest_memory_add(&driver->memory, guest_addr(HOSTILE_SECOND), HOSTILE_RANGE,
			 driver->ram + HOSTILE_RANGE);
	device->transport = &transport_ops;
	device->transport_context = driver;
	device->memory = &driver->memory;
	set_up(driver);
	for (int step = 0; step < STEPS_MAX && driver->left > 0; step++)
		take_step(driver);
	virtio_device_reset(device);
	for (uint16_t i = 0; i < device->queue_count; i++)
		PROMISE(device->queues[i].in_flight == 0);
	free(driver->ram);
}
