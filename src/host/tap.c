// SPDX-License-Identifier: BSD-3-Clause
/* Opens queues of tap interfaces. */
#include "host/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"

static int open_queue(const char *name, bool multiqueue)
{
	cleanup_fd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct ifreq request = {
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
				     (multiqueue ? IFF_MULTI_QUEUE : 0)),
	};
	int header_length = sizeof(struct virtio_net_hdr_v1);

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header_length) < 0)
		return -errno;
	return take_fd(&fd);
}

int tap_open_queue(const char *name, bool *multiqueue)
{
	int fd;

	/* Those who may would make a new interface. */
	if (if_nametoindex(name) == 0)
		return -ENODEV;
	fd = open_queue(name, *multiqueue);
	if (fd != -EINVAL || *multiqueue)
		return fd;
	/* The interface was made for several queues; use one of them. */
	*multiqueue = true;
	return open_queue(name, true);
}
