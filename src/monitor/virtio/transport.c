// SPDX-License-Identifier: BSD-3-Clause
/*
 * The common part of virtio transports (VIRTIO 1.4, 2 and 3).
 *
 * Interrupts for used buffers go from the device process into the guest without passing here, so
 * nobody sets TRANSPORT_INTERRUPT_USED: it is computed when it is read. The ring, and the device's
 * record of requests in flight, show how far buffers are used; `acknowledged` is how far they were
 * when the driver last acknowledged. The bit is set while the two differ for any ring. A read saves
 * what it found as `seen`, and an acknowledgement copies `seen`, not the current state, to
 * `acknowledged`: a buffer that is used between the two keeps the bit set for its own interrupt. A
 * buffer counts as used here only when the driver can see it in the ring, so a driver that finds
 * the bit clear misses nothing. The bit may be set with nothing used, if the device has taken
 * requests since, or if the driver has suppressed the interrupt.
 */
#include "monitor/virtio/transport.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "virtio/feature.h"

#define COMPONENT "monitor"

#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

/* Limit of logged driver errors for a device. */
#define COMPLAINTS_MAX 8

/*
 * Features that cannot be offered, whatever the process supports: legacy bits, bits that are not
 * negotiated by drivers, and those that no transport here supports: NOTIFICATION_DATA (an eventfd
 * carries no data), ACCESS_PLATFORM (no IOMMU), those of PCI only, and bits 42 to 49, which are
 * reserved for such extensions (VIRTIO 1.4, 2.2).
 */
#define FEATURES_LEFT_OUT                                                                    \
	(FEATURE(24) | FEATURE(25) | FEATURE(26) | FEATURE(27) | FEATURE(30) | FEATURE(31) | \
	 FEATURE(VIRTIO_F_ACCESS_PLATFORM) | FEATURE(36) | FEATURE(VIRTIO_F_SR_IOV) |        \
	 FEATURE(38) | FEATURE(39) | FEATURE(41) | UINT64_C(0xff) << 42)

/* Raises the configuration interrupt, the only one that the device process does not raise. */
static void interrupt_config(struct transport *transport)
{
	transport->config_interrupt = true;
	if (transport->call_attached[REMOTE_CONFIG_CALL])
		eventfd_write(transport->remote.calls[REMOTE_CONFIG_CALL], 1);
}

static void handle_config_changed(void *context)
{
	struct transport *transport = context;

	transport->generation++;
	if (transport->status & VIRTIO_CONFIG_S_DRIVER_OK)
		interrupt_config(transport);
}

/* VIRTIO 1.4, 2.1.2: DEVICE_NEEDS_RESET, with an interrupt if DRIVER_OK is set. */
static void need_reset(struct transport *transport)
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

void transport_complain(struct transport *transport, const char *what)
{
	if (transport->complaints == COMPLAINTS_MAX)
		return;
	transport->complaints++;
	log_line(LOG_WARNING, COMPONENT, "%s: the driver %s", transport->remote.name, what);
}

uint32_t transport_queue_size_max(const struct transport *transport, uint32_t index)
{
	return index < transport->remote.queue_count ? transport->remote.shape->queue_size_max : 0;
}

struct transport_queue *transport_queue(struct transport *transport, uint32_t index)
{
	return index < transport->remote.queue_count ? &transport->queues[index] : NULL;
}

/* Queues */

static bool is_packed(const struct transport *transport)
{
	return transport->driver_features & FEATURE(VIRTIO_F_RING_PACKED);
}

static bool area_fits(const struct transport *transport, uint64_t address, uint64_t size,
		      uint64_t alignment)
{
	return address % alignment == 0 &&
	       monitor_memory_at(transport->remote.memory, address, size);
}

