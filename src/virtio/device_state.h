// SPDX-License-Identifier: BSD-3-Clause
/*
 * The internal state of a device: what its driver has set and cannot read back, in a form that
 * another process takes over, so that the driver goes on as if nothing had happened (vhost-user
 * specification, "Migrating back-end state"). Positions of rings are not part of it, nor what the
 * host side knows.
 *
 * The form is little-endian and without gaps: "AVPS", a version of the form (16 bits), a version of
 * the device type's part (16), the VIRTIO id (32), the negotiated features (64), and that part.
 *
 * A state comes from anywhere: it is read like any other input, and taken over as a whole or not at
 * all.
 */
#ifndef AVP_VIRTIO_DEVICE_STATE_H
#define AVP_VIRTIO_DEVICE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/device.h"

/* No device has more, in bytes. */
#define DEVICE_STATE_MAX 16384

/* A state being written or read: after the first failure nothing more is. */
struct device_state {
	uint8_t *bytes;
	size_t size; /* bytes that there are, or room for them */
	size_t at;
	bool failed; /* it was too short, or what it holds is not allowed */
};

/*
 * Writes the state of @device to @bytes. For a move no queue may run meanwhile. Returns its length,
 * at most DEVICE_STATE_MAX, or -EOPNOTSUPP: the device type has none. At least DEVICE_STATE_MAX
 * bytes.
 */
int virtio_device_save(struct virtio_device *device, uint8_t *bytes);

/*
 * Takes the state over, on a device none of whose queues runs. Without features it gets those of
 * the state; otherwise they must be the same. A negative errno: nothing has changed. -EINVAL: it is
 * damaged, or does not suit this device; -EOPNOTSUPP: another version or type; -EIO: the host
 * cannot.
 */
int virtio_device_load(struct virtio_device *device, const uint8_t *bytes, size_t length);

/* Write @length bytes, or an integer; for .save of a device type. */
void state_put(struct device_state *state, const void *bytes, size_t length);
void state_put_u8(struct device_state *state, uint8_t value);
void state_put_u16(struct device_state *state, uint16_t value);
void state_put_u32(struct device_state *state, uint32_t value);
void state_put_u64(struct device_state *state, uint64_t value);

/* Read likewise, for .load; what is not there reads as zero. */
void state_get(struct device_state *state, void *bytes, size_t length);
uint8_t state_get_u8(struct device_state *state);
uint16_t state_get_u16(struct device_state *state);
uint32_t state_get_u32(struct device_state *state);
uint64_t state_get_u64(struct device_state *state);
/* A byte that is 0 or 1: anything else fails. */
bool state_get_bool(struct device_state *state);
/* Fails unless that holds. */
void state_require(struct device_state *state, bool holds);
/* Whether everything was read, nothing is left, and nothing failed. */
bool state_is_complete(const struct device_state *state);

#endif
