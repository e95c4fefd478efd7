// SPDX-License-Identifier: BSD-3-Clause
/* Chapter console: several ports of one device (VIRTIO 1.4, 5.3.6.2). */
#include <linux/virtio_console.h>

#include "host.h"
#include "pages.h"
#include "tests/rings.h"

#define CONSOLE	     .device = VIRTIO_ID_CONSOLE
#define MULTIPORT    FEATURE(VIRTIO_CONSOLE_F_MULTIPORT)
#define PORTS	     4u /* most whose queues are set up */
#define MESSAGES     16u
#define MESSAGE_SIZE 128u
#define LINES	     8u /* receive buffers of a port */
#define LINE_SIZE    64u
#define LETTER	     '{' /* for port 0; only the test of separate ports sends these letters */

/* Control queues: 2 (from the device) and 3 (to the device). */
struct control {
	struct device *device;
	struct queue *from, *to;
	uint8_t *in;
	uint32_t limit; /* max_nr_ports */
	struct queue *receive[PORTS], *transmit[PORTS];
	uint8_t *lines; /* LINES of LINE_SIZE bytes of each port */
};

static void offer_message(struct control *control, uintptr_t index)
{
	struct driver_buffer buffer = buffer_of(control->in + index * MESSAGE_SIZE, MESSAGE_SIZE);

	driver_queue_add(&control->from->ring, &buffer, 0, 1, (void *)(index + 1));
	queue_kick(control->from);
}

static void open_ports(struct control *control)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);

	*control = (struct control){.device = device};
	device_open(device, MULTIPORT);
	if (!(device->negotiated & MULTIPORT))
		skip("%s does not offer VIRTIO_CONSOLE_F_MULTIPORT", device_name(device));
	control->limit = (uint32_t)config_read(device, 4, 4);
	check(control->limit > 0, "max_nr_ports is 0");
	/* VIRTIO 1.4, 5.3.2: the queues of port 0 come before the control queues. */
	for (uint32_t i = 0; i < PORTS && i < control->limit; i++) {
		control->receive[i] = device_queue(device, i ? 2 * i + 2 : 0, 16);
		control->transmit[i] = device_queue(device, i ? 2 * i + 3 : 1, 16);
	}
	control->from = device_queue(device, 2, 32);
	control->to = device_queue(device, 3, 32);
	control->in = pages_get(MESSAGES * MESSAGE_SIZE);
	control->lines = pages_get(PORTS * LINES * LINE_SIZE);
	device_run(device);
	for (uintptr_t i = 0; i < MESSAGES && i < control->from->size; i++)
		offer_message(control, i);
}

static void send_message(struct control *control, uint32_t id, uint16_t event, uint16_t value,
			 uint32_t size)
{
	static struct virtio_console_control message[2];
	struct driver_buffer buffer = buffer_of(message, size);

	message[0] = (struct virtio_console_control){id, event, value};
	check(queue_do(control->to, &buffer, 1, 0, NULL, ANSWER_MS),
	      "a control message of %u bytes was not used", size);
}

/* Receives the next message from the device; *rest is what follows its header. */
static bool get_message(struct control *control, struct virtio_console_control *message,
			char rest[MESSAGE_SIZE], uint32_t *size, unsigned int ms)
{
	void *token = queue_wait(control->from, size, ms);
	uintptr_t index = (uintptr_t)token - 1;
	const uint8_t *entry = control->in + index * MESSAGE_SIZE;

	if (!token)
		return false;
	check(*size >= sizeof(*message) && *size <= MESSAGE_SIZE, "a message of %u bytes", *size);
	memcpy(message, entry, sizeof(*message));
	*size -= sizeof(*message);
	memcpy(rest, entry + sizeof(*message), *size);
	offer_message(control, index);
	return true;
}

