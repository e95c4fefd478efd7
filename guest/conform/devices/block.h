// SPDX-License-Identifier: BSD-3-Clause
/* Requests of block devices (VIRTIO 1.4, 5.2.6). */
#ifndef CONFORM_BLOCK_H
#define CONFORM_BLOCK_H

#include <linux/virtio_blk.h>

#include "bus/bus.h"

#define SECTOR	  512u
#define NO_STATUS 0xee

/*
 * One request with @length bytes of @data (to the device when @out), to its end: the status, or
 * NO_STATUS when it was used without one. One that is not used fails the test.
 */
uint8_t block_request(struct queue *queue, uint32_t type, uint64_t sector, void *data,
		      uint32_t length, bool out);
/* The same, telling the used length. */
uint8_t block_request_length(struct queue *queue, uint32_t type, uint64_t sector, void *data,
			     uint32_t length, bool out, uint32_t *written);
uint64_t block_capacity(struct device *device);
/* A check that all is well. */
void block_must(struct queue *queue, uint32_t type, uint64_t sector, void *data, uint32_t length,
		bool out);
/*
 * The first block device that is writable, opened with these features; skips where there is none.
 */
struct queue *block_open(uint64_t features, uint32_t size);

#endif
