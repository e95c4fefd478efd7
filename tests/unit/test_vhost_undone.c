// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of what a record of requests in flight is worth to the next start of its ring: whose run it
 * is of, after pauses, resets and other drivers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <unistd.h>

#include "unit/vhost_rig.h"
#include "vhost/server_private.h"

static void take_and_keep(struct vhost_rig *rig, void *context)
{
	assert_non_null(virtqueue_pop(&rig->test.queues[2]));
}

/* A process died with a request of queue 2 in its hands, which the next one is not ready for. */
static void start_with_undone(struct rig_fixture *fixture, uint64_t features,
			      struct vhost_inflight *description, int *record)
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, features | RIG_DEVICE_FEATURE);
	assert_done(vhost_client_get_inflight(guest->client, RIG_QUEUES, RIG_QUEUE_SIZE,
					      description, record, &error),
		    &error);
	assert_done(vhost_client_set_inflight(guest->client, description, *record, &error), &error);
	guest_start_ring(guest, 2, true);
	guest_add(guest, 2, 0, 10);
	rig_run(&fixture->rig, take_and_keep, NULL);
	guest_disconnect(guest);
	assert_true(rig_wait_idle(&fixture->rig));

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, features | RIG_DEVICE_FEATURE);
	assert_done(vhost_client_set_inflight(guest->client, description, *record, &error), &error);
	guest->rings[2].base = guest_position(guest, 2);
	guest_start_ring(guest, 2, false);
}

/* Takes the request that was left, and the driver adds another before the loop looks. */
static void take_replayed(struct vhost_rig *rig, void *context)
{
	struct virtqueue *queue = &rig->test.queues[2];
	unsigned int looks;

	vhost_ring_poll(&rig->server->rings[2]);
	assert_true(rig->server->rings[2].declined);
	virtqueue_push(queue, virtqueue_pop(queue));
	assert_false(virtqueue_has_request(queue));
	guest_add(context, 2, 1, 1);
	looks = rig->test.looks;
	vhost_ring_poll(&rig->server->rings[2]);
	assert_int_equal(rig->test.looks, looks + 1);
}

/* What a process that died had taken is no position of the ring, but taking it again is progress. */
static void a_replayed_request_is_taken_late(void **state)
{
	static const uint64_t features[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_PACKED};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct rig_fixture *fixture = *state;
		struct rig_guest *guest = &fixture->guest;
		struct vhost_inflight description;
		int record;

		start_with_undone(fixture, features[i], &description, &record);
		rig_run(&fixture->rig, take_replayed, guest);
		guest_disconnect(guest);
		assert_true(rig_wait_idle(&fixture->rig));
		close(record);
	}
}

/* A pause (GET_VRING_BASE) skips nothing of it: the run that goes on takes it first. */
static void a_stop_keeps_what_is_undone(void **state)
{
	/* The last time the frontend gives back the available part alone. */
	static const uint64_t features[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_PACKED,
					    RIG_VERSION_1 | RIG_PACKED};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct rig_fixture *fixture = *state;
		struct rig_guest *guest = &fixture->guest;
		struct vhost_inflight description;
		struct error error;
		int record;

		start_with_undone(fixture, features[i], &description, &record);
		assert_done(vhost_client_stop_ring(guest->client, 2, &guest->rings[2].base, &error),
			    &error);
		if (i == 2)
			guest->rings[2].base &= UINT16_MAX;
		guest_add(guest, 2, 1, 20);
		guest_start_ring(guest, 2, false);
		rig_nudge(&fixture->rig);
		guest_expect(guest, 2, 0, 10);
		rig_nudge(&fixture->rig);
		guest_expect(guest, 2, 1, 20);
		/* Nothing is left: the next stop closes the record. */
		assert_done(vhost_client_stop_ring(guest->client, 2, &guest->rings[2].base, &error),
			    &error);
		guest_start_ring(guest, 2, true);
		guest_add(guest, 2, 2, 30);
		rig_nudge(&fixture->rig);
		guest_expect(guest, 2, 2, 30);
		guest_disconnect(guest);
		assert_true(rig_wait_idle(&fixture->rig));
		close(record);
	}
}

/* Another driver sets the ring up: what is undone was the business of the one before. */
static void a_new_ring_takes_nothing_undone(void **state)
{
	static const uint64_t features[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_PACKED};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct rig_fixture *fixture = *state;
		struct rig_guest *guest = &fixture->guest;
		struct vhost_inflight description;
		struct error error;
		int record;

		start_with_undone(fixture, features[i], &description, &record);
		assert_done(vhost_client_stop_ring(guest->client, 2, NULL, &error), &error);
		guest_start_ring(guest, 2, true);
		rig_nudge(&fixture->rig);
		guest_expect_nothing(guest, 2);
		guest_add(guest, 2, 3, 40);
		rig_nudge(&fixture->rig);
		guest_expect(guest, 2, 3, 40);
		guest_disconnect(guest);
		assert_true(rig_wait_idle(&fixture->rig));
		close(record);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_replayed_request_is_taken_late),
		rig_test(a_stop_keeps_what_is_undone),
		rig_test(a_new_ring_takes_nothing_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