/* Sends DEVICE_READY, and returns which of the first 32 ports are added within some time. */
static uint32_t get_ports(struct control *control)
{
	struct virtio_console_control message;
	char rest[MESSAGE_SIZE];
	uint32_t size, ports = 0;

	send_message(control, 0, VIRTIO_CONSOLE_DEVICE_READY, 1, 8);
	while (get_message(control, &message, rest, &size, ports ? 200 : ANSWER_MS)) {
		if (message.event != VIRTIO_CONSOLE_PORT_ADD)
			continue;
		check(message.id < control->limit, "port %u of at most %u", message.id,
		      control->limit);
		check(message.id >= 32 || !(ports & 1u << message.id), "port %u is added twice",
		      message.id);
		if (message.id < 32)
			ports |= 1u << message.id;
	}
	check(ports, "no port was added after DEVICE_READY");
	return ports;
}

TEST(con_ports_added, "AVP-CON-009", CONSOLE)
{
	struct control control;

	open_ports(&control);
	get_ports(&control);
}

TEST(con_ports_removed, "AVP-CON-010", CONSOLE, .limit_ms = 15000)
{
	struct control control;
	struct virtio_console_control message;
	char rest[MESSAGE_SIZE];
	uint32_t size, ports;
	unsigned int removed = 0;

	open_ports(&control);
	ports = get_ports(&control);
	/* The host has to unplug one while we wait. */
	if (host_acts())
		host_unplug();
	while (get_message(&control, &message, rest, &size, host_acts() ? HOST_MS : 500) &&
	       removed < (host_acts() ? 1 : 8)) {
		if (message.id >= 32)
			continue;
		if (message.event == VIRTIO_CONSOLE_PORT_ADD)
			ports |= 1u << message.id;
		if (message.event != VIRTIO_CONSOLE_PORT_REMOVE)
			continue;
		check(ports & 1u << message.id, "port %u is removed, but does not exist",
		      message.id);
		ports &= ~(1u << message.id);
		removed++;
	}
	if (!removed)
		skip("the host removed no port");
}

TEST(con_ports_control, "AVP-CON-011", CONSOLE, .limit_ms = 15000)
{
	struct control control;
	struct virtio_console_control message;
	char rest[MESSAGE_SIZE];
	uint32_t size, ports;

	open_ports(&control);
	ports = get_ports(&control);
	for (uint32_t port = 0; port < 32; port++) {
		bool answered = false;

		if (!(ports & 1u << port))
			continue;
		send_message(&control, port, VIRTIO_CONSOLE_PORT_READY, 1, 8);
		while (get_message(&control, &message, rest, &size, answered ? 100 : 1000)) {
			if (message.id != port)
				continue;
			switch (message.event) {
			case VIRTIO_CONSOLE_PORT_NAME:
				/* A name is UTF-8 and has no zeros. */
				check(size > 0, "the name of port %u is empty", port);
				for (uint32_t i = 0; i + 1 < size; i++)
					check(rest[i], "byte %u of the name of port %u is 0", i,
					      port);
				answered = true;
				break;
			case VIRTIO_CONSOLE_CONSOLE_PORT:
			case VIRTIO_CONSOLE_PORT_OPEN:
				check(size == 0, "event %u has %u extra bytes", message.event,
				      size);
				answered = true;
				break;
			case VIRTIO_CONSOLE_RESIZE:
				check(size == 4, "a size of %u bytes, not 4", size);
				break;
			default:
				fail("event %u for port %u after PORT_READY", message.event, port);
			}
		}
		check(answered, "no message about port %u after PORT_READY", port);
	}
}

static void offer_line(struct control *control, uint32_t port, uintptr_t index)
{
	struct driver_buffer buffer =
		buffer_of(control->lines + (port * LINES + index) * LINE_SIZE, LINE_SIZE);

	driver_queue_add(&control->receive[port]->ring, &buffer, 0, 1, (void *)(index + 1));
	queue_kick(control->receive[port]);
}

/*
 * Reads what arrives at a port; fails if a byte is another port's letter. Returns how many are its
 * own. What earlier tests sent may still come back.
 */
