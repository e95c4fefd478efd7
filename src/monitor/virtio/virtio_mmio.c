// SPDX-License-Identifier: BSD-3-Clause
/*
 * The registers of the virtio-mmio transport (VIRTIO 1.4, 4.2.2 and 4.2.3).
 *
 * InterruptStatus. Interrupts for used buffers go from the device process into the guest without
 * passing here, so nobody sets bit 0: it is computed when it is read. The ring, and the device's
 * record of requests in flight, show how far buffers are used; `acknowledged` is how far they were
 * when the driver last acknowledged. Bit 0 is set while the two differ for any ring. A read saves
 * what it found as `seen`, and InterruptACK copies `seen`, not the current state, to
 * `acknowledged`: a buffer that is used between the two keeps the bit set for its own interrupt. A
 * buffer counts as used here only when the driver can see it in the ring, so a driver that finds
 * the bit clear misses nothing. The bit may be set with nothing used, if the device has taken
 * requests since, or if the driver has suppressed the interrupt.
 */
#include "monitor/virtio/virtio_mmio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "monitor/virtio/remote_device.h"
#include "virtio/feature.h"

#define COMPONENT "monitor"
#define MAGIC	  0x74726976 /* "virt" */
#define VERSION	  2
#define VENDOR	  0x31505641 /* "AVP1" */

/* Registers that linux/virtio_mmio.h lacks (VIRTIO 1.4, 4.2.2, table 4.1). */
#define REGISTER_QUEUE_RESET 0x0c0
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

/* Limit of logged driver errors for a device. */
#define COMPLAINTS_MAX 8

/*
 * Features that cannot be offered, whatever the process supports: legacy bits, bits that are not
 * negotiated by drivers, and those that this transport does not support: NOTIFICATION_DATA (an
 * eventfd carries no data), ACCESS_PLATFORM (no IOMMU), and those of PCI only.
 */
#define FEATURES_LEFT_OUT                                                             \
	(FEATURE(24) | FEATURE(26) | FEATURE(27) | FEATURE(30) | FEATURE(31) |        \
	 FEATURE(VIRTIO_F_ACCESS_PLATFORM) | FEATURE(36) | FEATURE(VIRTIO_F_SR_IOV) | \
	 FEATURE(38) | FEATURE(39) | FEATURE(41))

/* A queue's registers. */
struct queue {
	bool ready;
	uint32_t size;
	uint64_t descriptors, driver, device;
	bool attached; /* kicks go directly to the process */
	bool detached; /* temporarily, while the eventfds are replaced */
	struct inflight_progress seen, acknowledged;
};

struct virtio_mmio {
	struct bus_device registers;
	struct virtio_slot slot;
	struct remote_device remote; /* its lock guards all of this */
	struct hypervisor *hypervisor;
	bool interrupt_attached;
	bool interrupt_detached; /* temporarily, while the eventfds are replaced */
	uint64_t offered;
	uint32_t features_select, driver_features_select, queue_select;
	uint64_t driver_features;
	bool unknown_features; /* the driver has accepted bits above 63 */
	uint32_t status;
	bool config_interrupt;
	uint32_t generation;
	unsigned int complaints;
	struct queue queues[DEVICE_SHAPE_QUEUES_MAX];
	void (*given_up)(void *context, const char *name);
	void (*not_ended)(void *context, const char *name);
	void *context;
};

/* Raises the configuration interrupt, the only one that the device process does not raise. */
static void interrupt_config(struct virtio_mmio *transport)
{
	transport->config_interrupt = true;
	if (transport->interrupt_attached)
		eventfd_write(transport->remote.call_fd, 1);
}

