// SPDX-License-Identifier: BSD-3-Clause
/*
 * Streams of the console device on descriptors. A descriptor is watched only for what the device
 * waits for, so that a guest that does not read causes no wake-ups; a socket is also watched for
 * hang-up.
 */
#include "device/console/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "virtio/container_of.h"

struct stream_backend {
	struct console_stream stream;
	struct event_loop *loop;
	struct event_watch source;   /* the descriptor that bytes go through; fd -1: none now */
	struct event_watch listener; /* fd -1: none */
	int echo_fd;		     /* the other end of the source; -1: another process has it */
	bool socket;		     /* else it only takes the guest's output */
	bool hung_up;		     /* the peer is gone, but its data may still be unread */
	bool input_ended;
	bool want_read, want_write;
	bool loss_reported; /* the log says that output of the guest is lost */
};

static struct stream_backend *to_backend(struct console_stream *stream)
{
	return container_of(stream, struct stream_backend, stream);
}

static void update_watch(struct stream_backend *backend)
{
	uint32_t events = 0;

	if (backend->source.source.fd < 0)
		return;
	if (backend->socket && backend->want_read && !backend->input_ended)
		events |= EPOLLIN;
	if (backend->want_write)
		events |= EPOLLOUT;
	/* Once it has hung up, the loop would report that for ever. */
	if (backend->socket && !backend->hung_up)
		events |= EPOLLHUP;
	/* A regular file is always writable, and is not watched. */
	event_watch_set(backend->loop, &backend->source, events);
}

/* If accept fails for lack of a descriptor, the client is accepted when another one comes. */
static void listen_again(struct stream_backend *backend)
{
	if (backend->listener.source.fd >= 0)
		event_watch_set(backend->loop, &backend->listener, EPOLLIN | EPOLLET);
}

static void disconnect(struct stream_backend *backend)
{
	event_watch_set(backend->loop, &backend->source, 0);
	close_fd(&backend->source.source.fd);
	listen_again(backend);
	console_stream_connected(&backend->stream, false);
}

/* The peer is gone; with nothing left to read, do not wait for the guest to read. */
static void hang_up(struct stream_backend *backend)
{
	char byte;
	ssize_t left;

	backend->hung_up = true;
	if (!backend->socket)
		return;
	left = recv(backend->source.source.fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
	if (left == 0 || (left < 0 && errno != EAGAIN))
		backend->input_ended = true;
}

static void handle_source(void *context, uint32_t events)
{
	struct stream_backend *backend = context;

	if (events & (EPOLLHUP | EPOLLERR))
		hang_up(backend);
	console_stream_ready(&backend->stream);
	if (backend->source.source.fd >= 0 && backend->hung_up && backend->input_ended)
		disconnect(backend);
	else
		update_watch(backend);
}

static void handle_listener(void *context, uint32_t events)
{
	struct stream_backend *backend = context;
	int fd;

	do {
		fd = accept4(backend->listener.source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0) {
		if (errno != EAGAIN)
			log_warning("a client cannot be accepted: %s", strerror(errno));
		return;
	}
	event_watch_set(backend->loop, &backend->listener, 0);
	backend->source.source.fd = fd;
	backend->hung_up = false;
	backend->input_ended = false;
	update_watch(backend);
	console_stream_connected(&backend->stream, true);
	console_stream_ready(&backend->stream);
}

static size_t total(const struct virtio_segment *segments, uint32_t count)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < count; i++)
		bytes += segments[i].length;
	return bytes;
}

