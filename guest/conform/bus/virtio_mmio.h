// SPDX-License-Identifier: BSD-3-Clause
/* Registers of virtio-mmio by their names, for tests of that transport. */
#ifndef CONFORM_VIRTIO_MMIO_H
#define CONFORM_VIRTIO_MMIO_H

#include <linux/virtio_mmio.h>

#include "bus/bus.h"

#define MMIO_MAGIC	 0x74726976u
#define MMIO_QUEUE_RESET 0x0c0
#define MMIO_SIZE	 0x1000u /* of a window: registers, then configuration */

static inline uint32_t mmio_get(const struct device *device, uint32_t offset)
{
	return (uint32_t)mmio_read(device->base + offset, 4);
}

static inline void mmio_put(const struct device *device, uint32_t offset, uint32_t value)
{
	mmio_write(device->base + offset, value, 4);
}

/* Where shared memory region @id is. False: there is none (VIRTIO 1.4, 4.2.2). */
static inline bool mmio_region(const struct device *device, uint32_t id, uint64_t *base,
			       uint64_t *length)
{
	mmio_put(device, VIRTIO_MMIO_SHM_SEL, id);
	*length = (uint64_t)mmio_get(device, VIRTIO_MMIO_SHM_LEN_HIGH) << 32 |
		  mmio_get(device, VIRTIO_MMIO_SHM_LEN_LOW);
	*base = (uint64_t)mmio_get(device, VIRTIO_MMIO_SHM_BASE_HIGH) << 32 |
		mmio_get(device, VIRTIO_MMIO_SHM_BASE_LOW);
	return *length != UINT64_MAX || *base != UINT64_MAX;
}

#endif
