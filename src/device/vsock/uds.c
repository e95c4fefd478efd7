// SPDX-License-Identifier: BSD-3-Clause
/* The host side of a socket device: Unix sockets. */
#include "device/vsock/uds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/socket_option.h"
#include "virtio/container_of.h"

#define MEMORY_SIZE (VSOCK_CONNECTIONS_MAX * sizeof(struct vsock_memory))

/* Data that arrives is noticed once: the device reads until there is none, or when it can. */
#define EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

static struct uds *to_uds(struct vsock_host *host)
{
	return container_of(host, struct uds, host);
}

static struct uds_stream *stream_of(struct uds *uds, const struct vsock_connection *connection)
{
	return &uds->streams[connection - uds->host.vsock->connections];
}

static struct vsock_connection *connection_of(const struct uds_stream *stream)
{
	return &stream->uds->host.vsock->connections[stream - stream->uds->streams];
}

static void watch(struct uds_stream *stream)
{
	event_watch_set(stream->uds->loop, &stream->watch,
			EVENTS | (stream->blocked ? (uint32_t)EPOLLOUT : 0));
}

/* Connections */

static void handle_stream(void *context, uint32_t events)
{
	struct uds_stream *stream = context;
	struct vsock_device *vsock = stream->uds->host.vsock;
	struct vsock_connection *connection = connection_of(stream);
	uint32_t generation = stream->generation;

	if (events & (EPOLLHUP | EPOLLERR))
		stream->hung_up = true;
	/* The guest has not accepted: a client that leaves takes its call back. */
	if (connection->state == VSOCK_CALLING) {
		if (stream->hung_up)
			vsock_device_ended(vsock, connection, VSOCK_SHUTDOWN_BOTH);
		return;
	}
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) && stream->blocked) {
		stream->blocked = false;
		watch(stream);
		vsock_device_writable(vsock, connection);
	}
	/* Another connection may have this place by now. */
	if (stream->generation == generation && events & ~(uint32_t)EPOLLOUT)
		vsock_device_readable(vsock, connection);
	/* All was read before. */
	if (stream->generation == generation && stream->hung_up &&
	    connection->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		vsock_device_ended(vsock, connection, VSOCK_SHUTDOWN_BOTH);
}

static void attach(struct uds_stream *stream, int fd)
{
	stream->watch.source = (struct event_source){fd, handle_stream, stream};
	stream->hung_up = stream->blocked = false;
	watch(stream);
}

static void called(struct vsock_host *host, struct vsock_connection *connection)
{
	struct uds *uds = to_uds(host);
	struct uds_stream *stream = stream_of(uds, connection);
	uint64_t tag = (uint64_t)stream->generation << 32 | (uint64_t)(stream - uds->streams);

	stream->greeted = false;
	if (connector_ask(&uds->connector, tag, connection->host_port) < 0) {
		stream->generation++;
		vsock_device_answer(host->vsock, connection, false);
	}
}

/* A byte out of band would make the socket readable for ever, and no read would take it. */
static void take_bytes_only(int fd)
{
	const int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) < 0 ||
	    socket_refuse_descriptors(fd) < 0)
		log_warning("a socket takes more than bytes: %s", strerror(errno));
}

static void handle_connected(void *context, uint64_t tag, int fd)
{
	struct uds *uds = context;
	uint32_t place = (uint32_t)tag;
	struct uds_stream *stream;

	if (place >= VSOCK_CONNECTIONS_MAX ||
	    uds->streams[place].generation != (uint32_t)(tag >> 32)) {
		/* The guest has given it up. */
		if (fd >= 0)
			close(fd);
		return;
	}
	stream = &uds->streams[place];
	if (fd >= 0) {
		take_bytes_only(fd);
		attach(stream, fd);
	} else {
		log_debug("nobody listens at port %" PRIu32 ": %s",
			  connection_of(stream)->host_port, strerror(-fd));
		stream->generation++;
	}
	vsock_device_answer(uds->host.vsock, connection_of(stream), fd >= 0);
}

