// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process of a network interface under its supervisor, on the real process of a switch: each of
 * the processes is killed, stopped and started again, while a driver and another client of the
 * switch exchange frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/kit/device_type.h"
#include "host/service_link.h"
#include "service/channel/channel.h"
#include "service/switch/protocol.h"
#include "unit/member_rig.h"
#include "virtio/feature.h"

#define LIMIT_MS 30000

enum { RX, TX };

#define FEATURES                                                                    \
	(RIG_VERSION_1 | FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_STATUS) | \
	 FEATURE(VIRTIO_NET_F_MRG_RXBUF))

#define SLOTS	   16
#define SLOT_BYTES 2048
#define LENGTH	   100 /* of a frame */
#define NUMBERS	   4096

/* A frame with a number. */
struct numbered {
	struct virtio_net_hdr_v1 header;
	uint8_t to[6], from[6], type[2];
	uint8_t number[4];
	uint8_t rest[LENGTH - 18];
};

static struct member_rig rig;
static bool busy[SLOTS]; /* of the transmit queue */
static struct channel peer = {.socket = -1};
/* How often a frame with each number came, to the peer and to the driver. */
static unsigned int at_peer[NUMBERS], at_driver[NUMBERS];

static void start_service(void)
{
	member_rig_start_service(&rig, "service-switch", NULL);
}

/* The driver */

static uint64_t slot_address(uint16_t index, unsigned int slot)
{
	return GUEST_BUFFERS + (uint64_t)SLOT_BYTES * (index * SLOTS + slot);
}

static void give_buffer(unsigned int slot)
{
	const struct driver_buffer buffer = {guest_addr(slot_address(RX, slot)), SLOT_BYTES};

	assert_int_equal(driver_queue_add(&rig.guest.rings[RX].driver, &buffer, 0, 1,
					  (void *)(uintptr_t)(slot + 1)),
			 0);
	member_rig_kick(&rig, RX);
}

static struct numbered make_frame(unsigned int number)
{
	struct numbered frame = {.to = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
				 .from = {2, 0, 0, 0, 0, 1},
				 .type = {0x88, 0xb5}};

	memcpy(frame.number, &number, sizeof(number));
	return frame;
}

/* False: the queue is full. */
static bool transmit(unsigned int number)
{
	const struct numbered frame = make_frame(number);
	unsigned int slot = 0;

	while (slot < SLOTS && busy[slot])
		slot++;
	if (slot == SLOTS)
		return false;
	memcpy(guest_at(&rig.guest, slot_address(TX, slot)), &frame, sizeof(frame));
	assert_int_equal(
		driver_queue_add(&rig.guest.rings[TX].driver,
				 &(struct driver_buffer){guest_addr(slot_address(TX, slot)),
							 sizeof(frame)},
				 1, 0, (void *)(uintptr_t)(slot + 1)),
		0);
	busy[slot] = true;
	member_rig_kick(&rig, TX);
	return true;
}

static void count_frame(const void *bytes, unsigned int *counts)
{
	struct numbered frame;
	unsigned int number;

	memcpy(&frame, bytes, sizeof(frame));
	memcpy(&number, frame.number, sizeof(number));
	assert_true(number < NUMBERS);
	counts[number]++;
}

static void take_all(void)
{
	void *token;

	while ((token = member_rig_take(&rig, TX)))
		busy[(uintptr_t)token - 1] = false;
	while ((token = member_rig_take(&rig, RX))) {
		unsigned int slot = (unsigned int)((uintptr_t)token - 1);

		count_frame(guest_at(&rig.guest, slot_address(RX, slot)), at_driver);
		give_buffer(slot);
	}
}

/* The other client */

static void take_at_peer(void)
{
	struct channel_message message;
	struct numbered frame;

	while (peer.socket >= 0 && channel_receive(&peer, &message) > 0) {
		assert_int_equal(message.kind, SWITCH_FRAME);
		if (message.length == sizeof(frame)) {
			channel_span_read(&message.span, 0, &frame, sizeof(frame));
			count_frame(&frame, at_peer);
		}
		channel_consume(&peer);
	}
	if (peer.socket >= 0)
		channel_release(&peer);
}

