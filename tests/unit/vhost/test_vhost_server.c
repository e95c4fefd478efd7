// SPDX-License-Identifier: BSD-3-Clause
/* Tests of src/vhost/server.c, server_messages.c and ring.c: what a frontend sees. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "vhost/server_private.h"

static void split_ring_works(void **state)
{
	struct rig_fixture *fixture = *state;

	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(&fixture->guest, 0);
	guest_echo(&fixture->guest, 1);
}

static void split_ring_works_with_event_index(void **state)
{
	struct rig_fixture *fixture = *state;

	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1 | RIG_EVENT_INDEX);
	guest_echo(&fixture->guest, 0);
	guest_echo(&fixture->guest, 1);
}

static void packed_ring_works(void **state)
{
	struct rig_fixture *fixture = *state;

	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1 | RIG_PACKED);
	guest_echo(&fixture->guest, 0);
	guest_echo(&fixture->guest, 1);
}

static void packed_ring_works_with_event_index(void **state)
{
	struct rig_fixture *fixture = *state;

	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX);
	guest_echo(&fixture->guest, 0);
	guest_echo(&fixture->guest, 1);
}

static void negotiation_is_honest(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	uint8_t status = 0xff;
	struct error error;

	guest_connect(guest, &fixture->rig);
	assert_int_equal(vhost_client_features(guest->client),
			 (virtio_core_features & ~(UINT64_C(1) << VIRTIO_F_RING_RESET)) |
				 RIG_DEVICE_FEATURE | RIG_PLATFORM);
	assert_int_equal(vhost_client_queue_count(guest->client), RIG_QUEUES);
	for (unsigned int bit = 0; bit < 64; bit++)
		assert_int_equal(vhost_client_has(guest->client, bit),
				 vhost_protocol_features >> bit & 1);
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
	assert_int_equal(status, 0);
	/* A bit that was not offered. */
	assert_int_equal(vhost_client_set_features(guest->client, RIG_VERSION_1 | 1 << 5, &error),
			 -EIO);
	assert_true(rig_logged(&fixture->rig, "SET_FEATURES"));
}

static void status_follows_the_driver(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	uint8_t status = 0;
	struct error error;

	guest_connect(guest, &fixture->rig);
	assert_done(vhost_client_set_status(guest->client, 1, &error), &error);
	assert_done(vhost_client_set_status(guest->client, 3, &error), &error);
	guest_set_up(guest, RIG_VERSION_1);
	assert_done(vhost_client_set_status(guest->client, 11, &error), &error);
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
	assert_int_equal(status, 11);
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
	assert_done(vhost_client_set_status(guest->client, 15, &error), &error);
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
	assert_int_equal(status, 15);

	/*
	 * A reset stops the rings; the guest then sets up everything again, with its memory still
	 * there.
	 */
	assert_done(vhost_client_set_status(guest->client, 0, &error), &error);
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
	assert_int_equal(status, 0);
	guest_request(guest, 0, 0, 1);
	guest_expect_nothing(guest, 0);
	assert_done(vhost_client_set_features(guest->client, RIG_VERSION_1, &error), &error);
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
}

static void reset_device_resets(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	unsigned int resets;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PACKED);
	guest_echo(guest, 1);
	resets = fixture->rig.test.resets;
	assert_done(vhost_client_reset(guest->client, &error), &error);
	assert_int_equal(fixture->rig.test.resets, resets + 1);
	assert_done(vhost_client_set_features(guest->client, RIG_VERSION_1, &error), &error);
	guest->features = RIG_VERSION_1;
	guest_start_ring(guest, 1, true);
	guest_echo(guest, 1);
}

