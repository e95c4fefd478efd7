// SPDX-License-Identifier: BSD-3-Clause
/* Event descriptors that a peer gave. */
#include "vhost/event.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdint.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

/*
 * An eventfd has no inode of its own, is open for reading and writing, and refuses a write of less
 * than eight bytes; a write of zero bytes changes nothing on any kind of descriptor. (A timer or an
 * epoll descriptor passes as well: writes to it fail at once and do no harm.)
 */
static bool is_eventfd(int fd)
{
	struct statfs system;
	uint8_t nothing = 0;
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) == O_RDWR && fstatfs(fd, &system) == 0 &&
	       system.f_type == ANON_INODE_FS_MAGIC && write(fd, &nothing, 0) < 0 &&
	       errno == EINVAL;
}

int vhost_event_set(struct vhost_event *event, int fd, struct error *error)
{
	vhost_event_close(event);
	if (fd < 0)
		return 0;
	if (!is_eventfd(fd)) {
		close(fd);
		return error_set(error, EINVAL, "the descriptor is not an eventfd");
	}
	event->fd = fd;
	event->blocking = !(fcntl(fd, F_GETFL) & O_NONBLOCK);
	return 0;
}

void vhost_event_close(struct vhost_event *event)
{
	close_fd(&event->fd);
}

int vhost_event_signal(const struct vhost_event *event)
{
	const uint64_t one = 1;
	ssize_t count;

	if (event->fd < 0)
		return 0;
	if (event->blocking) {
		struct pollfd room = {.fd = event->fd, .events = POLLOUT};

		if (poll(&room, 1, 0) < 1 || !(room.revents & POLLOUT))
			return 0;
	}
	do {
		count = write(event->fd, &one, sizeof(one));
	} while (count < 0 && errno == EINTR);
	return count < 0 && errno != EAGAIN ? -errno : 0;
}

int vhost_event_drain(const struct vhost_event *event)
{
	uint64_t value;
	struct iovec vector = {&value, sizeof(value)};
	ssize_t count;

	if (event->fd < 0)
		return 0;
	do {
		count = preadv2(event->fd, &vector, 1, -1, RWF_NOWAIT);
	} while (count < 0 && errno == EINTR);
	return count < 0 && errno != EAGAIN ? -errno : 0;
}
