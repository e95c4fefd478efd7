// SPDX-License-Identifier: BSD-3-Clause
/* The console device, on streams that the test fills, drains and blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "device/console/console.h"
#include "unit/device_rig.h"
#include "unit/state_check.h"
#include "virtio/device_state.h"
#include "virtio/feature.h"

#define MULTIPORT FEATURE(VIRTIO_CONSOLE_F_MULTIPORT)
#define SIZE	  FEATURE(VIRTIO_CONSOLE_F_SIZE)
#define CAPACITY  4096

enum { RECEIVE = 0, TRANSMIT = 1, CONTROL_RECEIVE = 2, CONTROL_TRANSMIT = 3 };

/* One end of a port, in memory. */
struct channel {
	struct console_stream stream;
	char output[CAPACITY]; /* what the guest wrote */
	size_t output_length;
	size_t room; /* bytes that it takes before it is full */
	const char *input;
	size_t piece; /* bytes of the input in one read */
	bool watch_read, watch_write;
};

struct fixture {
	struct channel channels[3];
	struct console_device console;
	struct virtqueue queues[8];
	struct device_rig rig;
};

static size_t channel_write(struct console_stream *stream, const struct virtio_segment *segments,
			    uint32_t count)
{
	struct channel *channel = (struct channel *)stream; /* its first member */
	size_t taken = 0;

	assert_true(stream->connected);
	assert_true(count > 0);
	for (uint32_t i = 0; i < count && channel->room; i++) {
		size_t length = segments[i].length;

		if (length > channel->room)
			length = channel->room;
		assert_true(channel->output_length + length <= CAPACITY);
		memcpy(channel->output + channel->output_length, segments[i].base, length);
		channel->output_length += length;
		channel->room -= length;
		taken += length;
	}
	return taken;
}

static size_t channel_read(struct console_stream *stream, const struct virtio_segment *segments,
			   uint32_t count)
{
	struct channel *channel = (struct channel *)stream;
	size_t given = 0;

	for (uint32_t i = 0; i < count; i++) {
		size_t length = strlen(channel->input);

		if (length > segments[i].length)
			length = segments[i].length;
		if (length > channel->piece - given)
			length = channel->piece - given;
		memcpy(segments[i].base, channel->input, length);
		channel->input += length;
		given += length;
	}
	return given;
}

static void channel_watch(struct console_stream *stream, bool read, bool write)
{
	struct channel *channel = (struct channel *)stream;

	channel->watch_read = read;
	channel->watch_write = write;
}

static const struct console_stream_ops channel_ops = {channel_write, channel_read, channel_watch};

static struct fixture *make(uint16_t ports, bool has_size)
{
	static const char *const names[] = {"tty", "agent", "log"};
	struct console_port_setup setup[3];
	struct fixture *f = calloc(1, sizeof(*f));

	for (uint16_t i = 0; i < ports; i++) {
		f->channels[i] = (struct channel){
			.stream = {.ops = &channel_ops, .connected = true},
			.room = CAPACITY,
			.piece = SIZE_MAX,
			.input = "",
		};
		setup[i] = (struct console_port_setup){names[i], &f->channels[i].stream};
	}
	console_device_init(&f->console, setup, ports, has_size, f->queues);
	return f;
}

static struct fixture *start(uint16_t ports, uint64_t features)
{
	struct fixture *f = make(ports, features & SIZE);

	device_rig_start(&f->rig, &f->console.device, features, 16);
	return f;
}

static void stop(struct fixture *f)
{
	device_rig_stop(&f->rig);
	free(f);
}

static void send(struct fixture *f, unsigned int queue, const char *text, size_t cut)
{
	device_rig_add(&f->rig, queue, text, strlen(text), 0, cut);
	device_rig_kick(&f->rig, queue);
}

static void expect_output(struct fixture *f, unsigned int port, const char *text)
{
	struct channel *channel = &f->channels[port];

	assert_int_equal(channel->output_length, strlen(text));
	assert_memory_equal(channel->output, text, strlen(text));
	channel->output_length = 0;
}