static void config_space(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	uint8_t bytes[RIG_CONFIG_SIZE + 300];
	struct error error;

	guest_connect(guest, &fixture->rig);
	memset(bytes, 0xff, sizeof(bytes));
	assert_done(vhost_client_read_config(guest->client, 4, bytes, sizeof(bytes), &error),
		    &error);
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], i + 4 < RIG_CONFIG_SIZE ? i + 4 : 0);
	assert_done(vhost_client_write_config(guest->client, 2, "ab", 2, &error), &error);
	assert_done(vhost_client_read_config(guest->client, 0, bytes, 6, &error), &error);
	assert_memory_equal(bytes,
			    "\x00\x01"
			    "ab"
			    "\x04\x05",
			    6);
	/* A write to a read-only part is rejected, and the connection stays. */
	assert_int_equal(vhost_client_write_config(guest->client, 8, "x", 1, &error), -EIO);
	assert_int_equal(vhost_client_write_config(guest->client, 0xfffffff0, "x", 1, &error),
			 -EIO);
	assert_done(vhost_client_read_config(guest->client, 8, bytes, 1, &error), &error);
	assert_int_equal(bytes[0], 8);
}

static void change_config(struct vhost_rig *rig, void *context)
{
	rig->test.config[20] = 99;
	virtio_device_config_changed(&rig->test.device);
}

static void config_change_is_told(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;

	guest_connect(guest, &fixture->rig);
	rig_run(&fixture->rig, change_config, NULL);
	guest_wait_backend(guest, &guest->config_changes, 1);
	assert_int_equal(guest->config_changes, 1);
}

static void early_kick_is_not_lost(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	const uint64_t one = 1;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1);
	guest_clear_ring(guest, 0);
	guest_add(guest, 0, 0, 5);
	assert_int_equal(write(guest->rings[0].kick_fd, &one, sizeof(one)), sizeof(one));
	guest_start_ring(guest, 0, false);
	guest_expect(guest, 0, 0, 5);
	/* Even a kick that another process has read. */
	guest_clear_ring(guest, 1);
	guest_add(guest, 1, 0, 6);
	guest_start_ring(guest, 1, false);
	guest_expect(guest, 1, 0, 6);
}

static void disabled_ring_waits(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PACKED);
	guest_echo(guest, 0);
	assert_done(vhost_client_enable_ring(guest->client, 0, false, &error), &error);
	guest_request(guest, 0, 3, 7);
	guest_expect_nothing(guest, 0);
	guest_echo(guest, 1);
	assert_done(vhost_client_enable_ring(guest->client, 0, true, &error), &error);
	guest_expect(guest, 0, 3, 7);
	guest_echo(guest, 0);
}

/* Stop, and start again at the returned position, as for a paused guest. */
static void stop_and_continue(struct rig_fixture *fixture, uint64_t features)
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_boot(guest, &fixture->rig, features);
	for (unsigned int round = 0; round < 5; round++) {
		guest_echo(guest, 0);
		/* The stop completes the requests that the device holds. */
		fixture->rig.test.hold = HOLD_ALL;
		guest_request(guest, 0, 1, round);
		guest_request(guest, 0, 2, round);
		rig_wait_held(&fixture->rig, 2);
		assert_done(vhost_client_stop_ring(guest->client, 0, &guest->rings[0].base, &error),
			    &error);
		guest_request(guest, 0, 3, round);
		fixture->rig.test.hold = HOLD_NONE;
		guest_start_ring(guest, 0, false);
		guest_expect(guest, 0, 1, round);
		guest_expect(guest, 0, 2, round);
		guest_expect(guest, 0, 3, round);
	}
	guest_echo(guest, 0);
}

static void split_ring_continues(void **state)
{
	stop_and_continue(*state, RIG_VERSION_1);
}

static void packed_ring_continues(void **state)
{
	stop_and_continue(*state, RIG_VERSION_1 | RIG_PACKED);
}

/* QEMU 7.2 resets the status before it asks for the positions of the rings. */
static void pause_of_qemu(struct rig_fixture *fixture, uint64_t features)
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_boot(guest, &fixture->rig, features);
	for (unsigned int round = 0; round < 3; round++) {
		guest_echo(guest, 0);
		assert_done(vhost_client_set_status(guest->client, 0, &error), &error);
		assert_done(vhost_client_enable_ring(guest->client, 0, false, &error), &error);
		guest_request(guest, 0, 3, round);
		assert_done(vhost_client_stop_ring(guest->client, 0, &guest->rings[0].base, &error),
			    &error);
		assert_done(vhost_client_set_features(guest->client, features, &error), &error);
		guest_start_ring(guest, 0, false);
		guest_expect(guest, 0, 3, round);
	}
	guest_echo(guest, 0);
}

