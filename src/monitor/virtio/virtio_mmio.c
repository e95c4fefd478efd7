// SPDX-License-Identifier: BSD-3-Clause
/*
 * The registers of the virtio-mmio transport (VIRTIO 1.4, 4.2.2 and 4.2.3). What they do is in
 * transport.c; here are their addresses, and what selects a queue or a word of features.
 */
#include "monitor/virtio/virtio_mmio.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define MAGIC	0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR	0x31505641 /* "AVP1" */

/* Registers that linux/virtio_mmio.h lacks (VIRTIO 1.4, 4.2.2, table 4.1). */
#define REGISTER_QUEUE_RESET 0x0c0

_Static_assert(TRANSPORT_INTERRUPT_USED == VIRTIO_MMIO_INT_VRING &&
		       TRANSPORT_INTERRUPT_CONFIG == VIRTIO_MMIO_INT_CONFIG,
	       "InterruptStatus has the transport's bits");

struct virtio_mmio {
	struct bus_device registers;
	struct virtio_slot slot;
	struct transport transport; /* its lock guards what follows */
	uint32_t features_select, driver_features_select, queue_select, region_select;
};

/* Notifications and the interrupt line */

static struct hypervisor_kick describe_kick(void *context, uint16_t index)
{
	const struct virtio_mmio *mmio = context;

	return (struct hypervisor_kick){
		.address = mmio->slot.address + VIRTIO_MMIO_QUEUE_NOTIFY,
		.length = 4,
		.value = index,
	};
}

static int add_interrupt(void *context, struct hypervisor *hypervisor, uint16_t call, int fd,
			 struct error *error)
{
	const struct virtio_mmio *mmio = context;

	return hypervisor->ops->add_interrupt(hypervisor, mmio->slot.irq, fd, error);
}

static void remove_interrupt(void *context, struct hypervisor *hypervisor, uint16_t call, int fd)
{
	const struct virtio_mmio *mmio = context;

	hypervisor->ops->remove_interrupt(hypervisor, mmio->slot.irq, fd, NULL);
}

static const struct transport_ops transport_ops = {
	.kick = describe_kick,
	.add_interrupt = add_interrupt,
	.remove_interrupt = remove_interrupt,
	.one_call = true,
};

/* Registers */

static void clear_selection(struct virtio_mmio *mmio)
{
	mmio->features_select = mmio->driver_features_select = 0;
	mmio->queue_select = mmio->region_select = 0;
}

static void set_low(uint64_t *address, uint32_t value)
{
	*address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(uint64_t *address, uint32_t value)
{
	*address = (*address & UINT32_MAX) | (uint64_t)value << 32;
}

/* VIRTIO 1.4, 4.2.2.2: must not be written while the queue is ready; ignored then. */
static void write_queue(struct virtio_mmio *mmio, uint64_t address, uint32_t value)
{
	struct transport_queue *queue = transport_queue(&mmio->transport, mmio->queue_select);

	if (!queue || queue->ready)
		return;
	switch (address) {
	case VIRTIO_MMIO_QUEUE_NUM:
		queue->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&queue->descriptors, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&queue->descriptors, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&queue->driver, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&queue->driver, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&queue->device, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&queue->device, value);
		break;
	default: /* read-only, or not a register */
		break;
	}
}

static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
	transport_write_status(&mmio->transport, value);
	if (value == 0)
		clear_selection(mmio);
}

static void write_register(struct virtio_mmio *mmio, uint64_t address, uint32_t value)
{
	struct transport *transport = &mmio->transport;

	switch (address) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		mmio->features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		transport_write_driver_features(transport, mmio->driver_features_select, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		mmio->driver_features_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		mmio->queue_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value <= 1)
			transport_set_ready(transport, mmio->queue_select, value);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		/* A notification that exits is for a queue that does not run: ignore it. */
		break;
	case VIRTIO_MMIO_SHM_SEL:
		mmio->region_select = value;
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		transport_acknowledge(transport, value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(mmio, value);
		break;
	case REGISTER_QUEUE_RESET:
		if (value == 1)
			transport_reset_queue(transport, mmio->queue_select);
		break;
	default:
		write_queue(mmio, address, value);
	}
}

