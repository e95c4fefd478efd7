// SPDX-License-Identifier: BSD-3-Clause
/* The registers of virtio-mmio (VIRTIO 1.4, 4.2.2 and 4.2.3). */
#include "bus/virtio_mmio.h"
#include "reference.h"

#define WINDOWS_MAX 8
/* Beyond all memory that the machine may have. */
#define WINDOWS UINT64_C(0x1000000000)
#define VENDOR	0x46455241 /* "AREF" */

static struct reference *windows[WINDOWS_MAX];
static unsigned int window_count;

static void raise(struct reference *reference, uint16_t vector)
{
	(void)vector;
	lines_raise(reference);
}

void windows_add(struct reference *reference)
{
	uint64_t address = WINDOWS + window_count * UINT64_C(0x1000);

	if (window_count == WINDOWS_MAX)
		return;
	reference->raise = raise;
	windows[window_count++] = reference;
	machine_add_slot(address, MMIO_SIZE, lines_add(reference));
}

static struct reference *find(uint64_t address)
{
	uint64_t number = (address - WINDOWS) / MMIO_SIZE;

	return address >= WINDOWS && number < window_count ? windows[number] : NULL;
}

static uint32_t read_region(const struct reference *reference, uint32_t offset)
{
	bool high = offset == VIRTIO_MMIO_SHM_LEN_HIGH || offset == VIRTIO_MMIO_SHM_BASE_HIGH;
	bool length = offset == VIRTIO_MMIO_SHM_LEN_LOW || offset == VIRTIO_MMIO_SHM_LEN_HIGH;
	uint64_t value = length ? reference->region_size : reference->region;

	if (reference->region_select || !reference->region_size)
		return UINT32_MAX;
	return (uint32_t)(high ? value >> 32 : value);
}

static uint32_t read_register(struct reference *reference, uint32_t offset)
{
	const struct reference_queue *queue = reference_selected(reference);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return reference->device.class->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return reference_offered(reference, reference->device_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue ? reference->device.queue_size_max : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue && queue->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return reference->interrupts;
	case VIRTIO_MMIO_STATUS:
		return reference_status(reference);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return read_region(reference, offset);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return reference->device.config_generation;
	default: /* write-only, a queue's reset that is done, or not a register */
		return 0;
	}
}

bool windows_read(uint64_t address, unsigned int width, uint64_t *value)
{
	struct reference *reference = find(address);
	uint32_t offset = address % MMIO_SIZE;

	if (!reference)
		return false;
	*value = 0;
	if (offset >= VIRTIO_MMIO_CONFIG)
		*value = reference_config(reference, offset - VIRTIO_MMIO_CONFIG, width);
	/* VIRTIO 1.4, 4.2.2.2: of 32 bits, aligned. */
	else if (width == 4 && offset % 4 == 0)
		*value = read_register(reference, offset);
	return true;
}

/* VIRTIO 1.4, 4.2.2.2: not while the queue is ready. */
static void write_queue(struct reference *reference, uint32_t offset, uint32_t value)
{
	struct reference_queue *queue = reference_selected(reference);

	if (!queue || queue->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		queue->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		reference_set_low(&queue->addresses[0], value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		reference_set_high(&queue->addresses[0], value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		reference_set_low(&queue->addresses[1], value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		reference_set_high(&queue->addresses[1], value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		reference_set_low(&queue->addresses[2], value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		reference_set_high(&queue->addresses[2], value);
		break;
	default: /* read-only, or not a register */
		break;
	}
}

static void write_register(struct reference *reference, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		reference->device_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		reference->driver_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		reference_choose(reference, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		reference->queue_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value <= 1)
			reference_enable(reference, reference->queue_select, value);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		reference_kick(reference, value);
		break;
	case VIRTIO_MMIO_SHM_SEL:
		reference->region_select = value;
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		reference->interrupts &= ~value;
		break;
	case VIRTIO_MMIO_STATUS:
		reference_set_status(reference, (uint8_t)value);
		break;
	case MMIO_QUEUE_RESET:
		if (value == 1)
			reference_reset_queue(reference, reference->queue_select);
		break;
	default:
		write_queue(reference, offset, value);
	}
}

bool windows_write(uint64_t address, unsigned int width, uint64_t value)
{
	struct reference *reference = find(address);
	uint32_t offset = address % MMIO_SIZE;

	if (!reference)
		return false;
	if (offset >= VIRTIO_MMIO_CONFIG)
		reference_set_config(reference, offset - VIRTIO_MMIO_CONFIG, value, width);
	else if (width == 4 && offset % 4 == 0)
		write_register(reference, offset, (uint32_t)value);
	return true;
}
