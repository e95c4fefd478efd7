// SPDX-License-Identifier: BSD-3-Clause
/*
 * The virtio-mmio transport (VIRTIO 1.4, 4.2): transport.h, as registers in the guest's address
 * space and one interrupt line. The threads of the vCPUs handle the registers.
 */
#ifndef AVP_MONITOR_VIRTIO_VIRTIO_MMIO_H
#define AVP_MONITOR_VIRTIO_VIRTIO_MMIO_H

#include "base/error.h"
#include "monitor/boot.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/virtio/transport.h"

struct virtio_mmio;

/*
 * Connects to the device process and learns what the device is, before the loop of *setup runs.
 * Returns 0 with *mmio set, or a negative errno with *error set.
 */
int virtio_mmio_open(struct virtio_mmio **mmio, const struct transport_setup *setup,
		     struct virtio_slot slot, struct error *error);
/* Closes the connection, and ends calls that wait on it. From any thread. */
void virtio_mmio_hang_up(struct virtio_mmio *mmio);
/* See remote_release. From any thread. */
void virtio_mmio_release(struct virtio_mmio *mmio, uint64_t attachments);
/* NULL is fine. The transport must be detached and its loop stopped. */
void virtio_mmio_free(struct virtio_mmio *mmio);

/* Its registers. */
const struct bus_device *virtio_mmio_registers(const struct virtio_mmio *mmio);

/* Its windows, the machine's to place and attach; they live as long as the transport. */
struct shared_memory *virtio_mmio_shared_memory(struct virtio_mmio *mmio);

/* Call after the virtual machine is made, before a vCPU runs. It must outlive the detach. */
void virtio_mmio_attach(struct virtio_mmio *mmio, struct hypervisor *hypervisor);
/* Call when no vCPU runs any more: resets the device. */
void virtio_mmio_detach(struct virtio_mmio *mmio);

#endif
