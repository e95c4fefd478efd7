// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend on a port of a switch (service/switch/protocol.h). While there is no
 * switch, the guest's link is down; it asks for another channel, again and again.
 */
#ifndef AVP_DEVICE_NET_LINK_H
#define AVP_DEVICE_NET_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/net/net.h"
#include "service/channel/channel.h"
#include "service/channel/membership.h"

/* The time between two tries to join a switch that was lost. */
#define NET_LINK_RETRY_MS 2000

struct net_link {
	struct net_backend backend;
	struct channel channel; /* socket -1: there is no switch */
	struct membership membership;
	uint32_t offloads;	      /* of received frames, as the guest asked */
	bool offloads_due;	      /* the switch does not know them yet */
	bool wanted;		      /* the guest takes frames */
	bool kept;		      /* the next frame waits for room in the guest */
	uint64_t short_since_ns;      /* since when it waits for more buffers; 0: it does not */
	uint8_t frame[NET_FRAME_MAX]; /* one that is in two pieces in the channel */
};

/* Makes it, without a switch. Returns 0 or a negative errno with *error set. */
int net_link_open(struct net_link *link, struct event_loop *loop, struct error *error);

/*
 * Asks for a channel, now and, from the loop, when it was lost: net_link_answer follows. The
 * network device uses the link already.
 */
void net_link_set_asker(struct net_link *link, int (*ask)(void *context), void *context);

/* The channel's socket, owned from now on, or -1 with the reason in @why. */
void net_link_answer(struct net_link *link, int socket, const char *why);

/* Joins on @socket, owned from now on. Returns 0 or a negative errno with *error set. */
int net_link_attach(struct net_link *link, int socket, struct error *error);

/* Safe on one that is zeroed. */
void net_link_close(struct net_link *link);

#endif
