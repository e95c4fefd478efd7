// SPDX-License-Identifier: BSD-3-Clause
/* A console of two ports, whose host side sends back what it gets (VIRTIO 1.4, 5.3). */
#include <linux/virtio_console.h>

#include "actions.h"
#include "reference.h"

#define PORTS	     2u
#define ECHO_MAX     (128u << 10)
#define MESSAGES_MAX 32u
#define NAME	     "reference"

/* Queues (VIRTIO 1.4, 5.3.2). */
enum { CONTROL_IN = 2, CONTROL_OUT = 3, QUEUES = 6 };

struct control_message {
	struct virtio_console_control head;
	char name[sizeof(NAME) - 1];
	uint32_t size;
};

static struct console {
	struct reference reference;
	struct virtio_console_config config;
	struct console_port {
		uint8_t echo[ECHO_MAX];
		uint32_t first, count;
		bool open;
	} ports[PORTS];
	struct control_message messages[MESSAGES_MAX];
	uint32_t message_count;
	bool unplugged; /* the last port */
} console;

static bool has_ports(void)
{
	return virtio_has_feature(&console.reference.device, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* The port of a queue for data, and whether it sends. */
static uint32_t port_of(uint16_t queue, bool *sends)
{
	*sends = queue % 2;
	return queue < CONTROL_IN ? 0 : (queue - CONTROL_IN) / 2u;
}

static void flush_queue(struct virtqueue *queue)
{
	virtqueue_notify(queue);
	virtqueue_enable_kicks(queue);
}

static void deliver(uint32_t number)
{
	struct virtqueue *queue = &console.reference.queues[number ? 4 : 0];
	struct console_port *port = &console.ports[number];
	struct virtio_request *request;

	while (port->count > 0 && (request = virtqueue_pop(queue)) != NULL) {
		while (port->count > 0 && request->writable.left > 0) {
			uint32_t part = ECHO_MAX - port->first, written;

			part = part < port->count ? part : port->count;
			written = (uint32_t)request_write(request, port->echo + port->first, part);
			port->first = (port->first + written) % ECHO_MAX;
			port->count -= written;
		}
		virtqueue_push(queue, request);
	}
	flush_queue(queue);
}

static void take(uint32_t number, const uint8_t *bytes, size_t length)
{
	struct console_port *port = &console.ports[number];

	for (size_t i = 0; i < length && port->count < ECHO_MAX; i++)
		port->echo[(port->first + port->count++) % ECHO_MAX] = bytes[i];
}

static void receive_output(uint32_t number, struct virtqueue *queue)
{
	struct virtio_request *request;

	for_each_request(request, queue) {
		uint8_t bytes[256];
		size_t length;

		while ((length = request_read(request, bytes, sizeof(bytes))) > 0)
			if (!has_ports() || console.ports[number].open)
				take(number, bytes, length);
		virtqueue_push(queue, request);
	}
	deliver(number);
}

/* Control messages (VIRTIO 1.4, 5.3.6.2) */

static void send_messages(void)
{
	struct virtqueue *queue = &console.reference.queues[CONTROL_IN];
	struct virtio_request *request;

	while (console.message_count > 0 && (request = virtqueue_pop(queue)) != NULL) {
		const struct control_message *first = &console.messages[0];

		request_write(request, &first->head, first->size);
		virtqueue_push(queue, request);
		console.message_count--;
		memmove(&console.messages[0], &console.messages[1],
			console.message_count * sizeof(*first));
	}
	flush_queue(queue);
}

static void tell(uint32_t number, uint16_t event, uint16_t value)
{
	struct control_message *message = &console.messages[console.message_count];

	if (console.message_count == MESSAGES_MAX)
		return;
	*message = (struct control_message){.head = {number, event, value},
					    .size = sizeof(message->head)};
	if (event == VIRTIO_CONSOLE_PORT_NAME) {
		memcpy(message->name, NAME, sizeof(message->name));
		message->size += sizeof(message->name);
	}
	console.message_count++;
}

static bool exists(uint32_t number)
{
	return number < PORTS - console.unplugged;
}

static void obey(const struct virtio_console_control *control)
{
	uint32_t number = control->id;

	if (control->event == VIRTIO_CONSOLE_DEVICE_READY && control->value == 1)
		for (number = 0; exists(number); number++)
			tell(number, VIRTIO_CONSOLE_PORT_ADD, 1);
	else if (!exists(number))
		return;
	else if (control->event == VIRTIO_CONSOLE_PORT_OPEN)
		console.ports[number].open = control->value;
	else if (control->event == VIRTIO_CONSOLE_PORT_READY && control->value == 1) {
		if (number == 0)
			tell(number, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
		tell(number, VIRTIO_CONSOLE_PORT_NAME, 1);
		tell(number, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
}

static void receive_messages(struct virtqueue *queue)
{
	struct virtio_request *request;

	for_each_request(request, queue) {
		struct virtio_console_control control;

		if (request_read(request, &control, sizeof(control)) == sizeof(control))
			obey(&control);
		virtqueue_push(queue, request);
	}
	send_messages();
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	uint32_t number;
	bool sends;

	(void)device;
	if (queue->index >= CONTROL_IN && !has_ports())
		return;
	if (queue->index == CONTROL_IN) {
		send_messages();
		return;
	}
	if (queue->index == CONTROL_OUT) {
		receive_messages(queue);
		return;
	}
	number = port_of(queue->index, &sends);
	if (sends && reference_fault(FAULT_PORTS_MIXED))
		number = 0;
	if (sends)
		receive_output(number, queue);
	else
		deliver(number);
}

static void reset(struct virtio_device *device)
{
	(void)device;
	console.message_count = 0;
	for (uint32_t i = 0; i < PORTS; i++)
		console.ports[i].first = console.ports[i].count = console.ports[i].open = 0;
}

/* VIRTIO 1.4, 5.3.4: a character, at any time. */
static int write_config(struct virtio_device *device, size_t offset, const void *buffer,
			size_t length)
{
	(void)device;
	if (!config_is_member(offset, length, struct virtio_console_config, emerg_wr))
		return -1;
	take(0, buffer, 1);
	deliver(0);
	return 0;
}

void actions_unplug_port(void)
{
	if (console.unplugged)
		return;
	console.unplugged = true;
	tell(reference_fault(FAULT_UNPLUG_OTHER) ? PORTS : PORTS - 1, VIRTIO_CONSOLE_PORT_REMOVE,
	     1);
	send_messages();
}

void actions_plug_port(void)
{
	console.unplugged = false;
}

static const struct virtio_device_class console_class = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.handle = handle,
	.reset = reset,
	.config_write = write_config,
};

void reference_add_console(void)
{
	console.config = (struct virtio_console_config){80, 25, PORTS, 0};
	reference_init(&console.reference, &console_class,
		       FEATURE(VIRTIO_CONSOLE_F_SIZE) | FEATURE(VIRTIO_CONSOLE_F_MULTIPORT) |
			       FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE),
		       &console.config, sizeof(console.config), QUEUES, RING_SMALL);
	windows_add(&console.reference);
}