/* VIRTIO 1.4, 2.7 and 2.8: sizes and alignments. Returns what is wrong, or NULL. */
static const char *check_queue(const struct transport *transport,
			       const struct transport_queue *queue)
{
	bool packed = is_packed(transport), fits;
	uint64_t size = queue->size;

	if (size == 0 || size > transport->remote.shape->queue_size_max ||
	    (!packed && (size & (size - 1))))
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

/* Copies a ready queue's registers to its remote_ring. */
static bool prepare_queue(struct transport *transport, uint16_t index)
{
	struct transport_queue *queue = &transport->queues[index];
	struct remote_ring *ring = &transport->remote.rings[index];
	const char *wrong = check_queue(transport, queue);

	if (wrong) {
		transport_complain(transport, wrong);
		return false;
	}
	ring->size = (uint16_t)queue->size;
	ring->descriptors = queue->descriptors;
	ring->driver = queue->driver;
	ring->device = queue->device;
	ring->used_index = NULL;
	if (!is_packed(transport))
		ring->used_index = monitor_memory_at(
			transport->remote.memory, queue->device + offsetof(struct vring_used, idx),
			sizeof(*ring->used_index));
	/* Before the process starts the ring, which the driver may have filled already. */
	queue->seen = queue->acknowledged = remote_progress(&transport->remote, index);
	return true;
}

static struct hypervisor_kick queue_kick(const struct transport *transport, uint16_t index)
{
	struct hypervisor_kick kick = transport->ops->kick(transport->context, index);

	kick.fd = transport->remote.rings[index].kick_fd;
	return kick;
}

/* Routes kicks of a started ring directly to the process. */
static void attach_queue(struct transport *transport, uint16_t index)
{
	const struct hypervisor_ops *ops = transport->hypervisor->ops;
	struct hypervisor_kick kick = queue_kick(transport, index);
	struct transport_queue *queue = &transport->queues[index];
	struct error error;

	if (ops->add_kick(transport->hypervisor, &kick, &error) < 0) {
		log_line(LOG_ERROR, COMPONENT, "%s: %s", transport->remote.name, error.message);
		need_reset(transport);
	}
	queue->attached = true;
}

static void detach_queue(struct transport *transport, uint16_t index)
{
	const struct hypervisor_ops *ops = transport->hypervisor->ops;
	struct hypervisor_kick kick = queue_kick(transport, index);
	struct transport_queue *queue = &transport->queues[index];

	if (!queue->attached)
		return;
	queue->attached = false;
	ops->remove_kick(transport->hypervisor, &kick, NULL);
}

/*
 * Routes interrupts directly from the process to the guest. Called at the first DRIVER_OK, because
 * on arm64 there is no interrupt controller before all vCPUs are made.
 */
static void attach_interrupts(struct transport *transport)
{
	struct error error;
	bool good = true;

	transport->interrupts_wanted = true;
	for (uint16_t i = 0; i < remote_call_count(&transport->remote) && good; i++) {
		if (transport->call_attached[i])
			continue;
		good = transport->ops->add_interrupt(transport->context, transport->hypervisor, i,
						     transport->remote.calls[i], &error) == 0;
		transport->call_attached[i] = good;
	}
	if (good)
		return;
	log_line(LOG_ERROR, COMPONENT, "%s: %s", transport->remote.name, error.message);
	need_reset(transport);
}

static void detach_interrupts(struct transport *transport)
{
	for (uint16_t i = 0; i < remote_call_count(&transport->remote); i++) {
		if (transport->call_attached[i])
			transport->ops->remove_interrupt(transport->context, transport->hypervisor,
							 i, transport->remote.calls[i]);
		transport->call_attached[i] = false;
	}
}

static void handle_reported(void *context, enum remote_report report, const char *why)
{
	struct transport *transport = context;

	transport->reported(transport->owner, transport->remote.name, report, why);
}

static void handle_not_ended(void *context)
{
	struct transport *transport = context;

	transport->not_ended(transport->owner, transport->remote.name);
}

/* The eventfds are about to be replaced; handle_connect attaches the same queues again. */
static void handle_disconnect(void *context)
{
	struct transport *transport = context;

	if (!transport->hypervisor)
		return;
	detach_interrupts(transport);
	for (uint16_t i = 0; i < transport->remote.queue_count; i++) {
		transport->queues[i].detached |= transport->queues[i].attached;
		detach_queue(transport, i);
	}
}

static void handle_connect(void *context)
{
	struct transport *transport = context;

	if (!transport->hypervisor)
		return;
	if (transport->interrupts_wanted)
		attach_interrupts(transport);
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
	.reported = handle_reported,
	.not_ended = handle_not_ended,
	.disconnect = handle_disconnect,
	.connect = handle_connect,
};

static void stop_queue(struct transport *transport, uint16_t index)
{
	detach_queue(transport, index);
	remote_stop_ring(&transport->remote, index);
}

/* Starts a queue of a running device, after a queue reset (VIRTIO 1.4, 2.6.1). */
static void restart_queue(struct transport *transport, uint16_t index)
{
	if (!prepare_queue(transport, index) || remote_start_ring(&transport->remote, index) < 0)
		need_reset(transport);
	else
		attach_queue(transport, index);
}

void transport_set_ready(struct transport *transport, uint32_t index, bool ready)
{
	struct transport_queue *queue = transport_queue(transport, index);

	if (!queue || queue->ready == ready)
		return;
	if (ready) {
		queue->ready = true;
		if (transport->remote.started && !(transport->status & VIRTIO_CONFIG_S_NEEDS_RESET))
			restart_queue(transport, (uint16_t)index);
	} else {
		stop_queue(transport, (uint16_t)index);
		queue->ready = false;
	}
}

void transport_reset_queue(struct transport *transport, uint32_t index)
{
	struct transport_queue *queue = transport_queue(transport, index);

	if (!queue || !(transport->driver_features & FEATURE(VIRTIO_F_RING_RESET)))
		return;
	stop_queue(transport, (uint16_t)index);
	*queue = (struct transport_queue){.size = 0};
}

/* The device's life */

static void reset(struct transport *transport)
{
	for (uint16_t i = 0; i < transport->remote.queue_count; i++) {
		if (transport->hypervisor)
			detach_queue(transport, i);
		transport->queues[i] = (struct transport_queue){.size = 0};
	}
	transport->status = 0;
	remote_reset(&transport->remote);
	transport->driver_features = 0;
	transport->unknown_features = false;
	transport->config_interrupt = false;
}

/* VIRTIO 1.4, 2.2.2 and 6: only offered features, and VERSION_1 is required. */
static bool accept_features(struct transport *transport)
{
	uint64_t features = transport->driver_features;

	if (transport->unknown_features || (features & ~transport->offered) ||
	    !(features & FEATURE(VIRTIO_F_VERSION_1)))
		return false;
	return remote_set_features(&transport->remote, features & ~FEATURE(VIRTIO_F_RING_RESET));
}

static void start(struct transport *transport)
{
	bool good = true;

	for (uint16_t i = 0; i < transport->remote.queue_count && good; i++) {
		if (!transport->queues[i].ready)
			continue;
		good = prepare_queue(transport, i);
		transport->remote.rings[i].running = good;
	}
	if (good && remote_start(&transport->remote) < 0) {
		transport_complain(transport, "has set up what the device refuses");
		good = false;
	}
	if (!good)
		need_reset(transport);
	/* Attach kicks only now that the device has its rings. */
	for (uint16_t i = 0; i < transport->remote.queue_count && good; i++)
		if (transport->queues[i].ready)
			attach_queue(transport, i);
}

uint32_t transport_status(const struct transport *transport)
{
	return transport->status;
}

void transport_write_status(struct transport *transport, uint32_t value)
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
	attach_interrupts(transport);
	if (transport->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		start(transport);
	} else {
		transport_complain(transport, "has set DRIVER_OK before FEATURES_OK");
		need_reset(transport);
	}
}