static void split_ring_survives_a_pause_of_qemu(void **state)
{
	pause_of_qemu(*state, RIG_VERSION_1);
}

static void packed_ring_survives_a_pause_of_qemu(void **state)
{
	pause_of_qemu(*state, RIG_VERSION_1 | RIG_PACKED);
}

static void memory_changes_under_running_rings(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(guest, 0);
	fixture->rig.test.hold = HOLD_ALL;
	guest_request(guest, 0, 1, 1);
	rig_wait_held(&fixture->rig, 1);
	/* The region of the rings is removed and added, as when a monitor changes its size. */
	assert_done(vhost_client_remove_memory(guest->client, &guest->regions[0].region, &error),
		    &error);
	fixture->rig.test.hold = HOLD_NONE;
	guest_expect(guest, 0, 1, 1);
	guest_request(guest, 0, 2, 2);
	guest_expect_nothing(guest, 0);
	assert_done(vhost_client_add_memory(guest->client, &guest->regions[0], &error), &error);
	guest_expect(guest, 0, 2, 2);
	guest_echo(guest, 0);
	/* Unknown ones cannot be removed. */
	guest->regions[0].region.size++;
	assert_int_equal(
		vhost_client_remove_memory(guest->client, &guest->regions[0].region, &error), -EIO);
	assert_true(rig_logged(&fixture->rig, "REM_MEM_REG"));
}

/* Sends a message like old frontends, and waits until it was handled. */
static void send_plain(struct rig_guest *guest, const struct raw_message *message)
{
	uint8_t status;
	struct error error;

	assert_true(raw_send(vhost_client_fd(guest->client), message));
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
}

static void memory_table_replaces_all(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_memory_table table = {
		.count = 2,
		.regions = {guest->regions[1].region, guest->regions[0].region},
	};
	struct raw_message message = raw_message(VHOST_USER_SET_MEM_TABLE, &table, 8 + 2 * 32);
	struct error error;
	uint8_t status;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PACKED);
	raw_add_fd(&message, guest->fd);
	raw_add_fd(&message, guest->fd);
	for (unsigned int i = 0; i < 3; i++) {
		guest_echo(guest, 0);
		send_plain(guest, &message);
	}
	guest_echo(guest, 0);
	/* An empty table removes all memory; the rings wait. */
	message = raw_message(VHOST_USER_SET_MEM_TABLE, &(uint64_t){0}, 8);
	send_plain(guest, &message);
	guest_request(guest, 0, 1, 1);
	guest_expect_nothing(guest, 0);
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
}

/* Frontends that do not know bit 30: no protocol features, and rings are enabled at once. */
static void rings_of_old_frontends_start_enabled(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_client_ring ring;
	struct raw_message messages[6];
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1);
	guest_clear_ring(guest, 0);
	ring = guest_ring_setup(guest, 0);
	/* Without the bit, instead of what guest_set_up sent. */
	messages[0] = raw_number(VHOST_USER_SET_FEATURES, RIG_VERSION_1);
	messages[1] = raw_state(VHOST_USER_SET_VRING_NUM, 0, RIG_QUEUE_SIZE);
	messages[2] = raw_state(VHOST_USER_SET_VRING_BASE, 0, 0);
	messages[3] = raw_message(VHOST_USER_SET_VRING_ADDR,
				  &(struct vhost_vring_addr){
					  .desc_user_addr = ring.descriptors,
					  .avail_user_addr = ring.driver,
					  .used_user_addr = ring.device,
				  },
				  sizeof(struct vhost_vring_addr));
	messages[4] = raw_number(VHOST_USER_SET_VRING_CALL, 0);
	raw_add_fd(&messages[4], guest->rings[0].call_fd);
	messages[5] = raw_number(VHOST_USER_SET_VRING_KICK, 0);
	raw_add_fd(&messages[5], guest->rings[0].kick_fd);
	for (size_t i = 0; i < 6; i++)
		send_plain(guest, &messages[i]);
	guest_echo(guest, 0);
	/* Some enable and disable rings nevertheless. */
	assert_done(vhost_client_enable_ring(guest->client, 0, false, &error), &error);
	guest_request(guest, 0, 1, 1);
	guest_expect_nothing(guest, 0);
	assert_done(vhost_client_enable_ring(guest->client, 0, true, &error), &error);
	guest_expect(guest, 0, 1, 1);
}

