// SPDX-License-Identifier: BSD-3-Clause
/*
 * A channel carries messages between a service and one of its clients, mostly a device process:
 * two rings of fixed slots in shared memory, one in each direction, and a socket. docs/channel.md
 * describes the format.
 *
 * Each end distrusts the other. It keeps its own positions privately, copies what the other end
 * writes once and checks the copy, and never waits for the other end: there is room or there is
 * not. What a correct peer cannot do breaks the channel: the functions return -EPROTO from then on,
 * and the owner closes it. The content of messages is the owner's to check; it stays writable for
 * the peer until it is copied.
 *
 * While both ends are busy, a message costs no system call. An end that wants to sleep says so in
 * the shared memory (channel_prepare_sleep); the other end then sends one byte on the socket. The
 * socket is the only kernel object that the ends share beside the memory, each with an open file
 * of its own, so that neither can make a call of the other block, as it could with an eventfd; nor
 * can it send descriptors, whose closing might block (Linux 6.16 and later: docs/channel.md). Its
 * hang-up says that the other end is gone. The memory is sealed: nobody can cut it.
 *
 * The service makes the memory and offers it on a connected socket of type SOCK_SEQPACKET. Either
 * end may be started again; it meets the other anew on another socket, and messages that were
 * under way are lost.
 *
 * A channel belongs to one thread.
 */
#ifndef AVP_SERVICE_CHANNEL_CHANNEL_H
#define AVP_SERVICE_CHANNEL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The version of the format: of the offer and of the shared memory. */
#define CHANNEL_VERSION 1

/* Both are powers of two. */
struct channel_shape {
	uint32_t slot_size; /* in bytes */
	uint32_t slots;	    /* of each ring */
};

#define CHANNEL_SLOT_SIZE_MIN 64
#define CHANNEL_SLOT_SIZE_MAX 4096
#define CHANNEL_SLOTS_MIN     8
#define CHANNEL_SLOTS_MAX     4096

/* The header of a message, in its first slot; the content follows. */
struct channel_header {
	uint32_t length; /* of the content, in bytes */
	uint32_t kind;	 /* defined by the service */
};

/* The longest content: a message takes at most half of a ring. */
static inline uint32_t channel_length_max(const struct channel_shape *shape)
{
	return shape->slots / 2 * shape->slot_size - (uint32_t)sizeof(struct channel_header);
}

/* The content of a message in a ring: in two pieces where it passes the end of the ring. */
struct channel_span {
	uint8_t *base[2];
	uint32_t length[2]; /* the second one may be 0 */
};

struct channel_message {
	uint32_t kind, length;
	struct channel_span span;
};

struct channel_side; /* in the shared memory */

struct channel_counts {
	uint64_t messages_sent, messages_received; /* published, and consumed */
	uint64_t bytes_sent, bytes_received;	   /* of their contents */
	uint64_t wakes_sent, wakes_received;
	uint64_t wakes_failed; /* of @wakes_sent */
	uint64_t full;	       /* reservations that found no room */
};

struct channel {
	int socket; /* -1: closed */
	bool broken;
	struct channel_shape shape;
	uint8_t *memory;
	struct channel_side *own, *peer;
	uint8_t *out_slots, *in_slots;
	/* Positions count slots without end, modulo 2^32. */
	uint32_t reserved; /* behind the reserved message */
	uint32_t head;	   /* behind the last committed message */
	uint32_t published;
	uint32_t peer_tail; /* as last checked */
	uint32_t tail;	    /* of the message that is next to be received */
	uint32_t peer_head; /* as last checked */
	uint32_t released;
	uint32_t receiving; /* slots of the message that was received last and is not consumed */
	uint32_t reserved_length, receiving_length;
	struct channel_counts counts;
};

#define CHANNEL_CLOSED ((struct channel){.socket = -1})

/* Whether sizes are powers of two within the limits. */
bool channel_shape_is_valid(const struct channel_shape *shape);

/*
 * The service's end: makes the memory and offers it on @socket, a connected SOCK_SEQPACKET socket,
 * which is owned from now on, also on failure. Returns 0 or a negative errno with *error set.
 */
int channel_offer(struct channel *channel, const struct channel_shape *shape, int socket,
		  struct error *error);

/*
 * The client's end: takes the offer from @socket, without waiting. Returns 0, and then the socket
 * is owned; -EAGAIN, when no offer has come yet; or another negative errno with *error set: the
 * offer is not one of this version, or its memory can be cut.
 */
int channel_accept(struct channel *channel, int socket, struct error *error);

/* Gives up memory and socket. Safe on CHANNEL_CLOSED. */
void channel_close(struct channel *channel);

/*
 * Reserves room for a message with @length bytes of content, of which *span tells the place. A
 * reservation that is not committed is forgotten at the next one. Returns 0; -EAGAIN, no room at
 * present; -EMSGSIZE, it never fits; -EPROTO.
 */
int channel_reserve(struct channel *channel, uint32_t length, struct channel_span *span);
/* The reserved message is complete. */
void channel_commit(struct channel *channel, uint32_t kind);
/* Shows committed messages to the peer, and wakes it if it wants that. Call it once a batch. */
void channel_publish(struct channel *channel);

/* Copies to and from a message; @length bytes from @offset on must be within its content. */
void channel_span_write(const struct channel_span *span, uint32_t offset, const void *data,
			uint32_t length);
void channel_span_read(const struct channel_span *span, uint32_t offset, void *data,
		       uint32_t length);

/* Reserves, copies and commits. Returns as channel_reserve. */
int channel_send(struct channel *channel, uint32_t kind, const void *data, uint32_t length);

/*
 * The next message. It stays in the ring until it is consumed; without that, the next call returns
 * it again. Returns 1, 0 when there is none, or -EPROTO.
 */
int channel_receive(struct channel *channel, struct channel_message *message);
/* The received message has been dealt with. */
void channel_consume(struct channel *channel);
/* Gives the room of consumed messages back, and wakes the peer if it waits for it. Once a batch. */
void channel_release(struct channel *channel);

/* What an end that goes to sleep waits for. */
enum channel_wants {
	CHANNEL_WANTS_MESSAGES = 1,
	CHANNEL_WANTS_ROOM = 2, /* for a message of the longest kind; woken at any release */
};

/*
 * The owner is about to sleep: publishes, releases, and asks the peer for a wake-up when one of
 * @wants (bits) is there. Returns true when it is there already: then do not sleep.
 */
bool channel_prepare_sleep(struct channel *channel, unsigned int wants);

/*
 * The socket is readable or hung up: takes the wake-ups. Returns 0, or -EPIPE when the peer is
 * gone; what it had published can still be received.
 */
int channel_woken(struct channel *channel);

#endif
