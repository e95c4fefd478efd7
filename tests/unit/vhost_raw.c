// SPDX-License-Identifier: BSD-3-Clause
/* vhost-user messages written by hand. */
#include "unit/vhost_raw.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 5000

struct raw_message raw_message(uint32_t id, const void *payload, size_t size)
{
	struct raw_message message = {.id = id,
				      .flags = VHOST_FLAG_VERSION,
				      .size = size,
				      .length = size};

	if (size)
		memcpy(message.payload.bytes, payload, size);
	return message;
}

struct raw_message raw_number(uint32_t id, uint64_t number)
{
	return raw_message(id, &number, sizeof(number));
}

struct raw_message raw_state(uint32_t id, uint32_t index, uint32_t number)
{
	struct vhost_vring_state state = {index, number};

	return raw_message(id, &state, sizeof(state));
}

void raw_add_fd(struct raw_message *message, int fd)
{
	message->fds[message->fd_count++] = fd;
}

size_t raw_bytes(const struct raw_message *message, uint8_t *bytes)
{
	struct vhost_header header = {message->id, message->flags, message->size};

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), message->payload.bytes, message->length);
	return sizeof(header) + message->length;
}

static bool send_bytes(int socket, const uint8_t *bytes, size_t length, const int *fds,
		       unsigned int fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * RAW_FDS_MAX)];
		struct cmsghdr alignment;
	} control = {.bytes = {0}};
	struct iovec vector = {(void *)bytes, length};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd_count) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.alignment =
			(struct cmsghdr){CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.alignment), fds, fd_count * sizeof(int));
	}
	while (sendmsg(socket, &header, MSG_NOSIGNAL) != (ssize_t)length) {
		struct pollfd room = {.fd = socket, .events = POLLOUT};

		if (errno != EAGAIN || poll(&room, 1, PATIENCE_MS) != 1)
			return false;
	}
	return true;
}

bool raw_send(int socket, const struct raw_message *message)
{
	uint8_t bytes[sizeof(struct vhost_header) + sizeof(message->payload) +
		      sizeof(message->excess)];
	size_t length = raw_bytes(message, bytes);

	return send_bytes(socket, bytes, length, message->fds, message->fd_count);
}

void raw_send_slowly(int socket, const struct raw_message *message)
{
	uint8_t bytes[sizeof(struct vhost_header) + sizeof(message->payload) +
		      sizeof(message->excess)];
	size_t length = raw_bytes(message, bytes);

	for (size_t i = 0; i < length; i++) {
		assert_true(
			send_bytes(socket, bytes + i, 1, message->fds, i ? 0 : message->fd_count));
		usleep(i % 7 == 3 ? 500 : 0);
	}
}

static bool receive_bytes(int socket, void *buffer, size_t length, struct raw_message *message)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * RAW_FDS_MAX)];
		struct cmsghdr alignment;
	} control;
	struct pollfd wanted = {.fd = socket, .events = POLLIN};

	for (size_t done = 0; done < length;) {
		struct iovec vector = {(uint8_t *)buffer + done, length - done};
		struct msghdr header = {
			.msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};
		struct cmsghdr *item;
		ssize_t count;

		assert_int_equal(poll(&wanted, 1, PATIENCE_MS), 1);
		count = recvmsg(socket, &header, 0);
		if (count <= 0)
			return false;
		done += count;
		item = CMSG_FIRSTHDR(&header);
		if (!item)
			continue;
		for (size_t at = CMSG_LEN(0); at < item->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, (uint8_t *)item + at, sizeof(fd));
			raw_add_fd(message, fd);
		}
	}
	return true;
}

bool raw_receive(int socket, struct raw_message *message)
{
	struct vhost_header header;

	*message = (struct raw_message){0};
	if (!receive_bytes(socket, &header, sizeof(header), message))
		return false;
	message->id = header.request;
	message->flags = header.flags;
	message->size = message->length = header.size;
	assert_in_range(header.size, 0, sizeof(message->payload));
	return receive_bytes(socket, message->payload.bytes, header.size, message);
}

void raw_close_fds(struct raw_message *message)
{
	while (message->fd_count)
		close(message->fds[--message->fd_count]);
}

bool raw_wait_end(int socket)
{
	struct pollfd wanted = {.fd = socket, .events = POLLIN};
	char buffer[4096];

	while (poll(&wanted, 1, PATIENCE_MS) == 1)
		if (recv(socket, buffer, sizeof(buffer), MSG_DONTWAIT) <= 0)
			return true;
	return false;
}