static uint32_t read_port(struct control *control, uint32_t port, uint32_t limit, unsigned int ms)
{
	uint32_t count = 0, written = 0;
	void *token;

	while (count < limit && (token = queue_wait(control->receive[port], &written, ms))) {
		uintptr_t index = (uintptr_t)token - 1;
		const uint8_t *line = control->lines + (port * LINES + index) * LINE_SIZE;

		for (uint32_t i = 0; i < written; i++) {
			check(line[i] == LETTER + port || line[i] < LETTER ||
				      line[i] >= LETTER + PORTS,
			      "port %u received what was sent on port %u", port, line[i] - LETTER);
			count += line[i] == LETTER + port;
		}
		offer_line(control, port, index);
	}
	return count;
}

#define SENT 48u

TEST(con_ports_apart, "AVP-CON-012", CONSOLE, .limit_ms = 30000)
{
	struct control control;
	uint32_t ports, mute = UINT32_MAX, count = 0, echoes = 0;
	uint8_t *text = pages_get(PAGE_SIZE);

	open_ports(&control);
	ports = get_ports(&control) & ((1u << PORTS) - 1);
	for (uint32_t port = 0; port < PORTS; port++) {
		if (!(ports & 1u << port))
			continue;
		count++;
		send_message(&control, port, VIRTIO_CONSOLE_PORT_READY, 1, 8);
		send_message(&control, port, VIRTIO_CONSOLE_PORT_OPEN, 1, 8);
		/* One port has no receive buffers. */
		if (mute == UINT32_MAX)
			mute = port;
		else
			for (uintptr_t i = 0; i < LINES; i++)
				offer_line(&control, port, i);
	}
	if (count < 2)
		skip("%s has only one port", device_name(control.device));
	for (unsigned int round = 0; round < 20; round++)
		for (uint32_t port = 0; port < PORTS; port++) {
			struct driver_buffer buffer = buffer_of(text, SENT);

			if (!(ports & 1u << port))
				continue;
			memset(text, LETTER + (int)port, SENT);
			check(queue_do(control.transmit[port], &buffer, 1, 0, NULL, ANSWER_MS),
			      "port %u does not use buffers while port %u has no receive buffers",
			      port, mute);
		}
	for (uint32_t port = 0; port < PORTS; port++) {
		uint32_t came;

		if (!(ports & 1u << port) || port == mute)
			continue;
		came = read_port(&control, port, 20 * SENT, echoes || port == mute + 1 ? 500 : 100);
		check(came == 0 || came == 20 * SENT,
		      "port %u received %u of %u bytes while port %u has no receive buffers", port,
		      came, 20 * SENT, mute);
		echoes += came > 0;
	}
	for (uintptr_t i = 0; i < LINES; i++)
		offer_line(&control, mute, i);
	read_port(&control, mute, 20 * SENT, 100);
	if (!echoes)
		skip("the host does not send back what it receives on any port");
}

/* The device ignores a message that is too short, or requests a reset. */
static void send_short(struct control *control, uint32_t size)
{
	static struct virtio_console_control message;
	struct driver_buffer buffer = buffer_of(&message, size);
	struct device *device = control->device;

	message.event = VIRTIO_CONSOLE_DEVICE_READY;
	message.value = 1;
	driver_queue_add(&control->to->ring, &buffer, 1, 0, control);
	queue_kick(control->to);
	check(wait_until(driver_queue_has_used(&control->to->ring) ||
				 device->ops->status(device) & NEEDS_RESET,
			 ANSWER_MS),
	      "a control message of %u bytes is not used, and no reset requested", size);
	open_ports(control);
}

TEST(con_control_hostile, "AVP-CON-013", CONSOLE, .limit_ms = 15000)
{
	struct control control;
	struct dut dut;

	open_ports(&control);
	send_short(&control, 1);
	send_short(&control, 7);
	send_message(&control, 5000, VIRTIO_CONSOLE_PORT_READY, 1, 8);
	send_message(&control, UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1, 8);
	send_message(&control, 0, 999, 1, 8);
	send_message(&control, 0, VIRTIO_CONSOLE_PORT_REMOVE, 1, 8);
	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &dut); n++)
		if (dut.device == control.device)
			dut_must_recover(&dut, "after hostile control messages");
}
