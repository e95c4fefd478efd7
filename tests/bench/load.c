// SPDX-License-Identifier: BSD-3-Clause
/* The driver of one vhost-user device, for load programs. */
#include "load.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "virtio/feature.h"

#define GUEST_BASE UINT64_C(0x40000000)

void load_fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		why ? why : strerror(errno));
	exit(1);
}

static void share_memory(struct load_device *device)
{
	struct vhost_client_region region = {
		.region = {.guest_address = GUEST_BASE, .size = device->size},
	};
	struct error error;

	device->memory_fd = memfd_create("load", MFD_CLOEXEC);
	if (device->memory_fd < 0 || ftruncate(device->memory_fd, (off_t)device->size) < 0)
		load_fail("memory", NULL);
	device->memory =
		mmap(NULL, device->size, PROT_READ | PROT_WRITE, MAP_SHARED, device->memory_fd, 0);
	if (device->memory == MAP_FAILED)
		load_fail("memory", NULL);
	region.region.user_address = (uint64_t)(uintptr_t)device->memory;
	region.fd = device->memory_fd;
	if (vhost_client_set_memory(device->client, &region, 1, &error) < 0)
		load_fail("memory table", error.message);
}

void load_connect(struct load_device *device, const char *socket, uint64_t features, bool packed,
		  size_t size)
{
	uint64_t wanted = FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_EVENT_IDX) | features;
	struct error error;
	int fd = vhost_client_connect(socket, 5000, &error);

	if (fd < 0)
		load_fail("connect", error.message);
	device->client = vhost_client_new(fd, VHOST_CLIENT_TIMEOUT_MS, &error);
	if (!device->client || vhost_client_negotiate(device->client, NULL, NULL, &error) < 0)
		load_fail("negotiate", error.message);
	if (packed)
		wanted |= FEATURE(VIRTIO_F_RING_PACKED);
	device->features = vhost_client_features(device->client) & wanted;
	if (vhost_client_set_features(device->client, device->features, &error) < 0)
		load_fail("features", error.message);
	device->size = size;
	share_memory(device);
}

void load_disconnect(struct load_device *device)
{
	vhost_client_free(device->client);
	munmap(device->memory, device->size);
	close(device->memory_fd);
}

struct guest_addr load_address(const struct load_device *device, const void *memory)
{
	return guest_addr(GUEST_BASE + (uint64_t)((const uint8_t *)memory - device->memory));
}

void load_start_queue(struct load_device *device, struct load_queue *queue, uint16_t index)
{
	bool packed = device->features & FEATURE(VIRTIO_F_RING_PACKED);
	uint8_t *memory = device->memory + index * LOAD_RING_BYTES;
	struct vhost_client_ring ring = {.index = index, .size = LOAD_QUEUE_SIZE};
	struct driver_queue_layout layout;
	struct error error;

	driver_queue_init(&queue->driver, index, LOAD_QUEUE_SIZE, device->features, memory,
			  queue->descriptors);
	driver_queue_layout(LOAD_QUEUE_SIZE, packed, &layout);
	queue->kick_fd = eventfd(0, EFD_CLOEXEC);
	queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick_fd < 0 || queue->call_fd < 0)
		load_fail("eventfd", NULL);
	ring.descriptors = (uint64_t)(uintptr_t)memory + layout.descriptors;
	ring.driver = (uint64_t)(uintptr_t)memory + layout.driver;
	ring.device = (uint64_t)(uintptr_t)memory + layout.device;
	ring.base = packed ? VHOST_PACKED_BASE : 0;
	ring.kick_fd = queue->kick_fd;
	ring.call_fd = queue->call_fd;
	ring.err_fd = -1;
	if (vhost_client_start_ring(device->client, &ring, &error) < 0)
		load_fail("ring", error.message);
}

void load_ready(struct load_device *device)
{
	struct error error;

	if (vhost_client_has(device->client, VHOST_PROTOCOL_STATUS) &&
	    vhost_client_set_status(device->client,
				    VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					    VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK,
				    &error) < 0)
		load_fail("status", error.message);
}

void load_give_buffer(const struct load_device *device, struct load_queue *queue, void *memory,
		      uint32_t size)
{
	struct driver_buffer buffer = {load_address(device, memory), size};

	if (driver_queue_add(&queue->driver, &buffer, 0, 1, memory) < 0)
		load_fail("queue", "there is no room");
}

void load_kick(struct load_queue *queue)
{
	static const uint64_t one = 1;

	if (driver_queue_kick_wanted(&queue->driver) &&
	    write(queue->kick_fd, &one, sizeof(one)) != sizeof(one))
		load_fail("kick", NULL);
}

void *load_take(struct load_queue *queue, uint32_t *written)
{
	int error = 0;
	void *token = driver_queue_take(&queue->driver, written, &error);

	if (error)
		load_fail("ring", "the device broke it");
	return token;
}

bool load_wait(struct load_queue *queue, int timeout_ms)
{
	struct pollfd pollfd = {.fd = queue->call_fd, .events = POLLIN};
	uint64_t count;

	while (!driver_queue_enable_interrupts(&queue->driver)) {
		if (poll(&pollfd, 1, timeout_ms) == 0)
			break;
		if (read(queue->call_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			load_fail("interrupt", NULL);
	}
	driver_queue_disable_interrupts(&queue->driver);
	return driver_queue_has_used(&queue->driver);
}
