// SPDX-License-Identifier: BSD-3-Clause
/*
 * The using side of vhost-user: the internal state of a device (vhost-user specification,
 * "Migrating back-end state").
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "vhost/client_private.h"

/*
 * Whether a channel that the device process chose is one that can be waited for: a file could be
 * always ready and never move, or be served by the process itself.
 */
static bool is_channel(int fd)
{
	int type;
	socklen_t size = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0)
		return type == SOCK_STREAM;
	return fcntl(fd, F_GETPIPE_SZ) >= 0;
}

/*
 * Agrees on a channel for the transfer. Returns our end of it, which is ours or the device
 * process's choice.
 */
static int begin_transfer(struct vhost_client *client, uint32_t direction, struct error *error)
{
	struct vhost_message message = {
		.header.request = VHOST_USER_SET_DEVICE_STATE_FD,
		.payload.transfer = {.direction = direction},
		.fd_count = 1,
	};
	cleanup_fd int ours = -1, chosen = -1;
	struct vhost_message reply;
	uint64_t number;
	int pair[2];
	int ret;

	/* Not a pipe, so that a process that dies raises no signal here. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "cannot make a channel for a state");
	ours = pair[0];
	message.fds[0] = pair[1];
	ret = vhost_client_call(client, &message, &reply, &chosen, error);
	close(pair[1]);
	if (ret < 0)
		return ret;
	number = reply.payload.number;
	if (number & VHOST_STATE_ERROR_MASK)
		return error_set(error, EIO, "SET_DEVICE_STATE_FD: refused");
	if (!(number & VHOST_STATE_NO_FD) != (chosen >= 0)) {
		client->broken = true;
		return error_set(error, EPROTO,
				 "SET_DEVICE_STATE_FD: the answer contradicts its descriptors");
	}
	if (chosen >= 0 && !is_channel(chosen)) {
		client->broken = true;
		return error_set(
			error, EPROTO,
			"SET_DEVICE_STATE_FD: its descriptor is not a stream socket or a pipe");
	}
	return take_fd(chosen >= 0 ? &chosen : &ours);
}

static int check_transfer(struct vhost_client *client, struct error *error)
{
	struct vhost_message message = {.header.request = VHOST_USER_CHECK_DEVICE_STATE};
	struct vhost_message reply;
	int ret = vhost_client_call(client, &message, &reply, NULL, error);

	if (ret == 0 && reply.payload.number != 0)
		ret = error_set(error, EIO, "CHECK_DEVICE_STATE: the device process failed");
	return ret;
}

/*
 * Read and write what is there, or has room, now. The channel may be one that the device process
 * chose and uses itself: ready for the poll is not ready for the call. Linux can do that with pipes
 * since 6.4.
 */
static ssize_t read_now(int fd, void *buffer, size_t length)
{
	struct iovec part = {buffer, length};
	ssize_t count = recv(fd, buffer, length, MSG_DONTWAIT);

	return count < 0 && errno == ENOTSOCK ? preadv2(fd, &part, 1, -1, RWF_NOWAIT) : count;
}

static ssize_t write_now(int fd, const void *buffer, size_t length)
{
	struct iovec part = {(void *)buffer, length};
	ssize_t count = send(fd, buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	return count < 0 && errno == ENOTSOCK ? pwritev2(fd, &part, 1, -1, RWF_NOWAIT) : count;
}

/*
 * Waits until the channel is ready, or its other end is closed; or the connection ends, which the
 * caller's hang-up does, too. What is ready again and again and never moves ends at the deadline.
 */
static int wait_for_channel(const struct vhost_client *client, int fd, short events,
			    int64_t deadline, struct error *error)
{
	struct pollfd wanted[] = {
		{.fd = fd, .events = events},
		{.fd = client->channel.fd, .events = POLLRDHUP},
	};
	int64_t left = deadline - clock_now_ms();
	int count = left > 0 ? poll(wanted, 2, (int)left) : 0;

	if (count < 0 && errno != EINTR)
		return error_set_errno(error, errno, "cannot wait for a state");
	if (count == 0)
		return error_set(error, ETIMEDOUT, "the device process does not move its state");
	if (count > 0 && !wanted[0].revents)
		return error_set(error, ECONNRESET, "the device process hung up");
	return 0;
}

int vhost_client_save_state(struct vhost_client *client, void *buffer, size_t size, size_t *length,
			    struct error *error)
{
	int64_t deadline = vhost_client_deadline(client);
	cleanup_fd int fd = begin_transfer(client, VHOST_STATE_SAVE, error);
	size_t done = 0;
	int ret = fd < 0 ? fd : 0;

	while (ret == 0) {
		uint8_t excess;
		ssize_t count;

		ret = wait_for_channel(client, fd, POLLIN, deadline, error);
		if (ret < 0)
			return ret;
		count = done < size ? read_now(fd, (uint8_t *)buffer + done, size - done) :
				      read_now(fd, &excess, sizeof(excess));
		if (count < 0 && errno != EINTR && errno != EAGAIN)
			return error_set_errno(error, errno, "cannot read a state");
		if (count == 0)
			break;
		if (count > 0 && done == size)
			return error_set(error, E2BIG, "the state is longer than %zu bytes", size);
		done += count > 0 ? (size_t)count : 0;
	}
	close_fd(&fd);
	if (ret == 0)
		ret = check_transfer(client, error);
	if (ret == 0)
		*length = done;
	return ret;
}

int vhost_client_load_state(struct vhost_client *client, const void *state, size_t length,
			    struct error *error)
{
	int64_t deadline = vhost_client_deadline(client);
	cleanup_fd int fd = begin_transfer(client, VHOST_STATE_LOAD, error);
	size_t done = 0;
	int ret = fd < 0 ? fd : 0;

	while (ret == 0 && done < length) {
		ssize_t count;

		ret = wait_for_channel(client, fd, POLLOUT, deadline, error);
		if (ret < 0)
			return ret;
		count = write_now(fd, (const uint8_t *)state + done, length - done);
		/* It closed its end: it says why when it is asked. */
		if (count < 0 && errno == EPIPE)
			break;
		if (count < 0 && errno != EINTR && errno != EAGAIN)
			return error_set_errno(error, errno, "cannot write a state");
		done += count > 0 ? (size_t)count : 0;
	}
	close_fd(&fd);
	return ret < 0 ? ret : check_transfer(client, error);
}
