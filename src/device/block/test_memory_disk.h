// SPDX-License-Identifier: BSD-3-Clause
/*
 * A disk in memory that finishes at once, later, or with an error, and aborts the program when a
 * block device makes an invalid request.
 */
#ifndef AVP_DEVICE_BLOCK_TEST_MEMORY_DISK_H
#define AVP_DEVICE_BLOCK_TEST_MEMORY_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/block/block.h"

#define MEMORY_DISK_SECTORS 64
#define MEMORY_DISK_SIZE    (MEMORY_DISK_SECTORS * BLOCK_SECTOR)
#define MEMORY_DISK_HELD    64

struct memory_disk {
	struct block_backend backend;
	uint8_t data[MEMORY_DISK_SIZE];
	bool hold;	/* finish nothing until release */
	bool blank;	/* of any size, without content */
	int fail;	/* errno of the operations to come; 0: none */
	int fail_after; /* only from this operation on */
	struct block_operation *held[MEMORY_DISK_HELD];
	unsigned int held_count;
	unsigned int reads, writes, durable, flushes, discards, zeroes, unmaps, commits, drains;
};

/* @disk: zeroed, or filled with data. */
void memory_disk_init(struct memory_disk *disk);

/* Finishes what is held, the last first; operations that these trigger are held again. */
void memory_disk_release(struct memory_disk *disk);

#endif
