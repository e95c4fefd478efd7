// SPDX-License-Identifier: BSD-3-Clause
/* See block_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "block_rig.h"

#define BIT(n) (UINT64_C(1) << (n))

static struct block_rig_disk *to_disk(struct block_backend *backend)
{
	return (struct block_rig_disk *)backend; /* its first member */
}

static void transfer(struct block_rig_disk *disk, struct block_operation *operation)
{
	uint8_t *at = disk->data + operation->offset;

	assert_int_equal(operation->data.left, operation->length);
	for (uint32_t i = 0; i < operation->data.count; i++) {
		struct virtio_segment *segment = &operation->data.segments[i];

		if (operation->action == BLOCK_READ)
			memcpy(segment->base, at, segment->length);
		else
			memcpy(at, segment->base, segment->length);
		at += segment->length;
	}
	assert_ptr_equal(at, disk->data + operation->offset + operation->length);
}

static void perform(struct block_rig_disk *disk, struct block_operation *operation)
{
	int result = 0;

	if (disk->fail && disk->fail_after-- <= 0)
		result = -disk->fail;
	if (operation->action != BLOCK_FLUSH && !disk->blank) {
		assert_true(operation->length <= BLOCK_RIG_DISK_SIZE);
		assert_true(operation->offset <= BLOCK_RIG_DISK_SIZE - operation->length);
	}
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
	if (result == 0 && operation->action <= BLOCK_WRITE && !disk->blank)
		transfer(disk, operation);
	if (result == 0 && operation->action == BLOCK_ZERO)
		memset(disk->data + operation->offset, 0, operation->length);
	operation->complete(operation, result);
}

static void submit(struct block_backend *backend, struct block_operation *operation)
{
	struct block_rig_disk *disk = to_disk(backend);

	if (!disk->hold) {
		perform(disk, operation);
		return;
	}
	assert_true(disk->held_count < 64);
	disk->held[disk->held_count++] = operation;
}

static void commit(struct block_backend *backend)
{
	to_disk(backend)->commits++;
}

void block_rig_release(struct block_rig_disk *disk)
{
	struct block_operation *held[64];
	unsigned int count = disk->held_count;

	memcpy(held, disk->held, sizeof(held));
	disk->held_count = 0;
	while (count > 0)
		perform(disk, held[--count]);
	disk->backend.completed(disk->backend.context);
}

static void drain(struct block_backend *backend, uint16_t queue)
{
	struct block_rig_disk *disk = to_disk(backend);

	disk->drains++;
	while (disk->held_count > 0)
		block_rig_release(disk);
}

static const struct block_backend_ops disk_ops = {
	.submit = submit,
	.commit = commit,
	.drain = drain,
};

void block_rig_start_sized(struct block_rig *f, uint64_t features, uint16_t queue_size)
{
	f->disk.backend.ops = &disk_ops;
	for (size_t i = 0; i < BLOCK_RIG_DISK_SIZE; i++)
		f->disk.data[i] = (uint8_t)(i * 7 + i / 512);
	f->requests = calloc(block_request_count(&f->settings), sizeof(*f->requests));
	block_device_init(&f->block, &f->settings, &f->disk.backend, f->queues, f->requests);
	device_rig_start(&f->rig, &f->block.device, features, queue_size);
}

void block_rig_start_with(struct block_rig *f, uint64_t features)
{
	block_rig_start_sized(f, features, BLOCK_RIG_QUEUE_SIZE);
}

struct block_rig *block_rig_make(void)
{
	struct block_rig *f = calloc(1, sizeof(*f));

	f->settings = (struct block_settings){
		.capacity = BLOCK_RIG_DISK_SIZE,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.discard_granularity = 4096,
		.serial = "the serial number 20",
		.queue_count = BLOCK_RIG_QUEUES,
		.queue_size_max = BLOCK_RIG_QUEUE_SIZE,
	};
	return f;
}

uint64_t block_rig_offered(const struct block_rig *f)
{
	struct block_device probe = {0};
	struct virtqueue queues[BLOCK_RIG_QUEUES] = {0};
	struct block_rig_disk disk = {0};

	block_device_init(&probe, &f->settings, &disk.backend, queues, NULL);
	return probe.device.offered & ~(BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER));
}

struct block_rig *block_rig_start(void)
{
	struct block_rig *f = block_rig_make();

	block_rig_start_with(f, block_rig_offered(f));
	return f;
}

void block_rig_stop(struct block_rig *f)
{
	device_rig_stop(&f->rig);
	free(f->requests);
	free(f);
}

void block_rig_compose(struct block_rig_message *message, uint32_t type, uint64_t sector,
		       const void *data, size_t length)
{
	struct virtio_blk_outhdr header = {.type = type, .sector = sector};

	memcpy(message->bytes, &header, sizeof(header));
	if (length > 0)
		memcpy(message->bytes + sizeof(header), data, length);
	message->length = sizeof(header) + length;
}

uint8_t block_rig_exchange(struct block_rig *f, const struct block_rig_message *message,
			   size_t in_length, size_t cut, uint8_t **data, uint32_t *written)
{
	uint32_t length;
	uint8_t *in;

	device_rig_clear(&f->rig);
	device_rig_add(&f->rig, 0, message->bytes, message->length, in_length + 1, cut);
	device_rig_kick(&f->rig, 0);
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &length));
	if (data)
		*data = in;
	if (written)
		*written = length;
	return in[in_length];
}

uint8_t block_rig_request(struct block_rig *f, uint32_t type, uint64_t sector, const void *out,
			  size_t out_length, size_t in_length)
{
	struct block_rig_message message;

	block_rig_compose(&message, type, sector, out, out_length);
	return block_rig_exchange(f, &message, in_length, 4096, NULL, NULL);
}
