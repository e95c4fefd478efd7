// SPDX-License-Identifier: BSD-3-Clause
/* What must hold for the state of each type of device (virtio/device_state.h). */
#ifndef AVP_TESTS_UNIT_STATE_CHECK_H
#define AVP_TESTS_UNIT_STATE_CHECK_H

#include "virtio/device.h"

/*
 * @target, a device of the same settings that no driver has used, takes the state of @source over,
 * and refuses it as a whole when it is cut, too long, of another type or version, or when it makes
 * no sense: what it does take is what it saves again. Stops the queues of @source. @target has the
 * state of @source in the end.
 */
void state_check(struct virtio_device *source, struct virtio_device *target);

/* Whether @target takes the state of @source over; it is as before if not. */
bool state_moves(struct virtio_device *source, struct virtio_device *target);

#endif
