// SPDX-License-Identifier: BSD-3-Clause
/* The console device (VIRTIO 1.4, 5.3). */
#include "device/console/console.h"

#include <errno.h>
#include <string.h>

#include "virtio/container_of.h"
#include "virtio/device_state.h"
#include "virtio/feature.h"

/* The queues of port 0 are followed by those for control. */
#define CONTROL_RECEIVE	 2
#define CONTROL_TRANSMIT 3

/* More than any driver sends at a time; an unbounded request would occupy the process. */
#define REQUEST_MAX (UINT64_C(16) << 20)

/* Messages to the driver about a port, in the order in which they are sent; each is one bit. */
enum message {
	MESSAGE_ADD = 1,
	MESSAGE_CONSOLE = 2,
	MESSAGE_NAME = 4,
	MESSAGE_SIZE = 8,
	MESSAGE_OPEN = 16,
};

struct control_message {
	struct virtio_console_control header;
	union {
		uint16_t size[2]; /* columns, rows */
		char name[CONSOLE_PORT_NAME_MAX];
	};
};

static struct console_device *to_console(struct virtio_device *device)
{
	return container_of(device, struct console_device, device);
}

static bool multiport(const struct console_device *console)
{
	return virtio_has_feature(&console->device, VIRTIO_CONSOLE_F_MULTIPORT);
}

static struct virtqueue *receive_queue(const struct console_device *console, uint16_t port)
{
	return &console->device.queues[port == 0 ? 0 : 2 * port + 2];
}

static struct virtqueue *transmit_queue(const struct console_device *console, uint16_t port)
{
	return receive_queue(console, port) + 1;
}

/* Whether the guest uses this port. */
static bool port_open(const struct console_device *console, uint16_t port)
{
	return multiport(console) ? console->ports[port].open : port == 0;
}

/* Makes a message with the current state, and returns its length. */
static size_t make_message(const struct console_device *console, uint16_t index, uint32_t what,
			   struct control_message *message)
{
	const struct console_port *port = &console->ports[index];
	size_t length = 0;

	message->header = (struct virtio_console_control){.id = index};
	switch (what) {
	case MESSAGE_ADD:
		message->header.event = VIRTIO_CONSOLE_PORT_ADD;
		break;
	case MESSAGE_CONSOLE:
		message->header.event = VIRTIO_CONSOLE_CONSOLE_PORT;
		message->header.value = 1;
		break;
	case MESSAGE_NAME:
		message->header.event = VIRTIO_CONSOLE_PORT_NAME;
		length = strlen(port->setup.name);
		memcpy(message->name, port->setup.name, length);
		break;
	case MESSAGE_SIZE:
		message->header.event = VIRTIO_CONSOLE_RESIZE;
		message->size[0] = console->config.cols;
		message->size[1] = console->config.rows;
		length = sizeof(message->size);
		break;
	case MESSAGE_OPEN:
		message->header.event = VIRTIO_CONSOLE_PORT_OPEN;
		message->header.value = port->setup.stream->connected;
		break;
	}
	return sizeof(message->header) + length;
}

static bool write_message(struct virtio_device *device, uint16_t index, uint32_t what,
			  struct virtio_request *request)
{
	struct console_device *console = to_console(device);
	struct control_message message;
	size_t length = make_message(console, index, what, &message);

	if (request_write(request, &message, length) < length)
		return false;
	if (what == MESSAGE_ADD)
		console->ports[index].added = true;
	return true;
}

/*
 * A process that dies before it has kept what it sent leads to the same message again, which is
 * better than none: a port that was not added cannot be used.
 */
static void send_messages(struct console_device *console)
{
	if (multiport(console) && console->driver_ready && event_queue_send(&console->messages))
		virtio_device_keep_state(&console->device);
}

/*
 * Writes what is left of one request. Returns false when the stream takes no more for now;
 * port->sent is the number of bytes written.
 */
