// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver of virtio-mmio (VIRTIO 1.4, 4.2).
 */
#include "bus/virtio_mmio.h"

#include "report.h"

static uint8_t get_status(struct device *device)
{
	return (uint8_t)mmio_get(device, VIRTIO_MMIO_STATUS);
}

static void set_status(struct device *device, uint8_t status)
{
	mmio_put(device, VIRTIO_MMIO_STATUS, status);
}

static uint32_t get_features(struct device *device, uint32_t word)
{
	mmio_put(device, VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
	return mmio_get(device, VIRTIO_MMIO_DEVICE_FEATURES);
}

static void set_features(struct device *device, uint32_t word, uint32_t value)
{
	mmio_put(device, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
	mmio_put(device, VIRTIO_MMIO_DRIVER_FEATURES, value);
}

static uint32_t queue_size(struct device *device, uint32_t queue)
{
	mmio_put(device, VIRTIO_MMIO_QUEUE_SEL, queue);
	return mmio_get(device, VIRTIO_MMIO_QUEUE_NUM_MAX);
}

static void set_queue(struct device *device, uint32_t queue, uint32_t size,
		      const uint64_t addresses[3])
{
	static const uint32_t registers[] = {VIRTIO_MMIO_QUEUE_DESC_LOW,
					     VIRTIO_MMIO_QUEUE_AVAIL_LOW,
					     VIRTIO_MMIO_QUEUE_USED_LOW};

	mmio_put(device, VIRTIO_MMIO_QUEUE_SEL, queue);
	mmio_put(device, VIRTIO_MMIO_QUEUE_NUM, size);
	for (int i = 0; i < 3; i++) {
		mmio_put(device, registers[i], (uint32_t)addresses[i]);
		mmio_put(device, registers[i] + 4, (uint32_t)(addresses[i] >> 32));
	}
}

static void enable_queue(struct device *device, uint32_t queue, uint32_t value)
{
	mmio_put(device, VIRTIO_MMIO_QUEUE_SEL, queue);
	mmio_put(device, VIRTIO_MMIO_QUEUE_READY, value);
}

static uint32_t queue_enabled(struct device *device, uint32_t queue)
{
	mmio_put(device, VIRTIO_MMIO_QUEUE_SEL, queue);
	return mmio_get(device, VIRTIO_MMIO_QUEUE_READY);
}

static void reset_queue(struct device *device, uint32_t queue)
{
	mmio_put(device, VIRTIO_MMIO_QUEUE_SEL, queue);
	mmio_put(device, MMIO_QUEUE_RESET, 1);
}

static uint32_t queue_in_reset(struct device *device, uint32_t queue)
{
	mmio_put(device, VIRTIO_MMIO_QUEUE_SEL, queue);
	return mmio_get(device, MMIO_QUEUE_RESET);
}

static void notify(struct device *device, uint32_t queue, uint32_t value)
{
	(void)queue;
	mmio_put(device, VIRTIO_MMIO_QUEUE_NOTIFY, value);
}

static uint64_t config(struct device *device, uint32_t *size)
{
	*size = MMIO_SIZE - VIRTIO_MMIO_CONFIG;
	return device->base + VIRTIO_MMIO_CONFIG;
}

static uint32_t generation(struct device *device)
{
	return mmio_get(device, VIRTIO_MMIO_CONFIG_GENERATION);
}

static void handle(void *context)
{
	struct device *device = context;
	uint32_t status = mmio_get(device, VIRTIO_MMIO_INTERRUPT_STATUS);

	device->interrupt_ticks = arch_ticks();
	mmio_put(device, VIRTIO_MMIO_INTERRUPT_ACK, status);
	if (status & VIRTIO_MMIO_INT_VRING)
		device->queue_interrupts++;
	if (status & VIRTIO_MMIO_INT_CONFIG)
		device->config_interrupts++;
}

static bool connect(struct device *device)
{
	device->interrupt = interrupt_attach(device->line, handle, device);
	return device->interrupt != INTERRUPT_NONE;
}

static const struct transport_ops mmio_ops = {
	.status = get_status,
	.set_status = set_status,
	.features = get_features,
	.set_features = set_features,
	.queue_size = queue_size,
	.set_queue = set_queue,
	.enable_queue = enable_queue,
	.queue_enabled = queue_enabled,
	.reset_queue = reset_queue,
	.queue_in_reset = queue_in_reset,
	.notify = notify,
	.config = config,
	.generation = generation,
	.connect = connect,
};

static void probe(void *argument)
{
	const struct mmio_slot *slot = argument;
	struct device window = {.base = slot->address};
	struct device *device;
	uint32_t magic, version, id;

	/* Registers and configuration, whatever size the description gives. */
	arch_map(slot->address, MMIO_SIZE);
	magic = mmio_get(&window, VIRTIO_MMIO_MAGIC_VALUE);
	version = mmio_get(&window, VIRTIO_MMIO_VERSION);
	if (magic != MMIO_MAGIC || (version != 2 && version != 1)) {
		report_line("note: magic 0x%x version %u at 0x%lx is not a virtio-mmio device",
			    magic, version, slot->address);
		return;
	}
	id = mmio_get(&window, VIRTIO_MMIO_DEVICE_ID);
	if (id == 0)
		return;
	if (version == 1) {
		report_line("note: ignoring the legacy device with id %u at 0x%lx", id,
			    slot->address);
		return;
	}
	device = device_add(&mmio_ops, TRANSPORT_MMIO, id);
	if (!device)
		return;
	device->base = slot->address;
	device->line = slot->line;
	device->first_status = get_status(device);
}

void mmio_discover(void)
{
	for (unsigned int i = 0; i < machine.slot_count; i++)
		if (!device_probe(probe, &machine.slots[i]))
			report_line("note: ignoring the window at 0x%lx", machine.slots[i].address);
}