static void simple_messages_are_answered(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct raw_message message, reply;
	int fd;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	fd = vhost_client_fd(guest->client);
	message = raw_message(VHOST_USER_GET_MAX_MEM_SLOTS, NULL, 0);
	assert_true(raw_send(fd, &message));
	assert_true(raw_receive(fd, &reply));
	assert_int_equal(reply.payload.number, GUEST_MEMORY_REGIONS_MAX);
	/* Deprecated, acknowledged, and without effect. */
	message = raw_message(VHOST_USER_RESET_OWNER, NULL, 0);
	message.flags |= VHOST_FLAG_NEED_REPLY;
	assert_true(raw_send(fd, &message));
	assert_true(raw_receive(fd, &reply));
	assert_int_equal(reply.id, VHOST_USER_RESET_OWNER);
	assert_int_equal(reply.payload.number, 0);
	guest_echo(guest, 0);
	/* A packed structure is four bytes shorter, and so is its reply. */
	message = raw_message(VHOST_USER_GET_INFLIGHT_FD,
			      &(struct vhost_inflight){.queue_count = 1, .queue_size = 8}, 20);
	assert_true(raw_send(fd, &message));
	assert_true(raw_receive(fd, &reply));
	assert_int_equal(reply.size, 20);
	assert_int_equal(reply.fd_count, 1);
	raw_close_fds(&reply);
}

static void polls_without_kick_descriptor(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_client_ring setup;
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1);
	guest_clear_ring(guest, 0);
	setup = guest_ring_setup(guest, 0);
	setup.kick_fd = -1;
	assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
	for (unsigned int i = 0; i < 20; i++) {
		guest_add(guest, 0, i, i);
		guest_expect(guest, 0, i, i);
		usleep(2000);
	}
}

/* A driver without interrupts polls the ring. */
static void works_without_call_descriptor(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_client_ring setup;
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1);
	guest_clear_ring(guest, 0);
	setup = guest_ring_setup(guest, 0);
	setup.call_fd = -1;
	assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
	guest_request(guest, 0, 4, 4);
	while (!driver_queue_has_used(&guest->rings[0].driver))
		usleep(100);
	guest_expect(guest, 0, 4, 4);
}

/* QEMU sends the descriptor that reaches the guest when the ring already runs. */
static void a_new_call_descriptor_is_signalled(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct pollfd call = {.fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN};
	struct vhost_client_ring setup;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(guest, 0);
	/* The ring has run since the message before the one with the descriptor. */
	setup = guest_ring_setup(guest, 0);
	setup.base = guest_position(guest, 0);
	setup.call_fd = call.fd;
	assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
	assert_int_equal(poll(&call, 1, 2000), 1);
	close(call.fd);
}

/*
 * vhost-user has no message for the reset of one queue: QEMU 7.2 would pass the bit on and do
 * nothing.
 */
static void ring_reset_is_not_offered(void **state)
{
	struct rig_fixture *fixture = *state;

	guest_connect(&fixture->guest, &fixture->rig);
	assert_int_equal(fixture->rig.test.device.offered >> VIRTIO_F_RING_RESET & 1, 0);
}

/* Fills a counter, so that late interrupts do not matter. */
static void fill_counter(int fd)
{
	const uint64_t full = UINT64_MAX - 1;
	uint64_t value;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (write(fd, &full, sizeof(full)) < 0)
		assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
}

static void full_call_counter_blocks_nobody(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	uint64_t value;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(guest, 0);
	fill_counter(guest->rings[0].call_fd);
	guest_request(guest, 0, 1, 1);
	while (!driver_queue_has_used(&guest->rings[0].driver))
		usleep(100);
	guest_expect(guest, 0, 1, 1);
	guest_echo(guest, 1);
	assert_int_equal(read(guest->rings[0].call_fd, &value, sizeof(value)), sizeof(value));
	guest_echo(guest, 0);
}

static void see_sleeps(struct vhost_rig *rig, void *context)
{
	*(uint64_t *)context = rig->loop.sleeps;
}

