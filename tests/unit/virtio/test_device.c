// SPDX-License-Identifier: BSD-3-Clause
/* The life of a device: negotiation, status, configuration space, faults and resets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "unit/ring_pair.h"
#include "virtio/round_up.h"

#define ACKNOWLEDGED (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define VERSION_1    (UINT64_C(1) << VIRTIO_F_VERSION_1)
#define FEATURE_A    1u
#define FEATURE_B    2u /* not without FEATURE_A */

struct test_config {
	char before, setting[2], after;
};

struct test_device {
	struct virtio_device device;
	struct virtqueue queues[2];
	struct test_config config;
	unsigned int handled, quiesced, resets, config_changes, reports;
};

static struct test_device *of(struct virtio_device *device)
{
	return (struct test_device *)device; /* its first member */
}

static int config_write(struct virtio_device *device, size_t offset, const void *buffer,
			size_t length)
{
	if (!config_is_member(offset, length, struct test_config, setting))
		return -EPERM;
	memcpy(of(device)->config.setting, buffer, length);
	return 0;
}

static int features_chosen(struct virtio_device *device)
{
	return virtio_has_feature(device, 1) && !virtio_has_feature(device, 0) ? -EINVAL : 0;
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	(void)queue;
	of(device)->handled++;
}

static void quiesce(struct virtio_device *device, struct virtqueue *queue)
{
	assert_true(queue->started);
	of(device)->quiesced++;
}

static void reset(struct virtio_device *device)
{
	for (unsigned int i = 0; i < 2; i++)
		assert_false(of(device)->queues[i].started);
	of(device)->resets++;
}

static void config_changed(struct virtio_device *device)
{
	of(device)->config_changes++;
}

static void report_fault(struct virtio_device *device, const struct virtqueue *queue,
			 const char *reason)
{
	(void)queue;
	assert_non_null(reason);
	of(device)->reports++;
}

static const struct virtio_device_class test_class = {
	.name = "test",
	.id = 4,
	.config_write = config_write,
	.features_chosen = features_chosen,
	.handle = handle,
	.quiesce = quiesce,
	.reset = reset,
};

static const struct virtio_transport_ops test_transport = {.config_changed = config_changed};

static void set_up(struct test_device *test)
{
	memset(test, 0, sizeof(*test));
	virtio_device_init(&test->device, &test_class, FEATURE_A | FEATURE_B, &test->config,
			   sizeof(test->config), test->queues, 2, 256);
	test->device.transport = &test_transport;
	test->device.report_fault = report_fault;
}

static void test_features(void **state)
{
	struct test_device test;

	(void)state;
	set_up(&test);
	assert_int_equal(virtio_device_set_features(&test.device, UINT64_C(1) << 33), -EINVAL);
	assert_int_equal(virtio_device_set_features(&test.device, VERSION_1 | FEATURE_B), -EINVAL);
	assert_int_equal(test.device.negotiated, 0);
	assert_int_equal(virtio_device_set_features(&test.device, VERSION_1 | FEATURE_A), 0);
	assert_true(virtio_has_feature(&test.device, 0));
	assert_false(virtio_has_feature(&test.device, 1));
	/* Each offered feature is implemented: a driver may accept all of them at once. */
	assert_int_equal(virtio_device_set_features(&test.device, test.device.offered), 0);
}

