// SPDX-License-Identifier: BSD-3-Clause
/* Hostile rings, requests and control messages against a console of three ports. */
#include <string.h>

#include "device/console/console.h"
#include "fuzz/hostile_driver.h"

#define PORTS 3

struct channel {
	struct console_stream stream;
	size_t room, waiting; /* bytes that it takes, and has */
};

struct ports {
	struct channel channels[PORTS];
	struct console_device console;
	struct virtqueue queues[2 * PORTS + 2];
};

/* Where reading ends up, so that it is not optimized away. */
static volatile uint8_t last_read;

static size_t move(const struct virtio_segment *segments, uint32_t count, size_t limit, bool in)
{
	size_t moved = 0;

	PROMISE(count > 0);
	for (uint32_t i = 0; i < count && moved < limit; i++) {
		size_t length = segments[i].length;

		if (length > limit - moved)
			length = limit - moved;
		if (in)
			memset(segments[i].base, 'x', length);
		else if (length)
			/* The first and the last byte stand for all: both must be there. */
			last_read = ((const uint8_t *)segments[i].base)[0] ^
				    ((const uint8_t *)segments[i].base)[length - 1];
		moved += length;
	}
	return moved;
}

static size_t write_channel(struct console_stream *stream, const struct virtio_segment *segments,
			    uint32_t count)
{
	struct channel *channel = (struct channel *)stream; /* its first member */
	size_t moved = move(segments, count, channel->room, false);

	PROMISE(stream->connected);
	channel->room -= moved;
	return moved;
}

static size_t read_channel(struct console_stream *stream, const struct virtio_segment *segments,
			   uint32_t count)
{
	struct channel *channel = (struct channel *)stream;
	size_t moved = move(segments, count, channel->waiting, true);

	channel->waiting -= moved;
	return moved;
}

static void watch_channel(struct console_stream *stream, bool read, bool write)
{
	PROMISE(!write || stream->connected);
}

static void happening(struct hostile_driver *driver, uint8_t what)
{
	struct ports *ports = driver->context;
	struct channel *channel = &ports->channels[what % PORTS];

	switch (what / PORTS % 4) {
	case 0:
		channel->room += what * 64;
		break;
	case 1:
		channel->waiting += what * 64;
		break;
	case 2:
		console_stream_connected(&channel->stream, !channel->stream.connected);
		break;
	case 3:
		console_device_set_size(&ports->console, what, what / 2);
		break;
	}
	console_stream_ready(&channel->stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct console_stream_ops ops = {write_channel, read_channel, watch_channel};
	static struct ports ports;
	struct console_port_setup setup[PORTS];
	struct hostile_driver driver = {.happening = happening, .context = &ports};

	memset(&ports, 0, sizeof(ports));
	for (size_t i = 0; i < PORTS; i++) {
		ports.channels[i] = (struct channel){.stream = {.ops = &ops, .connected = true}};
		setup[i] = (struct console_port_setup){"port", &ports.channels[i].stream};
	}
	console_device_init(&ports.console, setup, PORTS, true, ports.queues);
	hostile_driver_run(&driver, &ports.console.device, data, size);
	return 0;
}