static void requests_left_in_the_ring_cost_nothing(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	uint64_t before, after;
	unsigned int looks;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	for (unsigned int i = 0; i < 10; i++)
		guest_request(guest, 2, i, i);
	guest_echo(guest, 0);
	guest_expect_nothing(guest, 2);
	rig_run(&fixture->rig, see_sleeps, &before);
	looks = fixture->rig.test.looks;
	usleep(100000);
	/* The device has seen them and left them: it must not wake up for them. */
	assert_int_equal(fixture->rig.test.looks, looks);
	rig_run(&fixture->rig, see_sleeps, &after);
	assert_true(after - before <= 3);
	for (unsigned int i = 0; i < 10; i++) {
		rig_nudge(&fixture->rig);
		guest_expect(guest, 2, i, i);
	}
	/* The ring was empty: the next request comes with a kick, and the device sees it. */
	looks = fixture->rig.test.looks;
	usleep(10000);
	guest_request(guest, 2, 1, 1);
	for (int i = 0; i < 1000 && fixture->rig.test.looks == looks; i++)
		usleep(1000);
	assert_true(fixture->rig.test.looks > looks);
	rig_nudge(&fixture->rig);
	guest_expect(guest, 2, 1, 1);
}

/* Restarts ring 2 and takes its requests, before the loop looks at it again. */
static void restart_and_take(struct vhost_rig *rig, void *context)
{
	struct virtqueue *queue = &rig->test.queues[2];
	struct virtio_request *request;
	struct error error;

	(void)context;
	vhost_ring_pause(&rig->server->rings[2]);
	assert_int_equal(vhost_ring_update(&rig->server->rings[2], false, &error), 0);
	while ((request = virtqueue_pop(queue)))
		virtqueue_push(queue, request);
}

/* The device sees the requests in ring 2 once more. */
static void expect_look(struct vhost_rig *rig)
{
	unsigned int looks = rig->test.looks;

	vhost_ring_poll(&rig->server->rings[2]);
	assert_int_equal(rig->test.looks, looks + 1);
}

/*
 * Takes requests until the ring is at the position where the device left one, and leaves one again.
 */
static void come_round(struct vhost_rig *rig, void *context)
{
	struct virtqueue *queue = &rig->test.queues[2];
	struct rig_guest *guest = context;
	/* Two slots per request; a split ring's index has 16 bits. */
	unsigned int count = guest->features & RIG_PACKED ? RIG_QUEUE_SIZE : 1u << 16;
	uint32_t written;
	int broken = 0;

	vhost_ring_poll(&rig->server->rings[2]);
	assert_true(rig->server->rings[2].declined);
	for (unsigned int i = 0; i < count; i++) {
		virtqueue_push(queue, virtqueue_pop(queue));
		assert_non_null(driver_queue_take(&guest->rings[2].driver, &written, &broken));
		guest_add(guest, 2, 0, 0);
	}
	expect_look(rig);
}

static void a_ring_comes_round_to_what_was_left(void **state)
{
	static const uint64_t features[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_PACKED};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct rig_fixture *fixture = *state;
		struct rig_guest *guest = &fixture->guest;

		guest_boot(guest, &fixture->rig, features[i] | RIG_DEVICE_FEATURE);
		guest_add(guest, 2, 0, 0);
		rig_run(&fixture->rig, come_round, guest);
		guest_disconnect(guest);
		assert_true(rig_wait_idle(&fixture->rig));
	}
}

static void kicks_are_wanted_from_where_the_ring_stands(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	unsigned int looks;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_EVENT_INDEX | RIG_DEVICE_FEATURE);
	for (unsigned int i = 0; i < 10; i++)
		guest_request(guest, 2, i, i);
	usleep(10000);
	rig_run(&fixture->rig, restart_and_take, NULL);
	usleep(10000);
	looks = fixture->rig.test.looks;
	guest_request(guest, 2, 11, 11);
	for (int i = 0; i < 1000 && fixture->rig.test.looks == looks; i++)
		usleep(1000);
	assert_true(fixture->rig.test.looks > looks);
}

