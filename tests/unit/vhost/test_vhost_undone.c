// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of how the next start of a ring uses an in-flight record: whose requests it has, after
 * pauses, resets and other drivers.
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

/* A guest whose ring 2 has one format, and the record that it keeps. */
struct scene {
	struct vhost_rig *rig;
	struct rig_guest *guest;
	uint64_t features;
	struct vhost_inflight description;
	int record;
};

/* Where the answer to the first driver's incomplete request is written: see guest_add. */
#define UNDONE_ANSWER (GUEST_HIGH + 0x2000)

static void give_record(struct scene *scene)
{
	struct error error;

	assert_done(vhost_client_set_inflight(scene->guest->client, &scene->description,
					      scene->record, &error),
		    &error);
}

static void set_up_again(struct scene *scene)
{
	guest_set_up(scene->guest, scene->features);
	give_record(scene);
}

static void connect_again(struct scene *scene)
{
	guest_disconnect(scene->guest);
	assert_true(rig_wait_idle(scene->rig));
	guest_connect(scene->guest, scene->rig);
	set_up_again(scene);
}

static void take_and_keep(struct vhost_rig *rig, void *context)
{
	assert_non_null(virtqueue_pop(&rig->test.queues[2]));
}

static void connect_first(struct scene *scene)
{
	struct error error;

	guest_connect(scene->guest, scene->rig);
	guest_set_up(scene->guest, scene->features);
	assert_done(vhost_client_get_inflight(scene->guest->client, RIG_QUEUES, RIG_QUEUE_SIZE,
					      &scene->description, &scene->record, &error),
		    &error);
	give_record(scene);
}

static void answer_next(struct scene *scene, unsigned int number, uint8_t value)
{
	rig_nudge(scene->rig);
	guest_expect(scene->guest, 2, number, value);
}

/* A process died while it held a request of ring 2; the next one has the record. */
static void leave_undone(struct scene *scene)
{
	connect_first(scene);
	guest_start_ring(scene->guest, 2, true);
	guest_add(scene->guest, 2, 5, 50);
	answer_next(scene, 5, 50);
	guest_add(scene->guest, 2, 0, 10);
	rig_run(scene->rig, take_and_keep, NULL);
	connect_again(scene);
}

/* The same, and the ring runs; the device is not ready for the request. */
static void start_with_undone(struct scene *scene)
{
	leave_undone(scene);
	scene->guest->rings[2].base = guest_position(scene->guest, 2);
	guest_start_ring(scene->guest, 2, false);
}

static void stop_ring(struct scene *scene, uint16_t index)
{
	struct error error;

	assert_done(vhost_client_stop_ring(scene->guest->client, index,
					   &scene->guest->rings[index].base, &error),
		    &error);
}

static void set_status_0(struct scene *scene)
{
	struct error error;

	assert_done(vhost_client_set_status(scene->guest->client, 0, &error), &error);
}

static void remove_memory(struct scene *scene)
{
	struct error error;

	for (int i = 0; i < 2; i++)
		assert_done(vhost_client_remove_memory(scene->guest->client,
						       &scene->guest->regions[i].region, &error),
			    &error);
}

static void add_memory(struct scene *scene)
{
	struct error error;

	assert_done(vhost_client_set_memory(scene->guest->client, scene->guest->regions, 2, &error),
		    &error);
}

/* The driver is the same: incomplete requests are done first, then new ones. */
static void expect_all(struct scene *scene)
{
	answer_next(scene, 0, 10);
	guest_add(scene->guest, 2, 1, 20);
	answer_next(scene, 1, 20);
}

/*
 * Another driver starts, with a request in its ring already, so that the ring does not show whose
 * requests are in the record. Only its own request may be done.
 */
static void set_up_another(struct scene *scene)
{
	guest_clear_ring(scene->guest, 2);
	*(uint8_t *)guest_at(scene->guest, UNDONE_ANSWER) = 0xee;
	guest_add(scene->guest, 2, 3, 40);
}