static void expect_sent(struct fixture *f, unsigned int queue)
{
	uint32_t written;

	device_rig_take(&f->rig, queue, &written);
	assert_int_equal(written, 0);
}

static void offer(struct fixture *f, unsigned int queue, size_t length)
{
	device_rig_add(&f->rig, queue, NULL, 0, length, length / 3 + 1);
	device_rig_kick(&f->rig, queue);
}

static void expect_input(struct fixture *f, unsigned int queue, const char *text)
{
	uint32_t written;
	const char *in = device_rig_at(&f->rig, device_rig_take(&f->rig, queue, &written));

	assert_int_equal(written, strlen(text));
	assert_memory_equal(in, text, written);
}

static void tell(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control message = {id, event, value};

	device_rig_add(&f->rig, CONTROL_TRANSMIT, &message, sizeof(message), 0, 5);
	device_rig_kick(&f->rig, CONTROL_TRANSMIT);
	expect_sent(f, CONTROL_TRANSMIT);
}

/* Expects the next message of the device to be this one, followed by @length bytes. */
static const void *expect_told(struct fixture *f, uint32_t id, uint16_t event, uint16_t value,
			       size_t length)
{
	const struct virtio_console_control expected = {id, event, value};
	uint32_t written;
	const char *in;

	assert_true(device_rig_has_used(&f->rig, CONTROL_RECEIVE));
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, CONTROL_RECEIVE, &written));
	assert_int_equal(written, sizeof(expected) + length);
	assert_memory_equal(in, &expected, sizeof(expected));
	return in + sizeof(expected);
}

static void offer_control(struct fixture *f, unsigned int count)
{
	while (count-- > 0)
		device_rig_add(&f->rig, CONTROL_RECEIVE, NULL, 0, 100, 100);
	device_rig_kick(&f->rig, CONTROL_RECEIVE);
}

static void test_bytes_both_ways(void **state)
{
	static const uint64_t rings[] = {0, FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
					 FEATURE(VIRTIO_F_RING_PACKED)};

	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct fixture *f = start(1, rings[i]);

		assert_int_equal(f->console.device.queue_count, 2);
		send(f, TRANSMIT, "login: ", 2);
		expect_sent(f, TRANSMIT);
		expect_output(f, 0, "login: ");
		f->channels[0].input = "root\n";
		offer(f, RECEIVE, 64);
		expect_input(f, RECEIVE, "root\n");
		/* A buffer that is offered before there is input. */
		offer(f, RECEIVE, 64);
		assert_true(f->channels[0].watch_read);
		assert_false(device_rig_has_used(&f->rig, RECEIVE));
		f->channels[0].input = "x";
		console_stream_ready(&f->channels[0].stream);
		expect_input(f, RECEIVE, "x");
		/* Without buffers nothing is read, so that the writer waits. */
		f->channels[0].input = "more";
		console_stream_ready(&f->channels[0].stream);
		assert_false(f->channels[0].watch_read);
		assert_string_equal(f->channels[0].input, "more");
		/* Longer than a buffer. */
		device_rig_add(&f->rig, RECEIVE, NULL, 0, 3, 1);
		offer(f, RECEIVE, 3);
		expect_input(f, RECEIVE, "mor");
		expect_input(f, RECEIVE, "e");
		stop(f);
	}
}

