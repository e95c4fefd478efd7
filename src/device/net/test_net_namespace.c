// SPDX-License-Identifier: BSD-3-Clause
/* A network namespace with a loopback interface. */
#include "device/net/test_net_namespace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_ipv6;

static void add_ipv6_address(void)
{
	struct in6_ifreq request = {.ifr6_prefixlen = 128, .ifr6_ifindex = 1};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET6, NET_NAMESPACE_IPV6, &request.ifr6_addr);
	has_ipv6 = fd >= 0 && ioctl(fd, SIOCSIFADDR, &request) == 0;
	if (fd >= 0)
		close(fd);
}

bool net_namespace_enter(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		print_message("no network namespaces\n");
		return false;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	add_ipv6_address();
	return true;
}

bool net_namespace_has_ipv6(void)
{
	return has_ipv6;
}