static void expect_own_alone(struct scene *scene)
{
	answer_next(scene, 3, 40);
	rig_nudge(scene->rig);
	guest_expect_nothing(scene->guest, 2);
	assert_int_equal(*(uint8_t *)guest_at(scene->guest, UNDONE_ANSWER), 0xee);
}

static void start_another(struct scene *scene)
{
	set_up_another(scene);
	guest_start_ring(scene->guest, 2, false);
	expect_own_alone(scene);
}

static void expect_nothing_undone(struct scene *scene)
{
	rig_nudge(scene->rig);
	guest_expect_nothing(scene->guest, 2);
}

/* With split and packed rings, each on its own connection. */
static void play(void **state, void (*act)(struct scene *scene))
{
	static const uint64_t formats[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_PACKED};
	struct rig_fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct scene scene = {
			.rig = &fixture->rig,
			.guest = &fixture->guest,
			.features = formats[i] | RIG_DEVICE_FEATURE,
		};

		act(&scene);
		guest_disconnect(scene.guest);
		assert_true(rig_wait_idle(scene.rig));
		close(scene.record);
	}
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

static void take_late(struct scene *scene)
{
	start_with_undone(scene);
	rig_run(scene->rig, take_replayed, scene->guest);
}

/* What a dead process had taken does not count in the ring's position, but taking it again does. */
static void a_replayed_request_is_taken_late(void **state)
{
	play(state, take_late);
}

static void stop_and_go_on(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	guest_start_ring(scene->guest, 2, false);
	expect_all(scene);
	/* Nothing is left: another driver may start anywhere. */
	stop_ring(scene, 2);
	start_another(scene);
}

/* A pause (GET_VRING_BASE) skips none of it: the ring takes it first when it continues. */
static void a_stop_keeps_what_is_undone(void **state)
{
	play(state, stop_and_go_on);
}

static void go_on_from_the_available_part(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	scene->guest->rings[2].base &= UINT16_MAX;
	guest_start_ring(scene->guest, 2, false);
	expect_all(scene);
}

/* Some frontends return only the available part of the position. */
static void a_position_without_its_used_part_goes_on(void **state)
{
	play(state, go_on_from_the_available_part);
}

static void pause_by_status(struct scene *scene)
{
	start_with_undone(scene);
	for (unsigned int old = 0; old < 2; old++) {
		if (old)
			set_status_0(scene);
		stop_ring(scene, 2);
		if (!old)
			set_status_0(scene);
		set_up_again(scene);
		guest_start_ring(scene->guest, 2, false);
	}
	expect_all(scene);
}

/* QEMU pauses a guest with both messages: up to 7.2 in one order, and since 8.0 in the other. */
static void status_0_may_be_a_pause(void **state)
{
	play(state, pause_by_status);
}

static void begin_after_a_stop(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	start_another(scene);
}

/* Another driver sets up the ring: incomplete requests belonged to the one before. */
static void another_driver_takes_nothing_undone(void **state)
{
	play(state, begin_after_a_stop);
}

static void begin_after_status_0(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	set_status_0(scene);
	set_up_again(scene);
	start_another(scene);
}

static void another_driver_after_status_0_takes_nothing_undone(void **state)
{
	play(state, begin_after_status_0);
}

static void begin_twice(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	remove_memory(scene);
	guest_start_ring(scene->guest, 2, true);
	stop_ring(scene, 2);
	add_memory(scene);
	start_another(scene);
}

/* A second request for the position, of a driver whose ring never ran. */
static void a_driver_that_was_not_started_takes_nothing_undone(void **state)
{
	play(state, begin_twice);
}

static void make_it_smaller(struct scene *scene)
{
	struct vhost_client_ring setup;
	struct error error;

	start_with_undone(scene);
	stop_ring(scene, 2);
	set_up_another(scene);
	setup = guest_ring_setup(scene->guest, 2);
	setup.size /= 2;
	assert_done(vhost_client_start_ring(scene->guest->client, &setup, &error), &error);
	expect_own_alone(scene);
	/* Or larger, while it is stopped. */
	assert_done(vhost_client_enable_ring(scene->guest->client, 2, false, &error), &error);
	start_another(scene);
}

