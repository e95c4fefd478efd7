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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "device/kit/device_type.h"
#include "guest/config/config.h"
#include "guest/policy.h"
#include "guest/run/supervisor.h"
#include "host/service_link.h"
#include "service/channel/channel.h"
#include "service/switch/protocol.h"
#include "unit/scratch.h"
#include "unit/vhost_rig.h"
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

static struct scratch scratch;
static char switch_path[PATH_MAX];
static pid_t service_pid;

static struct event_loop loop;
static struct guest_config config;
static struct supervisor *supervisor;
static bool ready;
static unsigned int restarted;

static struct vhost_rig address;
static struct rig_guest guest;
static bool busy[SLOTS]; /* of the transmit queue */
static struct channel peer = {.socket = -1};
/* How often a frame with each number came, to the peer and to the driver. */
static unsigned int at_peer[NUMBERS], at_driver[NUMBERS];

/* Processes */

static void start_service(void)
{
	char program[PATH_MAX], ready_fd[32], byte;
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	snprintf(program, sizeof(program), "%s/service-switch", getenv("AVP_LIBEXEC_DIR"));
	snprintf(ready_fd, sizeof(ready_fd), "--ready-fd=%d", pipes[1]);
	service_pid = fork();
	assert_true(service_pid >= 0);
	if (service_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, "service-switch", "--socket-path", switch_path, ready_fd, NULL);
		_exit(127);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
}

static void kill_service(void)
{
	kill(service_pid, SIGKILL);
	assert_int_equal(waitpid(service_pid, NULL, 0), service_pid);
	service_pid = 0;
}

/* The driver */

static uint64_t slot_address(uint16_t index, unsigned int slot)
{
	return GUEST_BUFFERS + (uint64_t)SLOT_BYTES * (index * SLOTS + slot);
}

static void kick(uint16_t index)
{
	const uint64_t one = 1;

	if (driver_queue_kick_wanted(&guest.rings[index].driver))
		assert_int_equal(write(guest.rings[index].kick_fd, &one, sizeof(one)), sizeof(one));
}

static void give_buffer(unsigned int slot)
{
	const struct driver_buffer buffer = {guest_addr(slot_address(RX, slot)), SLOT_BYTES};

	assert_int_equal(driver_queue_add(&guest.rings[RX].driver, &buffer, 0, 1,
					  (void *)(uintptr_t)(slot + 1)),
			 0);
	kick(RX);
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
	memcpy(guest_at(&guest, slot_address(TX, slot)), &frame, sizeof(frame));
	assert_int_equal(
		driver_queue_add(&guest.rings[TX].driver,
				 &(struct driver_buffer){guest_addr(slot_address(TX, slot)),
							 sizeof(frame)},
				 1, 0, (void *)(uintptr_t)(slot + 1)),
		0);
	busy[slot] = true;
	kick(TX);
	return true;
}