/* An area at the end of the address space must not wrap, or an invalidation would miss it. */
static void a_ring_at_the_end_is_touched(void **state)
{
	const uint64_t last_page = UINT64_MAX - 4095;
	struct vhost_ring ring = {.size = 1024, .address_set = true};

	(void)state;
	ring.address.avail_user_addr = last_page;
	assert_true(vhost_ring_touches(&ring, last_page, UINT64_MAX));
	assert_false(vhost_ring_touches(&ring, last_page - 4096, last_page - 1));
}

/* A request that arrives while the loop goes to sleep, when it asks for no kick. */
static void add_before_sleep(struct vhost_rig *rig, void *context)
{
	struct rig_guest *guest = context;
	struct vhost_ring *ring = &rig->server->rings[0];
	int timeout_ms = -1;

	virtqueue_disable_kicks(ring->queue);
	guest_add(guest, 0, 1, 1);
	assert_false(driver_queue_kick_wanted(&guest->rings[0].driver));
	assert_true(vhost_ring_prepare(ring, &timeout_ms));
	assert_int_equal(timeout_ms, -1);
}

static void requests_are_seen_before_sleep(void **state)
{
	struct rig_fixture *fixture = *state;

	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(&fixture->guest, 0);
	rig_run(&fixture->rig, add_before_sleep, &fixture->guest);
	guest_expect(&fixture->guest, 0, 1, 1);
}

static void idle_server_sleeps(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	uint64_t before, after;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_EVENT_INDEX);
	guest_echo(guest, 0);
	usleep(10000);
	rig_run(&fixture->rig, see_sleeps, &before);
	usleep(200000);
	rig_run(&fixture->rig, see_sleeps, &after);
	/* One for each of the two requests, and one more for the first kick of a window. */
	assert_true(after - before <= 3);
}

static void fault_is_reported_and_reset_repairs(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct driver_buffer outside = {{0x42}, 1};
	uint8_t status = 0;
	uint64_t value = 0;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(guest, 0);
	assert_int_equal(driver_queue_add(&guest->rings[0].driver, &outside, 1, 0, &outside), 0);
	guest_request(guest, 0, 1, 1);
	assert_true(rig_logged(&fixture->rig, "queue 0: "));
	guest_wait_backend(guest, &guest->config_changes, 1);
	assert_int_equal(read(guest->rings[0].err_fd, &value, sizeof(value)), sizeof(value));
	assert_int_equal(read(guest->rings[1].err_fd, &value, sizeof(value)), -1);
	assert_done(vhost_client_get_status(guest->client, &status, &error), &error);
	assert_true(status & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* Nothing works any more, on any queue, until a reset. */
	guest_request(guest, 1, 1, 1);
	guest_expect_nothing(guest, 1);
	assert_done(vhost_client_set_status(guest->client, 0, &error), &error);
	assert_done(vhost_client_set_features(guest->client, RIG_VERSION_1, &error), &error);
	for (uint16_t i = 0; i < 2; i++) {
		guest_start_ring(guest, i, true);
		guest_echo(guest, i);
	}
}

/* Without STATUS, a driver that starts again is recognised by its features. */
static void fault_is_repaired_by_renegotiation(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct driver_buffer outside = {{0x42}, 1};
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_int_equal(driver_queue_add(&guest->rings[0].driver, &outside, 1, 0, &outside), 0);
	guest_request(guest, 0, 1, 1);
	assert_true(rig_logged(&fixture->rig, "queue 0: "));
	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		assert_done(vhost_client_stop_ring(guest->client, i, NULL, &error), &error);
	assert_done(vhost_client_set_features(guest->client, RIG_VERSION_1, &error), &error);
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
}

static void faults_do_not_flood_the_log(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct driver_buffer outside = {{0x42}, 1};
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1);
	for (unsigned int i = 0; i < 200; i++) {
		uint8_t status = 0;

		guest_start_ring(guest, 0, true);
		assert_int_equal(
			driver_queue_add(&guest->rings[0].driver, &outside, 1, 0, &outside), 0);
		guest_request(guest, 0, 1, 1);
		while (!(status & VIRTIO_CONFIG_S_NEEDS_RESET))
			assert_done(vhost_client_get_status(guest->client, &status, &error),
				    &error);
		assert_done(vhost_client_set_status(guest->client, 0, &error), &error);
		assert_done(vhost_client_set_features(guest->client, RIG_VERSION_1, &error),
			    &error);
		assert_done(vhost_client_handle_backend(guest->client, &error), &error);
	}
	assert_in_range(rig_count_lines(&fixture->rig), 1, 40);
}

