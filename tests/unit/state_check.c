// SPDX-License-Identifier: BSD-3-Clause
/* What must hold for the state of each type of device. */
#include "unit/state_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "virtio/device_state.h"
#include "virtio/feature.h"

/* Where the header has the versions of form and type, the id and the features. */
#define FORM	 4
#define VERSION	 6
#define ID	 8
#define FEATURES 12
#define HEADER	 20

struct saved {
	uint8_t bytes[DEVICE_STATE_MAX];
	int length;
};

static struct saved save(struct virtio_device *device)
{
	struct saved saved;

	memset(saved.bytes, 0xee, sizeof(saved.bytes));
	saved.length = virtio_device_save(device, saved.bytes);
	assert_in_range(saved.length, HEADER, DEVICE_STATE_MAX);
	return saved;
}

static bool has_state(struct virtio_device *device, const struct saved *expected)
{
	struct saved now = save(device);

	return now.length == expected->length &&
	       !memcmp(now.bytes, expected->bytes, (size_t)now.length);
}

static void expect_refused(struct virtio_device *device, const struct saved *changed, int code)
{
	const uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	struct saved before = save(device);

	device->status = status;
	assert_int_equal(virtio_device_load(device, changed->bytes, (size_t)changed->length), code);
	assert_int_equal(device->status, status);
	assert_true(has_state(device, &before));
}

bool state_moves(struct virtio_device *source, struct virtio_device *target)
{
	struct saved saved = save(source), before = save(target);
	bool taken = virtio_device_load(target, saved.bytes, (size_t)saved.length) == 0;

	assert_true(has_state(target, taken ? &saved : &before));
	return taken;
}

void state_check(struct virtio_device *source, struct virtio_device *target)
{
	struct saved saved, changed;

	for (uint16_t i = 0; i < source->queue_count; i++)
		virtio_device_stop_queue(source, &source->queues[i], NULL, NULL);
	saved = save(source);
	assert_false(has_state(target, &saved));
	for (int length = 0; length < saved.length; length++) {
		changed = saved;
		changed.length = length;
		expect_refused(target, &changed, -EINVAL);
	}
	changed = saved;
	changed.length++;
	expect_refused(target, &changed, -EINVAL);
	for (int bit = 0; bit < saved.length * 8; bit++) {
		int at = bit / 8;

		changed = saved;
		changed.bytes[at] ^= 1 << bit % 8;
		if (at < FORM)
			expect_refused(target, &changed, -EINVAL);
		else if (at < FEATURES)
			expect_refused(target, &changed, -EOPNOTSUPP);
		else if (virtio_device_load(target, changed.bytes, (size_t)changed.length) == 0)
			assert_true(has_state(target, &changed));
		virtio_device_reset(target);
		assert_int_equal(target->negotiated, 0);
	}
	/* The driver of a device that has features must be the same. */
	assert_int_equal(virtio_device_set_features(
				 target, source->negotiated ^ FEATURE(VIRTIO_RING_F_EVENT_IDX)),
			 0);
	expect_refused(target, &saved, -EINVAL);
	assert_int_equal(virtio_device_set_features(target, source->negotiated), 0);
	assert_int_equal(virtio_device_load(target, saved.bytes, (size_t)saved.length), 0);
	virtio_device_reset(target);
	assert_true(state_moves(source, target));
	assert_int_equal(target->negotiated, source->negotiated);
}
