// SPDX-License-Identifier: BSD-3-Clause
/*
 * The entropy device (VIRTIO 1.4, 5.4): random bytes for the guest.
 */
#ifndef AVP_DEVICE_ENTROPY_ENTROPY_H
#define AVP_DEVICE_ENTROPY_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/device.h"

#define ENTROPY_QUEUE_SIZE 64

/* The most bytes for one request: more than any driver asks for, and quickly generated. */
#define ENTROPY_REQUEST_MAX 65536

struct entropy_backend {
	/* Fills @buffer with @length random bytes at once. Returns how many; 0: it failed. */
	size_t (*fill)(struct entropy_backend *backend, void *buffer, size_t length);
};

struct entropy_device {
	struct virtio_device device;
	struct virtqueue queue;
	struct entropy_backend *backend;
};

void entropy_device_init(struct entropy_device *entropy, struct entropy_backend *backend);

#endif
