// SPDX-License-Identifier: BSD-3-Clause
/* Messages on a stream socket (vhost-user specification, "Message Specification"). */
#include "vhost/channel.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Room for as many descriptors as a message may carry; the kernel reports any that did not fit. */
union control {
	char bytes[CMSG_SPACE(sizeof(int) * VHOST_FDS_MAX)];
	struct cmsghdr alignment;
};

static void clear_message(struct vhost_message *message)
{
	memset(message, 0, sizeof(*message));
	for (unsigned int i = 0; i < VHOST_FDS_MAX; i++)
		message->fds[i] = -1;
}

int vhost_channel_open(struct vhost_channel *channel, int fd, vhost_find_message *find,
		       struct error *error)
{
	/* Not part of the channel: most device processes wait for a connection for long. */
	struct vhost_message *message = malloc(sizeof(*message));

	*channel = (struct vhost_channel){fd, find, message, 0};
	if (!message) {
		close_fd(&channel->fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	clear_message(message);
	return 0;
}

void vhost_channel_release(struct vhost_channel *channel)
{
	for (unsigned int i = 0; i < VHOST_FDS_MAX; i++)
		close_fd(&channel->message->fds[i]);
	clear_message(channel->message);
	channel->received = 0;
}

void vhost_channel_close(struct vhost_channel *channel)
{
	if (channel->fd < 0)
		return;
	vhost_channel_release(channel);
	free(channel->message);
	channel->message = NULL;
	close_fd(&channel->fd);
}

int vhost_message_take_fd(struct vhost_message *message, unsigned int at)
{
	return take_fd(&message->fds[at]);
}

/* Stores the descriptors that came with a piece of a message in it, and closes those in excess. */
static int take_descriptors(struct vhost_channel *channel, struct msghdr *header,
			    struct error *error)
{
	struct vhost_message *message = channel->message;
	bool excess = header->msg_flags & MSG_CTRUNC;
	bool late = false;

	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item; item = CMSG_NXTHDR(header, item)) {
		size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(fd));
			late |= channel->received > 0;
			excess |= message->fd_count == VHOST_FDS_MAX;
			if (channel->received > 0 || message->fd_count == VHOST_FDS_MAX)
				close(fd);
			else
				message->fds[message->fd_count++] = fd;
		}
	}
	if (late)
		return error_set(error, EPROTO, "descriptors came in the middle of a message");
	if (excess)
		return error_set(error, EPROTO, "a message came with too many descriptors");
	return 0;
}

/* Reads up to @length bytes. 1: some came, 0: none now, -ENODATA: the peer hung up. */
static int read_piece(struct vhost_channel *channel, void *buffer, size_t length,
		      struct error *error)
{
	union control control;
	struct iovec vector = {buffer, length};
	struct msghdr header = {
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t count;
	int ret;

