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
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/event_loop.h"
#include "device/net/tap.h"
#include "unit/failing_epoll.h"
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

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		print_message("%s: %s\n", path, strerror(errno));
	close(fd);
}

/* Enters a network namespace and makes a tap there. Returns false when this system forbids it. */
static bool make_tap(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	char map[64];
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			return false;
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", (unsigned int)uid);
		write_file("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "0 %u 1", (unsigned int)gid);
		write_file("/proc/self/gid_map", map);
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", NAME);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, 1UL) < 0)
		return false;
	close(fd);
	return true;
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
	struct ifreq request = {.ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct net_rig *rig = net_rig_make();

	/* So that the kernel sends no frames by itself. */
	write_file("/proc/sys/net/ipv6/conf/" NAME "/disable_ipv6", "1");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", NAME);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
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
	};

	possible = make_tap();
	if (!possible)
		print_message("no tap can be made here: %s\n", strerror(errno));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
