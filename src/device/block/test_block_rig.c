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

#include "device/block/test_block_rig.h"
#include "virtio/feature.h"

void block_rig_start_sized(struct block_rig *f, uint64_t features, uint16_t queue_size)
{
	memory_disk_init(&f->disk);
	for (size_t i = 0; i < MEMORY_DISK_SIZE; i++)
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
		.capacity = MEMORY_DISK_SIZE,
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
	struct memory_disk disk = {0};

	block_device_init(&probe, &f->settings, &disk.backend, queues, NULL);
	return probe.device.offered & ~(FEATURE(VIRTIO_F_RING_PACKED) | FEATURE(VIRTIO_F_IN_ORDER));
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
