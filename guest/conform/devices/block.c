// SPDX-License-Identifier: BSD-3-Clause
/* Block requests: header, data, status, each a buffer of its own. */
#include "devices/block.h"

#include "devices/dut.h"
#include "pages.h"

/* Below the limit of a test, so that the test can report which request timed out. */
#define REQUEST_MS   4000

#define ZONED	     FEATURE(BLOCK_F_ZONED)
#define ZONED_MODEL  92
#define HOST_MANAGED 1

uint64_t block_capacity(struct device *device)
{
	return config_read(device, 0, 4) | config_read(device, 4, 4) << 32;
}

uint8_t block_request_length(struct queue *queue, uint32_t type, uint64_t sector, void *data,
			     uint32_t length, bool out, uint32_t *written)
{
	static struct virtio_blk_outhdr header __attribute__((aligned(16)));
	static volatile uint8_t status;
	struct driver_buffer buffers[3];
	unsigned int count = 0, readable;

	header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	status = NO_STATUS;
	buffers[count++] = buffer_of(&header, sizeof(header));
	if (length > 0 && out)
		buffers[count++] = buffer_of(data, length);
	readable = count;
	if (length > 0 && !out)
		buffers[count++] = buffer_of(data, length);
	buffers[count++] = buffer_of((void *)&status, 1);
	check(queue_do(queue, buffers, readable, count - readable, written, REQUEST_MS),
	      "%s: a request of type %u for sector %lu was not used (status 0x%x)",
	      device_name(queue->device), type, sector, queue->device->ops->status(queue->device));
	return status;
}

uint8_t block_request(struct queue *queue, uint32_t type, uint64_t sector, void *data,
		      uint32_t length, bool out)
{
	uint32_t written;

	return block_request_length(queue, type, sector, data, length, out, &written);
}

void block_must(struct queue *queue, uint32_t type, uint64_t sector, void *data, uint32_t length,
		bool out)
{
	uint8_t status = block_request(queue, type, sector, data, length, out);

	check(status == VIRTIO_BLK_S_OK,
	      "%s: a request of type %u for %u bytes at sector %lu has "
	      "status %u",
	      device_name(queue->device), type, length, sector, status);
}

uint64_t block_demands(struct device *device)
{
	return device_offered(device) & ZONED &&
			       config_read(device, ZONED_MODEL, 1) == HOST_MANAGED ?
		       ZONED :
		       0;
}

struct device *block_writable(uint64_t features)
{
	for (unsigned int n = 0; n < 16; n++) {
		struct device *device = device_nth(VIRTIO_ID_BLOCK, TRANSPORT_ANY, n);

		if (!device)
			break;
		if (device_offered(device) & FEATURE(VIRTIO_BLK_F_RO) ||
		    block_capacity(device) < 4096)
			continue;
		/* A test that writes must know zones. */
		if (block_demands(device) & ~features)
			continue;
		return device;
	}
	return NULL;
}

struct queue *block_open(uint64_t features, uint32_t size)
{
	struct device *device = block_writable(features);
	struct queue *queue;

	if (!device)
		skip("no writable block device of at least 2 MiB");
	device_open(device, features);
	queue = device_queue(device, 0, size);
	device_run(device);
	return queue;
}

struct queue *block_open_with(uint64_t features, const char *name)
{
	struct queue *queue = block_open(features, 64);

	if ((queue->device->negotiated & features) != features)
		skip("%s does not offer %s", device_name(queue->device), name);
	return queue;
}

void block_fill(uint8_t *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)((seed + i) * 0x9e3779b9u >> 13);
}

bool block_is_filled(const uint8_t *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		if (data[i] != (uint8_t)((seed + i) * 0x9e3779b9u >> 13))
			return false;
	return true;
}
