// SPDX-License-Identifier: BSD-3-Clause
/* Requests of block devices (VIRTIO 1.4, 5.2.6). */
#ifndef CONFORM_BLOCK_H
#define CONFORM_BLOCK_H

#include <linux/virtio_blk.h>

#include "bus/bus.h"

#define SECTOR	  512u
#define NO_STATUS 0xee

/*
 * Makes one request with @length bytes of @data (to the device when @out) and waits for it. Returns
 * the status, or NO_STATUS if the device wrote none. A request that is not used fails the test.
 */
uint8_t block_request(struct queue *queue, uint32_t type, uint64_t sector, void *data,
		      uint32_t length, bool out);
/* The same, and returns the used length. */
uint8_t block_request_length(struct queue *queue, uint32_t type, uint64_t sector, void *data,
			     uint32_t length, bool out, uint32_t *written);
uint64_t block_capacity(struct device *device);
/* Makes one request; fails the test unless its status is OK. */
void block_must(struct queue *queue, uint32_t type, uint64_t sector, void *data, uint32_t length,
		bool out);
/* Opens the first writable block device with these features; skips if there is none. */
struct queue *block_open(uint64_t features, uint32_t size);

#endif