static void test_full_stream_holds_up_the_guest(void **state)
{
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct fixture *f = start(1, packed ? FEATURE(VIRTIO_F_RING_PACKED) : 0);

		f->channels[0].room = 4;
		device_rig_add(&f->rig, TRANSMIT, "abcdefgh", 8, 0, 3);
		send(f, TRANSMIT, "ijk", 3);
		expect_output(f, 0, "abcd");
		assert_false(device_rig_has_used(&f->rig, TRANSMIT));
		assert_true(f->channels[0].watch_write);
		/* A kick or readiness without data changes nothing. */
		device_rig_kick(&f->rig, TRANSMIT);
		console_stream_ready(&f->channels[0].stream);
		expect_output(f, 0, "");
		f->channels[0].room = 5;
		console_stream_ready(&f->channels[0].stream);
		expect_output(f, 0, "efghi");
		expect_sent(f, TRANSMIT);
		assert_false(device_rig_has_used(&f->rig, TRANSMIT));
		/* The peer is gone: the rest is dropped and the guest continues. */
		console_stream_connected(&f->channels[0].stream, false);
		device_rig_kick(&f->rig, TRANSMIT);
		expect_sent(f, TRANSMIT);
		expect_output(f, 0, "");
		assert_false(f->channels[0].watch_write);
		stop(f);
	}
}

/* One queue is emptied while another is handled: its kicks were enabled at an older position. */
static void test_kicks_are_asked_for_again(void **state)
{
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct fixture *f = start(1, FEATURE(VIRTIO_RING_F_EVENT_IDX) |
						     (packed ? FEATURE(VIRTIO_F_RING_PACKED) : 0));
		struct virtqueue *queue = &f->queues[TRANSMIT];

		assert_false(virtqueue_enable_kicks(queue));
		assert_true(virtqueue_awaits_kick(queue));
		device_rig_add(&f->rig, TRANSMIT, "x", 1, 0, 1);
		device_rig_kick(&f->rig, RECEIVE);
		expect_output(f, 0, "x");
		assert_false(virtqueue_awaits_kick(queue));
		assert_false(virtqueue_enable_kicks(queue));
		assert_true(virtqueue_awaits_kick(queue));
		stop(f);
	}
}

static void test_reset_forgets_what_was_half_written(void **state)
{
	struct fixture *f = start(1, 0);

	f->channels[0].room = 2;
	send(f, TRANSMIT, "abcd", 4);
	expect_output(f, 0, "ab");
	device_rig_stop(&f->rig);
	assert_false(f->channels[0].watch_write);
	f->channels[0].room = CAPACITY;
	device_rig_start(&f->rig, &f->console.device, 0, 16);
	send(f, TRANSMIT, "xyz", 4);
	expect_output(f, 0, "xyz");
	stop(f);
}

/* The process that goes on with the request writes the rest of it. */
static void test_a_half_written_request_moves(void **state)
{
	struct fixture *f = start(1, 0), *other = start(1, 0);
	uint8_t bytes[DEVICE_STATE_MAX];
	uint16_t available, used;
	int length;

	f->channels[0].room = 2;
	send(f, TRANSMIT, "abcd", 4);
	expect_output(f, 0, "ab");
	virtio_device_stop_queue(&f->console.device, &f->queues[TRANSMIT], &available, &used);
	length = virtio_device_save(&f->console.device, bytes);
	assert_true(length > 0);
	assert_int_equal(virtio_device_load(&other->console.device, bytes, (size_t)length), 0);
	send(other, TRANSMIT, "abcd", 4);
	expect_output(other, 0, "cd");
	/* Once. */
	send(other, TRANSMIT, "xyz", 3);
	expect_output(other, 0, "xyz");
	virtio_device_stop_queue(&other->console.device, &other->queues[TRANSMIT], &available,
				 &used);
	length = virtio_device_save(&other->console.device, bytes);
	stop(other);
	other = start(1, 0);
	assert_int_equal(virtio_device_load(&other->console.device, bytes, (size_t)length), 0);
	send(other, TRANSMIT, "1234", 4);
	expect_output(other, 0, "1234");
	stop(f);
	stop(other);
}

