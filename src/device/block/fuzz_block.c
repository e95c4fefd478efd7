// SPDX-License-Identifier: BSD-3-Clause
/*
 * Hostile rings and requests against the block device, on a disk in memory that finishes at once,
 * later, or with an error, as the input says.
 */
#include <errno.h>
#include <stdlib.h>

#include "device/block/block.h"
#include "fuzz/hostile_driver.h"
#include "device/block/test_memory_disk.h"

#define QUEUES 2

static void happening(struct hostile_driver *driver, uint8_t what)
{
	struct memory_disk *disk = driver->context;

	disk->hold = what & 1;
	disk->fail = what & 2 ? EIO : what & 8 ? ENOSPC : 0;
	if (what & 4)
		memory_disk_release(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory_disk disk = {0};
	struct block_settings settings = {
		.capacity = MEMORY_DISK_SIZE,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.discard_granularity = 4096,
		.serial = "fuzz",
		.queue_count = QUEUES,
		.queue_size_max = HOSTILE_QUEUE_SIZE,
	};
	struct hostile_driver driver = {.happening = happening, .context = &disk};
	struct block_device block;
	struct virtqueue queues[QUEUES] = {0};
	struct block_request *requests;

	if (size == 0)
		return 0;
	settings.readonly = data[0] & 1;
	settings.write_through = data[0] & 2;
	memory_disk_init(&disk);
	requests = calloc(block_request_count(&settings), sizeof(*requests));
	block_device_init(&block, &settings, &disk.backend, queues, requests);
	hostile_driver_run(&driver, &block.device, data + 1, size - 1);
	PROMISE(disk.held_count == 0);
	free(requests);
	return 0;
}
