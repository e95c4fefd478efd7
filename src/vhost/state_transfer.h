// SPDX-License-Identifier: BSD-3-Clause
/*
 * The state of a device on its way to the frontend, or from it, through a channel that this process
 * makes (vhost-user specification, "Migrating back-end state" and SET_DEVICE_STATE_FD). The loop
 * moves it as the other side reads or writes, and never waits; one that does neither keeps a buffer
 * and a descriptor, until the connection ends.
 *
 * Belongs to the thread of the loop.
 */
#ifndef AVP_VHOST_STATE_TRANSFER_H
#define AVP_VHOST_STATE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "virtio/device.h"

struct state_transfer {
	struct event_loop *loop;
	struct virtio_device *device;
	struct event_source source; /* our end; fd -1: no transfer is under way */
	bool load;
	uint8_t *bytes;	    /* NULL: none was begun */
	size_t length, at;  /* of the state, and how much of it was moved */
	struct error error; /* why it failed; code 0: it did not */
	bool loaded;	    /* the device has taken a state over; the owner clears it */
};

void state_transfer_init(struct state_transfer *transfer, struct event_loop *loop,
			 struct virtio_device *device);

/*
 * Begins to save or to @load, in place of a transfer that was begun before. None of the device's
 * queues may run until the transfer has ended. Returns the frontend's end of the channel, owned by
 * the caller, or a negative errno with *error set: nothing was begun.
 */
int state_transfer_begin(struct state_transfer *transfer, bool load, struct error *error);

/*
 * Ends the transfer. 0: all of it was written, or read and taken over; a negative errno with
 * *error set: it was not, or is not complete, or none was begun. Then the device is as before.
 */
int state_transfer_end(struct state_transfer *transfer, struct error *error);

/* Ends a transfer that is under way, which failed: @why. */
void state_transfer_abort(struct state_transfer *transfer, const char *why);

#endif