static void *take_used(uint16_t index)
{
	uint32_t written;
	int broken = 0;
	void *token = driver_queue_take(&guest.rings[index].driver, &written, &broken);

	assert_int_equal(broken, 0);
	return token;
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

	while ((token = take_used(TX)))
		busy[(uintptr_t)token - 1] = false;
	while ((token = take_used(RX))) {
		unsigned int slot = (unsigned int)((uintptr_t)token - 1);

		count_frame(guest_at(&guest, slot_address(RX, slot)), at_driver);
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
	int fd = service_link_join(switch_path, "peer", SERVICE_JOIN_MS, &error);

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

	assert_true(event_loop_turn(&loop, 1) >= 0);
	take_at_peer();
	if (!guest.client)
		return;
	take_all();
	assert_done(vhost_client_handle_backend(guest.client, &error), &error);
}

#define await(condition)                                                                 \
	do {                                                                             \
		for (int64_t limit_ = clock_now_ms() + LIMIT_MS;                         \
		     !(condition) && clock_now_ms() < limit_;)                           \
			turn();                                                          \
		if (!(condition))                                                        \
			fail_msg("line %d: %s did not come true", __LINE__, #condition); \
	} while (0)

static bool is_up(void)
{
	struct virtio_net_config space = {0};
	struct error error;

	assert_done(vhost_client_read_config(guest.client, 0, &space,
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

/* The supervisor */

static bool allows(const struct policy *policy, const struct policy_subject *subject,
		   enum policy_verb verb, const struct policy_object *object)
{
	assert_int_equal(verb, POLICY_JOIN);
	assert_string_equal(object->kind, "service");
	assert_string_equal(object->name, switch_path);
	return true;
}

static const struct policy policy = {allows};

static void on_ready(void *context)
{
	ready = true;
}

static void on_restarted(void *context, const struct device_config *device)
{
	restarted++;
}

static void on_failed(void *context, const struct error *error)
{
	fail_msg("%s", error->message);
}

static const struct supervisor_events events = {
	.ready = on_ready,
	.restarted = on_restarted,
	.failed = on_failed,
};

/* Connects a driver to the process. */
static void boot(void)
{
	memset(busy, 0, sizeof(busy));
	guest_connect(&guest, &address);
	guest_set_up(&guest, FEATURES);
	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		guest_start_ring(&guest, i, true);
	for (unsigned int i = 0; i < SLOTS; i++)
		give_buffer(i);
}

static void start_all(void)
{
	const struct supervisor_setup setup = {.loop = &loop, .config = &config, .events = &events};
	static char socket[64];
	char text[PATH_MAX + 8];
	struct error error;

	start_service();
	snprintf(text, sizeof(text), "link=%s", switch_path);
	if (guest_config_parse_device(&config, device_type_find("net"), text, &error) < 0 ||
	    guest_config_name_devices(&config, &error) < 0 ||
	    supervisor_open(&supervisor, &setup, &error) < 0 ||
	    supervisor_start(supervisor, &error) < 0)
		fail_msg("%s", error.message);
	await(ready);
	snprintf(socket, sizeof(socket), "/proc/self/fd/%d",
		 supervisor_device(supervisor, 0).connect_fd);
	address.path = socket;
	boot();
	join_peer();
	pass_frames(0);
}

static int set_up(void **state)
{
	struct error error;

	ready = false;
	restarted = 0;
	memset(at_peer, 0, sizeof(at_peer));
	memset(at_driver, 0, sizeof(at_driver));
	supervisor = NULL;
	guest_create(&guest);
	scratch_make(&scratch);
	snprintf(switch_path, sizeof(switch_path), "%s", scratch_path(&scratch, "sw.sock"));
	assert_int_equal(guest_config_init(&config, &error), 0);
	config.name = strdup("car");
	config.policy = &policy;
	return event_loop_init(&loop, 0, &error);
}

static int tear_down(void **state)
{
	guest_destroy(&guest);
	supervisor_free(supervisor);
	channel_close(&peer);
	if (service_pid)
		kill_service();
	event_loop_close(&loop);
	guest_config_clear(&config);
	scratch_remove(&scratch);
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
		kill_service();
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
	assert_int_equal(restarted, 0);
}

/* A switch that stops: the driver's frames are lost, and nothing else happens. */
static void test_service_stops(void **state)
{
	start_all();
	kill(service_pid, SIGSTOP);
	for (unsigned int i = 0; i < NUMBERS - 200; i++) {
		await(transmit(100 + i));
		if (i % 64 == 0)
			turn();
	}
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		await(!busy[slot]);
	assert_true(is_up());
	kill(service_pid, SIGCONT);
	pass_frames(1);
	assert_int_equal(restarted, 0);
}

static void test_device_killed(void **state)
{
	start_all();
	for (unsigned int round = 0; round < 3; round++) {
		unsigned int before = restarted;

		for (unsigned int i = 0; i < 8; i++)
			transmit(100 + i);
		for (unsigned int i = 0; i < round; i++)
			turn();
		kill(supervisor_device(supervisor, 0).pid, SIGKILL);
		guest_disconnect(&guest);
		await(restarted == before + 1);
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
