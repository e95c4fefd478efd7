// SPDX-License-Identifier: BSD-3-Clause
/*
 * A driver made of bytes: the input of a fuzz target becomes guest memory with rings, and the
 * actions of a driver or frontend.
 */
#ifndef AVP_TESTS_FUZZ_HOSTILE_DRIVER_H
#define AVP_TESTS_FUZZ_HOSTILE_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "promise.h"
#include "virtio/device.h"

#define HOSTILE_QUEUES	   8
#define HOSTILE_QUEUE_SIZE 16
/* Two ranges of guest addresses with a hole between them. */
#define HOSTILE_RANGE  0x8000u
#define HOSTILE_SECOND 0x10000u

struct hostile_driver {
	const uint8_t *input;
	size_t left;
	struct virtio_device *device;
	struct guest_memory memory;
	uint8_t *ram; /* both ranges */
	void *storage[HOSTILE_QUEUES];
	/* Other events for the device: called with a byte of the input. May be NULL. */
	void (*happening)(struct hostile_driver *driver, uint8_t what);
	void *context;
};

/* The next byte of the input, or 0 at its end; the next bytes of it. */
uint8_t hostile_byte(struct hostile_driver *driver);
void hostile_bytes(struct hostile_driver *driver, void *buffer, size_t length);

/*
 * Performs the actions of @input on @device, fresh from its init function, and resets it at the
 * end. Aborts when the device breaks a rule of the virtio core.
 */
void hostile_driver_run(struct hostile_driver *driver, struct virtio_device *device,
			const uint8_t *input, size_t length);

#endif
