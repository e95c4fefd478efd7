// SPDX-License-Identifier: BSD-3-Clause
/* The CAN device, on a bus that does what the test says. */
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

#include "device/can/can.h"
#include "unit/device_rig.h"
#include "unit/state_check.h"
#include "virtio/feature.h"

#define TX	VIRTIO_CAN_QUEUE_TX
#define RX	VIRTIO_CAN_QUEUE_RX
#define CONTROL VIRTIO_CAN_QUEUE_CONTROL

#define CLASSIC FEATURE(VIRTIO_CAN_F_CAN_CLASSIC)
#define FD	FEATURE(VIRTIO_CAN_F_CAN_FD)
#define RTR	FEATURE(VIRTIO_CAN_F_RTR_FRAMES)
#define LATE	FEATURE(VIRTIO_CAN_F_LATE_TX_ACK)
#define ALL	(CLASSIC | FD | RTR | LATE)

#define FRAMES	256

struct fixture {
	struct can_backend backend;
	struct can_device can;
	struct device_rig rig;
	bool answers, fails, full; /* the bus answers at once; refuses a start; takes no frames */
	unsigned int starts, stops, resets, flushes, count;
	unsigned int depth, depth_limit; /* of calls of start and stop; 0: not checked */
	struct {
		uint32_t tag;
		struct can_frame frame;
	} sent[FRAMES];
};

static struct fixture *fixture_of(struct can_backend *backend)
{
	return (struct fixture *)backend; /* its first member */
}

static void bus_start(struct can_backend *backend)
{
	struct fixture *f = fixture_of(backend);

	f->starts++;
	f->depth++;
	assert_true(!f->depth_limit || f->depth <= f->depth_limit);
	if (f->answers)
		can_device_started(&f->can, !f->fails);
	f->depth--;
}

static void bus_stop(struct can_backend *backend)
{
	struct fixture *f = fixture_of(backend);

	f->stops++;
	f->depth++;
	assert_true(!f->depth_limit || f->depth <= f->depth_limit);
	if (f->answers)
		can_device_stopped(&f->can);
	f->depth--;
}

static bool bus_send(struct can_backend *backend, uint32_t tag, const struct can_frame *frame)
{
	struct fixture *f = fixture_of(backend);

	assert_int_equal(f->can.mode, CAN_STARTED);
	assert_true(can_frame_is_valid(frame));
	assert_int_not_equal(tag, 0);
	if (f->full)
		return false;
	assert_true(f->count < FRAMES);
	f->sent[f->count].tag = tag;
	f->sent[f->count++].frame = *frame;
	return true;
}

static void bus_flush(struct can_backend *backend)
{
	fixture_of(backend)->flushes++;
}

static void bus_reset(struct can_backend *backend)
{
	fixture_of(backend)->resets++;
}

static const struct can_backend_ops bus_ops = {bus_start, bus_stop, bus_send, bus_flush, bus_reset};

static struct fixture *make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->backend = (struct can_backend){&bus_ops, .classic = true, .fd = true, .rtr = true};
	f->answers = true;
	can_device_init(&f->can, &f->backend);
	return f;
}

static struct fixture *boot(uint64_t features)
{
	struct fixture *f = make();

	device_rig_start(&f->rig, &f->can.device, features, 256);
	return f;
}

static void end(struct fixture *f)
{
	device_rig_stop(&f->rig);
	free(f);
}

static void ask(struct fixture *f, uint16_t type)
{
	device_rig_add(&f->rig, CONTROL, &type, sizeof(type), 1, 100);
	device_rig_kick(&f->rig, CONTROL);
}

/* The result of the next answer of a queue. */
static int result(struct fixture *f, unsigned int queue)
{
	uint32_t written;
	const uint8_t *byte;

	if (!device_rig_has_used(&f->rig, queue))
		return -1;
	byte = device_rig_at(&f->rig, device_rig_take(&f->rig, queue, &written));
	assert_int_equal(written, 1);
	return *byte;
}

static void start_bus(struct fixture *f)
{
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_START);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
}

