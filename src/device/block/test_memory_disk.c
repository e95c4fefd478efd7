// SPDX-License-Identifier: BSD-3-Clause
/* A disk in memory that finishes at once, later, or with an error. */
#include "device/block/test_memory_disk.h"

#include <string.h>

#include "promise.h"

static struct memory_disk *to_disk(struct block_backend *backend)
{
	return (struct memory_disk *)backend; /* its first member */
}

static void check(const struct memory_disk *disk, const struct block_operation *operation)
{
	if (operation->action == BLOCK_FLUSH || disk->blank)
		return;
	PROMISE(operation->length > 0 && operation->length <= MEMORY_DISK_SIZE);
	PROMISE(operation->length % BLOCK_SECTOR == 0);
	PROMISE(operation->offset <= MEMORY_DISK_SIZE - operation->length);
}

static void count(struct memory_disk *disk, const struct block_operation *operation)
{
	disk->durable += operation->durable;
	switch (operation->action) {
	case BLOCK_READ:
		disk->reads++;
		break;
	case BLOCK_WRITE:
		disk->writes++;
		break;
	case BLOCK_FLUSH:
		disk->flushes++;
		break;
	case BLOCK_DISCARD:
		disk->discards++;
		break;
	case BLOCK_ZERO:
		disk->zeroes++;
		disk->unmaps += operation->may_unmap;
		break;
	}
}

static void transfer(struct memory_disk *disk, const struct block_operation *operation)
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

static void perform(struct memory_disk *disk, struct block_operation *operation)
{
	int result = 0;

	if (disk->fail && disk->fail_after-- <= 0)
		result = -disk->fail;
	check(disk, operation);
	count(disk, operation);
	if (result == 0 && operation->action <= BLOCK_WRITE && !disk->blank)
		transfer(disk, operation);
	if (result == 0 && operation->action == BLOCK_ZERO)
		memset(disk->data + operation->offset, 0, operation->length);
	operation->complete(operation, result);
}

static void submit(struct block_backend *backend, struct block_operation *operation)
{
	struct memory_disk *disk = to_disk(backend);

	if (!disk->hold) {
		perform(disk, operation);
		return;
	}
	PROMISE(disk->held_count < MEMORY_DISK_HELD);
	disk->held[disk->held_count++] = operation;
}

static void commit(struct block_backend *backend)
{
	to_disk(backend)->commits++;
}

void memory_disk_release(struct memory_disk *disk)
{
	struct block_operation *held[MEMORY_DISK_HELD];
	unsigned int left = disk->held_count;

	memcpy(held, disk->held, sizeof(held));
	disk->held_count = 0;
	while (left > 0)
		perform(disk, held[--left]);
	disk->backend.completed(disk->backend.context);
}

static void drain(struct block_backend *backend, uint16_t queue)
{
	struct memory_disk *disk = to_disk(backend);

	(void)queue;
	disk->drains++;
	while (disk->held_count > 0)
		memory_disk_release(disk);
}

static const struct block_backend_ops disk_ops = {
	.submit = submit,
	.commit = commit,
	.drain = drain,
};

void memory_disk_init(struct memory_disk *disk)
{
	disk->backend.ops = &disk_ops;
}