static void handle_config_changed(void *context)
{
	struct virtio_mmio *transport = context;

	transport->generation++;
	if (transport->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt_config(transport);
}

/* VIRTIO 1.4, 2.1.2: DEVICE_NEEDS_RESET, with an interrupt if DRIVER_OK is set. */
static void need_reset(struct virtio_mmio *transport)
{
	if (transport->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	transport->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (transport->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt_config(transport);
}

static void handle_needs_reset(void *context)
{
	need_reset(context);
}

static void complain(struct virtio_mmio *transport, const char *what)
{
	if (transport->complaints < COMPLAINTS_MAX)
		log_line(LOG_WARNING, COMPONENT, "%s: the driver %s", transport->remote.name, what);
	if (transport->complaints < COMPLAINTS_MAX)
		transport->complaints++;
}

static uint32_t queue_size_max(const struct virtio_mmio *transport)
{
	if (transport->queue_select >= transport->remote.queue_count)
		return 0;
	return transport->remote.shape->queue_size_max;
}

static struct queue *selected(struct virtio_mmio *transport)
{
	return transport->queue_select < transport->remote.queue_count ?
		       &transport->queues[transport->queue_select] :
		       NULL;
}

/* Queues */

static bool is_packed(const struct virtio_mmio *transport)
{
	return transport->driver_features & FEATURE(VIRTIO_F_RING_PACKED);
}

static bool area_fits(struct virtio_mmio *transport, uint64_t address, uint64_t size,
		      uint64_t alignment)
{
	struct guest_memory memory = transport->remote.memory->guest;
	void *host;

	return address % alignment == 0 &&
	       guest_memory_translate_all(&memory, guest_addr(address), size,
					  GUEST_MEMORY_READ_WRITE, &host) == 0;
}

/* VIRTIO 1.4, 2.7 and 2.8: sizes and alignments. Returns what is wrong, or NULL. */
static const char *check_queue(struct virtio_mmio *transport, const struct queue *queue,
			       uint32_t size_max)
{
	bool packed = is_packed(transport), fits;
	uint64_t size = queue->size;

	if (size == 0 || size > size_max || (!packed && (size & (size - 1))))
		return "has set an invalid size of a queue";
	fits = area_fits(transport, queue->descriptors, 16 * size, 16);
	if (packed)
		fits = fits && area_fits(transport, queue->driver, 4, 4) &&
		       area_fits(transport, queue->device, 4, 4);
	else
		fits = fits && area_fits(transport, queue->driver, 6 + 2 * size, 2) &&
		       area_fits(transport, queue->device, 6 + 8 * size, 4);
	return fits ? NULL : "has put a queue outside of memory, or at a misaligned address";
}

/* The host address of the split ring's used index. */
static const volatile uint16_t *used_index(struct virtio_mmio *transport, const struct queue *queue)
{
	struct guest_memory memory = transport->remote.memory->guest;
	void *host = NULL;

	if (!is_packed(transport))
		guest_memory_translate_all(
			&memory, guest_addr(queue->device + offsetof(struct vring_used, idx)),
			sizeof(uint16_t), GUEST_MEMORY_READ, &host);
	return host;
}

/* Copies a ready queue's registers to its remote_ring. */
static bool prepare_queue(struct virtio_mmio *transport, uint16_t index, uint32_t size_max)
{
	struct queue *queue = &transport->queues[index];
	struct remote_ring *ring = &transport->remote.rings[index];
	const char *wrong = check_queue(transport, queue, size_max);

	if (wrong) {
		complain(transport, wrong);
		return false;
	}
	ring->size = (uint16_t)queue->size;
	ring->descriptors = queue->descriptors;
	ring->driver = queue->driver;
	ring->device = queue->device;
	ring->used_index = used_index(transport, queue);
	/* Before the process starts the ring, which the driver may have filled already. */
	queue->seen = queue->acknowledged = remote_progress(&transport->remote, index);
	return true;
}

static struct hypervisor_kick queue_kick(const struct virtio_mmio *transport, uint16_t index)
{
	return (struct hypervisor_kick){
		.address = transport->slot.address + VIRTIO_MMIO_QUEUE_NOTIFY,
		.length = 4,
		.value = index,
		.fd = transport->remote.rings[index].kick_fd,
	};
}

/* Routes kicks of a started ring directly to the process. */
static void attach_queue(struct virtio_mmio *transport, uint16_t index)
{
	const struct hypervisor_ops *ops = transport->hypervisor->ops;
	struct hypervisor_kick kick = queue_kick(transport, index);
	struct queue *queue = &transport->queues[index];
	struct error error;

	if (ops->add_kick(transport->hypervisor, &kick, &error) < 0) {
		log_line(LOG_ERROR, COMPONENT, "%s: %s", transport->remote.name, error.message);
		need_reset(transport);
	}
	queue->attached = true;
}

static void detach_queue(struct virtio_mmio *transport, uint16_t index)
{
	const struct hypervisor_ops *ops = transport->hypervisor->ops;
	struct hypervisor_kick kick = queue_kick(transport, index);
	struct queue *queue = &transport->queues[index];

	if (!queue->attached)
		return;
	queue->attached = false;
	ops->remove_kick(transport->hypervisor, &kick, NULL);
}

/*
 * Routes interrupts directly from the process to the guest. Called at the first DRIVER_OK, because
 * on arm64 there is no interrupt controller before all vCPUs are made.
 */
static void attach_interrupt(struct virtio_mmio *transport)
{
	struct error error;

	if (transport->interrupt_attached)
		return;
	transport->interrupt_attached = transport->hypervisor->ops->add_interrupt(
						transport->hypervisor, transport->slot.irq,
						transport->remote.call_fd, &error) == 0;
	if (transport->interrupt_attached)
		return;
	log_line(LOG_ERROR, COMPONENT, "%s: %s", transport->remote.name, error.message);
	need_reset(transport);
}

static void detach_interrupt(struct virtio_mmio *transport)
{
	if (transport->interrupt_attached)
		transport->hypervisor->ops->remove_interrupt(transport->hypervisor,
							     transport->slot.irq,
							     transport->remote.call_fd, NULL);
	transport->interrupt_attached = false;
}

static void handle_given_up(void *context)
{
	struct virtio_mmio *transport = context;

	transport->given_up(transport->context, transport->remote.name);
}

static void handle_not_ended(void *context)
{
	struct virtio_mmio *transport = context;

	transport->not_ended(transport->context, transport->remote.name);
}

/* The eventfds are about to be replaced; handle_connect attaches the same queues again. */
static void handle_disconnect(void *context)
{
	struct virtio_mmio *transport = context;

	if (!transport->hypervisor)
		return;
	transport->interrupt_detached = transport->interrupt_attached;
	detach_interrupt(transport);
	for (uint16_t i = 0; i < transport->remote.queue_count; i++) {
		transport->queues[i].detached |= transport->queues[i].attached;
		detach_queue(transport, i);
	}
}

static void handle_connect(void *context)
{
	struct virtio_mmio *transport = context;

	if (!transport->hypervisor)
		return;
	if (transport->interrupt_detached)
		attach_interrupt(transport);
	/* A process whose rings were refused runs none: leave its queues detached. */
	for (uint16_t i = 0; i < transport->remote.queue_count; i++) {
		if (transport->queues[i].detached && transport->remote.rings_sent)
			attach_queue(transport, i);
		transport->queues[i].detached = false;
	}
}

static const struct remote_events remote_events = {
	.config_changed = handle_config_changed,
	.needs_reset = handle_needs_reset,
	.given_up = handle_given_up,
	.not_ended = handle_not_ended,
	.disconnect = handle_disconnect,
	.connect = handle_connect,
};

static void stop_queue(struct virtio_mmio *transport, uint16_t index)
{
	detach_queue(transport, index);
	remote_stop_ring(&transport->remote, index);
}

/* Starts a queue of a running device, after a queue reset (VIRTIO 1.4, 2.6.1). */
static void restart_queue(struct virtio_mmio *transport, uint16_t index)
{
	if (!prepare_queue(transport, index, queue_size_max(transport)) ||
	    remote_start_ring(&transport->remote, index) < 0)
		need_reset(transport);
	else
		attach_queue(transport, index);
}

/* QueueReady: 1 makes the queue ready, and starts it if the device runs; 0 stops it. */
static void write_ready(struct virtio_mmio *transport, uint32_t value)
{
	struct queue *queue = selected(transport);

	if (!queue)
		return;
	if (value == 1 && !queue->ready) {
		queue->ready = true;
		if (transport->remote.started && !(transport->status & VIRTIO_CONFIG_S_NEEDS_RESET))
			restart_queue(transport, (uint16_t)transport->queue_select);
	} else if (value == 0 && queue->ready) {
		stop_queue(transport, (uint16_t)transport->queue_select);
		queue->ready = false;
	}
}

static void reset_queue(struct virtio_mmio *transport)
{
	struct queue *queue = selected(transport);

	if (!queue || !(transport->driver_features & FEATURE(VIRTIO_F_RING_RESET)))
		return;
	stop_queue(transport, (uint16_t)transport->queue_select);
	*queue = (struct queue){.size = 0};
}

/* The device's life */

static void reset(struct virtio_mmio *transport)
{
	bool used = transport->status;

	for (uint16_t i = 0; i < transport->remote.queue_count; i++) {
		if (transport->hypervisor)
			detach_queue(transport, i);
		transport->queues[i] = (struct queue){.size = 0};
	}
	transport->status = 0;
	if (used)
		remote_reset(&transport->remote);
	transport->features_select = transport->driver_features_select = 0;
	transport->queue_select = 0;
	transport->driver_features = 0;
	transport->unknown_features = false;
	transport->config_interrupt = false;
}

/* VIRTIO 1.4, 2.2.2 and 6: only offered features, and VERSION_1 is required. */
static bool accept_features(struct virtio_mmio *transport)
{
	uint64_t features = transport->driver_features;

	if (transport->unknown_features || (features & ~transport->offered) ||
	    !(features & FEATURE(VIRTIO_F_VERSION_1)))
		return false;
	return remote_set_features(&transport->remote, features & ~FEATURE(VIRTIO_F_RING_RESET));
}

static void start(struct virtio_mmio *transport)
{
	uint32_t selection = transport->queue_select;
	bool good = true;

	for (uint16_t i = 0; i < transport->remote.queue_count && good; i++) {
		if (!transport->queues[i].ready)
			continue;
		transport->queue_select = i;
		good = prepare_queue(transport, i, queue_size_max(transport));
		transport->remote.rings[i].running = good;
	}
	transport->queue_select = selection;
	if (good && remote_start(&transport->remote) < 0) {
		complain(transport, "has set up what the device refuses");
		good = false;
	}
	if (!good)
		need_reset(transport);
	/* Attach kicks only now that the device has its rings. */
	for (uint16_t i = 0; i < transport->remote.queue_count && good; i++)
		if (transport->queues[i].ready)
			attach_queue(transport, i);
}

static void write_status(struct virtio_mmio *transport, uint32_t value)
{
	/* VIRTIO 1.4, 2.1.1: the driver sets bits and clears them only by a reset. */
	uint32_t added = value & ~transport->status & 0xff & ~VIRTIO_CONFIG_S_NEEDS_RESET;

	if (value == 0) {
		reset(transport);
		return;
	}
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !accept_features(transport))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	transport->status |= added;
	if (!(added & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	attach_interrupt(transport);
	if (transport->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		start(transport);
	} else {
		complain(transport, "has set DRIVER_OK before FEATURES_OK");
		need_reset(transport);
	}
}

static void write_driver_features(struct virtio_mmio *transport, uint32_t value)
{
	uint32_t select = transport->driver_features_select;

	if (transport->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	if (select > 1) {
		transport->unknown_features |= value != 0;
		return;
	}
	transport->driver_features &= ~((uint64_t)UINT32_MAX << 32 * select);
	transport->driver_features |= (uint64_t)value << 32 * select;
}

/* Interrupts */

static bool is_same_progress(const struct inflight_progress *a, const struct inflight_progress *b)
{
	return a->position == b->position && a->last == b->last && a->counter == b->counter;
}

static uint32_t read_interrupt_status(struct virtio_mmio *transport)
{
	uint32_t status = transport->config_interrupt ? VIRTIO_MMIO_INT_CONFIG : 0;

	for (uint16_t i = 0; i < transport->remote.queue_count; i++) {
		struct queue *queue = &transport->queues[i];

		if (!queue->attached)
			continue;
		queue->seen = remote_progress(&transport->remote, i);
		if (!is_same_progress(&queue->seen, &queue->acknowledged))
			status |= VIRTIO_MMIO_INT_VRING;
	}
	return status;
}

static void acknowledge_interrupts(struct virtio_mmio *transport, uint32_t value)
{
	if (value & VIRTIO_MMIO_INT_CONFIG)
		transport->config_interrupt = false;
	for (uint16_t i = 0; (value & VIRTIO_MMIO_INT_VRING) && i < transport->remote.queue_count;
	     i++)
		transport->queues[i].acknowledged = transport->queues[i].seen;
}

/* Registers */

static void set_low(uint64_t *address, uint32_t value)
{
	*address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(uint64_t *address, uint32_t value)
{
	*address = (*address & UINT32_MAX) | (uint64_t)value << 32;
}

/* VIRTIO 1.4, 4.2.2.2: must not be written while the queue is ready; ignored then. */
static void write_queue(struct virtio_mmio *transport, uint64_t address, uint32_t value)
{
	struct queue *queue = selected(transport);

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

static void write_register(struct virtio_mmio *transport, uint64_t address, uint32_t value)
{
	switch (address) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		transport->features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(transport, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		transport->driver_features_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		transport->queue_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_ready(transport, value);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		/* A notification that exits is for a queue that does not run: ignore it. */
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		acknowledge_interrupts(transport, value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(transport, value);
		break;
	case REGISTER_QUEUE_RESET:
		if (value == 1)
			reset_queue(transport);
		break;
	default:
		write_queue(transport, address, value);
	}
}

static uint32_t read_register(struct virtio_mmio *transport, uint64_t address)
{
	struct queue *queue = selected(transport);

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
		return transport->features_select > 1 ?
			       0 :
			       (uint32_t)(transport->offered >> 32 * transport->features_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue_size_max(transport);
	case VIRTIO_MMIO_QUEUE_READY:
		return queue && queue->ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return read_interrupt_status(transport);
	case VIRTIO_MMIO_STATUS:
		return transport->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX; /* no shared memory region */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return transport->generation;
	default: /* write-only, a completed queue reset, or not a register */
		return 0;
	}
}

static void handle_config(struct virtio_mmio *transport, const struct bus_access *access)
{
	struct remote_device *remote = &transport->remote;
	uint64_t offset = access->address - VIRTIO_MMIO_CONFIG;

	if (offset > remote->config_size || access->length > remote->config_size - offset)
		return;
	if (access->write) {
		remote_write_config(remote, (uint32_t)offset, access->data, access->length);
		return;
	}
	transport->generation += remote_refresh_config(remote);
	memcpy(access->data, remote->config + offset, access->length);
}

static void handle_access(void *context, const struct bus_access *access)
{
	struct virtio_mmio *transport = context;

	pthread_mutex_lock(&transport->remote.lock);
	if (access->address >= VIRTIO_MMIO_CONFIG)
		handle_config(transport, access);
	/* VIRTIO 1.4, 4.2.2.2: 32 bits wide and aligned; nothing else is a register. */
	else if (access->length != 4 || access->address % 4)
		complain(transport, "accesses registers with other widths than 32 bits");
	else if (access->write)
		write_register(transport, access->address, (uint32_t)bus_value(access));
	else
		bus_answer(access, read_register(transport, access->address));
	pthread_mutex_unlock(&transport->remote.lock);
}

int virtio_mmio_open(struct virtio_mmio **out, const struct virtio_mmio_setup *setup,
		     struct error *error)
{
	struct virtio_mmio *transport = calloc(1, sizeof(*transport));
	int result, fd = setup->peer.fd;

	if (!transport) {
		close_fd(&fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	transport->slot = setup->slot;
	transport->given_up = setup->given_up;
	transport->not_ended = setup->not_ended;
	transport->context = setup->context;
	transport->registers = (struct bus_device){setup->slot.address, VIRTIO_SLOT_SIZE,
						   handle_access, transport, setup->name};
	result = remote_open(&transport->remote, setup->name, &setup->peer, setup->shape,
			     setup->memory, setup->loop, &remote_events, transport, error);
	if (result < 0) {
		free(transport);
		return result;
	}
	transport->offered = (transport->remote.features & ~FEATURES_LEFT_OUT) |
			     FEATURE(VIRTIO_F_RING_RESET);
	*out = transport;
	return 0;
}

void virtio_mmio_hang_up(struct virtio_mmio *transport)
{
	remote_hang_up(&transport->remote);
}

void virtio_mmio_free(struct virtio_mmio *transport)
{
	if (!transport)
		return;
	remote_close(&transport->remote);
	free(transport);
}

const struct bus_device *virtio_mmio_registers(const struct virtio_mmio *transport)
{
	return &transport->registers;
}

void virtio_mmio_attach(struct virtio_mmio *transport, struct hypervisor *hypervisor)
{
	pthread_mutex_lock(&transport->remote.lock);
	transport->hypervisor = hypervisor;
	pthread_mutex_unlock(&transport->remote.lock);
}

void virtio_mmio_detach(struct virtio_mmio *transport)
{
	pthread_mutex_lock(&transport->remote.lock);
	reset(transport);
	if (transport->hypervisor)
		detach_interrupt(transport);
	transport->hypervisor = NULL;
	pthread_mutex_unlock(&transport->remote.lock);
}
