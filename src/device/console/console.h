// SPDX-License-Identifier: BSD-3-Clause
/*
 * The console device (VIRTIO 1.4, 5.3): ports that carry bytes both ways. Port 0 is the guest's
 * console, with a size in characters if that is known; the others are channels that programs in the
 * guest find by name. On the host a port leads to a stream, which the device writes to and reads
 * from without blocking.
 *
 * A device of one port needs no control queues, and so offers no MULTIPORT.
 */
#ifndef AVP_DEVICE_CONSOLE_CONSOLE_H
#define AVP_DEVICE_CONSOLE_CONSOLE_H

#include <linux/virtio_console.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/kit/event_queue.h"
#include "virtio/device.h"

#define CONSOLE_PORTS_MAX      16
#define CONSOLE_PORT_NAME_MAX  64 /* bytes; text_is_name refuses longer ones */
#define CONSOLE_QUEUE_SIZE_MAX 1024

struct console_device;
struct console_stream;

struct console_stream_ops {
	/*
	 * Writes bytes of the guest, in @count segments that hold at least one. Returns how many
	 * were written; 0: none now, or none ever, if it has called
	 * console_stream_connected(stream, false).
	 */
	size_t (*write)(struct console_stream *stream, const struct virtio_segment *segments,
			uint32_t count);
	/* Reads bytes for the guest, likewise. Returns how many; 0: none now, or none ever. */
	size_t (*read)(struct console_stream *stream, const struct virtio_segment *segments,
		       uint32_t count);
	/*
	 * Call console_stream_ready when there is something to read or room to write. Holds until
	 * the next call; often called with the same arguments.
	 */
	void (*watch)(struct console_stream *stream, bool read, bool write);
};

struct console_stream {
	const struct console_stream_ops *ops;
	/* A peer is at the other end. Otherwise the guest's bytes are dropped. */
	bool connected;
	/* Set by the device. */
	struct console_device *console;
	uint16_t port;
};

/* A port's name and where it leads; the caller keeps both. */
struct console_port_setup {
	const char *name; /* at most CONSOLE_PORT_NAME_MAX bytes */
	struct console_stream *stream;
};

struct console_port {
	struct console_port_setup setup;
	uint64_t sent; /* bytes of the oldest request of its transmit queue that are written */
	/* The same when the queue was stopped: for whoever continues it at that request. */
	uint64_t sent_at_stop;
	bool added; /* the driver got the message */
	bool open;  /* a program in the guest uses it; only with MULTIPORT */
};

/* Bytes of emergency writes that wait for room in the stream: the last lines of a kernel. */
#define CONSOLE_EMERGENCY_MAX 1024

struct console_device {
	struct virtio_device device;
	uint8_t emergency[CONSOLE_EMERGENCY_MAX];
	uint16_t emergency_count;
	struct virtio_console_config config;
	bool driver_ready;  /* it accepts control messages */
	bool size_reported; /* the driver was notified of the size at least once */
	uint16_t port_count;
	struct console_port ports[CONSOLE_PORTS_MAX];
	struct event_queue messages; /* to the driver, from each port; only with MULTIPORT */
	uint32_t pending[CONSOLE_PORTS_MAX];
};

/* The number of queues of a device: two for each port, and two for control if there are several. */
static inline uint16_t console_queue_count(uint16_t ports)
{
	return (uint16_t)(ports > 1 ? 2 * ports + 2 : 2);
}

/*
 * Makes *console a device of @port_count ports, 1 to CONSOLE_PORTS_MAX. @has_size: the size of port
 * 0 is known and set with console_device_set_size. @queues (console_queue_count of them) are
 * zeroed; the caller keeps them.
 */
void console_device_init(struct console_device *console, const struct console_port_setup *ports,
			 uint16_t port_count, bool has_size, struct virtqueue *queues);

/* The size of port 0 in characters. */
void console_device_set_size(struct console_device *console, uint16_t columns, uint16_t rows);

/* The stream may have something to read, or room to write. */
void console_stream_ready(struct console_stream *stream);

/* A peer connected to the other end, or left. May be called from the stream's operations. */
void console_stream_connected(struct console_stream *stream, bool connected);

#endif