/* Adds a transmission of @data bytes behind the head. */
static void add_raw(struct fixture *f, uint16_t type, uint16_t length, uint32_t flags, uint32_t id,
		    size_t data, size_t cut)
{
	uint8_t bytes[sizeof(struct virtio_can_head) + 100];
	struct virtio_can_head head = {.msg_type = type,
				       .length = length,
				       .flags = flags,
				       .can_id = id};

	memcpy(bytes, &head, sizeof(head));
	for (size_t i = 0; i < data; i++)
		bytes[sizeof(head) + i] = (uint8_t)(id + i);
	device_rig_add(&f->rig, TX, bytes, sizeof(head) + data, 1, cut);
}

static void add(struct fixture *f, uint32_t flags, uint32_t id, uint16_t length)
{
	add_raw(f, VIRTIO_CAN_TX, length, flags, id, length, 100);
}

static void transmit(struct fixture *f, uint32_t flags, uint32_t id, uint16_t length)
{
	add(f, flags, id, length);
	device_rig_kick(&f->rig, TX);
}

static void test_sends_frames(void **state)
{
	static const struct {
		uint32_t flags, id;
		uint16_t length;
	} frames[] = {
		{0, 0, 0},
		{0, 0x7ff, 8},
		{VIRTIO_CAN_FLAGS_EXTENDED, 0x1fffffff, 8},
		{VIRTIO_CAN_FLAGS_RTR, 0x123, 8},
		{VIRTIO_CAN_FLAGS_FD, 0x7ff, 64},
		{VIRTIO_CAN_FLAGS_FD | VIRTIO_CAN_FLAGS_EXTENDED, 5, 12},
	};
	static const uint64_t rings[] = {0, FEATURE(VIRTIO_F_RING_PACKED),
					 FEATURE(VIRTIO_RING_F_INDIRECT_DESC)};

	for (size_t r = 0; r < sizeof(rings) / sizeof(rings[0]); r++) {
		struct fixture *f = boot(ALL | rings[r]);

		start_bus(f);
		for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
			const struct can_frame *frame = &f->sent[i].frame;

			/* Cut into descriptors anywhere. */
			add_raw(f, VIRTIO_CAN_TX, frames[i].length, frames[i].flags, frames[i].id,
				frames[i].length, 7 + i);
			device_rig_kick(&f->rig, TX);
			assert_int_equal(f->count, i + 1);
			assert_int_equal(f->flushes, i + 1);
			assert_int_equal(frame->id, frames[i].id);
			assert_int_equal(frame->length, frames[i].length);
			assert_int_equal(frame->fd, (frames[i].flags & VIRTIO_CAN_FLAGS_FD) != 0);
			assert_int_equal(frame->rtr, (frames[i].flags & VIRTIO_CAN_FLAGS_RTR) != 0);
			assert_int_equal(frame->extended,
					 (frames[i].flags & VIRTIO_CAN_FLAGS_EXTENDED) != 0);
			for (uint16_t k = 0; k < frame->length && !frame->rtr; k++)
				assert_int_equal(frame->data[k], (uint8_t)(frames[i].id + k));
			/* With LATE_TX_ACK only when the bus has acknowledged it. */
			assert_int_equal(result(f, TX), -1);
			can_device_sent(&f->can, f->sent[i].tag, i % 2 == 0);
			can_device_resume(&f->can);
			assert_int_equal(result(f, TX), i % 2);
		}
		assert_int_equal(f->can.counts.sent, 3);
		assert_int_equal(f->can.counts.not_sent, 3);
		end(f);
	}
}

static void test_early_acknowledgement(void **state)
{
	struct fixture *f = boot(CLASSIC);

	start_bus(f);
	transmit(f, 0, 1, 1);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(f->can.outstanding, 1);
	/* It is not used twice. */
	can_device_sent(&f->can, f->sent[0].tag, true);
	can_device_sent(&f->can, f->sent[0].tag, true);
	assert_int_equal(f->can.outstanding, 0);
	assert_int_equal(result(f, TX), -1);
	end(f);
}