static uint32_t read_region(struct virtio_mmio *mmio, uint64_t address)
{
	const struct shared_region *region =
		shared_memory_find(virtio_mmio_shared_memory(mmio), mmio->region_select);

	/* VIRTIO 1.4, 4.2.2: length and base are -1. */
	if (!region)
		return UINT32_MAX;
	switch (address) {
	case VIRTIO_MMIO_SHM_LEN_LOW:
		return (uint32_t)region->size;
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return (uint32_t)(region->size >> 32);
	case VIRTIO_MMIO_SHM_BASE_LOW:
		return (uint32_t)region->address;
	default: /* VIRTIO_MMIO_SHM_BASE_HIGH */
		return (uint32_t)(region->address >> 32);
	}
}

static uint32_t read_register(struct virtio_mmio *mmio, uint64_t address)
{
	struct transport *transport = &mmio->transport;
	const struct transport_queue *queue = transport_queue(transport, mmio->queue_select);

	switch (address) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return transport->remote.shape->virtio_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return transport_device_features(transport, mmio->features_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return transport_queue_size_max(transport, mmio->queue_select);
	case VIRTIO_MMIO_QUEUE_READY:
		return queue && queue->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return transport_interrupts(transport);
	case VIRTIO_MMIO_STATUS:
		return transport_status(transport);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return read_region(mmio, address);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return transport_config_generation(transport);
	default: /* write-only, a completed queue reset, or not a register */
		return 0;
	}
}

static void access_config(struct transport *transport, const struct bus_access *access)
{
	struct bus_access inside = *access;

	inside.address -= VIRTIO_MMIO_CONFIG;
	transport_access_config(transport, &inside);
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct virtio_mmio *mmio = context;

	transport_lock(&mmio->transport);
	if (access->address >= VIRTIO_MMIO_CONFIG)
		access_config(&mmio->transport, access);
	/* VIRTIO 1.4, 4.2.2.2: 32 bits wide and aligned; nothing else is a register. */
	else if (access->length != 4 || access->address % 4)
		transport_complain(&mmio->transport,
				   "accesses registers with other widths than 32 bits");
	else if (access->write)
		write_register(mmio, access->address, (uint32_t)bus_value(access));
	else
		bus_answer(access, read_register(mmio, access->address));
	transport_unlock(&mmio->transport);
}

int virtio_mmio_open(struct virtio_mmio **out, const struct transport_setup *setup,
		     struct virtio_slot slot, struct error *error)
{
	struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));
	int result, fd = setup->peer.fd;

	if (!mmio) {
		close_fd(&fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	mmio->slot = slot;
	mmio->registers = (struct bus_device){slot.address, VIRTIO_SLOT_SIZE, handle_access, mmio,
					      setup->name};
	result = transport_open(&mmio->transport, setup, &transport_ops, mmio, error);
	if (result < 0) {
		free(mmio);
		return result;
	}
	*out = mmio;
	return 0;
}

void virtio_mmio_hang_up(struct virtio_mmio *mmio)
{
	transport_hang_up(&mmio->transport);
}

void virtio_mmio_release(struct virtio_mmio *mmio, uint64_t attachments)
{
	transport_release(&mmio->transport, attachments);
}

void virtio_mmio_free(struct virtio_mmio *mmio)
{
	if (!mmio)
		return;
	transport_close(&mmio->transport);
	free(mmio);
}

const struct bus_device *virtio_mmio_registers(const struct virtio_mmio *mmio)
{
	return &mmio->registers;
}

struct shared_memory *virtio_mmio_shared_memory(struct virtio_mmio *mmio)
{
	return &mmio->transport.remote.shared_memory;
}

void virtio_mmio_attach(struct virtio_mmio *mmio, struct hypervisor *hypervisor)
{
	transport_attach(&mmio->transport, hypervisor);
}

void virtio_mmio_detach(struct virtio_mmio *mmio)
{
	transport_detach(&mmio->transport);
	clear_selection(mmio);
}