static void join_peer(void)
{
	struct error error;
	int fd = service_link_join(rig.service_path, "peer", SERVICE_JOIN_MS, &error);

	assert_done(fd, &error);
	channel_close(&peer);
	assert_done(channel_accept(&peer, fd, &error), &error);
}

static void peer_send(unsigned int number)
{
	struct numbered frame = make_frame(number);

	frame.from[5] = 2;
	channel_send(&peer, SWITCH_FRAME, &frame, sizeof(frame));
	channel_publish(&peer);
}

/* All sides go on for a moment. */
static void turn(void)
{
	struct error error;

	assert_true(event_loop_turn(&rig.loop, 1) >= 0);
	take_at_peer();
	if (!rig.guest.client)
		return;
	take_all();
	assert_done(vhost_client_handle_backend(rig.guest.client, &error), &error);
}

#define await(condition) member_rig_await(condition, turn, LIMIT_MS)

static bool is_up(void)
{
	struct virtio_net_config space = {0};
	struct error error;

	assert_done(vhost_client_read_config(rig.guest.client, 0, &space,
					     offsetof(struct virtio_net_config, speed), &error),
		    &error);
	return space.status & VIRTIO_NET_S_LINK_UP;
}

/* A frame each way; until the device has met the switch, those sent are lost. */
static void pass_frames(unsigned int number)
{
	await(is_up());
	await((transmit(number), at_peer[number] > 0));
	await((peer_send(number), at_driver[number] > 0));
}

/* Connects a driver to the process. */
static void boot(void)
{
	memset(busy, 0, sizeof(busy));
	guest_connect(&rig.guest, &rig.address);
	guest_set_up(&rig.guest, FEATURES);
	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		guest_start_ring(&rig.guest, i, true);
	for (unsigned int i = 0; i < SLOTS; i++)
		give_buffer(i);
}

static void start_all(void)
{
	start_service();
	member_rig_start_device(&rig, "net");
	await(rig.ready);
	member_rig_find_device(&rig);
	boot();
	join_peer();
	pass_frames(0);
}

static int set_up(void **state)
{
	memset(at_peer, 0, sizeof(at_peer));
	memset(at_driver, 0, sizeof(at_driver));
	member_rig_make(&rig);
	return 0;
}

static int tear_down(void **state)
{
	channel_close(&peer);
	member_rig_remove(&rig);
	return 0;
}

/* The tests */

/* Killed again and again, at any moment, with frames under way: none comes twice. */
static void test_service_killed(void **state)
{
	unsigned int number = 100;

	start_all();
	for (unsigned int round = 0; round < 5; round++) {
		for (unsigned int i = 0; i < SLOTS; i++) {
			transmit(number);
			peer_send(number++);
		}
		for (unsigned int i = 0; i < round; i++)
			turn();
		member_rig_kill_service(&rig);
		await(!is_up());
		/* What is sent now is lost, and given back. */
		transmit(number++);
		await(!busy[0]);
		start_service();
		join_peer();
		pass_frames(1 + round);
	}
	for (unsigned int i = 100; i < number; i++) {
		assert_in_range(at_peer[i], 0, 1);
		assert_in_range(at_driver[i], 0, 1);
	}
	assert_int_equal(rig.restarted, 0);
}

/* A switch that stops: the driver's frames are lost, and nothing else happens. */
static void test_service_stops(void **state)
{
	start_all();
	kill(rig.service_pid, SIGSTOP);
	for (unsigned int i = 0; i < NUMBERS - 200; i++) {
		await(transmit(100 + i));
		if (i % 64 == 0)
			turn();
	}
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		await(!busy[slot]);
	assert_true(is_up());
	kill(rig.service_pid, SIGCONT);
	pass_frames(1);
	assert_int_equal(rig.restarted, 0);
}

static void test_device_killed(void **state)
{
	start_all();
	for (unsigned int round = 0; round < 3; round++) {
		unsigned int before = rig.restarted;

		for (unsigned int i = 0; i < 8; i++)
			transmit(100 + i);
		for (unsigned int i = 0; i < round; i++)
			turn();
		member_rig_kill_device(&rig);
		await(rig.restarted == before + 1);
		boot();
		/* It is a client under the name of the one before. */
		pass_frames(1 + round);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_service_killed),
		test(test_service_stops),
		test(test_device_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