static void test_acknowledgements_in_any_order(void **state)
{
	struct fixture *f = boot(ALL);
	unsigned int seed = 7;

	start_bus(f);
	for (int round = 0; round < 50; round++) {
		unsigned int count = 1 + (unsigned int)rand_r(&seed) % 100, left;

		f->count = 0;
		for (unsigned int i = 0; i < count; i++)
			add(f, 0, i, 4);
		device_rig_kick(&f->rig, TX);
		/* No more than the bus may have. */
		assert_int_equal(f->count,
				 count < CAN_OUTSTANDING_MAX ? count : CAN_OUTSTANDING_MAX);
		for (left = count; left > 0; left--) {
			unsigned int waiting = 0, pick;

			for (unsigned int i = 0; i < f->count; i++)
				waiting += f->sent[i].tag != 0;
			pick = (unsigned int)rand_r(&seed) % waiting;
			for (unsigned int i = 0; i < f->count; i++)
				if (f->sent[i].tag && pick-- == 0) {
					can_device_sent(&f->can, f->sent[i].tag, true);
					f->sent[i].tag = 0;
					break;
				}
			can_device_resume(&f->can);
			assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_OK);
		}
		assert_int_equal(f->count, count);
		/* The bus got them in the order of the driver. */
		for (unsigned int i = 0; i < count; i++)
			assert_int_equal(f->sent[i].frame.id, i);
	}
	end(f);
}

static void test_wrong_frames(void **state)
{
	static const struct {
		uint16_t type, length;
		uint32_t flags, id;
		size_t data;
		uint64_t without; /* features */
	} wrong[] = {
		{0, 8, 0, 1, 8, 0},
		{VIRTIO_CAN_RX, 8, 0, 1, 8, 0},
		{VIRTIO_CAN_TX, 9, 0, 1, 9, 0},
		{VIRTIO_CAN_TX, 8, 0, 0x800, 8, 0},
		{VIRTIO_CAN_TX, 8, 0, 0x80000001, 8, 0},
		{VIRTIO_CAN_TX, 8, VIRTIO_CAN_FLAGS_EXTENDED, 0x20000000, 8, 0},
		{VIRTIO_CAN_TX, 8, VIRTIO_CAN_FLAGS_EXTENDED, UINT32_MAX, 8, 0},
		{VIRTIO_CAN_TX, 8, 0, 1, 7, 0},
		{VIRTIO_CAN_TX, 9, VIRTIO_CAN_FLAGS_FD, 1, 9, 0},
		{VIRTIO_CAN_TX, 63, VIRTIO_CAN_FLAGS_FD, 1, 63, 0},
		{VIRTIO_CAN_TX, 65, VIRTIO_CAN_FLAGS_FD, 1, 65, 0},
		{VIRTIO_CAN_TX, 64, VIRTIO_CAN_FLAGS_FD, 1, 63, 0},
		{VIRTIO_CAN_TX, 0xffff, VIRTIO_CAN_FLAGS_FD, 1, 64, 0},
		{VIRTIO_CAN_TX, 8, VIRTIO_CAN_FLAGS_FD | VIRTIO_CAN_FLAGS_RTR, 1, 8, 0},
		{VIRTIO_CAN_TX, 9, VIRTIO_CAN_FLAGS_RTR, 1, 0, 0},
		{VIRTIO_CAN_TX, 8, 1, 1, 8, 0},
		{VIRTIO_CAN_TX, 8, 0x10000, 1, 8, 0},
		{VIRTIO_CAN_TX, 8, 0, 1, 8, CLASSIC | RTR},
		{VIRTIO_CAN_TX, 8, VIRTIO_CAN_FLAGS_RTR, 1, 8, CLASSIC | RTR},
		{VIRTIO_CAN_TX, 8, VIRTIO_CAN_FLAGS_RTR, 1, 8, RTR},
		{VIRTIO_CAN_TX, 8, VIRTIO_CAN_FLAGS_FD, 1, 8, FD},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fixture *f = boot(ALL & ~wrong[i].without);
		uint32_t good = wrong[i].without & CLASSIC ? VIRTIO_CAN_FLAGS_FD : 0;

		start_bus(f);
		add_raw(f, wrong[i].type, wrong[i].length, wrong[i].flags, wrong[i].id,
			wrong[i].data, 100);
		device_rig_kick(&f->rig, TX);
		assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
		assert_int_equal(f->count, 0);
		assert_int_equal(f->can.counts.refused, 1);
		/* The next one is carried. */
		transmit(f, good, 1, 8);
		assert_int_equal(f->count, 1);
		assert_int_equal(f->rig.reports, 0);
		end(f);
	}
}

