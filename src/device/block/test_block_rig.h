// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device in a test, on a disk in memory that finishes at once, later, or with an error,
 * driven through the driver side of its queues.
 */
#ifndef AVP_DEVICE_BLOCK_TEST_BLOCK_RIG_H
#define AVP_DEVICE_BLOCK_TEST_BLOCK_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/block/block.h"
#include "unit/device_rig.h"
#include "device/block/test_memory_disk.h"

#define BLOCK_RIG_QUEUE_SIZE 64
#define BLOCK_RIG_QUEUES     2
#define BLOCK_RIG_HEADER     16

struct block_rig {
	struct memory_disk disk;
	struct block_settings settings;
	struct block_device block;
	struct virtqueue queues[BLOCK_RIG_QUEUES];
	struct block_request *requests;
	struct device_rig rig;
};

/* A device that is not started; the test may change its settings first. */
struct block_rig *block_rig_make(void);
/* All features that it offers except the packed ring: tests choose that. */
uint64_t block_rig_offered(const struct block_rig *f);
/* Starts it as a driver would that takes @features, with rings of BLOCK_RIG_QUEUE_SIZE entries. */
void block_rig_start_with(struct block_rig *f, uint64_t features);
void block_rig_start_sized(struct block_rig *f, uint64_t features, uint16_t queue_size);
/* One that is started with all it offers. */
struct block_rig *block_rig_start(void);
void block_rig_stop(struct block_rig *f);

/* The readable part of a request: header and data. */
struct block_rig_message {
	uint8_t bytes[BLOCK_RIG_HEADER + 65536];
	size_t length;
};

void block_rig_compose(struct block_rig_message *message, uint32_t type, uint64_t sector,
		       const void *data, size_t length);

/*
 * Makes a request with @in_length writable bytes before the status, cut as said. Returns the status
 * byte; *data (may be NULL) gets the writable part and *written the used length.
 */
uint8_t block_rig_exchange(struct block_rig *f, const struct block_rig_message *message,
			   size_t in_length, size_t cut, uint8_t **data, uint32_t *written);
/* Composes and exchanges. Returns the status. */
uint8_t block_rig_request(struct block_rig *f, uint32_t type, uint64_t sector, const void *out,
			  size_t out_length, size_t in_length);

#endif
