// SPDX-License-Identifier: BSD-3-Clause
/*
 * What every device of the reference does, whatever its transport and type: negotiation, status,
 * suspension, the start of queues and notifications (VIRTIO 1.4, 2 and 3).
 */
#include "reference.h"

#include "pages.h"
#include "virtio/ring.h"

#define DATA_BASE 0x40 /* no queue's index, so that a driver cannot confuse them */
#define AGAIN_MAX 1000 /* turns for a driver that adds buffers without end */
#define ANY_DEVICE                                                              \
	(FEATURE(VIRTIO_F_ACCESS_PLATFORM) | FEATURE(VIRTIO_F_ORDER_PLATFORM) | \
	 FEATURE(VIRTIO_F_NOTIFICATION_DATA) | FEATURE(VIRTIO_F_SUSPEND))

struct guest_memory reference_memory;

static void notify_queue(struct virtqueue *queue)
{
	struct reference *reference = reference_of(queue->device);

	reference->interrupts |= VIRTIO_MMIO_INT_VRING;
	reference->raise(reference, reference->rings[queue->index].vector);
}

static const struct virtqueue_ops queue_ops = {.notify = notify_queue};

static void config_changed(struct virtio_device *device)
{
	struct reference *reference = reference_of(device);

	if (!(device->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	/* VIRTIO 1.4, 3.4.2: the driver is told when the device resumes. */
	if (reference->suspended) {
		reference->changed = true;
		return;
	}
	reference->interrupts |= VIRTIO_MMIO_INT_CONFIG;
	reference->raise(reference, reference->config_vector);
}

static const struct virtio_transport_ops device_ops = {.config_changed = config_changed};

void reference_init(struct reference *reference, const struct virtio_device_class *class,
		    uint64_t features, const void *config, size_t config_size, uint16_t queues,
		    uint16_t ring)
{
	struct virtio_device *device = &reference->device;

	virtio_device_init(device, class, features | ANY_DEVICE, config, config_size,
			   reference->queues, queues, ring);
	device->memory = &reference_memory;
	device->transport = &device_ops;
	reference->config_vector = NO_INTERRUPT;
	for (uint16_t i = 0; i < queues; i++) {
		reference->queues[i].memory = &reference_memory;
		reference->queues[i].ops = &queue_ops;
		reference->rings[i].storage = pages_get(virtqueue_memory_size(ring));
		reference->rings[i].vector = NO_INTERRUPT;
		reference->rings[i].size = ring;
	}
}

/* Status */

static void start_queue(struct reference *reference, uint16_t index)
{
	struct virtqueue *queue = &reference->queues[index];
	struct reference_queue *ring = &reference->rings[index];
	struct virtio_device *device = &reference->device;
	uint16_t start = virtio_has_feature(device, VIRTIO_F_RING_PACKED) ? PACKED_WRAP : 0;
	struct virtqueue_setup setup = {
		.size = (uint16_t)ring->size,
		.descriptors = guest_addr(ring->addresses[0]),
		.driver = guest_addr(ring->addresses[1]),
		.device = guest_addr(ring->addresses[2]),
		.available_index = start,
		.used_index = start,
	};

	if (!ring->ready || queue->started || !(device->status & VIRTIO_CONFIG_S_DRIVER_OK) ||
	    !(device->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	memset(ring->storage, 0, reference->device.queue_size_max * sizeof(struct virtio_request));
	if (virtqueue_start(queue, &setup, device->negotiated, ring->storage) < 0)
		virtio_device_fault(device, queue, "a queue that cannot be used");
	/* No other process used buffers before. */
	queue->notify_anyway = false;
}

static void reset(struct reference *reference)
{
	virtio_device_reset(&reference->device);
	for (uint16_t i = 0; i < reference->device.queue_count; i++) {
		void *storage = reference->rings[i].storage;

		reference->rings[i] =
			(struct reference_queue){.size = reference->device.queue_size_max,
						 .vector = NO_INTERRUPT,
						 .storage = storage};
	}
	memset(reference->chosen, 0, sizeof(reference->chosen));
	reference->negotiated_high = 0;
	reference->device_select = reference->driver_select = 0;
	reference->queue_select = reference->region_select = 0;
	reference->interrupts = 0;
	reference->config_vector = NO_INTERRUPT;
	reference->suspended = reference->changed = false;
}

/* VIRTIO 1.4, 2.2.2 */
static void accept_features(struct reference *reference)
{
	uint64_t features = (uint64_t)reference->chosen[1] << 32 | reference->chosen[0];

	reference->negotiated_high = reference->chosen[2];
	if (virtio_device_set_features(&reference->device, features) == 0 &&
	    reference->chosen[2] & ~reference->offered_high)
		reference->device.features_refused = true;
}

static void serve(struct reference *reference, uint16_t index);

/* VIRTIO 1.4, 3.4: no request is in progress between two accesses of the driver. */
static void suspend(struct reference *reference)
{
	reference->suspended = true;
}

static void resume(struct reference *reference)
{
	bool changed = reference->changed;

	if (reference_fault(FAULT_RESUME_NEVER))
		return;
	reference->suspended = reference->changed = false;
	if (changed)
		config_changed(&reference->device);
	for (uint16_t i = 0; i < reference->device.queue_count; i++)
		serve(reference, i);
}

uint8_t reference_status(const struct reference *reference)
{
	uint8_t status = reference->device.status;

	if (reference->suspended)
		status = (status & (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK) | STATUS_SUSPEND;
	return status;
}

void reference_set_status(struct reference *reference, uint8_t status)
{
	struct virtio_device *device = &reference->device;
	uint8_t before = device->status;

	if (status == 0) {
		reset(reference);
		return;
	}
	if (reference->suspended) {
		if (status & VIRTIO_CONFIG_S_DRIVER_OK)
			resume(reference);
		return;
	}
	if (status & ~before & VIRTIO_CONFIG_S_FEATURES_OK)
		accept_features(reference);
	virtio_device_set_status(device, status & (uint8_t)~STATUS_SUSPEND);
	if (device->status & ~before & VIRTIO_CONFIG_S_DRIVER_OK)
		for (uint16_t i = 0; i < device->queue_count; i++)
			start_queue(reference, i);
	/* VIRTIO 1.4, 3.4.2: ignored before DRIVER_OK and without the feature. */
	else if (status & STATUS_SUSPEND && (reference_fault(FAULT_SUSPEND_EARLY) ||
					     (virtio_has_feature(device, VIRTIO_F_SUSPEND) &&
					      before & VIRTIO_CONFIG_S_DRIVER_OK)))
		suspend(reference);
}

/* Features */

uint32_t reference_offered(const struct reference *reference, uint32_t word)
{
	if (word == 2)
		return reference->offered_high;
	return word < 2 ? (uint32_t)(reference->device.offered >> 32 * word) : 0;
}

void reference_choose(struct reference *reference, uint32_t value)
{
	if (reference->driver_select < 3 &&
	    !(reference->device.status & VIRTIO_CONFIG_S_FEATURES_OK))
		reference->chosen[reference->driver_select] = value;
}

/* Queues */

struct reference_queue *reference_selected(struct reference *reference)
{
	return reference->queue_select < reference->device.queue_count ?
		       &reference->rings[reference->queue_select] :
		       NULL;
}

static void changed(struct reference *reference, uint32_t queue)
{
	if (reference->queue_changed)
		reference->queue_changed(reference, (uint16_t)queue);
}

void reference_enable(struct reference *reference, uint32_t queue, bool ready)
{
	struct reference_queue *ring;

	if (queue >= reference->device.queue_count)
		return;
	ring = &reference->rings[queue];
	if (ring->ready && !ready)
		virtio_device_stop_queue(&reference->device, &reference->queues[queue], NULL, NULL);
	ring->ready = ready;
	changed(reference, queue);
	start_queue(reference, (uint16_t)queue);
}

/* VIRTIO 1.4, 2.6.1: done when the access is. */
void reference_reset_queue(struct reference *reference, uint32_t queue)
{
	struct reference_queue *ring;

	if (queue >= reference->device.queue_count ||
	    !virtio_has_feature(&reference->device, VIRTIO_F_RING_RESET))
		return;
	ring = &reference->rings[queue];
	virtio_device_stop_queue(&reference->device, &reference->queues[queue], NULL, NULL);
	*ring = (struct reference_queue){.size = reference->device.queue_size_max,
					 .vector = NO_INTERRUPT,
					 .storage = ring->storage};
	changed(reference, queue);
}

/* By one of the faults that stop a device. */
static bool is_broken(const struct reference *reference)
{
	return (reference_fault(FAULT_ACCESS_DEAD) &&
		virtio_has_feature(&reference->device, VIRTIO_F_ACCESS_PLATFORM)) ||
	       (reference->stopped &&
		(reference_fault(FAULT_PMEM_STOPS) || reference_fault(FAULT_HDR_LEN_STOPS) ||
		 reference_fault(FAULT_SUSPENDED_KICK_STOPS)));
}

static void serve(struct reference *reference, uint16_t index)
{
	struct virtqueue *queue = &reference->queues[index];

	if (reference->suspended || (reference->on_pci && !reference->is_master) ||
	    is_broken(reference))
		return;
	for (int turn = 0; turn < AGAIN_MAX; turn++) {
		if (reference->admin_queue && index == reference->admin_queue)
			reference_handle_admin(reference, queue);
		else
			virtio_device_kick(&reference->device, queue);
		virtqueue_notify(queue);
		if (!virtqueue_enable_kicks(queue))
			return;
	}
}

uint16_t reference_notify_data(const struct reference *reference, uint32_t queue)
{
	return (uint16_t)(virtio_has_feature(&reference->device, VIRTIO_F_NOTIF_CONFIG_DATA) ?
				  DATA_BASE + queue :
				  queue);
}

void reference_kick(struct reference *reference, uint32_t value)
{
	uint32_t index = reference_fault(FAULT_NOTIFY_WHOLE) ? value : (uint16_t)value;

	reference->stopped |= reference->suspended && reference_fault(FAULT_SUSPENDED_KICK_STOPS);
	for (uint16_t i = 0; i < reference->device.queue_count; i++)
		if (reference_notify_data(reference, i) == index)
			serve(reference, i);
}

void reference_set_low(uint64_t *address, uint32_t value)
{
	*address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

void reference_set_high(uint64_t *address, uint32_t value)
{
	*address = (*address & UINT32_MAX) | (uint64_t)value << 32;
}

/* Configuration */

uint64_t reference_config(struct reference *reference, uint32_t offset, unsigned int width)
{
	static uint8_t reads;
	uint64_t value = 0;

	virtio_device_config_read(&reference->device, offset, &value, width);
	if (reference->suspended && reference_fault(FAULT_SUSPENDED_CHANGES))
		value ^= ++reads & 0x7f;
	return value;
}

void reference_set_config(struct reference *reference, uint32_t offset, uint64_t value,
			  unsigned int width)
{
	/* VIRTIO 1.4, 3.4.2 */
	if (!reference->suspended)
		virtio_device_config_write(&reference->device, offset, &value, width);
}
