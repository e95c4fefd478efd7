// SPDX-License-Identifier: BSD-3-Clause
/* The devices of all transports, and the steps of every driver (VIRTIO 1.4, 3.1). */
#include "bus/bus.h"

#include "bus/pci.h"
#include "devices/type.h"
#include "pages.h"
#include "report.h"

#define RESET_MS    2000
#define QUEUES_SEEN 64 /* of a device, in its line in the log */
#define SIZES_SHOWN 16

struct device devices[DEVICES_MAX];
unsigned int device_count;

struct device *device_add(const struct transport_ops *ops, enum transport transport, uint32_t id)
{
	struct device *device;

	if (device_count == DEVICES_MAX)
		return NULL;
	device = &devices[device_count];
	*device = (struct device){.ops = ops,
				  .transport = transport,
				  .id = id,
				  .number = device_count,
				  .interrupt = INTERRUPT_NONE};
	for_each_type(type)
	{
		if (type->id == id)
			device->type = type;
	}
	device_count++;
	return device;
}

void device_remove(struct device *device)
{
	device_count--;
	for (; device < &devices[device_count]; device++) {
		unsigned int number = device->number;

		*device = device[1];
		device->number = number;
	}
}

bool device_probe(void (*function)(void *), void *argument)
{
	unsigned int before = device_count;
	struct fault fault;

	if (!fault_catch(function, argument, &fault))
		return true;
	device_count = before;
	report_line(
		"note: exception 0x%lx (0x%lx) at 0x%lx, address 0x%lx, while looking for devices",
		fault.kind, fault.detail, fault.pc, fault.address);
	return false;
}

void devices_discover(void)
{
	mmio_discover();
	pci_discover();
}

/* What a device offers, for its line in the log. */
struct offer {
	struct device *device;
	uint64_t features[2];
	unsigned int queues;
	char sizes[SIZES_SHOWN * 11 + 1];
	char limits[160];
};

/*
 * Reads everything before FEATURES_OK, which the device must allow, also for fields of features
 * that are offered only (VIRTIO 1.4, 2.5.1).
 */
static void read_offer(void *argument)
{
	struct offer *offer = argument;
	struct device *device = offer->device;
	const struct device_field *field = device->type ? device->type->fields : NULL;
	size_t length = 0;
	uint32_t size;

	offer->features[0] = device_offered(device);
	/* Only some types have more than two words of bits (VIRTIO 1.4, 2.2). */
	if (device->type && device->type->features_high)
		offer->features[1] = (uint64_t)device->ops->features(device, 3) << 32 |
				     device->ops->features(device, 2);
	while (offer->queues < QUEUES_SEEN) {
		size = device->ops->queue_size(device, offer->queues);
		if (!size)
			break;
		if (offer->queues++ < SIZES_SHOWN)
			length += text_format(offer->sizes + length, sizeof(offer->sizes) - length,
					      "%s%u", length ? "," : "", size);
	}
	for (length = 0; field && field->name && length < sizeof(offer->limits); field++)
		if (field->limit && (!field->features || offer->features[0] & field->features))
			length += text_format(offer->limits + length,
					      sizeof(offer->limits) - length, " %s %lu",
					      field->name,
					      config_read(device, field->offset, field->width));
}

static void report_device(struct device *device)
{
	struct offer offer = {.device = device};
	struct fault fault;
	char place[80];

	if (device->transport == TRANSPORT_MMIO)
		text_format(place, sizeof(place), "mmio at 0x%lx irq %d", device->base,
			    device->line.valid ? (int)device->line.number : -1);
	else
		text_format(place, sizeof(place), "pci at %x:%x.%x irq %d", device->pci->bus,
			    device->pci->slot, device->pci->function,
			    device->pci->intx.valid ? (int)device->pci->intx.number : -1);
	if (fault_catch(read_offer, &offer, &fault)) {
		report_line("device %u id %u transport %s", device->number, device->id, place);
		return;
	}
	report_line("device %u id %u transport %s features 0x%016lx%016lx queues %u sizes %s%s",
		    device->number, device->id, place, offer.features[1], offer.features[0],
		    offer.queues, offer.queues ? offer.sizes : "none", offer.limits);
}

void devices_report(void)
{
	for (unsigned int i = 0; i < device_count; i++)
		report_device(&devices[i]);
	devices_reset_all();
}

