// SPDX-License-Identifier: BSD-3-Clause
/* Requests of block devices (VIRTIO 1.4, 5.2.6). */
#ifndef CONFORM_BLOCK_H
#define CONFORM_BLOCK_H

#include <linux/virtio_blk.h>

#include "bus/bus.h"

#define SECTOR		  512u
#define NO_STATUS	  0xee
#define BLOCK_TEST_SECTOR 1000u /* from here on, tests write as they like */

/* Features and requests that kernel headers may lack (VIRTIO 1.4, 5.2.3 and 5.2.6). */
#define BLOCK_F_LIFETIME     15
#define BLOCK_F_ZONED	     17
#define BLOCK_T_GET_LIFETIME 10

enum {
	BLOCK_T_ZONE_APPEND = 15,
	BLOCK_T_ZONE_REPORT = 16,
	BLOCK_T_ZONE_OPEN = 18,
	BLOCK_T_ZONE_CLOSE = 20,
	BLOCK_T_ZONE_FINISH = 22,
	BLOCK_T_ZONE_RESET = 24,
	BLOCK_T_ZONE_RESET_ALL = 26,
};

/* Reads a field of the configuration (VIRTIO 1.4, 5.2.4). */
#define BLOCK_CONFIG(device, field)                                      \
	config_read((device), offsetof(struct virtio_blk_config, field), \
		    sizeof(((struct virtio_blk_config *)NULL)->field))

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
/* The first writable block device that a driver with these features may write to, or NULL. */
struct device *block_writable(uint64_t features);
/* Opens it with these features; skips if there is none. */
struct queue *block_open(uint64_t features, uint32_t size);
/* The same, and skips if it does not offer all of them, which are called @name. */
struct queue *block_open_with(uint64_t features, const char *name);
/* ZONED of a host-managed disk, which only a driver that knows zones may use (5.2.5.2). */
uint64_t block_demands(struct device *device);
/* Fills memory with bytes that depend on @seed; are they still there? */
void block_fill(uint8_t *data, size_t size, uint64_t seed);
bool block_is_filled(const uint8_t *data, size_t size, uint64_t seed);

#endif