static void second_connection_waits(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;
	int other;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	other = vhost_client_connect(fixture->rig.path, 1000, &error);
	assert_done(other, &error);
	guest_echo(guest, 0);
	guest_disconnect(guest);
	guest->client = vhost_client_new(other, 5000, &error);
	assert_non_null(guest->client);
	assert_done(vhost_client_negotiate(guest->client, &guest->ops, guest, &error), &error);
	guest_set_up(guest, RIG_VERSION_1 | RIG_PACKED);
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
}

static void reconnects_a_hundred_times(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;

	for (unsigned int i = 0; i < 100; i++) {
		guest_boot(guest, &fixture->rig, RIG_VERSION_1 | (i % 2 ? RIG_PACKED : 0));
		guest_request(guest, 0, 1, i);
		guest_expect(guest, 0, 1, i);
		if (i % 3 == 0)
			guest_request(guest, 1, 1, i);
		guest_disconnect(guest);
	}
}

static void serves_one_connection(void **state)
{
	struct vhost_rig rig;
	struct rig_guest guest;
	struct error error;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	rig_start(&rig, pair[0]);
	guest_create(&guest);
	guest.client = vhost_client_new(pair[1], 5000, &error);
	assert_done(vhost_client_negotiate(guest.client, NULL, NULL, &error), &error);
	assert_false(vhost_client_has(guest.client, VHOST_PROTOCOL_BACKEND_REQ));
	guest_set_up(&guest, RIG_VERSION_1);
	guest_start_ring(&guest, 0, true);
	guest_echo(&guest, 0);
	guest_disconnect(&guest);
	assert_int_equal(rig_join(&rig), 0);
	guest_destroy(&guest);
	rig_stop(&rig);
}

static void wrong_sockets_are_refused(void **state)
{
	struct rig_fixture *fixture = *state;
	struct error error;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vhost_server_listen(fixture->rig.server, pair[0], &error), -EINVAL);
	assert_true(error.usage);
	close(pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vhost_server_serve(fixture->rig.server, pair[0], &error), -EINVAL);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(split_ring_works),
		rig_test(split_ring_works_with_event_index),
		rig_test(packed_ring_works),
		rig_test(packed_ring_works_with_event_index),
		rig_test(negotiation_is_honest),
		rig_test(status_follows_the_driver),
		rig_test(reset_device_resets),
		rig_test(config_space),
		rig_test(config_change_is_told),
		rig_test(early_kick_is_not_lost),
		rig_test(disabled_ring_waits),
		rig_test(split_ring_continues),
		rig_test(packed_ring_continues),
		rig_test(split_ring_survives_a_pause_of_qemu),
		rig_test(packed_ring_survives_a_pause_of_qemu),
		rig_test(memory_changes_under_running_rings),
		rig_test(memory_table_replaces_all),
		rig_test(rings_of_old_frontends_start_enabled),
		rig_test(simple_messages_are_answered),
		rig_test(polls_without_kick_descriptor),
		rig_test(works_without_call_descriptor),
		rig_test(a_new_call_descriptor_is_signalled),
		rig_test(ring_reset_is_not_offered),
		rig_test(full_call_counter_blocks_nobody),
		rig_test(requests_left_in_the_ring_cost_nothing),
		rig_test(a_ring_comes_round_to_what_was_left),
		rig_test(kicks_are_wanted_from_where_the_ring_stands),
		cmocka_unit_test(a_ring_at_the_end_is_touched),
		rig_test(requests_are_seen_before_sleep),
		rig_test(idle_server_sleeps),
		rig_test(fault_is_reported_and_reset_repairs),
		rig_test(fault_is_repaired_by_renegotiation),
		rig_test(faults_do_not_flood_the_log),
		rig_test(second_connection_waits),
		rig_test(reconnects_a_hundred_times),
		rig_test(wrong_sockets_are_refused),
		cmocka_unit_test(serves_one_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