static void test_requests_that_are_cut(void **state)
{
	struct fixture *f = boot(ALL);
	uint32_t written;

	start_bus(f);
	/* Shorter than a head; a head alone without a place for the result; nothing readable. */
	device_rig_add(&f->rig, TX, "\1\0\0", 3, 1, 100);
	device_rig_kick(&f->rig, TX);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	device_rig_add(&f->rig, TX, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, 0, 100);
	device_rig_kick(&f->rig, TX);
	device_rig_take(&f->rig, TX, &written);
	assert_int_equal(written, 0);
	device_rig_add(&f->rig, TX, NULL, 0, 5, 100);
	device_rig_kick(&f->rig, TX);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(f->count, 0);
	/* The same of control requests. */
	device_rig_add(&f->rig, CONTROL, "\2", 1, 1, 100);
	device_rig_kick(&f->rig, CONTROL);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_NOT_OK);
	ask(f, 0x0203);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_NOT_OK);
	device_rig_add(&f->rig, CONTROL, "\2\2", 2, 0, 100);
	device_rig_kick(&f->rig, CONTROL);
	device_rig_take(&f->rig, CONTROL, &written);
	assert_int_equal(written, 0);
	/* That one was a stop all the same. */
	assert_int_equal(f->can.mode, CAN_STOPPED);
	end(f);
}

static void test_modes(void **state)
{
	struct fixture *f = boot(ALL);

	/* Stopped at first: no frame goes out, a stop changes nothing. */
	transmit(f, 0, 1, 1);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(f->stops, 0);
	/* The bus refuses, then accepts. */
	f->fails = true;
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_START);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(f->can.mode, CAN_STOPPED);
	f->fails = false;
	start_bus(f);
	/* Again: fine, and nothing is asked. */
	start_bus(f);
	assert_int_equal(f->starts, 2);
	/* A stop that takes its time: frames come back first; control requests wait in order. */
	f->answers = false;
	transmit(f, 0, 1, 1);
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_START);
	assert_int_equal(result(f, CONTROL), -1);
	/* What comes while it stops does not go out. */
	transmit(f, 0, 2, 1);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(f->count, 1);
	can_device_stopped(&f->can);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(f->can.mode, CAN_STARTING);
	transmit(f, 0, 3, 1);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	can_device_started(&f->can, true);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	/* Answers that nobody waits for change nothing. */
	can_device_started(&f->can, true);
	can_device_stopped(&f->can);
	assert_int_equal(f->can.mode, CAN_STARTED);
	end(f);
}

static void test_stop_returns_what_waits_in_the_queue(void **state)
{
	struct fixture *f = boot(ALL);

	start_bus(f);
	for (unsigned int i = 0; i < 100; i++)
		add(f, 0, i, 1);
	device_rig_kick(&f->rig, TX);
	assert_int_equal(f->count, CAN_OUTSTANDING_MAX);
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(f->count, CAN_OUTSTANDING_MAX);
	end(f);
}

