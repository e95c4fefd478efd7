// SPDX-License-Identifier: BSD-3-Clause
/*
 * The state of a vhost-user client, shared by client.c (connection, negotiation and the backend
 * channel), client_device.c (messages about the device) and client_state.c (its internal state).
 */
#ifndef AVP_VHOST_CLIENT_PRIVATE_H
#define AVP_VHOST_CLIENT_PRIVATE_H

#include "vhost/channel.h"
#include "vhost/client.h"

/* Translations that the device process may ask for before the first is answered. */
#define VHOST_CLIENT_MISSES 64

/*
 * Messages that may be sent before the first is answered: few enough that the answers fit into the
 * socket's buffer.
 */
#define VHOST_CLIENT_PENDING 64

/* A message whose answer or acknowledgement is pending. */
struct vhost_pending {
	const struct vhost_message_row *row;
	uint32_t ring; /* that it concerns, if it concerns one */
};

/* Regions that can be tracked with memory slots. */
#define VHOST_CLIENT_REGIONS 64

struct vhost_client {
	struct vhost_channel channel;
	int timeout_ms;
	bool broken;		    /* the two sides are out of step: no call can succeed */
	uint64_t features;	    /* offered */
	uint64_t protocol_features; /* negotiated */
	uint64_t queue_count;

	/* The operation at hand, see vhost_client_begin. */
	bool in_operation;
	int64_t deadline_ms;
	bool unanswered; /* sent since the last reply, without acknowledgements */
	size_t pending_count;
	struct vhost_pending pending[VHOST_CLIENT_PENDING]; /* oldest first */
	struct error refusal;				    /* the first one; code 0: none */

	struct vhost_channel backend; /* from the device process; fd -1: none */
	bool negotiating; /* its messages wait, because the caller is not ready for them */
	const struct vhost_client_ops *ops;
	void *context;
	bool config_changed; /* not delivered yet */
	unsigned int miss_count;
	struct {
		uint64_t iova;
		uint8_t access;
	} misses[VHOST_CLIENT_MISSES];

	size_t region_count;
	struct vhost_region regions[VHOST_CLIENT_REGIONS]; /* shared as slots */
};

/*
 * Sends a message (the caller sets header.request and the payload, and header.size where the table
 * leaves it open) and receives the answer that the table announces into *reply. With @reply NULL
 * the answer is ignored, or there is only an acknowledgement: in an operation it comes later. A
 * descriptor that must come with the answer is put in *fd; with @fd NULL none may come. Only with
 * that of SET_DEVICE_STATE_FD it may be missing: -1.
 */
int vhost_client_call(struct vhost_client *client, struct vhost_message *message,
		      struct vhost_message *reply, int *fd, struct error *error);

/* The deadline of a call that begins now. */
int64_t vhost_client_deadline(const struct vhost_client *client);

/*
 * Waits until the other side has handled all messages sent so far, also when it offers no
 * acknowledgements. In an operation the wait happens at its end.
 */
int vhost_client_synchronize(struct vhost_client *client, struct error *error);

#endif
