// SPDX-License-Identifier: BSD-3-Clause
/* See device_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "unit/device_rig.h"

#define STATUS_RUNNING                                                                        \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

static void count_notification(struct virtqueue *queue)
{
	struct device_rig *rig = queue->device->transport_context;

	rig->queues[queue->index].notifications++;
}

static const struct virtqueue_ops queue_ops = {.notify = count_notification};

static void count_config_change(struct virtio_device *device)
{
	struct device_rig *rig = device->transport_context;

	rig->config_changes++;
}

static const struct virtio_transport_ops transport_ops = {.config_changed = count_config_change};

static void note_fault(struct virtio_device *device, const struct virtqueue *queue,
		       const char *reason)
{
	struct device_rig *rig = device->transport_context;

	(void)queue;
	rig->reports++;
	rig->fault = reason;
}

static void start_queue(struct device_rig *rig, uint16_t index)
{
	uint64_t features = rig->device->negotiated;
	bool packed = features >> VIRTIO_F_RING_PACKED & 1;
	struct device_rig_queue *queue = &rig->queues[index];
	struct virtqueue *device_queue = &rig->device->queues[index];
	struct driver_queue_layout layout;
	struct virtqueue_setup setup = {.size = rig->size};
	uint64_t ring, tables;

	driver_queue_layout(rig->size, packed, &layout);
	rig->placed = (rig->placed + 4095) & ~(size_t)4095;
	ring = device_rig_place(rig, NULL, layout.size);
	rig->placed = (rig->placed + 15) & ~(size_t)15;
	tables = device_rig_place(rig, NULL, rig->size * DRIVER_INDIRECT_MAX * 16);
	queue->descriptors = calloc(rig->size, sizeof(*queue->descriptors));
	driver_queue_init(&queue->driver, index, rig->size, features, device_rig_at(rig, ring),
			  queue->descriptors);
	driver_queue_set_indirect(&queue->driver, device_rig_at(rig, tables), guest_addr(tables));
	setup.descriptors = guest_addr(ring + layout.descriptors);
	setup.driver = guest_addr(ring + layout.driver);
	setup.device = guest_addr(ring + layout.device);
	if (packed)
		setup.available_index = setup.used_index = 1u << 15;
	queue->storage = mmap(NULL, virtqueue_memory_size(rig->size), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(queue->storage, MAP_FAILED);
	device_queue->memory = &rig->memory;
	device_queue->ops = &queue_ops;
	assert_int_equal(virtqueue_start(device_queue, &setup, features, queue->storage), 0);
}

void device_rig_start(struct device_rig *rig, struct virtio_device *device, uint64_t features,
		      uint16_t size)
{
	memset(rig, 0, sizeof(*rig));
	rig->device = device;
	rig->size = size;
	rig->ram = calloc(1, DEVICE_RIG_MEMORY);
	guest_memory_init(&rig->memory, NULL);
	/* Two adjacent ranges of guest addresses: buffers may cross the border. */
	for (int half = 0; half < 2; half++)
		assert_int_equal(guest_memory_add(&rig->memory,
						  guest_addr(DEVICE_RIG_BASE +
							     half * (DEVICE_RIG_MEMORY / 2)),
						  DEVICE_RIG_MEMORY / 2,
						  rig->ram + half * (DEVICE_RIG_MEMORY / 2)),
				 0);
	device->transport = &transport_ops;
	device->transport_context = rig;
	device->report_fault = note_fault;
	device->memory = &rig->memory;
	assert_int_equal(virtio_device_set_features(device,
						    features | UINT64_C(1) << VIRTIO_F_VERSION_1),
			 0);
	virtio_device_set_status(device, STATUS_RUNNING);
	assert_true(device->queue_count <= DEVICE_RIG_QUEUES);
	for (uint16_t i = 0; i < device->queue_count; i++)
		start_queue(rig, i);
	rig->rings_end = rig->placed;
}

void device_rig_stop(struct device_rig *rig)
{
	virtio_device_reset(rig->device);
	for (uint16_t i = 0; i < rig->device->queue_count; i++) {
		free(rig->queues[i].descriptors);
		munmap(rig->queues[i].storage, virtqueue_memory_size(rig->size));
	}
	free(rig->ram);
}

uint64_t device_rig_place(struct device_rig *rig, const void *bytes, size_t length)
{
	uint64_t address = DEVICE_RIG_BASE + rig->placed;

	assert_true(length <= DEVICE_RIG_MEMORY - rig->placed);
	if (bytes)
		memcpy(rig->ram + rig->placed, bytes, length);
	rig->placed += length;
	return address;
}

void device_rig_clear(struct device_rig *rig)
{
	rig->placed = rig->rings_end;
}

void *device_rig_at(struct device_rig *rig, uint64_t address)
{
	return rig->ram + (address - DEVICE_RIG_BASE);
}

/* Cuts a range into buffers; returns how many. */
static unsigned int cut_range(struct driver_buffer *buffers, uint64_t address, size_t length,
			      size_t cut)
{
	unsigned int count = 0;

	while (length > 0) {
		uint32_t part = (uint32_t)(length < cut ? length : cut);

		buffers[count++] = (struct driver_buffer){guest_addr(address), part};
		address += part;
		length -= part;
	}
	return count;
}

uint64_t device_rig_add(struct device_rig *rig, unsigned int queue, const void *out,
			size_t out_length, size_t in_length, size_t cut)
{
	struct driver_buffer buffers[1024];
	uint64_t out_address = device_rig_place(rig, out, out_length);
	uint64_t in_address = device_rig_place(rig, NULL, in_length);
	unsigned int readable, writable;

	assert_true((out_length + in_length) / cut + 2 <= 1024);
	memset(device_rig_at(rig, in_address), 0xee, in_length);
	readable = cut_range(buffers, out_address, out_length, cut);
	writable = cut_range(buffers + readable, in_address, in_length, cut);
	assert_int_equal(driver_queue_add(&rig->queues[queue].driver, buffers, readable, writable,
					  device_rig_at(rig, in_address)),
			 0);
	return in_address;
}

void device_rig_kick(struct device_rig *rig, unsigned int queue)
{
	virtio_device_kick(rig->device, &rig->device->queues[queue]);
}

bool device_rig_has_used(struct device_rig *rig, unsigned int queue)
{
	return driver_queue_has_used(&rig->queues[queue].driver);
}

uint64_t device_rig_take(struct device_rig *rig, unsigned int queue, uint32_t *written)
{
	int error = 0;
	uint8_t *token = driver_queue_take(&rig->queues[queue].driver, written, &error);

	assert_int_equal(error, 0);
	assert_non_null(token);
	return DEVICE_RIG_BASE + (uint64_t)(token - rig->ram);
}
