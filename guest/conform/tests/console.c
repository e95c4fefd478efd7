// SPDX-License-Identifier: BSD-3-Clause
/* Chapter console (VIRTIO 1.4, 5.3). */
#include <linux/virtio_console.h>

#include "pages.h"
#include "report.h"
#include "tests/rings.h"

#define CONSOLE	  .device = VIRTIO_ID_CONSOLE
#define MULTIPORT FEATURE(VIRTIO_CONSOLE_F_MULTIPORT)
#define EMERGENCY FEATURE(VIRTIO_CONSOLE_F_EMERG_WRITE)

static struct queue *open_console(uint64_t features)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);
	struct queue *queue;

	device_open(device, features);
	device_queue(device, 0, 16);
	queue = device_queue(device, 1, 64);
	device_run(device);
	return queue;
}

static void write_text(struct queue *queue, const void *text, uint32_t size)
{
	struct driver_buffer buffer = buffer_of(text, size);
	uint32_t written = 1;

	check(queue_do(queue, &buffer, 1, 0, &written, 10000), "%u bytes were not taken", size);
	check(written == 0, "the used length of what was sent is %u", written);
}

TEST(con_write, "AVP-CON-001", CONSOLE)
{
	struct queue *queue = open_console(0);
	char *text = pages_get(PAGE_SIZE);

	for (unsigned int i = 0; i < 20; i++) {
		size_t size =
			text_format(text, PAGE_SIZE, "conform: line %u on the console\r\n", i);

		write_text(queue, text, (uint32_t)size);
	}
}

TEST(con_no_receive_buffers, "AVP-CON-003", CONSOLE)
{
	struct queue *queue = open_console(0);
	uint8_t *text = pages_get(PAGE_SIZE);

	memset(text, '\r', 256);
	for (unsigned int i = 0; i < 50; i++)
		write_text(queue, text, 256);
}

TEST(con_framing, "AVP-CON-004", CONSOLE, .limit_ms = 20000)
{
	struct queue *queue = open_console(0);
	uint8_t *text = pages_get(8 * PAGE_SIZE);
	struct driver_buffer parts[32];

	memset(text, '\r', 8 * PAGE_SIZE);
	write_text(queue, text, 1);
	write_text(queue, text, 8 * PAGE_SIZE);
	for (unsigned int i = 0; i < 32; i++)
		parts[i] = buffer_of(text + i * 10, 1);
	check(queue_do(queue, parts, 32, 0, NULL, 10000), "32 buffers of a byte were not taken");
}

TEST(con_emergency, "AVP-CON-006", CONSOLE)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);

	if (!(device_offered(device) & EMERGENCY))
		skip("%s does not offer VIRTIO_CONSOLE_F_EMERG_WRITE", device_name(device));
	device_reset(device);
	config_write(device, 8, '\r', 4);
	device->ops->set_status(device, STATUS_DRIVER);
	config_write(device, 8, '\r', 4);
	write_text(open_console(EMERGENCY), "\r", 1);
	config_write(device, 8, '\r', 4);
	check(device->ops->status(device) == STATUS_RUNNING, "status is 0x%x",
	      device->ops->status(device));
}

TEST(con_size, "AVP-CON-008", CONSOLE)
{
	struct queue *queue = open_console(FEATURE(VIRTIO_CONSOLE_F_SIZE));
	struct device *device = queue->device;

	if (!(device->negotiated & FEATURE(VIRTIO_CONSOLE_F_SIZE)))
		skip("%s does not offer VIRTIO_CONSOLE_F_SIZE", device_name(device));
	check(config_read(device, 0, 2) == config_read(device, 0, 2) &&
		      config_read(device, 2, 2) == config_read(device, 2, 2),
	      "columns or rows change from read to read");
}

/* Control messages: the queues are 2 (from the device) and 3 (to it). */
struct control {
	struct queue *from, *to;
	struct virtio_console_control *in;
};

#define MESSAGE_SIZE 128

static void open_ports(struct control *control)
{
	struct device *device = device_find(VIRTIO_ID_CONSOLE, TRANSPORT_ANY);

	device_open(device, MULTIPORT);
	if (!(device->negotiated & MULTIPORT))
		skip("%s does not offer VIRTIO_CONSOLE_F_MULTIPORT", device_name(device));
	device_queue(device, 0, 16);
	device_queue(device, 1, 16);
	control->from = device_queue(device, 2, 32);
	control->to = device_queue(device, 3, 32);
	control->in = pages_get(32 * MESSAGE_SIZE);
	device_run(device);
	for (uintptr_t i = 0; i < 16 && i < control->from->size; i++) {
		struct driver_buffer buffer =
			buffer_of((uint8_t *)control->in + i * MESSAGE_SIZE, MESSAGE_SIZE);

		driver_queue_add(&control->from->ring, &buffer, 0, 1, (void *)(i + 1));
	}
	queue_kick(control->from);
}

