// SPDX-License-Identifier: BSD-3-Clause
/* The entropy device, on a backend that counts, and on the host's generator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "device/entropy/entropy.h"
#include "device/entropy/random.h"
#include "unit/device_rig.h"
#include "unit/state_check.h"
#include "virtio/feature.h"

struct counter {
	struct entropy_backend backend;
	uint8_t next;
	size_t given;
	size_t at_most; /* bytes in one call; 0: fails */
};

struct fixture {
	struct counter counter;
	struct entropy_device entropy;
	struct device_rig rig;
};

static size_t count_up(struct entropy_backend *backend, void *buffer, size_t length)
{
	struct counter *counter = (struct counter *)backend; /* its first member */

	if (length > counter->at_most)
		length = counter->at_most;
	for (size_t i = 0; i < length; i++)
		((uint8_t *)buffer)[i] = counter->next++;
	counter->given += length;
	return length;
}

static struct fixture *start(uint64_t features)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->counter = (struct counter){.backend.fill = count_up, .at_most = SIZE_MAX};
	entropy_device_init(&f->entropy, &f->counter.backend);
	device_rig_start(&f->rig, &f->entropy.device, features, ENTROPY_QUEUE_SIZE);
	return f;
}

static void stop(struct fixture *f)
{
	device_rig_stop(&f->rig);
	free(f);
}

static void test_fills_requests(void **state)
{
	static const uint64_t rings[] = {0, FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
					 FEATURE(VIRTIO_F_RING_PACKED)};
	static const size_t cuts[] = {2, 7, 100};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct fixture *f = start(rings[i]);

		for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
			uint32_t written;
			uint8_t *in;

			f->counter.next = 1;
			/* A backend that gives little at a time is asked again. */
			f->counter.at_most = 1 + 10 * j;
			device_rig_add(&f->rig, 0, NULL, 0, 100, cuts[j]);
			device_rig_kick(&f->rig, 0);
			in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));
			assert_int_equal(written, 100);
			for (int k = 0; k < 100; k++)
				assert_int_equal(in[k], k + 1);
		}
		stop(f);
	}
}

static void test_large_request_is_bounded(void **state)
{
	struct fixture *f = start(0);
	uint32_t written;
	uint8_t *in;

	(void)state;
	device_rig_add(&f->rig, 0, NULL, 0, 1 << 20, 60000);
	device_rig_kick(&f->rig, 0);
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));
	assert_int_equal(written, ENTROPY_REQUEST_MAX);
	assert_int_equal(f->counter.given, ENTROPY_REQUEST_MAX);
	assert_int_equal(in[ENTROPY_REQUEST_MAX], 0xee);
	stop(f);
}

static void test_request_without_room(void **state)
{
	struct fixture *f = start(0);

	(void)state;
	device_rig_add(&f->rig, 0, "x", 1, 0, 100);
	device_rig_kick(&f->rig, 0);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_true(f->entropy.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	stop(f);
}

static void test_readable_part_is_ignored(void **state)
{
	struct fixture *f = start(0);
	uint32_t written;

	(void)state;
	device_rig_add(&f->rig, 0, "xyz", 3, 10, 100);
	device_rig_kick(&f->rig, 0);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(written, 10);
	stop(f);
}

static void test_failing_backend(void **state)
{
	struct fixture *f = start(0);
	uint32_t written;

	(void)state;
	f->counter.at_most = 0;
	device_rig_add(&f->rig, 0, NULL, 0, 10, 100);
	device_rig_kick(&f->rig, 0);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(written, 0);
	stop(f);
}

static void test_has_no_configuration(void **state)
{
	struct fixture *f = start(0);
	uint8_t bytes[8];

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	virtio_device_config_read(&f->entropy.device, 0, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	assert_true(virtio_device_config_write(&f->entropy.device, 0, bytes, 1) < 0);
	stop(f);
}

static void test_host_generator(void **state)
{
	struct entropy_backend backend;
	uint8_t first[4096] = {0}, second[4096] = {0};

	(void)state;
	random_backend_init(&backend);
	assert_int_equal(backend.fill(&backend, first, sizeof(first)), sizeof(first));
	assert_int_equal(backend.fill(&backend, second, sizeof(second)), sizeof(second));
	assert_memory_not_equal(first, second, sizeof(first));
	/* Memory that is not mapped. */
	assert_int_equal(backend.fill(&backend, (void *)1, 16), 0);
}

static void test_state(void **state)
{
	struct fixture *f = start(FEATURE(VIRTIO_F_RING_PACKED));
	struct entropy_device other;

	(void)state;
	entropy_device_init(&other, &f->counter.backend);
	state_check(&f->entropy.device, &other.device);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fills_requests),
		cmocka_unit_test(test_large_request_is_bounded),
		cmocka_unit_test(test_request_without_room),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_readable_part_is_ignored),
		cmocka_unit_test(test_failing_backend),
		cmocka_unit_test(test_has_no_configuration),
		cmocka_unit_test(test_host_generator),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
