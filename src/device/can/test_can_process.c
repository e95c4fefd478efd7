// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process of a CAN controller under its supervisor, on the bus of a real service and on one
 * that lies: each of the processes is killed, stopped and started again, while a driver and another
 * client of the bus exchange frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/can/bus.h"
#include "device/can/test_can_liar.h"
#include "host/service_link.h"
#include "service/can_bus/client.h"
#include "unit/member_rig.h"
#include "virtio/feature.h"

#define LIMIT_MS 30000

#define TX	 VIRTIO_CAN_QUEUE_TX
#define RX	 VIRTIO_CAN_QUEUE_RX
#define CONTROL	 VIRTIO_CAN_QUEUE_CONTROL
#define FEATURES                                                                            \
	(RIG_VERSION_1 | FEATURE(VIRTIO_CAN_F_CAN_CLASSIC) | FEATURE(VIRTIO_CAN_F_CAN_FD) | \
	 FEATURE(VIRTIO_CAN_F_RTR_FRAMES) | FEATURE(VIRTIO_CAN_F_LATE_TX_ACK))

/* Each frame takes two descriptors of the Txq. */
#define FRAMES	(RIG_QUEUE_SIZE / 2)
#define NUMBERS 256 /* of frames in a test */
#define PENDING 0xff

struct message {
	struct virtio_can_head head;
	uint8_t data[CAN_DATA_MAX];
};

static struct member_rig rig;

/* The driver: results of frames by slot, what it received, the result of a control request. */
static struct vhost_inflight description;
static int record;
static unsigned int waiting;
static uint8_t results[FRAMES], control_result;
static struct message received[NUMBERS];
static unsigned int received_count;

/* The other client of the bus: how often it got the frame with each number. */
static struct can_bus_client peer;
static unsigned int peer_started, peer_sent, seen[NUMBERS];
static struct can_bus_frame peer_last;

/* Processes */

/* Starts the bus; with @argument, if it is not NULL. */
static void start_service(const char *argument)
{
	member_rig_start_service(&rig, "service-can-bus", argument);
}

/* The driver */

static struct message *message_at(uint16_t index, unsigned int slot)
{
	return guest_at(&rig.guest, GUEST_BUFFERS + 0x4000 * index + sizeof(struct message) * slot);
}

static void give_buffer(unsigned int slot)
{
	const struct driver_buffer buffer = {
		guest_addr(GUEST_BUFFERS + 0x4000 * RX + sizeof(struct message) * slot),
		sizeof(struct message),
	};

	assert_int_equal(driver_queue_add(&rig.guest.rings[RX].driver, &buffer, 0, 1,
					  (void *)(uintptr_t)(slot + 1)),
			 0);
	member_rig_kick(&rig, RX);
}

/* Sends a message of @length bytes of data, with a number in it; its slot is free. */
static void send_message(unsigned int slot, unsigned int number, uint32_t id, uint32_t flags,
			 uint8_t length)
{
	const uint32_t data = flags & VIRTIO_CAN_FLAGS_RTR ? 0 : length;
	const struct driver_buffer buffers[2] = {
		{guest_addr(GUEST_BUFFERS + 0x4000 * TX + sizeof(struct message) * slot),
		 (uint32_t)sizeof(struct virtio_can_head) + data},
		{guest_addr(GUEST_HIGH + slot), 1},
	};
	struct message *message = message_at(TX, slot);

	*message = (struct message){
		.head = {.msg_type = VIRTIO_CAN_TX, .length = length, .flags = flags, .can_id = id},
		.data = {(uint8_t)number},
	};
	results[slot] = PENDING;
	assert_int_equal(driver_queue_add(&rig.guest.rings[TX].driver, buffers, 1, 1,
					  (void *)(uintptr_t)(slot + 1)),
			 0);
	waiting++;
	member_rig_kick(&rig, TX);
}

static void request(uint16_t type)
{
	const uint64_t at = GUEST_BUFFERS + 0x4000 * CONTROL;
	const struct driver_buffer buffers[2] = {{guest_addr(at), sizeof(type)},
						 {guest_addr(GUEST_HIGH + 0x1000), 1}};

	memcpy(guest_at(&rig.guest, at), &type, sizeof(type));
	control_result = PENDING;
	assert_int_equal(
		driver_queue_add(&rig.guest.rings[CONTROL].driver, buffers, 1, 1, &rig.guest), 0);
	member_rig_kick(&rig, CONTROL);
}

