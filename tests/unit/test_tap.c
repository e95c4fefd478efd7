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
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/tap.h"
#include "base/event_loop.h"

#define BIT(n) (UINT64_C(1) << (n))
#define NAME   "test0"
#define PAIRS  2

#define CSUM   BIT(VIRTIO_NET_F_GUEST_CSUM)
#define TSO4   BIT(VIRTIO_NET_F_GUEST_TSO4)
#define TSO6   BIT(VIRTIO_NET_F_GUEST_TSO6)
#define ECN    BIT(VIRTIO_NET_F_GUEST_ECN)

/* The request that ioctl fails, as often as it is made; 0: none. */
static unsigned long failing;

/* In the place of the C library's. */
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
	if (!f)
		return 0;
	tap_backend_free(f->tap);
	event_loop_close(&f->loop);
	return 0;
}

/* Whether the kernel leaves @command, such as ETHTOOL_GTSO, to the guest. */
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

/* A driver may ask for each combination, and what it did not ask for does not come. */
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
		/* From all of them on. */
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

/* Without knowing what the kernel leaves to the guest there is no interface. */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_combination_of_offloads),
		TEST(test_offloads_that_the_kernel_refuses),
		TEST(test_a_tap_that_refuses_all),
		TEST(test_pairs_that_the_kernel_refuses),
	};

	possible = make_tap();
	if (!possible)
		print_message("no tap can be made here: %s\n", strerror(errno));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
