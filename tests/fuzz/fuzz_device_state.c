// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the states of all devices: what a device process is given to go on with. An input
 * is a device, a choice, and a state or its device-specific part. A device that takes a state saves
 * the same again; one that does not is as before; and after a reset nothing of it is left.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "device/block/block.h"
#include "device/console/console.h"
#include "device/entropy/entropy.h"
#include "device/net/net.h"
#include "promise.h"
#include "virtio/device_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PORTS	    3
#define PAIRS	    2
#define QUEUES	    8
#define HEADER	    20 /* bytes before the device-specific part */
#define FULL_HEADER 1  /* choice: the input has the header, too */
#define FEATURES    2  /* choice: the driver has set its features */
#define HOST_FAILS  4  /* choice: the host side refuses what the state asks for */

static bool host_fails;

/* Host sides, which a state makes do little. */

static bool set_offloads(struct net_backend *backend, uint64_t offloads)
{
	PROMISE(!(offloads & ~backend->features));
	return !host_fails || offloads == 0;
}

static void stop_pair(struct net_backend *backend, uint16_t pair)
{
	PROMISE(pair < PAIRS);
}

static const struct net_backend_ops net_ops = {.set_offloads = set_offloads, .stop = stop_pair};

static size_t write_nothing(struct console_stream *stream, const struct virtio_segment *segments,
			    uint32_t count)
{
	return 0;
}

static void watch_nothing(struct console_stream *stream, bool read, bool write)
{
}

static const struct console_stream_ops stream_ops = {.write = write_nothing,
						     .watch = watch_nothing};

struct devices {
	struct virtqueue queues[QUEUES];
	struct block_device block;
	struct block_backend disk;
	struct net_device net;
	struct net_backend wire;
	struct entropy_device entropy;
	struct entropy_backend random;
	struct console_device console;
	struct console_stream streams[PORTS];
};

static struct virtio_device *make_device(struct devices *all, uint8_t choice)
{
	static const char *const names[PORTS] = {"tty", "agent", "log"};
	const struct block_settings disk = {
		.capacity = 1 << 20,
		.logical_block_size = 512,
		.physical_block_size = 512,
		.queue_count = 1,
		.queue_size_max = 16,
		.write_through = choice & 8,
	};
	const struct net_settings interface = {
		.mac = {2, 0, 0, 0, 0, 1},
		.mtu = 1500,
		.pairs = PAIRS,
		.queue_size_max = 16,
	};
	struct console_port_setup ports[PORTS];

	switch (choice & 3) {
	case 0:
		block_device_init(&all->block, &disk, &all->disk, all->queues, NULL);
		return &all->block.device;
	case 1:
		all->wire = (struct net_backend){
			.ops = &net_ops,
			.features = FEATURE(VIRTIO_NET_F_GUEST_CSUM) |
				    FEATURE(VIRTIO_NET_F_GUEST_TSO4),
		};
		net_device_init(&all->net, &interface, &all->wire, all->queues);
		return &all->net.device;
	case 2:
		entropy_device_init(&all->entropy, &all->random);
		return &all->entropy.device;
	default:
		for (uint16_t i = 0; i < PORTS; i++) {
			all->streams[i] =
				(struct console_stream){.ops = &stream_ops, .connected = true};
			ports[i] = (struct console_port_setup){names[i], &all->streams[i]};
		}
		console_device_init(&all->console, ports, choice & 4 ? PORTS : 1, choice & 8,
				    all->queues);
		return &all->console.device;
	}
}

struct saved {
	uint8_t bytes[DEVICE_STATE_MAX];
	size_t length;
};

static void save(struct virtio_device *device, struct saved *saved)
{
	int length = virtio_device_save(device, saved->bytes);

	PROMISE(length >= HEADER && length <= DEVICE_STATE_MAX);
	saved->length = (size_t)length;
}

static void require_state(struct virtio_device *device, const uint8_t *bytes, size_t length)
{
	struct saved now;

	save(device, &now);
	PROMISE(now.length == length && !memcmp(now.bytes, bytes, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct devices *all = calloc(1, sizeof(*all));
	struct saved before, fresh;
	struct virtio_device *device;
	uint8_t choice, *input;
	size_t length;

	if (size < 2) {
		free(all);
		return 0;
	}
	host_fails = false;
	device = make_device(all, data[0]);
	choice = data[1];
	save(device, &fresh);
	PROMISE(virtio_device_set_features(device, device->offered) == 0);
	save(device, &before);
	if (!(choice & FEATURES)) {
		virtio_device_reset(device);
		before = fresh;
	}
	host_fails = choice & HOST_FAILS;
	length = size - 2 + (choice & FULL_HEADER ? 0 : HEADER);
	/* As long as it is: one byte read beyond it is found. */
	input = malloc(length + 1);
	if (!(choice & FULL_HEADER)) {
		struct saved header;

		virtio_device_set_features(device, device->offered);
		save(device, &header);
		if (!(choice & FEATURES))
			virtio_device_reset(device);
		memcpy(input, header.bytes, HEADER);
	}
	memcpy(input + length - (size - 2), data + 2, size - 2);
	if (virtio_device_load(device, input, length) == 0)
		require_state(device, input, length);
	else
		require_state(device, before.bytes, before.length);
	host_fails = false;
	virtio_device_reset(device);
	/* Emergency writes outlive a reset: the last words of a kernel. */
	if ((data[0] & 3) != 3)
		require_state(device, fresh.bytes, fresh.length);
	free(input);
	free(all);
	return 0;
}