static void take_answers(void)
{
	void *token;

	while ((token = member_rig_take(&rig, TX))) {
		unsigned int slot = (uintptr_t)token - 1;

		assert_int_equal(results[slot], PENDING);
		results[slot] = *(uint8_t *)guest_at(&rig.guest, GUEST_HIGH + slot);
		assert_in_range(results[slot], 0, 1);
		waiting--;
	}
	while ((token = member_rig_take(&rig, RX))) {
		unsigned int slot = (uintptr_t)token - 1;

		assert_true(received_count < NUMBERS);
		received[received_count++] = *message_at(RX, slot);
		give_buffer(slot);
	}
	if (member_rig_take(&rig, CONTROL))
		control_result = *(uint8_t *)guest_at(&rig.guest, GUEST_HIGH + 0x1000);
}

/* The other client */

static void on_peer_started(void *context)
{
	peer_started++;
}

static void on_peer_sent(void *context, uint32_t tag, bool success)
{
	peer_sent += success;
}

static void on_peer_received(void *context, const struct can_bus_received *message)
{
	peer_last = message->frame;
	seen[message->frame.data[0]]++;
}

static void on_nothing(void *context)
{
}

static const struct can_bus_client_ops peer_ops = {on_peer_started, on_nothing, on_nothing,
						   on_peer_sent, on_peer_received};

/* All sides go on for a moment. */
static void turn(void)
{
	struct error error;
	bool unblocked;

	assert_true(event_loop_turn(&rig.loop, 1) >= 0);
	if (can_bus_client_is_attached(&peer))
		can_bus_client_poll(&peer, 1000, &unblocked);
	if (!rig.guest.client)
		return;
	take_answers();
	assert_done(vhost_client_handle_backend(rig.guest.client, &error), &error);
}

#define await(condition) member_rig_await(condition, turn, LIMIT_MS)

static void join_peer(void)
{
	struct error error;
	int fd = service_link_join(rig.service_path, "peer", SERVICE_JOIN_MS, &error);

	assert_done(fd, &error);
	if (can_bus_client_is_attached(&peer))
		can_bus_client_detach(&peer);
	assert_done(can_bus_client_attach(&peer, fd, &error), &error);
	peer_started = 0;
	can_bus_client_start(&peer);
	await(peer_started == 1);
}

static void peer_send(const struct can_bus_frame *frame)
{
	assert_true(can_bus_client_send(&peer, 1, frame));
	can_bus_client_flush(&peer);
}

/* Connects a driver to the process; @fresh: its rings are new, else those of the one before. */
static void boot(bool fresh)
{
	struct error error;

	guest_connect(&rig.guest, &rig.address);
	guest_set_up(&rig.guest, FEATURES);
	if (record < 0)
		assert_done(vhost_client_get_inflight(rig.guest.client, RIG_QUEUES, RIG_QUEUE_SIZE,
						      &description, &record, &error),
			    &error);
	assert_done(vhost_client_set_inflight(rig.guest.client, &description, record, &error),
		    &error);
	for (uint16_t i = 0; i < RIG_QUEUES; i++) {
		if (!fresh)
			rig.guest.rings[i].base = guest_position(&rig.guest, i);
		guest_start_ring(&rig.guest, i, fresh);
	}
	for (unsigned int i = 0; fresh && i < RIG_QUEUE_SIZE; i++)
		give_buffer(i);
}

/* Starts the device's process with a driver. The service is there. */
static void start_device(void)
{
	member_rig_start_device(&rig, "can");
	await(rig.ready);
	member_rig_find_device(&rig);
	boot(true);
}

static void start_controller(void)
{
	request(VIRTIO_CAN_SET_CTRL_MODE_START);
	await(control_result != PENDING);
	assert_int_equal(control_result, VIRTIO_CAN_RESULT_OK);
}

/* A service, a controller that takes part, and the other client. */
static void start_all(void)
{
	start_service(NULL);
	start_device();
	join_peer();
	start_controller();
}

static void kill_device(void)
{
	unsigned int before = rig.restarted;

	member_rig_kill_device(&rig);
	await(rig.restarted == before + 1);
}

/* A frame that gets to the other client, once. */
static void pass_frame(unsigned int slot, unsigned int number)
{
	send_message(slot, number, 0x123, 0, 8);
	await(!waiting);
	assert_int_equal(results[slot], VIRTIO_CAN_RESULT_OK);
	await(seen[number] == 1);
}

static void receive_frame(uint32_t id)
{
	const struct can_bus_frame frame = {.id = id, .length = 1, .data = {7}};
	unsigned int before = received_count;

	peer_send(&frame);
	await(received_count == before + 1);
	assert_int_equal(received[before].head.can_id, id);
}