struct device *device_nth(uint32_t id, enum transport transport, unsigned int nth)
{
	for (unsigned int i = 0; i < device_count; i++) {
		struct device *device = &devices[i];

		if ((!id || device->id == id) && (!transport || device->transport == transport) &&
		    nth-- == 0)
			return device;
	}
	return NULL;
}

struct device *device_find(uint32_t id, enum transport transport)
{
	return device_nth(id, transport, 0);
}

const char *device_name(const struct device *device)
{
	static char names[4][40];
	static unsigned int next;
	char *name = names[next++ % 4];

	text_format(name, sizeof(names[0]), "%s device %u (%s)",
		    device->type ? device->type->name : "other", device->number,
		    device->transport == TRANSPORT_MMIO ? "mmio" : "pci");
	return name;
}

uint64_t device_offered(struct device *device)
{
	uint64_t low = device->ops->features(device, 0);

	device->touched = true;
	return (uint64_t)device->ops->features(device, 1) << 32 | low;
}

bool device_reset(struct device *device)
{
	device->touched = true;
	device->ops->set_status(device, 0);
	device->negotiated = device->negotiated_high = 0;
	return wait_until(device->ops->status(device) == 0, RESET_MS);
}

bool devices_reset_all(void)
{
	bool stopped = true;

	for (unsigned int i = 0; i < device_count; i++) {
		struct device *device = &devices[i];

		if (device->pci)
			pci_restore(device->pci);
		if (!device->touched && device->ops->status(device) == 0)
			continue;
		if (!device_reset(device)) {
			report_line("note: %s does not stop", device_name(device));
			stopped = false;
		}
		device->touched = device->connected = false;
		device->interrupt = INTERRUPT_NONE;
	}
	return stopped;
}

bool device_negotiate_wide(struct device *device, uint64_t features, uint32_t high)
{
	if (!device_reset(device))
		return false;
	device->ops->set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	device->ops->set_status(device, STATUS_DRIVER);
	if (device->type && !(features & device->type->needed_features))
		features |= device->type->needed_features;
	features = (features | device_demands(device) | VERSION_1) & device_offered(device);
	device->ops->set_features(device, 0, (uint32_t)features);
	device->ops->set_features(device, 1, (uint32_t)(features >> 32));
	if (high)
		high &= device->ops->features(device, 2);
	if (high)
		device->ops->set_features(device, 2, high);
	device->ops->set_status(device, STATUS_FEATURES);
	device->negotiated = features;
	device->negotiated_high = high;
	return device->ops->status(device) & VIRTIO_CONFIG_S_FEATURES_OK;
}

bool device_negotiate(struct device *device, uint64_t features)
{
	return device_negotiate_wide(device, features, 0);
}

void device_open(struct device *device, uint64_t features)
{
	device_open_wide(device, features, 0);
}

void device_open_wide(struct device *device, uint64_t features, uint32_t high)
{
	check(device_reset(device), "%s: status is 0x%x two seconds after a reset",
	      device_name(device), device->ops->status(device));
	check(device_negotiate_wide(device, features, high), "%s: features 0x%lx are not accepted",
	      device_name(device), device->negotiated);
	device->queue_interrupts = device->config_interrupts = 0;
	if (!device->connected)
		device->connected = device->ops->connect(device);
	/* The reset cleared the device's vectors. */
	if (device->connected && device->pci && !device->pci->by_line)
		common_write(device, COMMON_CONFIG_VECTOR, 0, 2);
}

struct queue *queue_prepare(struct device *device, uint32_t index, uint32_t size)
{
	bool packed = device->negotiated & PACKED;
	uint32_t maximum = device->ops->queue_size(device, index);
	struct driver_queue_layout layout;
	struct driver_descriptor *descriptors;
	struct queue *queue;

	check(maximum > 0, "%s: queue %u does not exist", device_name(device), index);
	if (size == 0)
		size = RING_MAX;
	if (size > maximum)
		size = maximum;
	if (size > 32768)
		size = 32768;
	if (!packed)
		while (size & (size - 1))
			size &= size - 1;
	driver_queue_layout((uint16_t)size, packed, &layout);
	queue = pages_get(sizeof(*queue) + size * sizeof(*descriptors));
	descriptors = (struct driver_descriptor *)(queue + 1);
	queue->device = device;
	queue->index = (uint16_t)index;
	queue->size = (uint16_t)size;
	queue->features = device->negotiated;
	queue->memory = pages_get(layout.size);
	queue->addresses[0] = (uint64_t)queue->memory + layout.descriptors;
	queue->addresses[1] = (uint64_t)queue->memory + layout.driver;
	queue->addresses[2] = (uint64_t)queue->memory + layout.device;
	driver_queue_init(&queue->ring, (uint16_t)index, (uint16_t)size, device->negotiated,
			  queue->memory, descriptors);
	if (device->negotiated & INDIRECT) {
		void *indirect = pages_get((size_t)size * DRIVER_INDIRECT_MAX * 16);

		driver_queue_set_indirect(&queue->ring, indirect, guest_addr((uint64_t)indirect));
	}
	return queue;
}

