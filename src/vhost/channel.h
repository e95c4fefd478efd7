// SPDX-License-Identifier: BSD-3-Clause
/*
 * One end of a vhost-user connection: receives whole messages, with their descriptors, from a
 * stream socket, and sends them (vhost-user specification, "Message Specification").
 *
 * The peer is not trusted. A message is put together from pieces of any size, without blocking for
 * the rest; its size is checked before the payload is read; descriptors are accepted only with the
 * first byte, and those that nobody takes are closed.
 *
 * A channel belongs to one thread.
 */
#ifndef AVP_VHOST_CHANNEL_H
#define AVP_VHOST_CHANNEL_H

#include <stdbool.h>

#include "base/error.h"
#include "vhost/message.h"

struct vhost_message {
	struct vhost_header header;
	union vhost_payload payload; /* header.size bytes of it */
	int fds[VHOST_FDS_MAX];	     /* -1 where there is none, or it was taken */
	unsigned int fd_count;
};

struct vhost_channel {
	int fd;			  /* -1: closed */
	vhost_find_message *find; /* the messages that are accepted; NULL: replies, of any id */
	struct vhost_message *message; /* being put together, or complete; lives until the close */
	size_t received;	       /* bytes of it so far */
};

/* What vhost_channel_receive found. */
enum vhost_receive {
	VHOST_RECEIVE_MESSAGE, /* channel->message is complete */
	VHOST_RECEIVE_NOTHING, /* not yet: wait until the socket is readable */
	VHOST_RECEIVE_END,     /* the peer hung up between two messages */
};

/*
 * Makes a channel on the connected stream socket @fd, owned from now on, also after a failure.
 * -ENOMEM with *error set: the channel is closed.
 */
int vhost_channel_open(struct vhost_channel *channel, int fd, vhost_find_message *find,
		       struct error *error);

/* Closes the socket and the descriptors of the last message, which ends. */
void vhost_channel_close(struct vhost_channel *channel);

/*
 * Receives the next message as far as it has arrived; does not block. Releases the last one first.
 * Returns enum vhost_receive; -EPROTO with *error set when the peer broke the protocol, after which
 * the channel can only be closed; or another negative errno.
 *
 * A complete message that is in the table of channel->find has a payload that fits its shape and
 * an allowed number of descriptors; any other has at most sizeof(union vhost_payload) bytes.
 * Payload bytes beyond header.size are zero.
 */
int vhost_channel_receive(struct vhost_channel *channel, struct error *error);

/* Closes the descriptors of the last message that were not taken out of message.fds. */
void vhost_channel_release(struct vhost_channel *channel);

/* Takes descriptor @at out of a message; the caller owns it. */
int vhost_message_take_fd(struct vhost_message *message, unsigned int at);

/*
 * Sends a message, waiting at most @timeout_ms for room (0: not at all). The caller keeps the
 * descriptors that are sent. -ETIMEDOUT with *error set when there was no room in time: the channel
 * may then be in the middle of a message, so close it; as after any other error.
 */
int vhost_channel_send(struct vhost_channel *channel, const struct vhost_message *message,
		       int timeout_ms, struct error *error);

#endif