static size_t write_stream(struct console_stream *stream, const struct virtio_segment *segments,
			   uint32_t count)
{
	struct stream_backend *backend = to_backend(stream);
	/* The same layout, see struct virtio_segment. */
	struct iovec *vector = (struct iovec *)segments;
	struct msghdr message = {
		.msg_iov = vector,
		.msg_iovlen = count < IOV_MAX ? count : IOV_MAX,
	};
	ssize_t written;

	do {
		if (backend->socket)
			written = sendmsg(backend->source.source.fd, &message,
					  MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			written =
				writev(backend->source.source.fd, vector, (int)message.msg_iovlen);
	} while (written < 0 && errno == EINTR);
	if (written >= 0)
		return (size_t)written;
	if (errno == EAGAIN)
		return 0;
	/*
	 * The reader is gone, or the disk is full: the guest's console must not stall. Do not log
	 * that a client of a socket left.
	 */
	if (!backend->socket && !backend->loss_reported) {
		backend->loss_reported = true;
		log_warning("the output of the guest to a port is lost: %s", strerror(errno));
	}
	return total(segments, count);
}

static size_t read_stream(struct console_stream *stream, const struct virtio_segment *segments,
			  uint32_t count)
{
	struct stream_backend *backend = to_backend(stream);
	struct msghdr message = {
		.msg_iov = (struct iovec *)segments,
		.msg_iovlen = count < IOV_MAX ? count : IOV_MAX,
	};
	ssize_t bytes;

	if (!backend->socket || backend->source.source.fd < 0 || backend->input_ended)
		return 0;
	do {
		bytes = recvmsg(backend->source.source.fd, &message, MSG_DONTWAIT);
	} while (bytes < 0 && errno == EINTR);
	if (bytes > 0)
		return (size_t)bytes;
	/* The peer may have closed only its sending direction, and still read. */
	backend->input_ended = bytes == 0 || errno != EAGAIN;
	if (backend->input_ended && backend->hung_up)
		disconnect(backend);
	return 0;
}

static void watch(struct console_stream *stream, bool read, bool write)
{
	struct stream_backend *backend = to_backend(stream);

	backend->want_read = read;
	backend->want_write = write;
	update_watch(backend);
}

static size_t write_echo(struct console_stream *stream, const struct virtio_segment *segments,
			 uint32_t count)
{
	struct stream_backend *backend = to_backend(stream);
	struct msghdr message = {
		.msg_iov = (struct iovec *)segments,
		.msg_iovlen = count < IOV_MAX ? count : IOV_MAX,
	};
	ssize_t written;

	do {
		written = sendmsg(backend->echo_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (written < 0 && errno == EINTR);
	/* Drop the rest: a guest that waited for room here would wait for itself. */
	return written < 0 ? total(segments, count) : (size_t)written;
}

static size_t write_null(struct console_stream *stream, const struct virtio_segment *segments,
			 uint32_t count)
{
	return total(segments, count);
}

static size_t read_null(struct console_stream *stream, const struct virtio_segment *segments,
			uint32_t count)
{
	return 0;
}

static void watch_null(struct console_stream *stream, bool read, bool write)
{
}

static const struct console_stream_ops descriptor_ops = {write_stream, read_stream, watch};
static const struct console_stream_ops echo_ops = {write_echo, read_stream, watch};
static const struct console_stream_ops null_ops = {write_null, read_null, watch_null};

static struct stream_backend *new_backend(struct event_loop *loop,
					  const struct console_stream_ops *ops, struct error *error)
{
	struct stream_backend *backend = calloc(1, sizeof(*backend));

	if (!backend) {
		error_set(error, ENOMEM, "no memory for a stream");
		return NULL;
	}
	backend->stream.ops = ops;
	backend->stream.connected = true;
	backend->loop = loop;
	backend->source.source = (struct event_source){-1, handle_source, backend};
	backend->listener.source = (struct event_source){-1, handle_listener, backend};
	backend->echo_fd = -1;
	return backend;
}

/* The flag also changes for the process that opened the file, which does not use it. */
static bool make_nonblocking(int fd, struct error *error)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)
		return true;
	error_set_errno(error, errno, "cannot make descriptor %d non-blocking", fd);
	return false;
}

struct stream_backend *stream_backend_new_connected(struct event_loop *loop, int fd,
						    struct error *error)
{
	cleanup_fd int owned = fd;
	struct stream_backend *backend = new_backend(loop, &descriptor_ops, error);

	if (!backend)
		return NULL;
	backend->socket = true;
	backend->source.source.fd = take_fd(&owned);
	update_watch(backend);
	return backend;
}

struct stream_backend *stream_backend_new_listening(struct event_loop *loop, int fd,
						    struct error *error)
{
	cleanup_fd int owned = fd;
	struct stream_backend *backend;

	if (!make_nonblocking(owned, error))
		return NULL;
	backend = new_backend(loop, &descriptor_ops, error);
	if (!backend)
		return NULL;
	backend->socket = true;
	backend->stream.connected = false;
	backend->listener.source.fd = take_fd(&owned);
	listen_again(backend);
	return backend;
}

struct stream_backend *stream_backend_new_output(struct event_loop *loop, int fd,
						 struct error *error)
{
	cleanup_fd int owned = fd;
	struct stream_backend *backend;

	if (!make_nonblocking(owned, error))
		return NULL;
	backend = new_backend(loop, &descriptor_ops, error);
	if (backend)
		backend->source.source.fd = take_fd(&owned);
	return backend;
}

struct stream_backend *stream_backend_new_echo(struct event_loop *loop, struct error *error)
{
	struct stream_backend *backend;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		error_set_errno(error, errno, "cannot make a socket");
		return NULL;
	}
	backend = stream_backend_new_connected(loop, pair[0], error);
	if (!backend) {
		close(pair[1]);
		return NULL;
	}
	backend->stream.ops = &echo_ops;
	backend->echo_fd = pair[1];
	return backend;
}

struct stream_backend *stream_backend_new_null(struct error *error)
{
	return new_backend(NULL, &null_ops, error);
}

void stream_backend_free(struct stream_backend *backend)
{
	if (!backend)
		return;
	if (backend->loop) {
		event_watch_set(backend->loop, &backend->source, 0);
		event_watch_set(backend->loop, &backend->listener, 0);
	}
	close_fd(&backend->source.source.fd);
	close_fd(&backend->listener.source.fd);
	close_fd(&backend->echo_fd);
	free(backend);
}

struct console_stream *stream_backend_stream(struct stream_backend *backend)
{
	return &backend->stream;
}
