// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host side of a CAN controller: a client of a CAN bus (service/can_bus/client.h) on the event
 * loop. When the bus is lost, it asks for another channel to it, again and again, and takes part in
 * the bus again if the guest had started the controller.
 */
#ifndef AVP_DEVICE_CAN_BUS_H
#define AVP_DEVICE_CAN_BUS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/can/can.h"
#include "service/can_bus/client.h"
#include "service/channel/membership.h"

/* The time between two tries to join a bus that was lost. */
#define CAN_LINK_RETRY_MS 2000

struct can_link {
	struct can_backend backend;
	struct can_bus_client client;
	struct membership membership;
	bool wanted; /* the guest has started the controller */
};

/* Makes it, without a bus. The rest of *link is set. Returns 0 or a negative errno. */
int can_link_open(struct can_link *link, struct event_loop *loop, bool fd, struct error *error);

/* Asks for a channel, now and, from the loop, when it was lost: can_link_answer follows. */
void can_link_set_asker(struct can_link *link, int (*ask)(void *context), void *context);

/* The channel's socket, owned from now on, or -1 with the reason in @why. */
void can_link_answer(struct can_link *link, int socket, const char *why);

/* Joins on @socket, owned from now on. Returns 0 or a negative errno with *error set. */
int can_link_attach(struct can_link *link, int socket, struct error *error);

/* Safe on one that is zeroed. */
void can_link_close(struct can_link *link);

#endif
