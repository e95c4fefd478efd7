// SPDX-License-Identifier: BSD-3-Clause
/*
 * The virtio-mmio transport (VIRTIO 1.4, 4.2); its device is in another process that is reached by
 * vhost-user. Kicks and interrupts pass between guest and device without this program.
 *
 * The threads of the vCPUs handle the registers, under a lock of the device. An event loop handles
 * the messages of the device process; it should be the device's own, because a slow process blocks
 * it. When a process goes away, the transport reconnects and restores everything that the driver
 * had set up; the guest does not notice.
 */
#ifndef AVP_MONITOR_VIRTIO_VIRTIO_MMIO_H
#define AVP_MONITOR_VIRTIO_VIRTIO_MMIO_H

#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "monitor/boot.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/memory.h"
#include "monitor/virtio/remote_device.h"

struct virtio_mmio;

struct virtio_mmio_setup {
	const char *name;		  /* of the device, for the log; outlives the transport */
	const struct device_shape *shape; /* outlives the transport */
	struct remote_peer peer;	  /* the transport owns its fd, also on failure */
	struct virtio_slot slot;
	const struct monitor_memory *memory;
	struct event_loop *loop;
	/* The device process was given up: it should be killed. From any thread. */
	void (*given_up)(void *context, const char *name);
	/* It did not end in time: it may still write to guest memory. From any thread. */
	void (*not_ended)(void *context, const char *name);
	void *context;
};

/*
 * Connects to the device process and learns what the device is, before the loop runs. Returns 0
 * with *transport set, or a negative errno with *error set.
 */
int virtio_mmio_open(struct virtio_mmio **transport, const struct virtio_mmio_setup *setup,
		     struct error *error);
/* Closes the connection, and ends calls that wait on it. From any thread. */
void virtio_mmio_hang_up(struct virtio_mmio *transport);
/* NULL is fine. The transport must be detached and its loop stopped. */
void virtio_mmio_free(struct virtio_mmio *transport);

/* Its registers. */
const struct bus_device *virtio_mmio_registers(const struct virtio_mmio *transport);

/* Call after the virtual machine is made, before a vCPU runs. It must outlive the detach. */
void virtio_mmio_attach(struct virtio_mmio *transport, struct hypervisor *hypervisor);
/* Call when no vCPU runs any more: resets the device. */
void virtio_mmio_detach(struct virtio_mmio *transport);

#endif
