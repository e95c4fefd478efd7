// SPDX-License-Identifier: BSD-3-Clause
/*
 * The virtio-mmio transport (VIRTIO 1.4, 4.2), with the device behind it in another process that is
 * reached by vhost-user. Kicks and interrupts pass between guest and device without this program.
 *
 * The registers are handled in the threads of the vCPUs, under a lock of the device; what the
 * device process does on its own in the thread of an event loop, which should be the device's own,
 * as a process that is slow to answer holds it up. One that goes away is connected to again, with
 * everything that the driver had set up; the guest does not notice.
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
	struct remote_peer peer;	  /* its fd is taken over, also on failure */
	struct virtio_slot slot;
	const struct monitor_memory *memory;
	struct event_loop *loop;
	/* The device process is of no use as it is: somebody should end it. From any thread. */
	void (*given_up)(void *context, const char *name);
	/* It was not ended in time: it can write to guest memory still. From any thread. */
	void (*outlived)(void *context, const char *name);
	void *context;
};

/*
 * Connects to the device process and learns what the device is, before the loop runs. Returns 0
 * with *transport set, or a negative errno with *error set.
 */
int virtio_mmio_open(struct virtio_mmio **transport, const struct virtio_mmio_setup *setup,
		     struct error *error);
/* Ends the connection, with all that waits for it in other threads. From any thread. */
void virtio_mmio_hang_up(struct virtio_mmio *transport);
/* NULL is fine. The transport is detached and its loop does not run any more. */
void virtio_mmio_free(struct virtio_mmio *transport);

/* Its registers. */
const struct bus_device *virtio_mmio_registers(const struct virtio_mmio *transport);

/* The virtual machine that the guest runs in is there, no vCPU runs yet. It outlives the detach. */
void virtio_mmio_attach(struct virtio_mmio *transport, struct hypervisor *hypervisor);
/* No vCPU runs any more: the device is reset. */
void virtio_mmio_detach(struct virtio_mmio *transport);

#endif
