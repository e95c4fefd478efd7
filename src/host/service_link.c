// SPDX-License-Identifier: BSD-3-Clause
/* Joins a service. */
#include "host/service_link.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/control_request.h"
#include "base/socket_path.h"

int service_link_connect(const char *path, struct error *error)
{
	/* Not blocking: a service that hangs with a full queue is reported. */
	int fd = socket_path_connect(path, SOCK_NONBLOCK);

	if (fd == -ENAMETOOLONG)
		return error_set_usage(error, "%s: the path of a socket has at most %d characters",
				       path, SOCKET_PATH_LENGTH);
	if (fd < 0)
		return error_set_errno(error, -fd, "%s: cannot connect to a service", path);
	return fd;
}

int service_link_join(const char *path, const char *client, int limit_ms, struct error *error)
{
	struct control_message message;
	struct control_request request = {
		.peer = path,
		.interface = SERVICE_INTERFACE,
		.version = SERVICE_VERSION,
		.message = &message,
		.limit_ms = limit_ms,
	};
	int pair[2], fd, result;
	cleanup_fd int own = -1, other = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return error_set_errno(error, errno, "cannot make a channel");
	own = pair[0];
	other = pair[1];
	request.fd = other;
	control_message_begin(&message, SERVICE_JOIN);
	control_message_add(&message, "client", client);
	fd = service_link_connect(path, error);
	if (fd < 0)
		return fd;
	result = control_request_send(&request, fd, error);
	return result < 0 ? result : take_fd(&own);
}
