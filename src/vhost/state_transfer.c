// SPDX-License-Identifier: BSD-3-Clause
/* The state of a device on its way through a pipe of the frontend. */
#include "vhost/state_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtio/device_state.h"

/* One byte more than any state, which shows that there is too much. */
#define BUFFER_BYTES (DEVICE_STATE_MAX + 1)

/* The other side sees the end of a saved state by this. */
static void close_pipe(struct state_transfer *transfer)
{
	event_loop_remove(transfer->loop, &transfer->source);
	close_fd(&transfer->source.fd);
}

static void fail(struct state_transfer *transfer, int code, const char *why)
{
	error_set(&transfer->error, code, "%s", why);
	close_pipe(transfer);
}

/* All of it has come: takes it over. */
static void take_over(struct state_transfer *transfer)
{
	int ret = virtio_device_load(transfer->device, transfer->bytes, transfer->at);

	close_pipe(transfer);
	transfer->loaded |= ret == 0;
	if (ret == -EOPNOTSUPP)
		fail(transfer, EOPNOTSUPP, "the state is of another type or version of device");
	else if (ret == -EIO)
		fail(transfer, EIO, "the host side cannot do what the state says");
	else if (ret < 0)
		fail(transfer, -ret, "the state is damaged, or does not suit this device");
}

/*
 * Whether a piece can be moved without waiting. The frontend may share the open file and clear
 * O_NONBLOCK, so that is not enough.
 */
static bool is_ready(const struct state_transfer *transfer)
{
	struct pollfd wanted = {.fd = transfer->source.fd,
				.events = transfer->load ? POLLIN : POLLOUT};

	return poll(&wanted, 1, 0) > 0;
}

/* Moves what can be moved now. */
static void move(struct state_transfer *transfer)
{
	while (transfer->source.fd >= 0) {
		uint8_t *bytes = transfer->bytes + transfer->at;
		size_t left = transfer->length - transfer->at;
		ssize_t count;

		if (left == 0 && transfer->load) {
			fail(transfer, E2BIG, "the state is longer than any");
			return;
		}
		if (left == 0) {
			close_pipe(transfer);
			return;
		}
		if (!is_ready(transfer))
			return;
		/* A pipe that is ready has room for so much. */
		if (left > PIPE_BUF)
			left = PIPE_BUF;
		count = transfer->load ? read(transfer->source.fd, bytes, left) :
					 write(transfer->source.fd, bytes, left);
		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count < 0)
			fail(transfer, errno, "the pipe cannot be used");
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
	close_pipe(transfer);
	free(transfer->bytes);
	transfer->bytes = NULL;
}

/* A pipe or a socket: nothing else tells how far the other side is, or that it has ended. */
static int check_pipe(int fd, bool load, struct error *error)
{
	int flags = fcntl(fd, F_GETFL);
	int access = flags & O_ACCMODE;
	struct stat status;

	if (flags < 0 || fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "cannot examine the descriptor");
	if (!S_ISFIFO(status.st_mode) && !S_ISSOCK(status.st_mode))
		return error_set(error, EINVAL, "the descriptor is neither a pipe nor a socket");
	if (access != O_RDWR && access != (load ? O_RDONLY : O_WRONLY))
		return error_set(error, EINVAL, "it is the wrong end of a pipe");
	/* The open file is ours alone once the frontend has closed its copy of this end. */
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set_errno(error, errno, "cannot set up the descriptor");
	return 0;
}

int state_transfer_begin(struct state_transfer *transfer, bool load, int fd, struct error *error)
{
	cleanup_fd int owned = fd;
	int ret = check_pipe(fd, load, error);

	forget(transfer);
	if (ret < 0)
		return ret;
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
	transfer->source.fd = take_fd(&owned);
	ret = event_loop_add(transfer->loop, &transfer->source, load ? EPOLLIN : EPOLLOUT, error);
	if (ret < 0)
		forget(transfer);
	return ret;
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