/* Requests without end, answered from within: one level of calls is enough. */
static void test_modes_in_a_row(void **state)
{
	struct fixture *f = boot(ALL);

	for (int i = 0; i < 100; i++) {
		uint16_t type = i % 2 ? VIRTIO_CAN_SET_CTRL_MODE_STOP :
					VIRTIO_CAN_SET_CTRL_MODE_START;

		device_rig_add(&f->rig, CONTROL, &type, sizeof(type), 1, 100);
	}
	f->depth_limit = 1;
	device_rig_kick(&f->rig, CONTROL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(f->starts, 50);
	end(f);
}

/* What was received and not taken is gone with the mode. */
static void test_stop_forgets_what_was_received(void **state)
{
	struct fixture *f = boot(ALL);

	start_bus(f);
	for (uint32_t i = 0; i < 3; i++)
		can_device_receive(&f->can, &(struct can_frame){.id = i});
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	device_rig_add(&f->rig, RX, NULL, 0, 16 + 64, 100);
	device_rig_kick(&f->rig, RX);
	start_bus(f);
	assert_false(device_rig_has_used(&f->rig, RX));
	end(f);
}

static void test_bus_off(void **state)
{
	struct fixture *f = boot(ALL);
	uint16_t status;

	/* Not while it is stopped. */
	can_device_bus_off(&f->can);
	assert_int_equal(f->rig.config_changes, 0);
	start_bus(f);
	transmit(f, 0, 1, 1);
	can_device_bus_off(&f->can);
	assert_int_equal(f->rig.config_changes, 1);
	virtio_device_config_read(&f->can.device, 0, &status, sizeof(status));
	assert_int_equal(status, VIRTIO_CAN_S_CTRL_BUSOFF);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	transmit(f, 0, 2, 1);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	/* A start that fails leaves the bit; one that succeeds clears it. */
	f->fails = true;
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_START);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(f->can.config.status, VIRTIO_CAN_S_CTRL_BUSOFF);
	f->fails = false;
	start_bus(f);
	assert_int_equal(f->can.config.status, 0);
	transmit(f, 0, 3, 1);
	assert_int_equal(f->count, 2);
	/* While it starts, the start fails; while it stops, it has stopped. */
	f->answers = false;
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	can_device_bus_off(&f->can);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_START);
	can_device_bus_off(&f->can);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_NOT_OK);
	/* A bus that came back and does not take it. */
	f->answers = true;
	start_bus(f);
	can_device_started(&f->can, false);
	assert_int_equal(f->can.config.status, VIRTIO_CAN_S_CTRL_BUSOFF);
	end(f);
}

static void test_a_bus_that_goes_and_comes(void **state)
{
	struct fixture *f = boot(ALL);

	start_bus(f);
	transmit(f, 0, 1, 1);
	f->full = true;
	transmit(f, 0, 2, 1);
	can_device_lost(&f->can);
	/* What it had is lost; what it had not waits. */
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(result(f, TX), -1);
	assert_int_equal(f->can.mode, CAN_STARTED);
	f->full = false;
	can_device_started(&f->can, true);
	assert_int_equal(f->count, 2);
	assert_int_equal(f->sent[1].frame.id, 2);
	/* A stop needs no bus. */
	f->answers = false;
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	can_device_lost(&f->can);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	end(f);
}

static void receive(struct fixture *f, const struct can_frame *frame)
{
	can_device_receive(&f->can, frame);
	can_device_received(&f->can);
}

static void test_receives_frames(void **state)
{
	static const struct can_frame frames[] = {
		{.id = 0x7ff, .length = 8, .data = "12345678"},
		{.id = 0x1fffffff, .extended = true, .length = 0},
		{.id = 1, .rtr = true, .length = 8, .data = "12345678"},
		{.id = 2, .fd = true, .length = 64, .data = "abc"},
	};
	struct fixture *f = boot(ALL);

	/* Not while it is stopped. */
	receive(f, &frames[0]);
	assert_int_equal(f->can.backlog_count, 0);
	start_bus(f);
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		const struct can_frame *frame = &frames[i];
		uint32_t written;
		struct virtio_can_head copy, *head = &copy;
		const uint8_t *bytes;

		device_rig_add(&f->rig, RX, NULL, 0, 16 + 64, 9);
		device_rig_kick(&f->rig, RX);
		receive(f, frame);
		bytes = device_rig_at(&f->rig, device_rig_take(&f->rig, RX, &written));
		memcpy(head, bytes, sizeof(*head));
		assert_int_equal(written, 16 + (frame->rtr ? 0 : frame->length));
		assert_int_equal(head->msg_type, VIRTIO_CAN_RX);
		assert_int_equal(head->length, frame->length);
		assert_int_equal(head->can_id, frame->id);
		assert_int_equal(head->flags, (frame->extended ? VIRTIO_CAN_FLAGS_EXTENDED : 0) |
						      (frame->rtr ? VIRTIO_CAN_FLAGS_RTR : 0) |
						      (frame->fd ? VIRTIO_CAN_FLAGS_FD : 0));
		assert_int_equal(head->reserved_classic_dlc, 0);
		assert_int_equal(head->padding, 0);
		assert_int_equal(head->reserved_xl_priority, 0);
		if (!frame->rtr)
			assert_memory_equal(bytes + 16, frame->data, frame->length);
	}
	end(f);
}

