// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend on a tap of the kernel, in a network namespace of this test's own,
 * and with calls to the kernel that fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event_loop.h"
#include "device/net/tap.h"
#include "host/tap.h"
#include "unit/failing_epoll.h"
#include "unit/tap_interface.h"
#include "device/net/test_net_rig.h"

#define NAME "test0"

#define CSUM FEATURE(VIRTIO_NET_F_GUEST_CSUM)
#define TSO4 FEATURE(VIRTIO_NET_F_GUEST_TSO4)
#define TSO6 FEATURE(VIRTIO_NET_F_GUEST_TSO6)
#define ECN  FEATURE(VIRTIO_NET_F_GUEST_ECN)

/* The request that ioctl fails, as often as it is made; 0: none. */
static unsigned long failing;

/* Replaces the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == failing) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_ioctl, fd, request, argument);
}

struct fixture {
	struct event_loop loop;
	struct tap_backend *tap;
	struct net_backend *net;
};

static bool possible;

static int set_up(void **state)
{
	static struct fixture f;
	struct error error = {0};

	failing = 0;
	failing_watches = 0;
	if (!possible)
		return 0;
	assert_int_equal(event_loop_init(&f.loop, 0, NULL), 0);
	f.tap = tap_backend_new(&f.loop, NAME, PAIRS, &error);
	if (!f.tap)
		fail_msg("%s", error.message);
	f.net = tap_backend_net(f.tap);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	failing = 0;
	failing_watches = 0;
	if (!f)
		return 0;
	tap_backend_free(f->tap);
	event_loop_close(&f->loop);
	return 0;
}

/* Whether the kernel has offloaded @command, such as ETHTOOL_GTSO, to the guest. */
static bool kernel_leaves(unsigned int command)
{
	struct ethtool_value value = {.cmd = command};
	struct ifreq request = {.ifr_data = (void *)&value};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", NAME);
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
	close(fd);
	return value.data;
}

static void need(void **state)
{
	if (!*state)
		skip();
}

/* A driver may ask for each combination, and gets no frame that needs another offload. */
static void test_each_combination_of_offloads(void **state)
{
	static const uint64_t bits[] = {CSUM, TSO4, TSO6, ECN};
	struct fixture *f = *state;

	need(state);
	assert_int_equal(f->net->features & (CSUM | TSO4 | TSO6 | ECN), CSUM | TSO4 | TSO6 | ECN);
	for (unsigned int choice = 0; choice < 16; choice++) {
		uint64_t offloads = 0;

		for (unsigned int i = 0; i < 4; i++)
			if (choice & 1u << i)
				offloads |= bits[i];
		/* Start with all of them on. */
		assert_true(f->net->ops->set_offloads(f->net, CSUM | TSO4 | TSO6 | ECN));
		assert_true(kernel_leaves(ETHTOOL_GTSO));
		assert_true(f->net->ops->set_offloads(f->net, offloads));
		assert_int_equal(kernel_leaves(ETHTOOL_GTXCSUM), (offloads & CSUM) != 0);
		assert_int_equal(kernel_leaves(ETHTOOL_GTSO),
				 (offloads & CSUM) && (offloads & (TSO4 | TSO6)));
	}
}

static void test_offloads_that_the_kernel_refuses(void **state)
{
	struct fixture *f = *state;

	need(state);
	assert_true(f->net->ops->set_offloads(f->net, CSUM | TSO4));
	failing = TUNSETOFFLOAD;
	assert_false(f->net->ops->set_offloads(f->net, 0));
	assert_true(kernel_leaves(ETHTOOL_GTSO));
	failing = 0;
	assert_true(f->net->ops->set_offloads(f->net, 0));
	assert_false(kernel_leaves(ETHTOOL_GTSO));
}

/* If the offloads of a tap cannot be set, opening it fails. */
static void test_a_tap_that_refuses_all(void **state)
{
	struct fixture *f = *state;
	struct error error = {0};

	need(state);
	tap_backend_free(f->tap);
	failing = TUNSETOFFLOAD;
	assert_null(tap_backend_new(&f->loop, NAME, PAIRS, &error));
	assert_non_null(strstr(error.message, "cannot set its offloads"));
	failing = 0;
	f->tap = tap_backend_new(&f->loop, NAME, PAIRS, &error);
	assert_non_null(f->tap);
}

