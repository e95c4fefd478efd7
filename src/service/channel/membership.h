// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client's membership of a service, on the event loop: the socket of its channel is watched and
 * its poller runs while it is a member; when it has lost the service, it asks for another channel
 * from time to time. The channel itself, and what goes over it, are the caller's.
 *
 * All functions are for the thread of the loop.
 */
#ifndef AVP_SERVICE_CHANNEL_MEMBERSHIP_H
#define AVP_SERVICE_CHANNEL_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/timer.h"

/* What is called while it is a member: as in struct event_source and struct event_poller. */
struct membership_ops {
	void (*handle_socket)(void *context, uint32_t events);
	bool (*poll)(void *context);
	bool (*prepare)(void *context, int *timeout_ms);
};

struct membership {
	struct event_loop *loop;    /* NULL: it is not open */
	struct event_source socket; /* fd -1: it is no member */
	struct event_poller poller;
	struct timer retry;
	int retry_ms; /* between two times that it asks */
	bool pending; /* what was asked for is due */
	/*
	 * Asks for a channel: membership_begin, or membership_ask_later if there is none, follows,
	 * then or from within. Returns 0 or a negative errno. NULL: nobody can be asked.
	 */
	int (*ask)(void *context);
	void *ask_context;
};

/* Makes one that is no member. Returns 0 or a negative errno with *error set. */
int membership_open(struct membership *membership, struct event_loop *loop,
		    const struct membership_ops *ops, void *context, int retry_ms,
		    struct error *error);

/* It is a member: @socket is that of its channel, and the channel's. Returns as above. */
int membership_begin(struct membership *membership, int socket, struct error *error);

/* It is no member any more; does nothing if it was none. Close the channel afterwards. */
void membership_end(struct membership *membership);

static inline bool membership_has_begun(const struct membership *membership)
{
	return membership->socket.fd >= 0;
}

/* Asks now; if that fails, later. */
void membership_ask(struct membership *membership);

/*
 * Nothing is due; asks after a while, if there is somebody. Not at once: with a service that closes
 * each channel, it would join without end.
 */
void membership_ask_later(struct membership *membership);

/* Ends it. Safe on one that is zeroed. */
void membership_close(struct membership *membership);

#endif
