// SPDX-License-Identifier: BSD-3-Clause
/*
 * What frontends of others do that the vhost-user specification leaves open, or that it does not
 * say: docs/frontends.md names them and their tests, most of which are here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <unistd.h>

#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"

/* Sends a message that is not answered, and waits until it was handled. */
static void tell(struct rig_guest *guest, struct raw_message message)
{
	uint8_t status;
	struct error error;

	assert_true(raw_send(vhost_client_fd(guest->client), &message));
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
}

/* DPDK gives the available index of a packed ring and leaves the used one at zero. */
static void used_index_is_left_out(struct rig_fixture *fixture, uint64_t features, uint32_t base)
{
	struct rig_guest *guest = &fixture->guest;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, features);
	for (uint16_t i = 0; i < 2; i++) {
		struct vhost_client_ring setup;
		struct error error;

		guest_clear_ring(guest, i);
		setup = guest_ring_setup(guest, i);
		setup.base = base;
		assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
	}
	/* Each goes several times round its ring. */
	guest_echo(guest, 0);
	guest_echo(guest, 1);
}

static void used_index_is_left_out_of_a_packed_base(void **state)
{
	used_index_is_left_out(*state, RIG_VERSION_1 | RIG_PACKED, 0x8000);
}

static void used_index_is_left_out_of_a_packed_base_with_event_index(void **state)
{
	used_index_is_left_out(*state, RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX, 0x8000);
}

/* The same with a record of requests in flight, in which nothing is. */
static void used_index_is_left_out_of_a_packed_base_with_a_record(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_inflight inflight;
	struct vhost_client_ring setup;
	struct error error;
	int fd;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1 | RIG_PACKED);
	assert_done(vhost_client_get_inflight(guest->client, RIG_QUEUES, RIG_QUEUE_SIZE, &inflight,
					      &fd, &error),
		    &error);
	assert_done(vhost_client_set_inflight(guest->client, &inflight, fd, &error), &error);
	close(fd);
	guest_clear_ring(guest, 0);
	setup = guest_ring_setup(guest, 0);
	setup.base = 0x8000;
	assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
	guest_echo(guest, 0);
}

static uint32_t ask_base(struct rig_guest *guest, uint16_t index)
{
	struct error error;
	uint32_t base = 0;

	assert_done(vhost_client_stop_ring(guest->client, index, &base, &error), &error);
	return base;
}

/* QEMU stops rings that were never enabled, and starts them where it is told that they are. */
static void a_ring_that_never_ran_is_where_it_was_put(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	static const uint32_t positions[] = {0x80008000, 0x80058005, 0x00050005, 0x00078005};
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1 | RIG_PACKED);
	for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
		tell(guest, raw_state(VHOST_USER_SET_VRING_BASE, 0, positions[i]));
		assert_int_equal(ask_base(guest, 0), positions[i]);
		assert_int_equal(ask_base(guest, 0), positions[i]);
	}
	/* Also when the features are told behind it, and after a reset. */
	assert_done(vhost_client_set_status(guest->client, 0, &error), &error);
	assert_int_equal(ask_base(guest, 0), positions[3]);
	tell(guest, raw_state(VHOST_USER_SET_VRING_BASE, 0, 7));
	assert_done(vhost_client_set_features(guest->client, RIG_VERSION_1, &error), &error);
	assert_int_equal(ask_base(guest, 0), 7);
	/* The position of a split ring is one number, whatever it ran as before. */
	guest->features = RIG_VERSION_1;
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
	assert_int_equal(ask_base(guest, 0), 3 * RIG_QUEUE_SIZE + RIG_QUEUE_SIZE / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(used_index_is_left_out_of_a_packed_base),
		rig_test(used_index_is_left_out_of_a_packed_base_with_event_index),
		rig_test(used_index_is_left_out_of_a_packed_base_with_a_record),
		rig_test(a_ring_that_never_ran_is_where_it_was_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