static void test_pairs_that_the_kernel_refuses(void **state)
{
	struct fixture *f = *state;

	need(state);
	failing = TUNSETQUEUE;
	assert_true(f->net->ops->use_pair(f->net, 0, false));
	assert_false(f->net->ops->use_pair(f->net, 1, true));
	failing = 0;
	assert_true(f->net->ops->use_pair(f->net, 1, true));
	failing = TUNSETQUEUE;
	assert_true(f->net->ops->use_pair(f->net, 1, true));
	assert_false(f->net->ops->use_pair(f->net, 1, false));
}

/* A device on the tap, which is up, with one receive buffer of @length bytes. */
static struct net_rig *start_device(struct fixture *f, uint64_t features, size_t length)
{
	struct net_rig *rig = net_rig_make();

	tap_interface_bring_up(NAME);
	net_device_init(&rig->net, &rig->settings, f->net, rig->queues);
	tap_backend_start(f->tap);
	device_rig_start(&rig->rig, &rig->net.device, features, QUEUE_SIZE);
	net_rig_add_buffers(rig, 0, 1, length);
	return rig;
}

/* The host sends a frame to the guest. */
static void send_to_guest(size_t length)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(NAME),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	uint8_t frame[1514];

	net_rig_make_frame(frame, length, own_mac);
	assert_int_equal(sendto(fd, frame, length, 0, (struct sockaddr *)&address, sizeof(address)),
			 length);
	close(fd);
}

/* A tap that the loop cannot watch at first works later. */
static void test_tap_that_cannot_be_watched(void **state)
{
	struct fixture *f = *state;
	struct net_rig *rig;

	need(state);
	failing_watches = INT_MAX;
	rig = start_device(f, 0, 2000);
	send_to_guest(100);
	for (int turns = 0; turns < 3; turns++)
		assert_true(event_loop_turn(&f->loop, 0) >= 0);
	assert_false(device_rig_has_used(&rig->rig, 0));
	failing_watches = 0;
	for (int turns = 0; turns < 10 && !device_rig_has_used(&rig->rig, 0); turns++)
		assert_true(event_loop_turn(&f->loop, 2000) >= 0);
	assert_true(device_rig_has_used(&rig->rig, 0));
	net_rig_stop(rig);
}

/* Frames that wait for buffers and are dropped are counted. */
static void test_frames_that_wait_in_vain(void **state)
{
	struct fixture *f = *state;
	struct net_rig *rig;

	need(state);
	rig = start_device(f, FEATURE(VIRTIO_NET_F_MRG_RXBUF), 100);
	send_to_guest(1000);
	for (int turns = 0; turns < 20000 && !rig->net.counts.receive_dropped; turns++)
		assert_true(event_loop_turn(&f->loop, 1) >= 0);
	assert_int_equal(rig->net.counts.receive_dropped, 1);
	/* One that waits while the device is reset. */
	send_to_guest(1000);
	for (int turns = 0; turns < 3; turns++)
		assert_true(event_loop_turn(&f->loop, 0) >= 0);
	virtio_device_reset(&rig->net.device);
	assert_int_equal(rig->net.counts.receive_dropped, 2);
	net_rig_stop(rig);
}

/* What the device asked for; -1: nothing, or it was answered. */
static int asked = -1;

static int ask(void *context, uint16_t pair)
{
	assert_int_equal(asked, -1);
	asked = pair;
	return 0;
}

/* Turns until the device asks, and answers. Returns whether it got a queue. */
static bool answer(struct fixture *f, uint16_t pair)
{
	bool multiqueue = true;
	int fd;

	for (int turns = 0; turns < 1000 && asked < 0; turns++)
		assert_true(event_loop_turn(&f->loop, 20) >= 0);
	assert_int_equal(asked, pair);
	asked = -1;
	fd = tap_open_queue(NAME, &multiqueue);
	tap_backend_reopened(f->tap, fd, "there is none");
	return fd >= 0;
}

