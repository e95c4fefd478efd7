// SPDX-License-Identifier: BSD-3-Clause
/* Events to a driver: which are pending, in which order they are sent, and what they contain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "device/kit/event_queue.h"
#include "unit/device_rig.h"
#include "virtio/container_of.h"

#define SOURCES 3

struct event {
	uint32_t source, event, state;
};

struct fixture {
	struct virtio_device device;
	struct virtqueue queue;
	struct event_queue events;
	uint32_t pending[SOURCES];
	uint32_t state;
	struct device_rig rig;
};

static bool write_event(struct virtio_device *device, uint16_t source, uint32_t event,
			struct virtio_request *request)
{
	struct fixture *f = container_of(device, struct fixture, device);
	struct event message = {source, event, f->state};

	return request_write(request, &message, sizeof(message)) == sizeof(message);
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	event_queue_send(&container_of(device, struct fixture, device)->events);
}

static void reset(struct virtio_device *device)
{
	event_queue_reset(&container_of(device, struct fixture, device)->events);
}

static const struct virtio_device_class test_class = {
	.name = "events",
	.id = 42,
	.handle = handle,
	.reset = reset,
};

static void start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->events = (struct event_queue){&f->queue, write_event, SOURCES, f->pending};
	virtio_device_init(&f->device, &test_class, 0, NULL, 0, &f->queue, 1, 32);
	device_rig_start(&f->rig, &f->device, 0, 32);
	/* The first notification comes in any case. */
	virtqueue_notify(&f->queue);
	f->rig.queues[0].notifications = 0;
}

static void add_buffers(struct fixture *f, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		device_rig_add(&f->rig, 0, NULL, 0, sizeof(struct event), 5);
}

static void expect(struct fixture *f, uint32_t source, uint32_t event, uint32_t state)
{
	struct event got;
	uint32_t written;

	memcpy(&got, device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written)), sizeof(got));
	assert_int_equal(written, sizeof(got));
	assert_int_equal(got.source, source);
	assert_int_equal(got.event, event);
	assert_int_equal(got.state, state);
}

static void test_order(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	add_buffers(&f, 8);
	event_queue_add(&f.events, 2, UINT32_C(1) << 31);
	event_queue_add(&f.events, 0, 4 | 1);
	event_queue_add(&f.events, 2, 2);
	assert_false(device_rig_has_used(&f.rig, 0));
	event_queue_send(&f.events);
	/* Once for all of them. */
	assert_int_equal(f.rig.queues[0].notifications, 1);
	expect(&f, 0, 1, 0);
	expect(&f, 0, 4, 0);
	expect(&f, 2, 2, 0);
	expect(&f, 2, UINT32_C(1) << 31, 0);
	assert_false(device_rig_has_used(&f.rig, 0));
	/* What was sent is not pending any more. */
	event_queue_send(&f.events);
	assert_false(device_rig_has_used(&f.rig, 0));
	assert_int_equal(f.rig.queues[0].notifications, 1);
	device_rig_stop(&f.rig);
}

/* What waits for a buffer is sent once, with the state of that time. */
static void test_driver_without_buffers(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	for (f.state = 1; f.state < 100; f.state++) {
		event_queue_add(&f.events, 1, 1);
		event_queue_send(&f.events);
	}
	event_queue_add(&f.events, 2, 1);
	assert_int_equal(f.rig.queues[0].notifications, 0);
	add_buffers(&f, 1);
	device_rig_kick(&f.rig, 0);
	expect(&f, 1, 1, 100);
	assert_false(device_rig_has_used(&f.rig, 0));
	f.state++;
	add_buffers(&f, 2);
	device_rig_kick(&f.rig, 0);
	expect(&f, 2, 1, 101);
	assert_false(device_rig_has_used(&f.rig, 0));
	device_rig_stop(&f.rig);
}

static void test_small_buffer(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	device_rig_add(&f.rig, 0, NULL, 0, sizeof(struct event) - 1, 100);
	add_buffers(&f, 1);
	event_queue_add(&f.events, 0, 1);
	event_queue_send(&f.events);
	assert_true(f.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f.device.faults, 1);
	assert_string_equal(f.rig.fault, "buffer too small for an event");
	assert_false(device_rig_has_used(&f.rig, 0));
	device_rig_stop(&f.rig);
}

static void test_reset(void **state)
{
	struct fixture f;

	(void)state;
	start(&f);
	for (uint16_t i = 0; i < SOURCES; i++)
		event_queue_add(&f.events, i, 1);
	virtio_device_reset(&f.device);
	/* A queue that does not run takes nothing. */
	event_queue_send(&f.events);
	for (uint16_t i = 0; i < SOURCES; i++)
		assert_int_equal(f.pending[i], 0);
	event_queue_add(&f.events, 1, 1);
	event_queue_send(&f.events);
	assert_int_equal(f.pending[1], 1);
	device_rig_stop(&f.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_driver_without_buffers),
		cmocka_unit_test(test_small_buffer),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