void queue_restart(struct queue *queue)
{
	struct driver_descriptor *descriptors = queue->ring.descriptors;
	void *indirect = queue->ring.indirect_tables;

	memset(queue->memory, 0, queue->ring.layout.size);
	memset(descriptors, 0, queue->size * sizeof(*descriptors));
	driver_queue_init(&queue->ring, queue->index, queue->size, queue->features, queue->memory,
			  descriptors);
	if (indirect)
		driver_queue_set_indirect(&queue->ring, indirect, guest_addr((uint64_t)indirect));
}

void queue_enable(struct queue *queue)
{
	struct device *device = queue->device;

	device->ops->set_queue(device, queue->index, queue->size, queue->addresses);
	if (device->connected && device->pci && !device->pci->by_line)
		common_write(device, COMMON_QUEUE_VECTOR, pci_queue_vector(device, queue->index),
			     2);
	device->ops->enable_queue(device, queue->index, 1);
}

struct queue *device_queue(struct device *device, uint32_t index, uint32_t size)
{
	struct queue *queue = queue_prepare(device, index, size);

	queue_enable(queue);
	return queue;
}

void device_run(struct device *device)
{
	device->ops->set_status(device, STATUS_RUNNING);
}

void queue_kick(struct queue *queue)
{
	struct device *device = queue->device;

	device->ops->notify(device, queue->index,
			    device->negotiated & FEATURE(VIRTIO_F_NOTIFICATION_DATA) ?
				    driver_queue_notification_data(&queue->ring) :
				    queue->index);
}

void queue_kick_if_wanted(struct queue *queue)
{
	if (driver_queue_kick_wanted(&queue->ring))
		queue_kick(queue);
}

/*
 * A packed used descriptor without the WRITE flag has no valid length. The test
 * ring_packed_write_flag finds devices that forget the flag; all others take the length as it is.
 */
static void fix_length(const struct queue *queue, uint16_t at, uint32_t *written)
{
	const struct vring_packed_desc *desc =
		(const struct vring_packed_desc *)queue->addresses[0] + at;
	const struct driver_descriptor *chain;

	if (!(queue->features & PACKED) || *written || desc->id >= queue->size)
		return;
	chain = &queue->ring.descriptors[desc->id];
	if (desc->len <= chain->writable)
		*written = desc->len;
}

void *queue_wait(struct queue *queue, uint32_t *written, unsigned int ms)
{
	uint16_t at;
	int error = 0;
	void *token;

	if (!wait_until(driver_queue_has_used(&queue->ring), ms))
		return NULL;
	at = queue->ring.used_index;
	token = driver_queue_take(&queue->ring, written, &error);
	check(error == 0,
	      "%s: a used entry of queue %u has an id that is not in flight, or too large a length",
	      device_name(queue->device), queue->index);
	fix_length(queue, at, written);
	return token;
}

bool queue_do(struct queue *queue, const struct driver_buffer *buffers, unsigned int readable,
	      unsigned int writable, uint32_t *written, unsigned int ms)
{
	uint32_t length;

	check(driver_queue_add(&queue->ring, buffers, readable, writable, queue) == 0,
	      "no room for a request of %u buffers", readable + writable);
	queue_kick_if_wanted(queue);
	return queue_wait(queue, written ? written : &length, ms) == queue;
}

uint64_t config_read(struct device *device, uint32_t offset, unsigned int width)
{
	uint32_t size;
	uint64_t address = device->ops->config(device, &size);

	return address && offset < size ? mmio_read(address + offset, width) : 0;
}

void config_write(struct device *device, uint32_t offset, uint64_t value, unsigned int width)
{
	uint32_t size;
	uint64_t address = device->ops->config(device, &size);

	if (address && offset < size)
		mmio_write(address + offset, value, width);
}