/* An interface that is deleted and made again carries frames again, with the same offloads. */
static void test_a_tap_that_comes_back(void **state)
{
	struct fixture *f = *state;
	struct net_rig *rig;
	int64_t asked_ms;

	need(state);
	tap_backend_set_reopener(f->tap, &(struct tap_reopener){ask, NULL});
	rig = start_device(f, FEATURE(VIRTIO_NET_F_MRG_RXBUF), 2000);
	assert_true(f->net->ops->set_offloads(f->net, CSUM | TSO4));
	tap_interface_delete(NAME);
	asked_ms = clock_now_ms();
	assert_false(answer(f, 0));
	assert_false(answer(f, 0));
	/* Not more often than once a second. */
	assert_in_range(clock_now_ms() - asked_ms, 1900, 20000);
	assert_true(tap_interface_make(NAME, true));
	/* It goes again between two queues. */
	assert_true(answer(f, 0));
	tap_interface_delete(NAME);
	assert_false(answer(f, 1));
	assert_true(tap_interface_make(NAME, true));
	for (uint16_t pair = 0; pair < PAIRS; pair++)
		assert_true(answer(f, pair));
	assert_true(kernel_leaves(ETHTOOL_GTSO));
	tap_interface_bring_up(NAME);
	send_to_guest(100);
	for (int turns = 0; turns < 10 && !device_rig_has_used(&rig->rig, 0); turns++)
		assert_true(event_loop_turn(&f->loop, 2000) >= 0);
	assert_true(device_rig_has_used(&rig->rig, 0));
	assert_int_equal(asked, -1);
	net_rig_stop(rig);
}

/* It is deleted and made again before the guest's driver starts. */
static void test_a_tap_that_is_gone_unnoticed(void **state)
{
	struct fixture *f = *state;
	struct net_rig *rig;

	need(state);
	tap_backend_set_reopener(f->tap, &(struct tap_reopener){ask, NULL});
	tap_interface_delete(NAME);
	assert_true(tap_interface_make(NAME, true));
	/* The driver negotiates, and uses and leaves a pair. */
	assert_true(f->net->ops->set_offloads(f->net, CSUM | TSO4));
	assert_true(f->net->ops->use_pair(f->net, 1, true));
	assert_true(f->net->ops->use_pair(f->net, 1, false));
	rig = start_device(f, FEATURE(VIRTIO_NET_F_MRG_RXBUF), 2000);
	for (uint16_t pair = 0; pair < PAIRS; pair++)
		assert_true(answer(f, pair));
	/* The kernel drops frames until it has noticed that the interface has a queue again. */
	for (int turns = 0; turns < 200 && !device_rig_has_used(&rig->rig, 0); turns++) {
		send_to_guest(100);
		assert_true(event_loop_turn(&f->loop, 20) >= 0);
	}
	assert_true(device_rig_has_used(&rig->rig, 0));
	net_rig_stop(rig);
}

/* Without a supervisor it is gone, and costs nothing. */
static void test_a_tap_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct net_rig *rig;
	uint64_t sleeps;

	need(state);
	rig = start_device(f, 0, 2000);
	tap_interface_delete(NAME);
	assert_true(event_loop_turn(&f->loop, 2000) >= 0);
	sleeps = f->loop.sleeps;
	assert_int_equal(event_loop_turn(&f->loop, 1500), 0);
	assert_int_equal(f->loop.sleeps, sleeps + 1);
	net_rig_stop(rig);
	assert_true(tap_interface_make(NAME, true));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_combination_of_offloads),
		TEST(test_offloads_that_the_kernel_refuses),
		TEST(test_a_tap_that_refuses_all),
		TEST(test_pairs_that_the_kernel_refuses),
		TEST(test_tap_that_cannot_be_watched),
		TEST(test_frames_that_wait_in_vain),
		TEST(test_a_tap_that_comes_back),
		TEST(test_a_tap_that_is_gone_unnoticed),
		TEST(test_a_tap_that_is_gone),
	};

	possible = tap_interface_enter_namespace() && tap_interface_make(NAME, true);
	if (!possible)
		print_message("no tap can be made here: %s\n", strerror(errno));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
