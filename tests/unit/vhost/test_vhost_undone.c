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

/* A guest whose ring 2 is of one format, and the record that it keeps. */
struct scene {
	struct vhost_rig *rig;
	struct rig_guest *guest;
	uint64_t features;
	struct vhost_inflight description;
	int record;
};

/* What the first driver's undone request has its answer written to: see guest_add. */
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

/* A process died with a request of ring 2 in its hands; the next one has the record. */
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

/* The driver is the one before: what was undone is done, and then what comes. */
static void expect_all(struct scene *scene)
{
	answer_next(scene, 0, 10);
	guest_add(scene->guest, 2, 1, 20);
	answer_next(scene, 1, 20);
}

/*
 * Another driver begins, with a request in its ring before that starts, so that the ring does not
 * show whose requests are in the record. Nothing is done but what it asks for.
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

/* With split and packed rings, each on a connection of its own. */
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

/*
 * What a process that died had taken is no position of the ring, but taking it again is progress.
 */
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

/* A pause (GET_VRING_BASE) skips nothing of it: the run that goes on takes it first. */
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

/* Some frontends give back the available part of the position alone. */
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

/* QEMU pauses a guest by both: up to 7.2 in one order, and since 8.0 in the other. */
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

/* Another driver sets the ring up: what is undone was the business of the one before. */
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

/* A second position is asked for, of a driver whose ring never ran. */
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
	/* Or larger, while it rests. */
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

/* Features that change tell of another driver, whatever position it starts at. */
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

/* Nor is the position of a record in which nothing is in flight. */
static void an_empty_record_is_not_of_another_driver(void **state)
{
	play(state, change_features_of_an_idle_ring);
}

static void reset_before_the_start(struct scene *scene)
{
	leave_undone(scene);
	set_status_0(scene);
	set_up_again(scene);
	/* Behind the two requests, of two descriptors each, and with the ring as it was. */
	scene->guest->rings[2].base = scene->features & RIG_PACKED ? 0x80048004 : 2;
	guest_start_ring(scene->guest, 2, false);
	expect_nothing_undone(scene);
}

/* Reset before any ring started, with a record that a process left which died. */
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

/* The record knows where the ring stands, and what the frontend takes for it does not count. */
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
 * The process dies again before another driver starts: the next one knows nothing of any run, but
 * sees that the ring has never had these requests.
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

/* Features may change behind status 0, too, and ring and position be the same by chance. */
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

/* The record comes back behind a run that it knows nothing of. */
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

/* The set-up between two pauses does not come to an end. */
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

/* Set up and waiting for memory, or for what an IOMMU translates, when it is paused. */
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

/* Given anew while the ring rests, so that no ring is attached to it at the stop. */
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