/* Another driver, or the same after a reset, makes its ring smaller. */
static void a_ring_of_another_size_takes_nothing_undone(void **state)
{
	play(state, make_it_smaller);
}

static void change_features(struct scene *scene)
{
	struct error error;

	start_with_undone(scene);
	assert_done(vhost_client_enable_ring(scene->guest->client, 2, false, &error), &error);
	guest_set_up(scene->guest, scene->features | RIG_EVENT_INDEX);
	start_another(scene);
}

/* A change of features means another driver, whatever position it starts at. */
static void other_features_are_of_another_driver(void **state)
{
	play(state, change_features);
}

static void change_features_of_an_idle_ring(struct scene *scene)
{
	struct error error;

	connect_first(scene);
	guest_start_ring(scene->guest, 0, true);
	guest_request(scene->guest, 0, 1, 1);
	guest_expect(scene->guest, 0, 1, 1);
	assert_done(vhost_client_enable_ring(scene->guest->client, 0, false, &error), &error);
	guest_set_up(scene->guest, scene->features | RIG_EVENT_INDEX);
	guest_start_ring(scene->guest, 0, true);
	guest_echo(scene->guest, 0);
}

/* The position of a record without requests does not count either. */
static void an_empty_record_is_not_of_another_driver(void **state)
{
	play(state, change_features_of_an_idle_ring);
}

static void reset_before_the_start(struct scene *scene)
{
	leave_undone(scene);
	set_status_0(scene);
	set_up_again(scene);
	/* After the two requests, of two descriptors each, and with the ring unchanged. */
	scene->guest->rings[2].base = scene->features & RIG_PACKED ? 0x80048004 : 2;
	guest_start_ring(scene->guest, 2, false);
	expect_nothing_undone(scene);
}

/* Reset before any ring started, with a record of a process that died. */
static void a_reset_before_the_start_forgets(void **state)
{
	play(state, reset_before_the_start);
}

static void ask_before_the_first_run(struct scene *scene)
{
	connect_first(scene);
	guest_start_ring(scene->guest, 0, true);
	guest_request(scene->guest, 0, 1, 1);
	guest_expect(scene->guest, 0, 1, 1);
	connect_again(scene);
	remove_memory(scene);
	scene->guest->rings[0].base = scene->features & RIG_PACKED ? VHOST_PACKED_BASE : 0;
	guest_start_ring(scene->guest, 0, false);
	stop_ring(scene, 0);
	add_memory(scene);
	guest_start_ring(scene->guest, 0, false);
	guest_echo(scene->guest, 0);
}

/* The record has the ring's position, so the frontend's does not count. */
static void a_position_before_the_first_run_tells_nothing(void **state)
{
	play(state, ask_before_the_first_run);
}

static void die_before_another_driver(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	connect_again(scene);
	guest_start_ring(scene->guest, 2, true);
	assert_true(rig_logged(scene->rig, "belong to another driver"));
	guest_add(scene->guest, 2, 3, 40);
	answer_next(scene, 3, 40);
}

/*
 * The process dies again before another driver starts: the next one knows no earlier run, but sees
 * that the ring never had these requests.
 */
static void a_ring_that_shows_another_driver_takes_nothing_undone(void **state)
{
	play(state, die_before_another_driver);
}

static void change_features_after_status_0(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	set_status_0(scene);
	guest_set_up(scene->guest, scene->features | RIG_EVENT_INDEX);
	give_record(scene);
	guest_start_ring(scene->guest, 2, false);
	expect_nothing_undone(scene);
}

/* Features may also change after status 0, and ring and position may be the same by chance. */
static void features_after_status_0_are_of_another_driver(void **state)
{
	play(state, change_features_after_status_0);
}