static void test_size_in_configuration(void **state)
{
	struct fixture *f = make(1, true);
	struct virtio_console_config config;

	console_device_set_size(&f->console, 80, 25);
	device_rig_start(&f->rig, &f->console.device, SIZE, 16);
	virtio_device_config_read(&f->console.device, 0, &config, sizeof(config));
	assert_int_equal(config.cols, 80);
	assert_int_equal(config.rows, 25);
	assert_int_equal(config.max_nr_ports, 1);
	console_device_set_size(&f->console, 80, 25);
	assert_int_equal(f->rig.config_changes, 0);
	/* The first size is reported, too, once the driver is there. */
	device_rig_kick(&f->rig, TRANSMIT);
	device_rig_kick(&f->rig, TRANSMIT);
	assert_int_equal(f->rig.config_changes, 1);
	console_device_set_size(&f->console, 132, 43);
	assert_int_equal(f->rig.config_changes, 2);
	virtio_device_config_read(&f->console.device, 0, &config, sizeof(config));
	assert_int_equal(config.cols, 132);
	stop(f);
	f = make(1, false);
	assert_false(f->console.device.offered & SIZE);
	free(f);
}

static void test_emergency_write(void **state)
{
	struct fixture *f = make(1, false);
	uint32_t value = 0x11223300 | '!';
	uint16_t columns = 1;

	/* VIRTIO 1.4, 5.3.5.1: also on an unconfigured device. */
	assert_int_equal(virtio_device_config_write(&f->console.device, 8, &value, 4), 0);
	expect_output(f, 0, "!");
	assert_int_equal(virtio_device_config_write(&f->console.device, 0, &columns, 2), -EPERM);
	console_stream_connected(&f->channels[0].stream, false);
	assert_int_equal(virtio_device_config_write(&f->console.device, 8, &value, 4), 0);
	expect_output(f, 0, "");
	free(f);
}

/* Emergency writes that the stream has no room for are not lost, not even by a reset afterwards. */
static void test_emergency_write_waits(void **state)
{
	struct fixture *f = start(1, 0);
	struct channel *channel = &f->channels[0];
	uint8_t byte = 'a';

	channel->room = 0;
	for (; byte < 'd'; byte++)
		assert_int_equal(virtio_device_config_write(&f->console.device, 8, &byte, 1), 0);
	assert_true(channel->watch_write);
	/* What is written to the ring later comes later. */
	send(f, 1, "ring", 100);
	channel->room = 2;
	console_stream_ready(&channel->stream);
	expect_output(f, 0, "ab");
	assert_false(device_rig_has_used(&f->rig, 1));
	assert_true(channel->watch_write);
	virtio_device_reset(&f->console.device);
	assert_true(channel->watch_write);
	channel->room = 10;
	console_stream_ready(&channel->stream);
	expect_output(f, 0, "c");
	assert_false(channel->watch_write);
	/* The buffer is bounded, and the driver's write then fails. */
	channel->room = 0;
	for (int i = 0; i < CONSOLE_EMERGENCY_MAX; i++)
		assert_int_equal(virtio_device_config_write(&f->console.device, 8, &byte, 1), 0);
	assert_int_equal(virtio_device_config_write(&f->console.device, 8, &byte, 1), -EAGAIN);
	channel->room = CAPACITY;
	console_stream_ready(&channel->stream);
	assert_int_equal(channel->output_length, CONSOLE_EMERGENCY_MAX);
	stop(f);
}