static void test_only_what_was_negotiated_is_received(void **state)
{
	static const struct can_frame classic = {.id = 1}, remote = {.id = 2, .rtr = true},
				      fd = {.id = 3, .fd = true}, wrong = {.id = 0x800};
	static const uint64_t choices[] = {CLASSIC, CLASSIC | RTR, FD, CLASSIC | FD};
	static const unsigned int expected[] = {1, 2, 1, 2};

	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		struct fixture *f = boot(choices[i]);

		start_bus(f);
		for (int k = 0; k < 4; k++)
			device_rig_add(&f->rig, RX, NULL, 0, 16 + (choices[i] & FD ? 64 : 8), 100);
		receive(f, &classic);
		receive(f, &remote);
		receive(f, &fd);
		/* Of a bus that is not to be trusted. */
		receive(f, &wrong);
		assert_int_equal(f->can.counts.received, expected[i]);
		assert_int_equal(f->can.counts.filtered, 4 - expected[i]);
		end(f);
	}
}

static void test_frames_wait_for_buffers(void **state)
{
	struct fixture *f = boot(ALL);
	struct virtio_can_head head;
	uint32_t written, taken = 0;

	start_bus(f);
	for (uint32_t i = 0; i < CAN_BACKLOG_MAX + 10; i++)
		receive(f, &(struct can_frame){.id = i});
	assert_int_equal(f->can.counts.dropped, 10);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 100; i++)
			device_rig_add(&f->rig, RX, NULL, 0, 16 + 64, 100);
		device_rig_kick(&f->rig, RX);
		/* Those that came later stay behind those that wait. */
		if (round == 1)
			receive(f, &(struct can_frame){.id = CAN_BACKLOG_MAX});
		while (device_rig_has_used(&f->rig, RX)) {
			memcpy(&head,
			       device_rig_at(&f->rig, device_rig_take(&f->rig, RX, &written)),
			       sizeof(head));
			assert_int_equal(head.can_id, taken++);
		}
		device_rig_clear(&f->rig);
	}
	assert_int_equal(taken, CAN_BACKLOG_MAX + 1);
	end(f);
}

