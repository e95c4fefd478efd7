// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client's end of a CAN bus: its participation, and the frames that it sends and gets. The
 * service is not trusted: what no correct one sends breaks the channel.
 *
 * Callbacks concern the current participation; answers to an earlier one are ignored. A client
 * belongs to one thread.
 */
#ifndef AVP_SERVICE_CAN_BUS_CLIENT_H
#define AVP_SERVICE_CAN_BUS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "service/can_bus/protocol.h"
#include "service/channel/channel.h"

/* Calls from can_bus_client_poll; they must not detach the client. */
struct can_bus_client_ops {
	void (*started)(void *context);
	void (*stopped)(void *context); /* as it was asked to */
	void (*bus_off)(void *context);
	/* What became of the frame @tag. */
	void (*sent)(void *context, uint32_t tag, bool success);
	void (*received)(void *context, const struct can_bus_received *message);
};

struct can_bus_client {
	const struct can_bus_client_ops *ops;
	void *context;
	struct channel channel;
	uint32_t participation; /* the present one, or the last */
	bool participates;	/* STARTED has come, and neither STOPPED nor BUS_OFF */
	bool left;		/* nobody waits for answers of the present one */
	uint32_t due;		/* CAN_BUS_START or CAN_BUS_STOP, once there is room; 0 */
	bool blocked;		/* something had no room */
};

void can_bus_client_init(struct can_bus_client *client, const struct can_bus_client_ops *ops,
			 void *context);

/*
 * Takes the offer of a channel from @socket (service_link_join), which is owned from now on, also
 * on failure. Returns 0 or a negative errno with *error set.
 */
int can_bus_client_attach(struct can_bus_client *client, int socket, struct error *error);
/* Gives the channel up, with all that was under way. */
void can_bus_client_detach(struct can_bus_client *client);
static inline bool can_bus_client_is_attached(const struct can_bus_client *client)
{
	return client->channel.socket >= 0;
}

/* Begins a participation, or asks to end it: the answers follow. Only while it is attached. */
void can_bus_client_start(struct can_bus_client *client);
void can_bus_client_stop(struct can_bus_client *client);
/* Ends it, and no answer to what came before follows. Also for one that is not attached. */
void can_bus_client_leave(struct can_bus_client *client);

/*
 * Sends a frame; @tag is for the answer. False: it does not participate, or there is no room at
 * present. can_bus_client_flush shows a batch to the service.
 */
bool can_bus_client_send(struct can_bus_client *client, uint32_t tag,
			 const struct can_bus_frame *frame);
void can_bus_client_flush(struct can_bus_client *client);

/*
 * Takes at most @limit messages. *unblocked says that a send that failed for want of room may be
 * tried again. Returns whether there were any, or -EPROTO: detach it.
 */
int can_bus_client_poll(struct can_bus_client *client, unsigned int limit, bool *unblocked);

/* The owner is about to sleep, as channel_prepare_sleep. */
bool can_bus_client_prepare_sleep(struct can_bus_client *client);
/* The socket is readable or hung up, as channel_woken. */
int can_bus_client_woken(struct can_bus_client *client);

#endif