static void test_ports_are_announced(void **state)
{
	struct fixture *f = start(3, MULTIPORT | SIZE);
	const uint16_t *size;

	assert_int_equal(f->console.device.queue_count, 8);
	console_device_set_size(&f->console, 100, 40);
	f->channels[1].stream.connected = false;
	/* No message is sent before the driver is ready. */
	offer_control(f, 1);
	assert_false(device_rig_has_used(&f->rig, CONTROL_RECEIVE));
	tell(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	/* With one buffer one message; the others wait for more. */
	expect_told(f, 0, VIRTIO_CONSOLE_PORT_ADD, 0, 0);
	assert_false(device_rig_has_used(&f->rig, CONTROL_RECEIVE));
	offer_control(f, 10);
	expect_told(f, 1, VIRTIO_CONSOLE_PORT_ADD, 0, 0);
	expect_told(f, 2, VIRTIO_CONSOLE_PORT_ADD, 0, 0);
	/* Ports are added once. */
	tell(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_false(device_rig_has_used(&f->rig, CONTROL_RECEIVE));
	tell(f, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_told(f, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, 0);
	assert_memory_equal(expect_told(f, 0, VIRTIO_CONSOLE_PORT_NAME, 0, 3), "tty", 3);
	size = expect_told(f, 0, VIRTIO_CONSOLE_RESIZE, 0, 4);
	assert_int_equal(size[0], 100);
	assert_int_equal(size[1], 40);
	expect_told(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	tell(f, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_memory_equal(expect_told(f, 1, VIRTIO_CONSOLE_PORT_NAME, 0, 5), "agent", 5);
	assert_false(device_rig_has_used(&f->rig, CONTROL_RECEIVE));
	/* Clients come and go; the size changes. */
	console_stream_connected(&f->channels[1].stream, true);
	expect_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	console_stream_connected(&f->channels[1].stream, false);
	expect_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, 0);
	console_device_set_size(&f->console, 90, 30);
	size = expect_told(f, 0, VIRTIO_CONSOLE_RESIZE, 0, 4);
	assert_int_equal(size[0], 90);
	/* VIRTIO 1.4, 5.3.6: a configuration change is notified, whatever messages were sent. */
	assert_int_equal(f->rig.config_changes, 2);
	stop(f);
}

static void test_ports_carry_bytes_when_open(void **state)
{
	struct fixture *f = start(3, MULTIPORT);

	f->channels[2].input = "hello";
	device_rig_add(&f->rig, 6, NULL, 0, 16, 16);
	device_rig_kick(&f->rig, 6);
	tell(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	offer_control(f, 8);
	assert_false(device_rig_has_used(&f->rig, 6));
	/* The driver drops what comes while nobody has the port open. */
	tell(f, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	expect_input(f, 6, "hello");
	send(f, 7, "world", 2);
	expect_output(f, 2, "world");
	expect_output(f, 0, "");
	offer(f, 6, 16);
	assert_true(f->channels[2].watch_read);
	tell(f, 2, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_false(f->channels[2].watch_read);
	f->channels[2].input = "later";
	console_stream_ready(&f->channels[2].stream);
	assert_false(device_rig_has_used(&f->rig, 6));
	stop(f);
}

/* Meaningless messages are ignored; messages that are too short are faults. */
/* Ports stay known and open, and emergency writes that wait are not lost. */
static void test_state(void **state)
{
	struct fixture *f = start(3, SIZE | MULTIPORT), *other = make(3, true), *two;
	const size_t at = offsetof(struct virtio_console_config, emerg_wr);
	struct virtio_device *device = &f->console.device;
	uint32_t byte = '!';

	(void)state;
	f->channels[0].room = other->channels[0].room = 0;
	assert_int_equal(virtio_device_config_write(device, at, &byte, sizeof(byte)), 0);
	offer_control(f, 3);
	tell(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (uint32_t i = 0; i < 3; i++)
		expect_told(f, i, VIRTIO_CONSOLE_PORT_ADD, 0, 0);
	tell(f, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	f->channels[2].room = 3;
	send(f, 7, "abcd", 4);
	state_check(device, &other->console.device);
	assert_int_equal(other->console.ports[2].sent, 3);
	assert_true(other->console.driver_ready);
	assert_true(other->console.ports[1].added && other->console.ports[1].open);
	assert_true(other->console.ports[2].added && !other->console.ports[2].open);
	/* There was no buffer for the name of port 1. */
	assert_int_equal(other->console.pending[1], f->console.pending[1]);
	assert_true(other->console.pending[1] > 0);
	other->channels[0].room = CAPACITY;
	console_stream_ready(&other->channels[0].stream);
	expect_output(other, 0, "!");

	two = make(2, true);
	assert_false(state_moves(device, &two->console.device));
	virtio_device_reset(&other->console.device);
	other->console.ports[1].setup.name = "agenT";
	assert_false(state_moves(device, &other->console.device));
	stop(f);
	free(other);
	free(two);
}

static void test_hostile_messages(void **state)
{
	struct fixture *f = start(2, MULTIPORT);

	for (uint16_t event = 0; event < 20; event++)
		for (uint32_t id = 2; id < 1u << 31; id *= 3)
			tell(f, id, event, event == 0 ? 2 : 1);
	offer_control(f, 4);
	/* Before the port was added. */
	tell(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell(f, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_false(device_rig_has_used(&f->rig, CONTROL_RECEIVE));
	assert_int_equal(f->console.device.faults, 0);
	device_rig_add(&f->rig, CONTROL_TRANSMIT, "1234567", 7, 0, 7);
	device_rig_kick(&f->rig, CONTROL_TRANSMIT);
	assert_int_equal(f->console.device.faults, 1);
	stop(f);

	f = start(2, MULTIPORT);
	offer(f, CONTROL_RECEIVE, 7);
	tell(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_int_equal(f->console.device.faults, 1);
	stop(f);

	/* A receive buffer that only the device may read. */
	f = start(1, 0);
	f->channels[0].input = "x";
	send(f, RECEIVE, "abc", 3);
	assert_int_equal(f->console.device.faults, 1);
	stop(f);

	/* The other queues of ports and of control do not exist for a driver without MULTIPORT. */
	f = start(2, 0);
	for (unsigned int queue = 2; queue < 6; queue++)
		send(f, queue, "12345678", 8);
	expect_output(f, 0, "");
	expect_output(f, 1, "");
	assert_int_equal(f->console.device.faults, 0);
	stop(f);
}

/* Without a state from the process before. */
static void test_process_that_was_started_again(void **state)
{
	static const unsigned int used[] = {CONTROL_TRANSMIT, CONTROL_RECEIVE, TRANSMIT, 4};

	for (unsigned int i = 0; i < 2 * sizeof(used) / sizeof(used[0]); i++) {
		bool packed = i % 2;
		uint64_t features = MULTIPORT | SIZE | (packed ? FEATURE(VIRTIO_F_RING_PACKED) : 0);
		struct fixture *f = start(2, features);
		const uint16_t *size;

		console_device_set_size(&f->console, 90, 30);
		/* As a ring that was used before this process started. */
		f->queues[used[i / 2]].setup.available_index = packed ? 0x8003 : 3;
		f->channels[1].input = "again";
		offer(f, 4, 16);
		offer_control(f, 4);
		device_rig_kick(&f->rig, CONTROL_TRANSMIT);
		size = expect_told(f, 0, VIRTIO_CONSOLE_RESIZE, 0, 4);
		assert_int_equal(size[0], 90);
		expect_told(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
		expect_told(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
		expect_input(f, 4, "again");
		stop(f);
	}
}

/* What the process kept last, and whether it did so before the driver had its message back. */
static uint8_t kept[DEVICE_STATE_MAX];
static size_t kept_length;
static bool kept_early;

static void keep(struct virtio_device *device)
{
	int length = virtio_device_save(device, kept);

	assert_true(length > 0);
	kept_length = (size_t)length;
	kept_early |= device->queue_count > CONTROL_TRANSMIT &&
		      !device_rig_has_used(device->transport_context, CONTROL_TRANSMIT);
}

static void ignore_change(struct virtio_device *device)
{
}

static const struct virtio_transport_ops keeping = {
	.config_changed = ignore_change,
	.keep_state = keep,
};

static void tell_and_keep(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
	kept_early = false;
	tell(f, id, event, value);
	assert_true(kept_early);
}

/* The next process knows which ports are open, and sends what was pending. */
static void test_process_that_was_killed(void **state)
{
	struct fixture *f = start(3, MULTIPORT), *next = start(3, MULTIPORT);

	(void)state;
	f->console.device.transport = &keeping;
	tell_and_keep(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	offer_control(f, 2);
	expect_told(f, 0, VIRTIO_CONSOLE_PORT_ADD, 0, 0);
	expect_told(f, 1, VIRTIO_CONSOLE_PORT_ADD, 0, 0);
	assert_int_equal(virtio_device_load(&next->console.device, kept, kept_length), 0);
	assert_true(next->console.ports[1].added && !next->console.ports[2].added);
	virtio_device_reset(&next->console.device);
	tell_and_keep(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell_and_keep(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	tell_and_keep(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);

	device_rig_stop(&next->rig);
	device_rig_start(&next->rig, &next->console.device, MULTIPORT, 16);
	assert_int_equal(virtio_device_load(&next->console.device, kept, kept_length), 0);
	/* As rings that were used before this process started them. */
	next->queues[CONTROL_TRANSMIT].setup.available_index = 3;
	next->channels[0].input = next->channels[1].input = "input";
	offer(next, RECEIVE, 16);
	offer(next, 4, 16);
	offer_control(next, 4);
	expect_input(next, RECEIVE, "input");
	assert_false(device_rig_has_used(&next->rig, 4));
	expect_told(next, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	expect_told(next, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, 0);
	expect_told(next, 2, VIRTIO_CONSOLE_PORT_ADD, 0, 0);
	assert_false(device_rig_has_used(&next->rig, CONTROL_RECEIVE));
	stop(f);
	stop(next);
}

/* Starts a process that takes over what is kept. */
static struct fixture *start_next(void)
{
	struct fixture *f = start(1, 0);

	f->console.device.transport = &keeping;
	assert_int_equal(virtio_device_load(&f->console.device, kept, kept_length), 0);
	return f;
}

/* How much of a request was written is forgotten before it can be taken for a part of another. */
static void test_part_of_a_request_is_not_kept(void **state)
{
	struct fixture *f = start(1, 0), *next;
	uint16_t available, used;

	(void)state;
	f->channels[0].room = 2;
	send(f, TRANSMIT, "abcd", 4);
	virtio_device_stop_queue(&f->console.device, &f->queues[TRANSMIT], &available, &used);
	keep(&f->console.device);
	stop(f);
	f = start_next();
	send(f, TRANSMIT, "abcd", 4);
	expect_output(f, 0, "cd");
	next = start_next();
	send(next, TRANSMIT, "1234", 4);
	expect_output(next, 0, "1234");
	stop(f);
	stop(next);
}

/* Emergency writes that wait are kept until they are written. */
static void test_emergency_writes_are_kept(void **state)
{
	const size_t at = offsetof(struct virtio_console_config, emerg_wr);
	struct fixture *f = start(1, 0), *next;
	uint32_t byte = '!';

	(void)state;
	f->console.device.transport = &keeping;
	f->channels[0].room = 0;
	assert_int_equal(virtio_device_config_write(&f->console.device, at, &byte, 4), 0);
	next = start_next();
	expect_output(next, 0, "!");
	stop(next);
	f->channels[0].room = CAPACITY;
	console_stream_ready(&f->channels[0].stream);
	expect_output(f, 0, "!");
	next = start_next();
	expect_output(next, 0, "");
	stop(f);
	stop(next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_both_ways),
		cmocka_unit_test(test_full_stream_holds_up_the_guest),
		cmocka_unit_test(test_kicks_are_asked_for_again),
		cmocka_unit_test(test_reset_forgets_what_was_half_written),
		cmocka_unit_test(test_a_half_written_request_moves),
		cmocka_unit_test(test_size_in_configuration),
		cmocka_unit_test(test_emergency_write),
		cmocka_unit_test(test_emergency_write_waits),
		cmocka_unit_test(test_ports_are_announced),
		cmocka_unit_test(test_ports_carry_bytes_when_open),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_hostile_messages),
		cmocka_unit_test(test_process_that_was_started_again),
		cmocka_unit_test(test_process_that_was_killed),
		cmocka_unit_test(test_part_of_a_request_is_not_kept),
		cmocka_unit_test(test_emergency_writes_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
