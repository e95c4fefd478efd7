// SPDX-License-Identifier: BSD-3-Clause
/*
 * Hostile rings and requests against the block device, on a disk in memory that finishes at once,
 * later, or with an error, as the input says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/block.h"
#include "fuzz/hostile_driver.h"

#define DISK_SIZE 0x4000u
#define QUEUES	  2
#define HELD_MAX  (QUEUES * HOSTILE_QUEUE_SIZE)

struct disk {
	struct block_backend backend;
	struct block_operation *held[HELD_MAX];
	unsigned int held_count;
	bool hold;
	int fail; /* errno of the operations to come; 0: none */
	uint8_t data[DISK_SIZE];
};

static void transfer(struct disk *disk, struct block_operation *operation)
{
	uint8_t *at = disk->data + operation->offset;

	PROMISE(operation->data.left == operation->length);
	for (uint32_t i = 0; i < operation->data.count; i++) {
		const struct virtio_segment *segment = &operation->data.segments[i];

		PROMISE(segment->length > 0);
		if (operation->action == BLOCK_READ)
			memcpy(segment->base, at, segment->length);
		else
			memcpy(at, segment->base, segment->length);
		at += segment->length;
	}
	PROMISE(at == disk->data + operation->offset + operation->length);
}

static void perform(struct disk *disk, struct block_operation *operation)
{
	if (operation->action != BLOCK_FLUSH) {
		PROMISE(operation->length > 0 && operation->length <= DISK_SIZE);
		PROMISE(operation->length % BLOCK_SECTOR == 0);
		PROMISE(operation->offset <= DISK_SIZE - operation->length);
	}
	if (operation->action <= BLOCK_WRITE)
		transfer(disk, operation);
	if (operation->action == BLOCK_ZERO)
		memset(disk->data + operation->offset, 0, operation->length);
	operation->complete(operation, -disk->fail);
}

static void submit(struct block_backend *backend, struct block_operation *operation)
{
	struct disk *disk = (struct disk *)backend; /* its first member */

	if (!disk->hold) {
		perform(disk, operation);
		return;
	}
	PROMISE(disk->held_count < HELD_MAX);
	disk->held[disk->held_count++] = operation;
}

static void release(struct disk *disk)
{
	struct block_operation *held[HELD_MAX];
	unsigned int count = disk->held_count;

	memcpy(held, disk->held, sizeof(held));
	disk->held_count = 0;
	while (count > 0)
		perform(disk, held[--count]);
	disk->backend.completed(disk->backend.context);
}

static void commit(struct block_backend *backend)
{
	(void)backend;
}

static void drain(struct block_backend *backend, uint16_t queue)
{
	struct disk *disk = (struct disk *)backend;

	while (disk->held_count > 0)
		release(disk);
}

static const struct block_backend_ops disk_ops = {.submit = submit,
						  .commit = commit,
						  .drain = drain};

static void happening(struct hostile_driver *driver, uint8_t what)
{
	struct disk *disk = driver->context;

	disk->hold = what & 1;
	disk->fail = what & 2 ? EIO : what & 8 ? ENOSPC : 0;
	if (what & 4)
		release(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct disk disk = {.backend.ops = &disk_ops};
	struct block_settings settings = {
		.capacity = DISK_SIZE,
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
	requests = calloc(block_request_count(&settings), sizeof(*requests));
	block_device_init(&block, &settings, &disk.backend, queues, requests);
	hostile_driver_run(&driver, &block.device, data + 1, size - 1);
	PROMISE(disk.held_count == 0);
	free(requests);
	return 0;
}