static void accepted(struct vsock_host *host, struct vsock_connection *connection)
{
	struct uds_stream *stream = stream_of(to_uds(host), connection);
	char line[UDS_LINE_MAX];
	int length = snprintf(line, sizeof(line), "OK %" PRIu32 "\n", connection->host_port);

	/* Nothing was sent to the client before, so there is room. */
	if (send(stream->watch.source.fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    length)
		vsock_device_ended(host->vsock, connection, VSOCK_SHUTDOWN_BOTH);
}

static size_t write_stream(struct vsock_host *host, struct vsock_connection *connection,
			   const struct virtio_segment *segments, uint32_t count)
{
	struct uds_stream *stream = stream_of(to_uds(host), connection);
	/* The same layout, see struct virtio_segment. */
	struct msghdr message = {.msg_iov = (struct iovec *)segments, .msg_iovlen = count};
	size_t total = 0;
	ssize_t written;

	do
		written = sendmsg(stream->watch.source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (written < 0 && errno == EINTR);
	if (written < 0 && errno != EAGAIN) {
		vsock_device_ended(host->vsock, connection, VIRTIO_VSOCK_SHUTDOWN_RCV);
		return 0;
	}
	for (uint32_t i = 0; i < count; i++)
		total += segments[i].length;
	if (written < 0 || (size_t)written < total) {
		stream->blocked = true;
		watch(stream);
	}
	return written < 0 ? 0 : (size_t)written;
}

static size_t read_stream(struct vsock_host *host, struct vsock_connection *connection,
			  const struct virtio_segment *segments, uint32_t count)
{
	struct uds_stream *stream = stream_of(to_uds(host), connection);
	struct msghdr message = {.msg_iov = (struct iovec *)segments, .msg_iovlen = count};
	ssize_t length;

	do
		length = recvmsg(stream->watch.source.fd, &message, MSG_DONTWAIT);
	while (length < 0 && errno == EINTR);
	if (length > 0)
		return (size_t)length;
	if (length == 0)
		vsock_device_ended(host->vsock, connection,
				   stream->hung_up ? VSOCK_SHUTDOWN_BOTH :
						     VIRTIO_VSOCK_SHUTDOWN_SEND);
	else if (errno != EAGAIN)
		vsock_device_ended(host->vsock, connection, VSOCK_SHUTDOWN_BOTH);
	return 0;
}

static void shut(struct vsock_host *host, struct vsock_connection *connection)
{
	shutdown(stream_of(to_uds(host), connection)->watch.source.fd, SHUT_WR);
}

static void close_stream(struct vsock_host *host, struct vsock_connection *connection)
{
	struct uds *uds = to_uds(host);
	struct uds_stream *stream = stream_of(uds, connection);

	stream->generation++;
	event_watch_set(uds->loop, &stream->watch, 0);
	close_fd(&stream->watch.source.fd);
}

static void discard(struct vsock_host *host, struct vsock_memory *memory)
{
	/* If the kernel keeps the pages, they are used again. */
	madvise(memory, sizeof(*memory), MADV_DONTNEED);
}

static const struct vsock_host_ops host_ops = {
	.called = called,
	.accepted = accepted,
	.write = write_stream,
	.read = read_stream,
	.shut = shut,
	.close = close_stream,
	.discard = discard,
};

/* Clients */

static void send_away(struct uds_greeter *greeter)
{
	event_watch_set(greeter->uds->loop, &greeter->watch, 0);
	close_fd(&greeter->watch.source.fd);
}

/* CONNECT PORT, as the clients of Firecracker write it: the word in any case. */
static bool read_port(const char *line, uint32_t *port)
{
	static const char command[] = "connect ";
	uint64_t number = 0;
	const char *digit = line + strlen(command);

	if (strncasecmp(line, command, strlen(command)) != 0 || !*digit)
		return false;
	for (; *digit >= '0' && *digit <= '9' && number <= UINT32_MAX; digit++)
		number = number * 10 + (uint64_t)(*digit - '0');
	*port = (uint32_t)number;
	return !*digit && number <= UINT32_MAX;
}

/* Takes what belongs to the line, and no more. Returns 1 when it is complete, or -1. */
static int take_line(struct uds_greeter *greeter)
{
	int fd = greeter->watch.source.fd;
	size_t room = sizeof(greeter->line) - greeter->length;
	char *place = greeter->line + greeter->length, *end;
	ssize_t length = recv(fd, place, room, MSG_PEEK | MSG_DONTWAIT);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (length <= 0)
		return -1;
	end = memchr(place, '\n', (size_t)length);
	if (end)
		length = end - place + 1;
	if (recv(fd, place, (size_t)length, MSG_DONTWAIT) != length)
		return -1;
	greeter->length += (uint32_t)length;
	if (!end)
		return greeter->length < sizeof(greeter->line) ? 0 : -1;
	*end = 0;
	return 1;
}

static void handle_greeter(void *context, uint32_t events)
{
	struct uds_greeter *greeter = context;
	struct uds *uds = greeter->uds;
	struct vsock_connection *connection = NULL;
	int complete = take_line(greeter);
	struct uds_stream *stream;
	uint32_t port;
	int fd;

	if (complete == 0)
		return;
	if (complete > 0 && read_port(greeter->line, &port))
		connection = vsock_device_call(uds->host.vsock, port);
	if (!connection) {
		send_away(greeter);
		return;
	}
	event_watch_set(uds->loop, &greeter->watch, 0);
	fd = take_fd(&greeter->watch.source.fd);
	stream = stream_of(uds, connection);
	stream->greeted = true;
	attach(stream, fd);
}

static struct uds_greeter *place_for_greeter(struct uds *uds)
{
	struct uds_greeter *oldest = &uds->greeters[0];

	for (unsigned int i = 0; i < UDS_GREETERS_MAX; i++) {
		if (uds->greeters[i].watch.source.fd < 0)
			return &uds->greeters[i];
		if (uds->greeters[i].number < oldest->number)
			oldest = &uds->greeters[i];
	}
	send_away(oldest);
	return oldest;
}

static void handle_listener(void *context, uint32_t events)
{
	struct uds *uds = context;
	struct uds_greeter *greeter;
	int fd;

	do {
		fd = accept4(uds->listener.source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0) {
		if (errno != EAGAIN)
			log_warning("a client cannot be accepted: %s", strerror(errno));
		return;
	}
	take_bytes_only(fd);
	greeter = place_for_greeter(uds);
	greeter->number = uds->clients++;
	greeter->length = 0;
	greeter->watch.source = (struct event_source){fd, handle_greeter, greeter};
	event_watch_set(uds->loop, &greeter->watch, EPOLLIN);
}

/* Life */

int uds_open(struct uds *uds, struct event_loop *loop, int listener, const char *path,
	     struct error *error)
{
	*uds = (struct uds){
		.host.ops = &host_ops,
		.loop = loop,
		.listener.source = {listener, handle_listener, uds},
		.connector = CONNECTOR_NONE,
	};
	for (unsigned int i = 0; i < UDS_GREETERS_MAX; i++) {
		uds->greeters[i].uds = uds;
		uds->greeters[i].watch.source.fd = -1;
	}
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
		uds->streams[i].uds = uds;
		uds->streams[i].watch.source.fd = -1;
	}
	uds->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (uds->memory == MAP_FAILED) {
		uds->memory = NULL;
		return error_set_errno(error, errno, "no memory for connections");
	}
	return path ? connector_start(&uds->connector, loop, path, handle_connected, uds, error) :
		      0;
}

void uds_start(struct uds *uds)
{
	if (uds->listener.source.fd >= 0)
		event_watch_set(uds->loop, &uds->listener, EPOLLIN);
}

void uds_close(struct uds *uds)
{
	if (!uds->loop)
		return;
	for (unsigned int i = 0; i < UDS_GREETERS_MAX; i++)
		send_away(&uds->greeters[i]);
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++) {
		event_watch_set(uds->loop, &uds->streams[i].watch, 0);
		close_fd(&uds->streams[i].watch.source.fd);
	}
	event_watch_set(uds->loop, &uds->listener, 0);
	close_fd(&uds->listener.source.fd);
	connector_stop(&uds->connector);
	if (uds->memory)
		munmap(uds->memory, MEMORY_SIZE);
	uds->loop = NULL;
}
