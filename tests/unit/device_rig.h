// SPDX-License-Identifier: BSD-3-Clause
/*
 * A whole device in a test: started with selected features and its own guest memory, with the
 * driver side of each of its queues. The test decides how requests are cut into descriptors.
 */
#ifndef AVP_TESTS_UNIT_DEVICE_RIG_H
#define AVP_TESTS_UNIT_DEVICE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "virtio/device.h"
#include "virtio/driver_queue.h"

#define DEVICE_RIG_QUEUES 8
#define DEVICE_RIG_MEMORY (4u << 20)
#define DEVICE_RIG_BASE	  UINT64_C(0x40000000)

struct device_rig_queue {
	struct driver_queue driver;
	struct driver_descriptor *descriptors;
	void *storage;
	unsigned int notifications;
};

struct device_rig {
	struct virtio_device *device;
	struct guest_memory memory;
	uint8_t *ram;
	size_t placed; /* bytes of ram in use */
	size_t rings_end;
	uint16_t size;
	struct device_rig_queue queues[DEVICE_RIG_QUEUES];
	unsigned int config_changes, reports;
	const char *fault; /* the last reported one */
};

/*
 * Starts @device, made by its init function, like a driver that accepts @features (VERSION_1 is
 * added), with rings of @size entries.
 */
void device_rig_start(struct device_rig *rig, struct virtio_device *device, uint64_t features,
		      uint16_t size);
/* Resets the device and frees the rig's memory. */
void device_rig_stop(struct device_rig *rig);

/* Allocates guest memory, with a copy of @bytes unless NULL; clear frees all of it. */
uint64_t device_rig_place(struct device_rig *rig, const void *bytes, size_t length);
void device_rig_clear(struct device_rig *rig);
void *device_rig_at(struct device_rig *rig, uint64_t address);

/*
 * Adds a request of @out_length readable bytes from @out and @in_length writable ones, in
 * descriptors of at most @cut bytes, without a kick. Returns the writable part, filled with 0xee.
 */
uint64_t device_rig_add(struct device_rig *rig, unsigned int queue, const void *out,
			size_t out_length, size_t in_length, size_t cut);
void device_rig_kick(struct device_rig *rig, unsigned int queue);

/* Takes the next used request, which must exist, and its used length. Returns the writable part. */
uint64_t device_rig_take(struct device_rig *rig, unsigned int queue, uint32_t *written);
bool device_rig_has_used(struct device_rig *rig, unsigned int queue);

#endif