static void run_without_record(struct scene *scene)
{
	struct rig_guest *guest = scene->guest;

	start_with_undone(scene);
	stop_ring(scene, 2);
	set_status_0(scene);
	guest_set_up(guest, scene->features);
	guest_start_ring(guest, 2, true);
	guest_add(guest, 2, 3, 40);
	answer_next(scene, 3, 40);
	*(uint8_t *)guest_at(guest, UNDONE_ANSWER) = 0xee;
	guest_add(guest, 2, 4, 41);
	give_record(scene);
	answer_next(scene, 4, 41);
	assert_int_equal(*(uint8_t *)guest_at(guest, UNDONE_ANSWER), 0xee);
}

/* The record comes back after a run that it does not know. */
static void a_run_without_a_record_makes_it_stale(void **state)
{
	play(state, run_without_record);
}

static void pause_twice(struct scene *scene)
{
	start_with_undone(scene);
	stop_ring(scene, 2);
	set_status_0(scene);
	set_up_again(scene);
	set_status_0(scene);
	set_up_again(scene);
	guest_start_ring(scene->guest, 2, false);
	expect_all(scene);
}

/* The set-up between two pauses is not completed. */
static void two_pauses_keep_what_is_undone(void **state)
{
	play(state, pause_twice);
}

static void pause_before_the_first_run(struct scene *scene)
{
	leave_undone(scene);
	remove_memory(scene);
	scene->guest->rings[2].base = guest_position(scene->guest, 2);
	guest_start_ring(scene->guest, 2, false);
	set_status_0(scene);
	stop_ring(scene, 2);
	set_up_again(scene);
	guest_start_ring(scene->guest, 2, false);
	expect_all(scene);
}

/* Set up and waiting for memory, or for IOMMU translations, when it is paused. */
static void a_pause_before_the_first_run_keeps_what_is_undone(void **state)
{
	play(state, pause_before_the_first_run);
}

static void expect_closed(struct vhost_rig *rig, void *context)
{
	const struct vhost_inflight_area *area = &rig->server->inflight;
	struct inflight_progress progress;

	assert_false(inflight_read_progress(vhost_inflight_record(area, 0, RIG_QUEUE_SIZE),
					    RIG_QUEUE_SIZE, area->packed, &progress));
}

static void give_record_and_stop(struct scene *scene)
{
	struct error error;

	connect_first(scene);
	guest_start_ring(scene->guest, 0, true);
	guest_request(scene->guest, 0, 1, 1);
	guest_expect(scene->guest, 0, 1, 1);
	assert_done(vhost_client_enable_ring(scene->guest->client, 0, false, &error), &error);
	give_record(scene);
	stop_ring(scene, 0);
	rig_run(scene->rig, expect_closed, NULL);
}

/* Sent again while the ring is stopped, so that no record is attached to it at the stop. */
static void a_stop_closes_an_empty_record(void **state)
{
	play(state, give_record_and_stop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_replayed_request_is_taken_late),
		rig_test(a_stop_keeps_what_is_undone),
		rig_test(a_position_without_its_used_part_goes_on),
		rig_test(status_0_may_be_a_pause),
		rig_test(another_driver_takes_nothing_undone),
		rig_test(another_driver_after_status_0_takes_nothing_undone),
		rig_test(a_driver_that_was_not_started_takes_nothing_undone),
		rig_test(a_ring_of_another_size_takes_nothing_undone),
		rig_test(other_features_are_of_another_driver),
		rig_test(an_empty_record_is_not_of_another_driver),
		rig_test(a_reset_before_the_start_forgets),
		rig_test(a_position_before_the_first_run_tells_nothing),
		rig_test(features_after_status_0_are_of_another_driver),
		rig_test(a_run_without_a_record_makes_it_stale),
		rig_test(two_pauses_keep_what_is_undone),
		rig_test(a_pause_before_the_first_run_keeps_what_is_undone),
		rig_test(a_stop_closes_an_empty_record),
		rig_test(a_ring_that_shows_another_driver_takes_nothing_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
