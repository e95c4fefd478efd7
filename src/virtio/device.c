// SPDX-License-Identifier: BSD-3-Clause
/* The life of a device (VIRTIO 1.4, 2.1 to 2.5 and 3.1). */
#include "virtio/device.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "virtio/feature.h"

const uint64_t virtio_core_features = FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
				      FEATURE(VIRTIO_RING_F_EVENT_IDX) |
				      FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_F_RING_PACKED) |
				      FEATURE(VIRTIO_F_IN_ORDER) | FEATURE(VIRTIO_F_RING_RESET);

void virtio_device_init(struct virtio_device *device, const struct virtio_device_class *class,
			uint64_t features, const void *config, size_t config_size,
			struct virtqueue *queues, uint16_t queue_count, uint16_t queue_size_max)
{
	memset(device, 0, sizeof(*device));
	device->class = class;
	device->offered = features | virtio_core_features;
	device->config = config;
	device->config_size = config_size;
	device->queues = queues;
	device->queue_count = queue_count;
	device->queue_size_max = queue_size_max;
	for (uint16_t i = 0; i < queue_count; i++) {
		queues[i].index = i;
		queues[i].device = device;
	}
}

int virtio_device_set_features(struct virtio_device *device, uint64_t features)
{
	uint64_t before = device->negotiated;

	device->features_refused = true;
	if (features & ~device->offered)
		return -EINVAL;
	device->negotiated = features;
	if (device->class->features_chosen && device->class->features_chosen(device) < 0) {
		device->negotiated = before;
		return -EINVAL;
	}
	device->features_refused = false;
	return 0;
}

void virtio_device_set_status(struct virtio_device *device, uint8_t status)
{
	uint8_t before = device->status;

	if (status == 0) {
		virtio_device_reset(device);
		return;
	}
	if (device->features_refused || !virtio_has_feature(device, VIRTIO_F_VERSION_1))
		status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	/* Only the device sets DEVICE_NEEDS_RESET; it stays until the reset (2.1.2). */
	device->status |= status & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (device->status & ~before & VIRTIO_CONFIG_S_DRIVER_OK && device->class->driver_ready)
		device->class->driver_ready(device);
}

void virtio_device_keep_state(struct virtio_device *device)
{
	if (device->transport && device->transport->keep_state)
		device->transport->keep_state(device);
}

static bool within_region(const struct virtio_device *device, const struct virtio_mapping *mapping)
{
	uint64_t size;

	if (mapping->region >= device->region_count || mapping->length == 0)
		return false;
	size = device->region_sizes[mapping->region];
	return mapping->length <= size && mapping->offset <= size - mapping->length;
}

int virtio_device_map(struct virtio_device *device, struct virtio_mapping *mapping)
{
	if (!within_region(device, mapping))
		return -EINVAL;
	if (!device->transport || !device->transport->map)
		return -EOPNOTSUPP;
	return device->transport->map(device, mapping);
}

int virtio_device_unmap(struct virtio_device *device, struct virtio_mapping *mapping)
{
	if (!within_region(device, mapping))
		return -EINVAL;
	if (!device->transport || !device->transport->unmap)
		return -EOPNOTSUPP;
	return device->transport->unmap(device, mapping);
}

void virtio_device_stop_queue(struct virtio_device *device, struct virtqueue *queue,
			      uint16_t *available_index, uint16_t *used_index)
{
	queue->leaving = queue->inflight && !available_index && !used_index;
	if (queue->started && device->class->quiesce)
		device->class->quiesce(device, queue);
	virtqueue_stop(queue, available_index, used_index);
	queue->leaving = false;
}

void virtio_device_quiesce(struct virtio_device *device)
{
	for (uint16_t i = 0; i < device->queue_count; i++)
		if (device->queues[i].started && device->class->quiesce)
			device->class->quiesce(device, &device->queues[i]);
}

void virtio_device_reset(struct virtio_device *device)
{
	for (uint16_t i = 0; i < device->queue_count; i++)
		virtio_device_stop_queue(device, &device->queues[i], NULL, NULL);
	device->negotiated = 0;
	device->features_refused = false;
	device->status = 0;
	if (device->class->reset)
		device->class->reset(device);
}

/* How much of an access lies within configuration space. */
static size_t within_config(const struct virtio_device *device, uint64_t offset, size_t length)
{
	if (offset >= device->config_size)
		return 0;
	if (length > device->config_size - offset)
		return device->config_size - offset;
	return length;
}

void virtio_device_config_read(struct virtio_device *device, uint64_t offset, void *buffer,
			       size_t length)
{
	size_t inside = within_config(device, offset, length);

	memset(buffer, 0, length);
	if (inside > 0)
		memcpy(buffer, (const uint8_t *)device->config + offset, inside);
}

int virtio_device_config_write(struct virtio_device *device, uint64_t offset, const void *buffer,
			       size_t length)
{
	if (length == 0 || within_config(device, offset, length) != length)
		return -EPERM;
	if (!device->class->config_write)
		return -EPERM;
	return device->class->config_write(device, offset, buffer, length);
}

void virtio_device_config_changed(struct virtio_device *device)
{
	device->config_generation++;
	if (device->transport && device->transport->config_changed)
		device->transport->config_changed(device);
}

void virtio_device_kick(struct virtio_device *device, struct virtqueue *queue)
{
	if (!queue->started || (device->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		return;
	device->class->handle(device, queue);
}

void virtio_device_fault(struct virtio_device *device, struct virtqueue *queue, const char *reason)
{
	device->faults++;
	if (device->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	for (uint16_t i = 0; i < device->queue_count; i++)
		if (!device->queues[i].broken)
			device->queues[i].broken = reason;
	if (device->report_fault)
		device->report_fault(device, queue, reason);
	/* The driver gets a configuration change notification (2.1.2). */
	virtio_device_config_changed(device);
}