static uint16_t status(void)
{
	struct virtio_can_config space;
	struct error error;

	assert_done(vhost_client_read_config(rig.guest.client, 0, &space, sizeof(space), &error),
		    &error);
	return space.status;
}

static int set_up(void **state)
{
	waiting = received_count = peer_sent = 0;
	memset(seen, 0, sizeof(seen));
	record = -1;
	can_bus_client_init(&peer, &peer_ops, NULL);
	member_rig_make(&rig);
	return 0;
}

static int tear_down(void **state)
{
	if (can_bus_client_is_attached(&peer))
		can_bus_client_detach(&peer);
	if (record >= 0)
		close(record);
	member_rig_remove(&rig);
	return 0;
}

/* The tests */

static void test_frames_both_ways(void **state)
{
	static const struct {
		uint32_t flags, id;
		uint8_t length;
	} frames[] = {
		{0, 0x7ff, 8},
		{VIRTIO_CAN_FLAGS_EXTENDED, 0x1fffffff, 1},
		{VIRTIO_CAN_FLAGS_RTR, 0x100, 4},
		{VIRTIO_CAN_FLAGS_FD, 0x001, 64},
		{VIRTIO_CAN_FLAGS_FD | VIRTIO_CAN_FLAGS_EXTENDED, 0x800, 12},
	};
	const unsigned int count = sizeof(frames) / sizeof(frames[0]);

	start_all();
	for (unsigned int i = 0; i < count; i++) {
		const struct message *message = message_at(RX, i);
		bool rtr = frames[i].flags & VIRTIO_CAN_FLAGS_RTR;
		unsigned int number = rtr ? 0 : 10 + i;
		struct can_bus_frame back;

		send_message(0, number, frames[i].id, frames[i].flags, frames[i].length);
		await(results[0] != PENDING && seen[number] == 1);
		assert_int_equal(results[0], VIRTIO_CAN_RESULT_OK);
		assert_int_equal(peer_last.id, frames[i].id);
		assert_int_equal(peer_last.length, frames[i].length);
		back = peer_last;
		peer_send(&back);
		await(received_count == i + 1);
		message = &received[i];
		assert_int_equal(message->head.msg_type, VIRTIO_CAN_RX);
		assert_int_equal(message->head.can_id, frames[i].id);
		assert_int_equal(message->head.flags, frames[i].flags);
		assert_int_equal(message->head.length, frames[i].length);
		if (!rtr)
			assert_int_equal(message->data[0], number);
	}
	/* Its own frames do not come back. */
	assert_int_equal(received_count, count);
	assert_int_equal(rig.asked, 1);
}

