// SPDX-License-Identifier: BSD-3-Clause
/*
 * Event descriptors that a peer gave: kick, call and error of a ring (vhost-user specification,
 * SET_VRING_KICK, _CALL, _ERR). The peer still holds the same open file and is not trusted.
 *
 * Only an eventfd is accepted. A pipe, a socket or a file could be full, be closed at the other end
 * or belong to somebody else, and Linux frontends have no reason to send one.
 *
 * O_NONBLOCK is not set here: it would change the peer's descriptor as well, and break a peer that
 * reads its interrupts with blocking reads. Reads pass a flag for each call instead. Writes cannot,
 * so a descriptor that came in blocking mode is polled for room first. A gap remains: a peer that
 * clears O_NONBLOCK later, or fills the counter between the poll and the write, blocks the device
 * process that serves it, until the peer or the supervisor ends that; nobody else is affected.
 */
#ifndef AVP_VHOST_EVENT_H
#define AVP_VHOST_EVENT_H

#include <stdbool.h>

#include "base/error.h"

struct vhost_event {
	int fd;	       /* owned; -1: none */
	bool blocking; /* it came without O_NONBLOCK */
};

#define VHOST_EVENT_NONE ((struct vhost_event){.fd = -1})

/*
 * Takes over @fd, closing what *event held; -1 leaves it empty. -EINVAL with *error set when @fd is
 * not an eventfd: it is closed and *event empty.
 */
int vhost_event_set(struct vhost_event *event, int fd, struct error *error);

/* Closes the descriptor. */
void vhost_event_close(struct vhost_event *event);

/*
 * Adds one to the counter; an empty event does nothing. A full counter counts as signalled. Returns
 * 0, or a negative errno when the descriptor is unusable.
 */
int vhost_event_signal(const struct vhost_event *event);

/* Sets the counter to zero. Returns 0, also when it was zero, or a negative errno as above. */
int vhost_event_drain(const struct vhost_event *event);

#endif