static bool write_request(struct console_port *port, struct virtio_request *request)
{
	struct console_stream *stream = port->setup.stream;

	request_skip(request, port->sent);
	while (request->readable.left > 0 && stream->connected) {
		size_t written = stream->ops->write(stream, request->readable.segments,
						    request->readable.count);

		if (written == 0 && stream->connected)
			return false;
		port->sent += written;
		request_skip(request, written);
	}
	port->sent = 0;
	return true;
}

/*
 * Passes on what the guest sends. Returns true when the stream has no room for all of it. The rest
 * stays in the ring, so no request is ever in flight, and a device process that dies leaves none
 * behind.
 */
static bool transmit(struct console_device *console, uint16_t port)
{
	struct virtqueue *queue = transmit_queue(console, port);
	struct virtio_request *request;
	bool full = false;

	/* What is kept must not be taken for a part of a later request. */
	if (console->ports[port].sent_at_stop > 0) {
		console->ports[port].sent_at_stop = 0;
		virtio_device_keep_state(&console->device);
	}
	for_each_request(request, queue) {
		if (request->readable.left > REQUEST_MAX) {
			virtio_device_fault(&console->device, queue, "request longer than 16 MiB");
			return false;
		}
		full = !write_request(&console->ports[port], request);
		if (full) {
			virtqueue_unpop(queue, request);
			break;
		}
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
	return full;
}

/*
 * Passes on input for the guest. Returns true when the guest has room for more; without room the
 * stream keeps the input, which stalls its writer.
 */
static bool receive(struct console_device *console, uint16_t port)
{
	struct console_stream *stream = console->ports[port].setup.stream;
	struct virtqueue *queue = receive_queue(console, port);
	struct virtio_request *request = NULL;

	if (!port_open(console, port))
		return false;
	for_each_request(request, queue) {
		size_t length;

		if (request->writable.left == 0) {
			virtio_device_fault(&console->device, queue, "receive buffer without room");
			return false;
		}
		length = stream->ops->read(stream, request->writable.segments,
					   request->writable.count);
		if (length == 0) {
			virtqueue_unpop(queue, request);
			break;
		}
		request->written = (uint32_t)length;
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
	return request != NULL;
}

/*
 * Writes the pending bytes of emergency writes, and keeps what is left of them. Returns true when
 * the stream has no room for all.
 */
static bool write_emergency(struct console_device *console)
{
	struct console_stream *stream = console->ports[0].setup.stream;
	bool full = false;

	if (console->emergency_count == 0)
		return false;
	while (console->emergency_count > 0 && stream->connected && !full) {
		struct virtio_segment segment = {console->emergency, console->emergency_count};
		size_t written = stream->ops->write(stream, &segment, 1);

		full = written == 0 && stream->connected;
		console->emergency_count -= (uint16_t)written;
		memmove(console->emergency, console->emergency + written, console->emergency_count);
	}
	if (!full)
		console->emergency_count = 0;
	virtio_device_keep_state(&console->device);
	return full;
}

/* Moves bytes both ways, and watches the stream for more. */
static void serve_port(struct console_device *console, uint16_t port)
{
	struct console_stream *stream = console->ports[port].setup.stream;
	bool full = (port == 0 && write_emergency(console)) ||
		    (transmit_queue(console, port)->started && transmit(console, port));
	bool room = receive_queue(console, port)->started && receive(console, port);

	stream->ops->watch(stream, room, full);
}

void console_stream_ready(struct console_stream *stream)
{
	serve_port(stream->console, stream->port);
}

void console_stream_connected(struct console_stream *stream, bool connected)
{
	struct console_device *console = stream->console;

	stream->connected = connected;
	if (!console)
		return;
	if (console->ports[stream->port].added)
		event_queue_add(&console->messages, stream->port, MESSAGE_OPEN);
	send_messages(console);
}

static void port_ready(struct console_device *console, uint16_t port)
{
	uint32_t messages = MESSAGE_NAME;

	if (port == 0)
		messages |= MESSAGE_CONSOLE;
	if (port == 0 && virtio_has_feature(&console->device, VIRTIO_CONSOLE_F_SIZE))
		messages |= MESSAGE_SIZE;
	if (console->ports[port].setup.stream->connected)
		messages |= MESSAGE_OPEN;
	event_queue_add(&console->messages, port, messages);
}

static void device_ready(struct console_device *console, bool ready)
{
	console->driver_ready = ready;
	/* VIRTIO 1.4, 5.3.6.2.1: a port that exists is not added again. */
	for (uint16_t i = 0; ready && i < console->port_count; i++)
		if (!console->ports[i].added)
			event_queue_add(&console->messages, i, MESSAGE_ADD);
}

/* Handles one message. Unknown messages and those about ports that do not exist are ignored. */
static void take_message(struct console_device *console,
			 const struct virtio_console_control *message)
{
	uint16_t port;

	if (message->event == VIRTIO_CONSOLE_DEVICE_READY) {
		device_ready(console, message->value == 1);
		return;
	}
	if (message->id >= console->port_count || !console->ports[message->id].added)
		return;
	port = (uint16_t)message->id;
	if (message->event == VIRTIO_CONSOLE_PORT_READY && message->value == 1) {
		port_ready(console, port);
	} else if (message->event == VIRTIO_CONSOLE_PORT_OPEN) {
		console->ports[port].open = message->value == 1;
		serve_port(console, port);
	}
}

/*
 * After a restart of the device process the driver has already said DEVICE_READY to the previous
 * one. If no state was kept, for want of a record, it is not known which ports were open: treat all
 * as open, and send their state again.
 */
static void recover(struct console_device *console)
{
	console->driver_ready = true;
	/* It may have changed while no process was there to report it. */
	if (virtio_has_feature(&console->device, VIRTIO_CONSOLE_F_SIZE))
		event_queue_add(&console->messages, 0, MESSAGE_SIZE);
	for (uint16_t i = 0; i < console->port_count; i++) {
		console->ports[i].added = true;
		console->ports[i].open = true;
		event_queue_add(&console->messages, i, MESSAGE_OPEN);
		serve_port(console, i);
	}
}

/*
 * Whether the driver used any ring before this process started it. Look at all: a single ring may
 * have wrapped to its start position.
 */
static bool has_history(const struct console_device *console)
{
	const struct virtio_device *device = &console->device;

	for (uint16_t i = 0; i < device->queue_count; i++)
		if (virtqueue_has_history(&device->queues[i]))
			return true;
	return false;
}

static void take_messages(struct console_device *console, struct virtqueue *queue)
{
	struct virtio_request *request;

	for_each_request(request, queue) {
		struct virtio_console_control message;

		if (request_read(request, &message, sizeof(message)) != sizeof(message)) {
			virtio_device_fault(&console->device, queue, "control message too short");
			return;
		}
		take_message(console, &message);
		virtio_device_keep_state(&console->device);
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
}

/* Linux reads the size from configuration space only after a change notification. */
static void report_first_size(struct console_device *console)
{
	if (console->size_reported || multiport(console) ||
	    !virtio_has_feature(&console->device, VIRTIO_CONSOLE_F_SIZE))
		return;
	console->size_reported = true;
	virtio_device_config_changed(&console->device);
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct console_device *console = to_console(device);

	report_first_size(console);
	if (multiport(console) && !console->driver_ready && has_history(console))
		recover(console);
	if (queue->index < CONTROL_RECEIVE) {
		serve_port(console, 0);
	} else if (multiport(console)) {
		if (queue->index == CONTROL_TRANSMIT)
			take_messages(console, queue);
		else if (queue->index > CONTROL_TRANSMIT)
			serve_port(console, queue->index / 2 - 1);
		send_messages(console);
	}
}

/* The next request in this ring may be a different one, of which nothing is written yet. */
static void quiesce(struct virtio_device *device, struct virtqueue *queue)
{
	struct console_device *console = to_console(device);

	for (uint16_t i = 0; i < console->port_count; i++)
		if (queue == transmit_queue(console, i)) {
			console->ports[i].sent_at_stop = console->ports[i].sent;
			console->ports[i].sent = 0;
		}
}

static void reset(struct virtio_device *device)
{
	struct console_device *console = to_console(device);

	console->driver_ready = console->size_reported = false;
	event_queue_reset(&console->messages);
	for (uint16_t i = 0; i < console->port_count; i++) {
		struct console_port *port = &console->ports[i];

		*port = (struct console_port){.setup = port->setup};
		/*
		 * A kernel that panics resets its devices soon after its last output: still write
		 * that.
		 */
		port->setup.stream->ops->watch(port->setup.stream, false,
					       i == 0 && console->emergency_count > 0);
	}
}

/*
 * Emergency write: one byte, also of a driver that has not negotiated anything (VIRTIO 1.4,
 * 5.3.5.1). When the buffer is full because the stream takes nothing, the write is refused.
 */
static int config_write(struct virtio_device *device, size_t offset, const void *buffer,
			size_t length)
{
	struct console_device *console = to_console(device);

	if (!config_is_member(offset, length, struct virtio_console_config, emerg_wr))
		return -EPERM;
	if (console->emergency_count == CONSOLE_EMERGENCY_MAX && write_emergency(console))
		return -EAGAIN;
	console->emergency[console->emergency_count++] = *(const uint8_t *)buffer;
	if (write_emergency(console))
		serve_port(console, 0);
	return 0;
}

/*
 * Bits of a port in a state; the messages that are pending for it follow, and what is written of
 * the request at which its transmit queue continues.
 */
#define STATE_ADDED  1
#define STATE_OPEN   2

#define MESSAGES_ALL (MESSAGE_ADD | MESSAGE_CONSOLE | MESSAGE_NAME | MESSAGE_SIZE | MESSAGE_OPEN)

/* Size and peers are those of another host side: the driver has to be told. */
static uint8_t messages_after_load(const struct console_device *console, uint16_t port,
				   uint8_t bits, bool driver_ready)
{
	uint8_t messages = bits & STATE_ADDED ? MESSAGE_OPEN : 0;

	if (port == 0 && driver_ready &&
	    virtio_has_feature(&console->device, VIRTIO_CONSOLE_F_SIZE))
		messages |= MESSAGE_SIZE;
	return messages;
}

static void save(struct virtio_device *device, struct device_state *state)
{
	const struct console_device *console = to_console(device);

	state_put_u8(state, console->driver_ready);
	state_put_u8(state, console->size_reported);
	state_put_u16(state, console->emergency_count);
	state_put(state, console->emergency, console->emergency_count);
	state_put_u8(state, (uint8_t)console->port_count);
	for (uint16_t i = 0; i < console->port_count; i++) {
		const struct console_port *port = &console->ports[i];
		size_t length = strlen(port->setup.name);
		uint8_t bits = (port->added ? STATE_ADDED : 0) | (port->open ? STATE_OPEN : 0);

		/* The driver knows the names. */
		state_put_u8(state, (uint8_t)length);
		state_put(state, port->setup.name, length);
		state_put_u8(state, bits);
		state_put_u8(state,
			     (uint8_t)console->pending[i] |
				     messages_after_load(console, i, bits, console->driver_ready));
		state_put_u64(state, port->sent_at_stop);
	}
}

/* Reads a port's part; what it says is put in *bits, *messages and *sent. */
static void load_port(struct device_state *state, const struct console_port *port, bool multiport,
		      uint8_t *bits, uint8_t *messages, uint64_t *sent)
{
	char name[CONSOLE_PORT_NAME_MAX];
	uint8_t length = state_get_u8(state);

	state_require(state, length == strlen(port->setup.name));
	if (state->failed)
		return;
	state_get(state, name, length);
	state_require(state, !memcmp(name, port->setup.name, length));
	*bits = state_get_u8(state);
	*messages = state_get_u8(state);
	*sent = state_get_u64(state);
	state_require(state, *sent < REQUEST_MAX);
	/* Only with MULTIPORT does a driver hear of ports; it opens none that it does not know. */
	state_require(state,
		      *bits <= (multiport ? STATE_ADDED | STATE_OPEN : 0) && *bits != STATE_OPEN);
	state_require(state, !(*messages & ~(multiport ? MESSAGES_ALL : 0)));
}

static int load(struct virtio_device *device, struct device_state *state)
{
	struct console_device *console = to_console(device);
	uint8_t bits[CONSOLE_PORTS_MAX] = {0}, messages[CONSOLE_PORTS_MAX] = {0};
	uint8_t emergency[CONSOLE_EMERGENCY_MAX] = {0};
	uint64_t sent[CONSOLE_PORTS_MAX] = {0};
	bool driver_ready = state_get_bool(state);
	bool size_reported = state_get_bool(state);
	uint16_t emergency_count = state_get_u16(state);

	state_require(state, !driver_ready || multiport(console));
	state_require(state, emergency_count <= CONSOLE_EMERGENCY_MAX);
	if (!state->failed)
		state_get(state, emergency, emergency_count);
	state_require(state, state_get_u8(state) == console->port_count);
	for (uint16_t i = 0; i < console->port_count && !state->failed; i++)
		load_port(state, &console->ports[i], multiport(console), &bits[i], &messages[i],
			  &sent[i]);
	for (uint16_t i = 0; i < console->port_count && !state->failed; i++)
		state_require(state, !(messages_after_load(console, i, bits[i], driver_ready) &
				       ~messages[i]));
	if (!state_is_complete(state))
		return -EINVAL;
	console->driver_ready = driver_ready;
	console->size_reported = size_reported;
	console->emergency_count = emergency_count;
	memcpy(console->emergency, emergency, emergency_count);
	for (uint16_t i = 0; i < console->port_count; i++) {
		console->ports[i].added = bits[i] & STATE_ADDED;
		console->ports[i].open = bits[i] & STATE_OPEN;
		console->pending[i] = messages[i];
		console->ports[i].sent = console->ports[i].sent_at_stop = sent[i];
	}
	serve_port(console, 0);
	return 0;
}

static const struct virtio_device_class console_class = {
	.name = "console",
	.id = 3,
	.config_write = config_write,
	.handle = handle,
	.quiesce = quiesce,
	.reset = reset,
	.state_version = 2,
	.save = save,
	.load = load,
};

void console_device_init(struct console_device *console, const struct console_port_setup *ports,
			 uint16_t port_count, bool has_size, struct virtqueue *queues)
{
	uint64_t features = FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE);

	if (has_size)
		features |= FEATURE(VIRTIO_CONSOLE_F_SIZE);
	if (port_count > 1)
		features |= FEATURE(VIRTIO_CONSOLE_F_MULTIPORT);
	memset(console, 0, sizeof(*console));
	console->port_count = port_count;
	console->config.max_nr_ports = port_count;
	console->messages = (struct event_queue){
		.queue = &queues[CONTROL_RECEIVE],
		.write = write_message,
		.sources = port_count,
		.pending = console->pending,
	};
	for (uint16_t i = 0; i < port_count; i++) {
		console->ports[i].setup = ports[i];
		ports[i].stream->console = console;
		ports[i].stream->port = i;
	}
	virtio_device_init(&console->device, &console_class, features, &console->config,
			   sizeof(console->config), queues, console_queue_count(port_count),
			   CONSOLE_QUEUE_SIZE_MAX);
}

void console_device_set_size(struct console_device *console, uint16_t columns, uint16_t rows)
{
	if (console->config.cols == columns && console->config.rows == rows)
		return;
	console->config.cols = columns;
	console->config.rows = rows;
	virtio_device_config_changed(&console->device);
	if (multiport(console) && console->ports[0].added &&
	    virtio_has_feature(&console->device, VIRTIO_CONSOLE_F_SIZE)) {
		event_queue_add(&console->messages, 0, MESSAGE_SIZE);
		send_messages(console);
	}
}