	do {
		count = recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (count < 0 && errno == EINTR);
	if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (count < 0 && errno == ECONNRESET)
		return -ENODATA;
	if (count < 0)
		return error_set_errno(error, errno, "cannot read from the connection");
	ret = take_descriptors(channel, &header, error);
	if (ret < 0)
		return ret;
	if (count == 0)
		return -ENODATA;
	channel->received += count;
	return 1;
}

/* Checks the header and the number of descriptors before the payload is read. */
static int check_header(const struct vhost_channel *channel, struct error *error)
{
	const struct vhost_message *message = channel->message;
	const struct vhost_header *header = &message->header;
	const struct vhost_message_row *row;

	if ((header->flags & VHOST_FLAG_VERSION_MASK) != VHOST_FLAG_VERSION)
		return error_set(error, EPROTO, "message %u has protocol version %u, not 1",
				 header->request, header->flags & VHOST_FLAG_VERSION_MASK);
	if (header->size > sizeof(message->payload))
		return error_set(error, EPROTO, "message %u announces %u bytes", header->request,
				 header->size);
	if (!channel->find)
		return 0;
	if (header->flags & VHOST_FLAG_REPLY)
		return error_set(error, EPROTO, "message %u is a reply that nobody asked for",
				 header->request);
	row = channel->find(header->request);
	if (!row)
		return 0;
	if (!vhost_payload_fits(row->shape, header->size))
		return error_set(error, EPROTO, "%s has a payload of %u bytes", row->name,
				 header->size);
	if (message->fd_count < row->fds_min || message->fd_count > row->fds_max)
		return error_set(error, EPROTO, "%s came with %u descriptors", row->name,
				 message->fd_count);
	return 0;
}

int vhost_channel_receive(struct vhost_channel *channel, struct error *error)
{
	struct vhost_message *message = channel->message;
	size_t header_size = sizeof(message->header);
	int ret;

	if (channel->received >= header_size &&
	    channel->received == header_size + message->header.size)
		vhost_channel_release(channel);
	for (;;) {
		if (channel->received < header_size)
			ret = read_piece(channel, (uint8_t *)&message->header + channel->received,
					 header_size - channel->received, error);
		else
			ret = read_piece(channel,
					 message->payload.bytes + channel->received - header_size,
					 header_size + message->header.size - channel->received,
					 error);
		if (ret == 0)
			return VHOST_RECEIVE_NOTHING;
		if (ret == -ENODATA && channel->received == 0)
			return VHOST_RECEIVE_END;
		if (ret == -ENODATA)
			return error_set(error, EPROTO,
					 "the peer hung up in the middle of a message");
		if (ret < 0)
			return ret;
		if (channel->received == header_size) {
			ret = check_header(channel, error);
			if (ret < 0)
				return ret;
		}
		if (channel->received >= header_size &&
		    channel->received == header_size + message->header.size)
			return VHOST_RECEIVE_MESSAGE;
	}
}

/* Waits until there is room on the socket. */
static int wait_for_room(const struct vhost_channel *channel, int64_t deadline)
{
	struct pollfd wanted = {.fd = channel->fd, .events = POLLOUT};
	int64_t left = deadline - clock_now_ms();

	if (left <= 0)
		return -ETIMEDOUT;
	if (poll(&wanted, 1, left > INT_MAX ? INT_MAX : (int)left) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

int vhost_channel_send(struct vhost_channel *channel, const struct vhost_message *message,
		       int timeout_ms, struct error *error)
{
	int64_t deadline = clock_now_ms() + timeout_ms;
	size_t total = sizeof(message->header) + message->header.size;
	size_t sent = 0;
	union control control = {0};

	while (sent < total) {
		size_t in_header = sent < sizeof(message->header) ? sizeof(message->header) - sent :
								    0;
		size_t in_payload = total - sent - in_header;
		struct iovec vectors[2] = {
			{(uint8_t *)&message->header + sizeof(message->header) - in_header,
			 in_header},
			{(uint8_t *)message->payload.bytes + message->header.size - in_payload,
			 in_payload},
		};
		struct msghdr header = {.msg_iov = vectors, .msg_iovlen = 2};
		ssize_t count;

		/* Descriptors go with the first byte only. */
		if (sent == 0 && message->fd_count > 0) {
			size_t bytes = message->fd_count * sizeof(int);

			header.msg_control = &control;
			header.msg_controllen = CMSG_SPACE(bytes);
			control.alignment = (struct cmsghdr){
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(bytes),
			};
			memcpy(CMSG_DATA(&control.alignment), message->fds, bytes);
		}
		count = sendmsg(channel->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count >= 0) {
			sent += count;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			int ret = wait_for_room(channel, deadline);

			if (ret == -ETIMEDOUT)
				return error_set(error, ETIMEDOUT,
						 "the other side does not read its messages");
			if (ret < 0)
				return error_set_errno(error, -ret, "cannot wait for the socket");
		} else if (errno != EINTR) {
			return error_set_errno(error, errno, "cannot write to the connection");
		}
	}
	return 0;
}