uint32_t transport_device_features(const struct transport *transport, uint32_t word)
{
	return word > 1 ? 0 : (uint32_t)(transport->offered >> 32 * word);
}

void transport_write_driver_features(struct transport *transport, uint32_t word, uint32_t value)
{
	if (transport->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	if (word > 1) {
		transport->unknown_features |= value != 0;
		return;
	}
	transport->driver_features &= ~((uint64_t)UINT32_MAX << 32 * word);
	transport->driver_features |= (uint64_t)value << 32 * word;
}

/* Interrupts */

static bool is_same_progress(const struct inflight_progress *a, const struct inflight_progress *b)
{
	return a->position == b->position && a->last == b->last && a->counter == b->counter;
}

uint32_t transport_interrupts(struct transport *transport)
{
	uint32_t interrupts = transport->config_interrupt ? TRANSPORT_INTERRUPT_CONFIG : 0;

	for (uint16_t i = 0; i < transport->remote.queue_count; i++) {
		struct transport_queue *queue = &transport->queues[i];

		if (!queue->attached)
			continue;
		queue->seen = remote_progress(&transport->remote, i);
		if (!is_same_progress(&queue->seen, &queue->acknowledged))
			interrupts |= TRANSPORT_INTERRUPT_USED;
	}
	return interrupts;
}

void transport_acknowledge(struct transport *transport, uint32_t interrupts)
{
	if (interrupts & TRANSPORT_INTERRUPT_CONFIG)
		transport->config_interrupt = false;
	if (!(interrupts & TRANSPORT_INTERRUPT_USED))
		return;
	for (uint16_t i = 0; i < transport->remote.queue_count; i++)
		transport->queues[i].acknowledged = transport->queues[i].seen;
}

/* Configuration space */

void transport_access_config(struct transport *transport, const struct bus_access *access)
{
	struct remote_device *remote = &transport->remote;
	uint64_t offset = access->address;

	if (offset > remote->config_size || access->length > remote->config_size - offset)
		return;
	if (access->write) {
		remote_write_config(remote, (uint32_t)offset, access->data, access->length);
		return;
	}
	transport->generation += remote_refresh_config(remote);
	memcpy(access->data, remote->config + offset, access->length);
}

uint32_t transport_config_generation(const struct transport *transport)
{
	return transport->generation;
}

/* The transport itself */

int transport_open(struct transport *transport, const struct transport_setup *setup,
		   const struct transport_ops *ops, void *context, struct error *error)
{
	int result;

	*transport = (struct transport){
		.ops = ops,
		.context = context,
		.reported = setup->reported,
		.not_ended = setup->not_ended,
		.owner = setup->context,
	};
	result = remote_open(&transport->remote, setup->name, &setup->peer, setup->shape,
			     setup->memory, ops->one_call, setup->loop, &remote_events, transport,
			     error);
	if (result < 0)
		return result;
	transport->offered = (transport->remote.features & ~FEATURES_LEFT_OUT) |
			     FEATURE(VIRTIO_F_RING_RESET);
	return 0;
}

void transport_hang_up(struct transport *transport)
{
	remote_hang_up(&transport->remote);
}

void transport_close(struct transport *transport)
{
	remote_close(&transport->remote);
}

void transport_release(struct transport *transport, uint64_t attachments)
{
	remote_release(&transport->remote, attachments);
}

void transport_lock(struct transport *transport)
{
	pthread_mutex_lock(&transport->remote.lock);
}

void transport_unlock(struct transport *transport)
{
	pthread_mutex_unlock(&transport->remote.lock);
}

void transport_attach(struct transport *transport, struct hypervisor *hypervisor)
{
	transport_lock(transport);
	transport->hypervisor = hypervisor;
	transport_unlock(transport);
}

void transport_detach(struct transport *transport)
{
	transport_lock(transport);
	reset(transport);
	if (transport->hypervisor)
		detach_interrupts(transport);
	transport->hypervisor = NULL;
	transport->interrupts_wanted = false;
	transport_unlock(transport);
}