static void send_message(struct control *control, uint32_t id, uint16_t event, uint16_t value,
			 uint32_t size)
{
	static struct virtio_console_control message[2];
	struct driver_buffer buffer = buffer_of(message, size);

	message[0] = (struct virtio_console_control){id, event, value};
	check(queue_do(control->to, &buffer, 1, 0, NULL, ANSWER_MS),
	      "a control message of %u bytes was not taken", size);
}

static struct virtio_console_control *get_message(struct control *control, uint32_t *size,
						  unsigned int ms)
{
	void *token = queue_wait(control->from, size, ms);

	return token ? (struct virtio_console_control *)((uint8_t *)control->in +
							 ((uintptr_t)token - 1) * MESSAGE_SIZE) :
		       NULL;
}

TEST(con_ports_added, "AVP-CON-009", CONSOLE)
{
	struct control control;
	struct virtio_console_control *message;
	uint32_t size, limit, seen = 0;

	open_ports(&control);
	limit = (uint32_t)config_read(control.to->device, 4, 4);
	send_message(&control, 0, VIRTIO_CONSOLE_DEVICE_READY, 1, 8);
	while ((message = get_message(&control, &size, 500)) != NULL) {
		if (message->event != VIRTIO_CONSOLE_PORT_ADD)
			continue;
		check(message->id < limit, "port %u of at most %u", message->id, limit);
		check(message->id >= 32 || !(seen & 1u << message->id), "port %u is added twice",
		      message->id);
		if (message->id < 32)
			seen |= 1u << message->id;
	}
	check(seen, "no port was added after DEVICE_READY");
}

TEST(con_ports_control, "AVP-CON-011", CONSOLE)
{
	struct control control;
	struct virtio_console_control *message;
	uint32_t size, port = UINT32_MAX;
	bool answered = false;

	open_ports(&control);
	send_message(&control, 0, VIRTIO_CONSOLE_DEVICE_READY, 1, 8);
	while ((message = get_message(&control, &size, 500)) != NULL) {
		check(size >= 8 && size <= MESSAGE_SIZE, "a message of %u bytes", size);
		if (message->event == VIRTIO_CONSOLE_PORT_ADD)
			port = message->id;
	}
	check(port != UINT32_MAX, "no port was added after DEVICE_READY");
	send_message(&control, port, VIRTIO_CONSOLE_PORT_READY, 1, 8);
	while ((message = get_message(&control, &size, 500)) != NULL)
		answered |= message->id == port && (message->event == VIRTIO_CONSOLE_CONSOLE_PORT ||
						    message->event == VIRTIO_CONSOLE_PORT_NAME ||
						    message->event == VIRTIO_CONSOLE_PORT_OPEN);
	check(answered, "nothing is said of port %u after PORT_READY", port);
}

TEST(con_control_hostile, "AVP-CON-013", CONSOLE, .limit_ms = 15000)
{
	struct control control;
	struct vehicle vehicle;

	open_ports(&control);
	send_message(&control, 0, VIRTIO_CONSOLE_DEVICE_READY, 1, 1);
	send_message(&control, 0, VIRTIO_CONSOLE_DEVICE_READY, 1, 7);
	send_message(&control, 5000, VIRTIO_CONSOLE_PORT_READY, 1, 8);
	send_message(&control, UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1, 8);
	send_message(&control, 0, 999, 1, 8);
	send_message(&control, 0, VIRTIO_CONSOLE_PORT_REMOVE, 1, 8);
	for (unsigned int n = 0; vehicle_get(n, TRANSPORT_ANY, SPLIT, &vehicle); n++)
		if (vehicle.device == control.to->device)
			vehicle_heal(&vehicle, "after hostile control messages");
}

static bool craft_wrong(struct vehicle *vehicle, struct queue *queue, unsigned int variant)
{
	if (vehicle->device->id != VIRTIO_ID_CONSOLE || variant > 1)
		return false;
	split_table_of(queue)[0] = (struct vring_desc){(uint64_t)vehicle->area, variant ? 0 : 64,
						       VRING_DESC_F_WRITE, 0};
	split_offer(queue, 0);
	return true;
}

TEST(con_wrong_direction, "AVP-CON-014", CONSOLE)
{
	attack_vehicles(SPLIT, craft_wrong, "a writable buffer in a transmit queue");
}

TEST(con_throughput, "AVP-CON-015", CONSOLE, .limit_ms = 30000)
{
	static struct distribution distribution;
	struct queue *queue = open_console(0);
	uint8_t *text = pages_get(65536);

	memset(text, '\r', 65536);
	distribution_start(&distribution);
	for (int i = 0; i < 4; i++) {
		uint64_t from = arch_ticks();

		write_text(queue, text, 65536);
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from) / 1000);
	}
	distribution_report(&distribution, "con_64k", "us");
}