static void test_buffers_that_are_too_small(void **state)
{
	struct fixture *f = boot(ALL);

	start_bus(f);
	device_rig_add(&f->rig, RX, NULL, 0, 15, 100);
	receive(f, &(struct can_frame){.id = 1});
	assert_true(f->can.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	end(f);
	f = boot(ALL);
	start_bus(f);
	device_rig_add(&f->rig, RX, "x", 1, 0, 100);
	receive(f, &(struct can_frame){.id = 1});
	assert_true(f->can.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	end(f);
}

static void test_features(void **state)
{
	static const struct {
		uint64_t features;
		bool accepted;
	} cases[] = {
		{0, false},
		{LATE, false},
		{RTR, false},
		{FD | RTR, false},
		{CLASSIC, true},
		{FD, true},
		{CLASSIC | RTR, true},
		{ALL, true},
		{CLASSIC | LATE, true},
	};
	struct fixture *f = make();

	assert_int_equal(f->can.device.offered & ALL, ALL);
	assert_false(f->can.device.offered & FEATURE(VIRTIO_F_IN_ORDER));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(virtio_device_set_features(&f->can.device,
							    cases[i].features |
								    FEATURE(VIRTIO_F_VERSION_1)),
				 cases[i].accepted ? 0 : -EINVAL);
	/* What the bus does not carry is not offered. */
	f->backend.fd = f->backend.rtr = false;
	can_device_init(&f->can, &f->backend);
	assert_int_equal(f->can.device.offered & ALL, CLASSIC | LATE);
	f->backend.classic = false;
	f->backend.fd = f->backend.rtr = true;
	can_device_init(&f->can, &f->backend);
	assert_int_equal(f->can.device.offered & ALL, FD | LATE);
	free(f);
}

/* Neither answers from before a reset nor those to requests that were given up do harm. */
static void test_reset_and_late_answers(void **state)
{
	struct fixture *f = boot(ALL);
	uint32_t tag;

	start_bus(f);
	transmit(f, 0, 1, 1);
	tag = f->sent[0].tag;
	/* A pause of the ring: the frame comes back, and its place is used again. */
	virtio_device_quiesce(&f->can.device);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	transmit(f, 0, 2, 1);
	can_device_sent(&f->can, tag, true);
	assert_int_equal(result(f, TX), -1);
	can_device_sent(&f->can, f->sent[1].tag, true);
	can_device_resume(&f->can);
	assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_OK);
	/* A stop that is under way is carried out; a start has failed. */
	f->answers = false;
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_STOP);
	for (unsigned int i = 0; i < 100; i++)
		add(f, 0, i, 1);
	f->can.device.class->quiesce(&f->can.device, &f->can.queues[CONTROL]);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_OK);
	assert_int_equal(f->resets, 1);
	/* Frames that wait in the Txq come back without another kick. */
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(result(f, TX), VIRTIO_CAN_RESULT_NOT_OK);
	ask(f, VIRTIO_CAN_SET_CTRL_MODE_START);
	virtio_device_quiesce(&f->can.device);
	assert_int_equal(result(f, CONTROL), VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(f->can.mode, CAN_STOPPED);
	can_device_started(&f->can, true);
	assert_int_equal(f->can.mode, CAN_STOPPED);
	f->answers = true;
	start_bus(f);
	/* A process that leaves its requests to its successor answers none of them. */
	transmit(f, 0, 3, 1);
	f->can.queues[TX].leaving = true;
	f->can.device.class->quiesce(&f->can.device, &f->can.queues[TX]);
	can_device_sent(&f->can, f->sent[2].tag, true);
	can_device_lost(&f->can);
	assert_int_equal(result(f, TX), -1);
	virtio_device_reset(&f->can.device);
	can_device_sent(&f->can, f->sent[2].tag, true);
	can_device_started(&f->can, true);
	can_device_bus_off(&f->can);
	receive(f, &(struct can_frame){.id = 1});
	assert_int_equal(f->can.mode, CAN_STOPPED);
	assert_int_equal(f->can.config.status, 0);
	end(f);
}

static void test_state(void **state)
{
	struct fixture *f = boot(ALL), *other = make();

	start_bus(f);
	state_check(&f->can.device, &other->can.device);
	assert_int_equal(other->can.mode, CAN_STARTED);
	assert_true(other->starts > 0);
	end(f);
	free(other);

	f = boot(ALL);
	other = make();
	start_bus(f);
	can_device_bus_off(&f->can);
	state_check(&f->can.device, &other->can.device);
	assert_int_equal(other->can.config.status, VIRTIO_CAN_S_CTRL_BUSOFF);
	end(f);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sends_frames),
		cmocka_unit_test(test_early_acknowledgement),
		cmocka_unit_test(test_acknowledgements_in_any_order),
		cmocka_unit_test(test_wrong_frames),
		cmocka_unit_test(test_requests_that_are_cut),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_stop_returns_what_waits_in_the_queue),
		cmocka_unit_test(test_modes_in_a_row),
		cmocka_unit_test(test_stop_forgets_what_was_received),
		cmocka_unit_test(test_bus_off),
		cmocka_unit_test(test_a_bus_that_goes_and_comes),
		cmocka_unit_test(test_receives_frames),
		cmocka_unit_test(test_only_what_was_negotiated_is_received),
		cmocka_unit_test(test_frames_wait_for_buffers),
		cmocka_unit_test(test_buffers_that_are_too_small),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_reset_and_late_answers),
		cmocka_unit_test(test_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