/* Frames are at the bus, and in the Txq, when the service is killed. */
static void test_service_killed(void **state)
{
	start_all();
	kill(rig.service_pid, SIGSTOP);
	for (unsigned int i = 0; i < FRAMES; i++)
		send_message(i, i, 0x100 + i, 0, 8);
	member_rig_kill_service(&rig);
	await(!waiting);
	for (unsigned int i = 0; i < FRAMES; i++)
		assert_int_equal(results[i], VIRTIO_CAN_RESULT_NOT_OK);
	/* Those of now wait for the next one, in which the controller takes part again. */
	send_message(0, 100, 0x100, 0, 8);
	send_message(1, 101, 0x101, 0, 8);
	start_service(NULL);
	join_peer();
	await(!waiting && seen[100] && seen[101]);
	assert_int_equal(results[0], VIRTIO_CAN_RESULT_OK);
	pass_frame(2, 102);
	receive_frame(0x55);
	for (unsigned int i = 0; i < FRAMES; i++)
		assert_int_equal(seen[i], 0);
	for (unsigned int i = 100; i < 103; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(status(), 0);
	assert_int_equal(rig.restarted, 0);
}

/* Killed again and again, at any moment: no frame is on the bus twice, and each is answered. */
static void test_service_killed_often(void **state)
{
	unsigned int number = 0;

	start_all();
	for (unsigned int round = 0; round < 4; round++) {
		for (unsigned int i = 0; i < FRAMES; i++)
			send_message(i, number++, 0x100 + i, 0, 8);
		for (unsigned int i = 0; i < round; i++)
			turn();
		member_rig_kill_service(&rig);
		start_service(NULL);
		join_peer();
		await(!waiting);
	}
	for (unsigned int i = 0; i < number; i++)
		assert_in_range(seen[i], 0, 1);
	pass_frame(0, 255);
}

static void test_start_without_service(void **state)
{
	start_service(NULL);
	start_device();
	member_rig_kill_service(&rig);
	/* It has to notice first. */
	for (int64_t limit = clock_now_ms() + LIMIT_MS; clock_now_ms() < limit;) {
		request(VIRTIO_CAN_SET_CTRL_MODE_START);
		await(control_result != PENDING);
		if (control_result == VIRTIO_CAN_RESULT_NOT_OK)
			break;
		request(VIRTIO_CAN_SET_CTRL_MODE_STOP);
		await(control_result != PENDING);
	}
	assert_int_equal(control_result, VIRTIO_CAN_RESULT_NOT_OK);
	start_service(NULL);
	join_peer();
	for (int64_t limit = clock_now_ms() + LIMIT_MS;
	     control_result != VIRTIO_CAN_RESULT_OK && clock_now_ms() < limit;) {
		request(VIRTIO_CAN_SET_CTRL_MODE_START);
		await(control_result != PENDING);
	}
	pass_frame(0, 1);
}

/* The policy forbids the bus by the time that it comes back. */
static void test_policy_is_asked_again(void **state)
{
	unsigned int before;

	start_all();
	assert_int_equal(rig.asked, 1);
	rig.forbidden = true;
	member_rig_kill_service(&rig);
	start_service(NULL);
	join_peer();
	before = rig.asked;
	await(rig.asked >= before + 2);
	send_message(0, 1, 0x100, 0, 8);
	before = rig.asked;
	await(rig.asked > before);
	assert_int_equal(waiting, 1);
	assert_int_equal(seen[1], 0);
	rig.forbidden = false;
	await(!waiting && seen[1] == 1);
}

static void test_device_killed(void **state)
{
	unsigned int not_sent = 0;

	start_all();
	pass_frame(0, 100);
	kill(rig.service_pid, SIGSTOP);
	for (unsigned int i = 0; i < FRAMES / 2; i++)
		send_message(i, i, 0x100 + i, 0, 8);
	/* The frames are at the bus, which does not look at them. */
	for (unsigned int i = 0; i < 50; i++)
		turn();
	assert_int_equal(waiting, FRAMES / 2);
	kill_device();
	/* Nobody has taken these. */
	for (unsigned int i = FRAMES / 2; i < FRAMES; i++)
		send_message(i, i, 0x100 + i, 0, 8);
	kill(rig.service_pid, SIGCONT);
	boot(false);
	await(!waiting);
	for (unsigned int i = 0; i < FRAMES; i++) {
		not_sent += results[i];
		assert_in_range(seen[i], 0, 1);
	}
	assert_true(not_sent >= FRAMES / 2);
	/* It takes part without a START, under the name of the one before. */
	pass_frame(0, 101);
	receive_frame(0x66);
	assert_int_equal(seen[100], 1);
	kill_device();
	boot(false);
	pass_frame(0, 102);
	/* A STOP is still known as well. */
	request(VIRTIO_CAN_SET_CTRL_MODE_STOP);
	await(control_result == VIRTIO_CAN_RESULT_OK);
	kill_device();
	boot(false);
	send_message(0, 103, 0x100, 0, 8);
	await(!waiting);
	assert_int_equal(results[0], VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(seen[103], 0);
}

/* The device answers everything but frames; a driver may go. */
static void test_service_stops(void **state)
{
	struct error error;

	start_all();
	kill(rig.service_pid, SIGSTOP);
	for (unsigned int i = 0; i < FRAMES; i++)
		send_message(i, i, 0x100 + i, 0, 8);
	for (unsigned int i = 0; i < 50; i++)
		turn();
	assert_int_equal(waiting, FRAMES);
	assert_int_equal(status(), 0);
	kill(rig.service_pid, SIGCONT);
	await(!waiting);
	for (unsigned int i = 0; i < FRAMES; i++) {
		assert_int_equal(results[i], VIRTIO_CAN_RESULT_OK);
		await(seen[i] == 1);
	}
	/* Stopped again, with a driver that resets. */
	kill(rig.service_pid, SIGSTOP);
	send_message(0, 100, 0x100, 0, 8);
	request(VIRTIO_CAN_SET_CTRL_MODE_STOP);
	for (unsigned int i = 0; i < 50; i++)
		turn();
	assert_int_equal(control_result, PENDING);
	assert_done(vhost_client_reset(rig.guest.client, &error), &error);
	guest_disconnect(&rig.guest);
	waiting = 0;
	close(record);
	record = -1;
	boot(true);
	kill(rig.service_pid, SIGCONT);
	start_controller();
	pass_frame(0, 101);
	assert_in_range(seen[100], 0, 1);
	assert_int_equal(rig.restarted, 0);
}

/* A verb of the service, which answers ok. */
static void command_service(const char *line)
{
	struct error error;
	struct pollfd readable = {.fd = service_link_connect(rig.service_path, &error),
				  .events = POLLIN};
	char text[4096] = "";
	size_t length = 0;

	assert_true(readable.fd >= 0);
	assert_int_equal(write(readable.fd, line, strlen(line)), strlen(line));
	while (!strstr(text, "\nok") && !strstr(text, "\nerror") &&
	       poll(&readable, 1, LIMIT_MS) > 0) {
		ssize_t got = read(readable.fd, text + length, sizeof(text) - 1 - length);

		assert_true(got > 0);
		length += (size_t)got;
		text[length] = 0;
	}
	if (!strstr(text, "\nok"))
		fail_msg("%s: %s", line, text);
	close(readable.fd);
}

static void test_bus_off(void **state)
{
	start_all();
	assert_int_equal(status(), 0);
	/* Retried until it is on the wire. */
	command_service("inject client=car.can0 errors=3\n");
	pass_frame(0, 1);
	command_service("inject client=car.can0 errors=40\n");
	send_message(0, 2, 0x100, 0, 8);
	await(!waiting && rig.guest.config_changes == 1);
	assert_int_equal(results[0], VIRTIO_CAN_RESULT_NOT_OK);
	assert_int_equal(status(), VIRTIO_CAN_S_CTRL_BUSOFF);
	send_message(0, 3, 0x100, 0, 8);
	await(!waiting);
	assert_int_equal(results[0], VIRTIO_CAN_RESULT_NOT_OK);
	/* It stays so, also in the next process. */
	kill_device();
	boot(false);
	assert_int_equal(status(), VIRTIO_CAN_S_CTRL_BUSOFF);
	command_service("inject client=peer errors=1\n");
	start_controller();
	assert_int_equal(status(), 0);
	pass_frame(0, 4);
	assert_int_equal(seen[2] + seen[3], 0);
}

/* The device gives each such channel up, joins again now and then, and finds the real bus. */
static void test_service_lies(void **state)
{
	int64_t begun_ms;
	struct can_liar *liar = can_liar_start(rig.service_path, &rig.service_pid);

	start_device();
	begun_ms = clock_now_ms();
	/* A liar's START is believed; then it breaks the channel, and is joined again. */
	request(VIRTIO_CAN_SET_CTRL_MODE_START);
	for (liar->lie = 0; liar->lie < CAN_LIES; liar->lie++) {
		unsigned int before = liar->joins;

		/* It comes back when the channel is given up, or waits for the next one. */
		send_message(liar->lie, liar->lie, 0x100, 0, 8);
		await(liar->joins > before + 1);
		assert_int_equal(supervisor_device(rig.supervisor, 0).restarts, 0);
	}
	assert_true(liar->joins <= 2 + (clock_now_ms() - begun_ms) / CAN_LINK_RETRY_MS);
	member_rig_kill_service(&rig);
	start_service(NULL);
	join_peer();
	await(!waiting);
	pass_frame(0, 101);
	assert_int_equal(rig.restarted, 0);
	munmap(liar, sizeof(*liar));
}

/* By hand it cannot join again: the controller is off the bus. */
static void test_by_hand(void **state)
{
	char program[PATH_MAX], socket[PATH_MAX];
	pid_t pid;

	start_service(NULL);
	snprintf(program, sizeof(program), "%s/device-can", getenv("AVP_LIBEXEC_DIR"));
	snprintf(socket, sizeof(socket), "%s", scratch_path(&rig.scratch, "can.sock"));
	pid = member_rig_fork();
	if (pid == 0) {
		execl(program, "device-can", "--link", rig.service_path, "--client", "hand",
		      "--socket-path", socket, NULL);
		_exit(127);
	}
	rig.address.path = socket;
	boot(true);
	join_peer();
	start_controller();
	pass_frame(0, 1);
	member_rig_kill_service(&rig);
	await(rig.guest.config_changes == 1);
	assert_int_equal(status(), VIRTIO_CAN_S_CTRL_BUSOFF);
	request(VIRTIO_CAN_SET_CTRL_MODE_START);
	await(control_result != PENDING);
	assert_int_equal(control_result, VIRTIO_CAN_RESULT_NOT_OK);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_frames_both_ways),	  test(test_service_killed),
		test(test_service_killed_often),  test(test_start_without_service),
		test(test_policy_is_asked_again), test(test_device_killed),
		test(test_service_stops),	  test(test_bus_off),
		test(test_service_lies),	  test(test_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
