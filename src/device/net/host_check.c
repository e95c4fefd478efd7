// SPDX-License-Identifier: BSD-3-Clause
/* Checks what network interfaces need from the host. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <cap-ng.h>

#include "base/cleanup.h"
#include "base/event_loop.h"
#include "device/net/tap.h"
#include "device/net/user/user_net.h"

static void check_user_network(struct host_finding *finding)
{
	const struct user_net_settings settings = {.subnet = subnet_default(0)};
	struct user_net *user = NULL;
	struct event_loop loop;
	struct error error;

	if (event_loop_init(&loop, 0, &error) == 0)
		user = user_net_new(&loop, &settings, &error);
	if (user) {
		host_finding_set(finding, HOST_OK, "libslirp works (--net user)");
	} else {
		host_finding_set(finding, HOST_WARN, "%s; --net user does not work", error.message);
		host_finding_advise(finding, "install libslirp (Debian: apt install libslirp0)");
	}
	user_net_free(user);
	event_loop_close(&loop);
}

static void check_tap(struct host_finding *finding)
{
	cleanup_fd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int code = errno;

	if (fd < 0) {
		host_finding_set(finding, HOST_WARN, "/dev/net/tun: %s; --net tap= does not work",
				 strerror(code));
		if (code == EACCES || code == EPERM)
			host_finding_advise(finding,
					    "make /dev/net/tun readable and writable for this "
					    "user, or use --net user");
		else
			host_finding_advise(finding, "modprobe tun, or use --net user");
		return;
	}
	capng_get_caps_process();
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		host_finding_set(finding, HOST_OK,
				 "opens, and this user may use any interface (--net tap=NAME)");
	else
		host_finding_set(finding, HOST_OK,
				 "opens; --net tap=NAME works with interfaces made for this user: "
				 "ip tuntap add NAME mode tap user %u",
				 (unsigned int)getuid());
}

const struct host_check net_host_checks[] = {
	{"user network", check_user_network},
	{"tap", check_tap},
	{.name = NULL},
};
