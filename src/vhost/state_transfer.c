// SPDX-License-Identifier: BSD-3-Clause
/*
 * The state of a device on its way to or from the frontend. The channel is a pair of sockets of
 * this process, not what the frontend brought: of that the frontend may share the open file, and
 * clear its O_NONBLOCK or read from it between a poll and a read, which would then wait for ever.
 * Linux before 6.4 has no way to read from a pipe that certainly does not wait.
 */
#include "vhost/state_transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtio/device_state.h"

/* One byte more than any state, which shows that there is too much. */
#define BUFFER_BYTES (DEVICE_STATE_MAX + 1)

/* The other side sees the end of a saved state by this. */
static void close_channel(struct state_transfer *transfer)
{
	event_loop_remove(transfer->loop, &transfer->source);
	close_fd(&transfer->source.fd);
}

static void fail(struct state_transfer *transfer, int code, const char *why)
{
	error_set(&transfer->error, code, "%s", why);
	close_channel(transfer);
}

/* All of it has come: takes it over. */
static void take_over(struct state_transfer *transfer)
{
	int ret = virtio_device_load(transfer->device, transfer->bytes, transfer->at);

	close_channel(transfer);
	transfer->loaded |= ret == 0;
	if (ret == -EOPNOTSUPP)
		fail(transfer, EOPNOTSUPP, "the state is of another type or version of device");
	else if (ret == -EIO)
		fail(transfer, EIO, "the host side cannot do what the state says");
	else if (ret < 0)
		fail(transfer, -ret, "the state is damaged, or does not suit this device");
}

/* Reads or writes one piece, without waiting. As recvmsg and sendmsg. */
static ssize_t move_piece(struct state_transfer *transfer)
{
	struct iovec piece = {transfer->bytes + transfer->at, transfer->length - transfer->at};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	return transfer->load ? recvmsg(transfer->source.fd, &message, MSG_DONTWAIT) :
				sendmsg(transfer->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Moves what can be moved now. */
static void move(struct state_transfer *transfer)
{
	while (transfer->source.fd >= 0) {
		ssize_t count;

		if (transfer->at == transfer->length && transfer->load) {
			fail(transfer, E2BIG, "the state is longer than any");
			return;
		}
		if (transfer->at == transfer->length) {
			close_channel(transfer);
			return;
		}
		count = move_piece(transfer);
		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count < 0)
			fail(transfer, errno, "the channel cannot be used");
		else if (count == 0)
			take_over(transfer);
		else
			transfer->at += (size_t)count;
	}
}

static void on_ready(void *context, uint32_t events)
{
	(void)events;
	move(context);
}

void state_transfer_init(struct state_transfer *transfer, struct event_loop *loop,
			 struct virtio_device *device)
{
	*transfer = (struct state_transfer){
		.loop = loop,
		.device = device,
		.source = {-1, on_ready, transfer},
	};
}

static void forget(struct state_transfer *transfer)
{
	close_channel(transfer);
	free(transfer->bytes);
	transfer->bytes = NULL;
}

int state_transfer_begin(struct state_transfer *transfer, bool load, struct error *error)
{
	cleanup_fd int peer = -1;
	int pair[2], ret;

	forget(transfer);
	transfer->bytes = malloc(BUFFER_BYTES);
	if (!transfer->bytes)
		return error_set(error, ENOMEM, "out of memory");
	transfer->load = load;
	transfer->at = 0;
	transfer->error.code = 0;
	ret = load ? BUFFER_BYTES : virtio_device_save(transfer->device, transfer->bytes);
	if (ret < 0)
		return error_set(error, -ret, "this device has no state to save");
	transfer->length = (size_t)ret;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "cannot make a channel for the state");
	transfer->source.fd = pair[0];
	peer = pair[1];
	ret = event_loop_add(transfer->loop, &transfer->source, load ? EPOLLIN : EPOLLOUT, error);
	if (ret < 0) {
		forget(transfer);
		return ret;
	}
	return take_fd(&peer);
}

int state_transfer_end(struct state_transfer *transfer, struct error *error)
{
	if (!transfer->bytes)
		return error_set(error, EINVAL, "no state was transferred");
	/* The end may have come just now, after the message in the loop's order. */
	move(transfer);
	state_transfer_abort(transfer, "not all of it has come, or not its end");
	forget(transfer);
	*error = transfer->error;
	return -transfer->error.code;
}

void state_transfer_abort(struct state_transfer *transfer, const char *why)
{
	if (transfer->source.fd >= 0)
		fail(transfer, EBUSY, why);
}