static void test_status(void **state)
{
	struct test_device test;

	(void)state;
	set_up(&test);
	virtio_device_set_status(&test.device, ACKNOWLEDGED);
	virtio_device_set_features(&test.device, UINT64_C(1) << 33);
	virtio_device_set_status(&test.device, ACKNOWLEDGED | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(test.device.status, ACKNOWLEDGED);
	virtio_device_set_features(&test.device, FEATURE_A); /* without VERSION_1 */
	virtio_device_set_status(&test.device, ACKNOWLEDGED | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(test.device.status, ACKNOWLEDGED);
	virtio_device_set_features(&test.device, VERSION_1);
	virtio_device_set_status(&test.device, VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(test.device.status, ACKNOWLEDGED | VIRTIO_CONFIG_S_FEATURES_OK);
	/* the device's own bit */
	virtio_device_set_status(&test.device, VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_false(test.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_device_set_status(&test.device, 0);
	assert_int_equal(test.device.status, 0);
	assert_int_equal(test.device.negotiated, 0);
	assert_int_equal(test.resets, 1);
}

static void test_config(void **state)
{
	struct test_device test;
	uint8_t bytes[8];

	(void)state;
	set_up(&test);
	memcpy(&test.config, "abcd", 4);
	memset(bytes, 0xff, sizeof(bytes));
	virtio_device_config_read(&test.device, 2, bytes, 8);
	assert_memory_equal(bytes, "cd\0\0\0\0\0\0", 8);
	memset(bytes, 0xff, sizeof(bytes));
	virtio_device_config_read(&test.device, UINT64_MAX - 2, bytes, 8);
	assert_memory_equal(bytes, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(virtio_device_config_write(&test.device, 3, "xy", 2), -EPERM);
	assert_int_equal(virtio_device_config_write(&test.device, UINT64_MAX, "x", 1), -EPERM);
	assert_int_equal(virtio_device_config_write(&test.device, 0, "", 0), -EPERM);
	/* From the start of the writable part to its end, and no other byte. */
	assert_int_equal(virtio_device_config_write(&test.device, 1, "xy", 2), 0);
	assert_memory_equal(&test.config, "axyd", 4);
	assert_int_equal(virtio_device_config_write(&test.device, 1, "z", 1), 0);
	assert_int_equal(virtio_device_config_write(&test.device, 1, "123", 3), -EPERM);
	assert_int_equal(virtio_device_config_write(&test.device, 0, "12", 2), -EPERM);
	assert_int_equal(virtio_device_config_write(&test.device, 2, "1", 1), -EPERM);
	assert_memory_equal(&test.config, "azyd", 4);
	virtio_device_config_changed(&test.device);
	assert_int_equal(test.device.config_generation, 1);
	assert_int_equal(test.config_changes, 1);
}

/* A queue of the device over the rings of a pair. */
static void start_queue(struct test_device *test, struct ring_pair *pair, unsigned int index)
{
	struct virtqueue *queue = &test->queues[index];

	queue->memory = &pair->memory;
	queue->ops = pair->device.ops;
	assert_int_equal(virtqueue_start(queue, &pair->setup, 0, pair->storage), 0);
}

static void test_fault_and_reset(void **state)
{
	struct test_device test;
	struct ring_pair pair;

	(void)state;
	set_up(&test);
	ring_pair_start(&pair, 8, 0, false);
	start_queue(&test, &pair, 1);
	virtio_device_kick(&test.device, &test.queues[0]); /* not started */
	assert_int_equal(test.handled, 0);
	virtio_device_kick(&test.device, &test.queues[1]);
	assert_int_equal(test.handled, 1);
	/* an available index that no driver may write */
	((struct vring_avail *)ring_pair_at(&pair, pair.setup.driver.value))->idx = 9;
	assert_null(virtqueue_pop(&test.queues[1]));
	assert_true(test.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(test.config_changes, 1);
	assert_int_equal(test.reports, 1);
	virtio_device_fault(&test.device, &test.queues[0], "again");
	assert_int_equal(test.device.faults, 2);
	assert_int_equal(test.reports, 1); /* once until the reset */
	virtio_device_kick(&test.device, &test.queues[1]);
	assert_int_equal(test.handled, 1);
	assert_true(virtqueue_broken(&test.queues[0]));

	virtio_device_set_status(&test.device, 0);
	assert_int_equal(test.quiesced, 1);
	((struct vring_avail *)ring_pair_at(&pair, pair.setup.driver.value))->idx = 0;
	start_queue(&test, &pair, 1);
	virtio_device_kick(&test.device, &test.queues[1]);
	assert_int_equal(test.handled, 2);
	virtio_device_reset(&test.device);
	ring_pair_stop(&pair);
}

/*
 * Devices index by a request's position in its ring: transports do not start rings that are too
 * large.
 */
static void test_queue_size(void **state)
{
	struct test_device test;
	struct ring_pair pair;

	(void)state;
	set_up(&test);
	for (unsigned int packed = 0; packed < 2; packed++) {
		const uint64_t features = (uint64_t)packed << VIRTIO_F_RING_PACKED;
		struct virtqueue *queue = &test.queues[0];

		ring_pair_start(&pair, 16, features, false);
		queue->memory = &pair.memory;
		queue->ops = pair.device.ops;
		test.device.queue_size_max = 8;
		assert_int_equal(virtqueue_start(queue, &pair.setup, features, pair.storage),
				 -EINVAL);
		assert_false(queue->started);
		test.device.queue_size_max = 16;
		assert_int_equal(virtqueue_start(queue, &pair.setup, features, pair.storage), 0);
		virtqueue_stop(queue, NULL, NULL);
		ring_pair_stop(&pair);
	}
}

static void add_request(struct ring_pair *pair)
{
	struct driver_buffer buffer = {guest_addr(PAIR_BASE), 1};

	assert_int_equal(driver_queue_add(&pair->driver, &buffer, 1, 0, pair), 0);
}

/* A driver that adds a request for each used one gets one ring's worth of them at a time. */
static void test_loop_is_bounded(void **state)
{
	struct virtio_request *request;
	struct ring_pair pair;
	unsigned int taken = 0;

	(void)state;
	ring_pair_start(&pair, 8, 0, false);
	for (unsigned int i = 0; i < 8; i++)
		add_request(&pair);
	for_each_request(request, &pair.device) {
		uint32_t written;
		int error = 0;

		virtqueue_push(&pair.device, request);
		assert_ptr_equal(driver_queue_take(&pair.driver, &written, &error), &pair);
		add_request(&pair);
		taken++;
	}
	assert_int_equal(taken, 8);
	assert_non_null(request);
	/* The next loop takes the requests that the last one left. */
	taken = 0;
	for_each_request(request, &pair.device) {
		virtqueue_push(&pair.device, request);
		taken++;
		if (taken == 3)
			break;
	}
	assert_int_equal(taken, 3);
	assert_non_null(request);
	for_each_request(request, &pair.device) {
		virtqueue_push(&pair.device, request);
		taken++;
	}
	assert_int_equal(taken, 8);
	assert_null(request);
	ring_pair_stop(&pair);
}

static void test_round_up(void **state)
{
	(void)state;
	assert_int_equal(round_up(0, 64), 0);
	assert_int_equal(round_up(1, 64), 64);
	assert_int_equal(round_up(64, 64), 64);
	assert_int_equal(round_up(65, 64), 128);
	assert_int_equal(round_up(7, 3), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),   cmocka_unit_test(test_status),
		cmocka_unit_test(test_config),	   cmocka_unit_test(test_fault_and_reset),
		cmocka_unit_test(test_queue_size), cmocka_unit_test(test_loop_is_bounded),
		cmocka_unit_test(test_round_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
