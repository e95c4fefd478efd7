// SPDX-License-Identifier: BSD-3-Clause
/*
 * A program that is a client of a CAN bus: it joins by the path of the service's socket, takes part
 * at once, and runs an event loop of its own until it is done or a signal tells it to end.
 */
#ifndef AVP_SERVICE_CAN_BUS_SESSION_H
#define AVP_SERVICE_CAN_BUS_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "service/can_bus/client.h"
#include "service/channel/membership.h"
#include "service/kit/service_type.h"

/* The time between two tries of one that stays. */
#define CAN_SESSION_RETRY_MS 1000

/* Frames that it has sent and that have no answer yet: the bus takes CAN_BUS_PENDING_MAX. */
#define CAN_SESSION_PENDING_MAX 64

struct can_session;

/* All but @started may be NULL. */
struct can_session_ops {
	/* It takes part in the bus. */
	void (*started)(struct can_session *session);
	/* What became of the frame @tag; or, whatever it sent, frames may be sent again. */
	void (*sent)(struct can_session *session, uint32_t tag, bool success);
	void (*received)(struct can_session *session, const struct can_bus_received *message);
	/* The loop is about to sleep. */
	void (*idle)(struct can_session *session);
};

struct can_session {
	const struct can_session_ops *ops;
	void *context; /* the caller's */
	const char *path, *name;
	char own_name[SERVICE_NAME_SIZE];
	bool stays; /* joins again when the bus is gone, and starts again when it is off the bus */
	uint32_t pending; /* frames without an answer */
	uint64_t sent, not_sent;
	struct event_loop loop;
	struct can_bus_client client;
	struct event_source signals;
	struct membership membership;
	int result;
	struct error *error;
};

/*
 * Joins the bus at @path as @name, or, with NULL, as one that nobody else has: @what and the number
 * of the process. Both, and *error, must live as long as the session; *session must not move.
 * Returns 0 or a negative errno with *error set.
 */
int can_session_open(struct can_session *session, const struct can_session_ops *ops, void *context,
		     const char *path, const char *name, const char *what, struct error *error);

/* Runs until can_session_end or a signal, which is 0. Returns 0 or a negative errno as told. */
int can_session_run(struct can_session *session);

/* The session ends, with 0 or, *session->error set, a negative errno. */
void can_session_end(struct can_session *session, int result);

/*
 * Sends a frame, from the session's callbacks and handlers. False: there are too many without an
 * answer, or the bus is away at present; a call of ops->sent or ops->started follows.
 */
bool can_session_send(struct can_session *session, uint32_t tag, const struct can_bus_frame *frame);

/* Safe on one that is zeroed. */
void can_session_close(struct can_session *session);

#endif
