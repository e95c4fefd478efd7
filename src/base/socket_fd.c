// SPDX-License-Identifier: BSD-3-Clause
/* Bytes with at most one descriptor on a Unix socket. */
#include "base/socket_fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr alignment;
};

ssize_t socket_send_fd(int socket, const void *bytes, size_t size, int fd, int flags)
{
	struct iovec vector = {(void *)bytes, size};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	union control control = {.bytes = {0}};
	ssize_t sent;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.alignment = (struct cmsghdr){CMSG_LEN(sizeof(fd)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.alignment), &fd, sizeof(fd));
	}
	do {
		sent = sendmsg(socket, &message, flags);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

ssize_t socket_receive_fd(int socket, void *bytes, size_t size, int *fd, int flags)
{
	struct iovec vector = {bytes, size};
	union control control;
	struct msghdr message = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &control,
		/* Not CMSG_SPACE, in which two descriptors fit. */
		.msg_controllen = CMSG_LEN(sizeof(*fd)),
	};
	const struct cmsghdr *header;
	ssize_t received;

	*fd = -1;
	do {
		received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	} while (received < 0 && errno == EINTR);
	if (received < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	if (message.msg_flags & MSG_CTRUNC) {
		close_fd(fd);
		return -EPROTO;
	}
	return received;
}
