// SPDX-License-Identifier: BSD-3-Clause
/* The internal state of a device (vhost-user specification, "Migrating back-end state"). */
#include "virtio/device_state.h"

#include <errno.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "states are little-endian, and so must the host be"
#endif

#define FORM_VERSION 1

static const uint8_t magic[4] = {'A', 'V', 'P', 'S'};

void state_put(struct device_state *state, const void *bytes, size_t length)
{
	state->failed = state->failed || length > state->size - state->at;
	if (state->failed)
		return;
	memcpy(state->bytes + state->at, bytes, length);
	state->at += length;
}

void state_put_u8(struct device_state *state, uint8_t value)
{
	state_put(state, &value, sizeof(value));
}

void state_put_u16(struct device_state *state, uint16_t value)
{
	state_put(state, &value, sizeof(value));
}

void state_put_u32(struct device_state *state, uint32_t value)
{
	state_put(state, &value, sizeof(value));
}

void state_put_u64(struct device_state *state, uint64_t value)
{
	state_put(state, &value, sizeof(value));
}

void state_get(struct device_state *state, void *bytes, size_t length)
{
	state->failed = state->failed || length > state->size - state->at;
	if (state->failed) {
		memset(bytes, 0, length);
		return;
	}
	memcpy(bytes, state->bytes + state->at, length);
	state->at += length;
}

uint8_t state_get_u8(struct device_state *state)
{
	uint8_t value;

	state_get(state, &value, sizeof(value));
	return value;
}

uint16_t state_get_u16(struct device_state *state)
{
	uint16_t value;

	state_get(state, &value, sizeof(value));
	return value;
}

uint32_t state_get_u32(struct device_state *state)
{
	uint32_t value;

	state_get(state, &value, sizeof(value));
	return value;
}

uint64_t state_get_u64(struct device_state *state)
{
	uint64_t value;

	state_get(state, &value, sizeof(value));
	return value;
}

bool state_get_bool(struct device_state *state)
{
	uint8_t value = state_get_u8(state);

	state_require(state, value <= 1);
	return value;
}

void state_require(struct device_state *state, bool holds)
{
	state->failed = state->failed || !holds;
}

bool state_is_complete(const struct device_state *state)
{
	return !state->failed && state->at == state->size;
}

int virtio_device_save(struct virtio_device *device, uint8_t *bytes)
{
	struct device_state state = {.bytes = bytes, .size = DEVICE_STATE_MAX};

	if (!device->class->save)
		return -EOPNOTSUPP;
	state_put(&state, magic, sizeof(magic));
	state_put_u16(&state, FORM_VERSION);
	state_put_u16(&state, device->class->state_version);
	state_put_u32(&state, device->class->id);
	state_put_u64(&state, device->negotiated);
	device->class->save(device, &state);
	/* The types' bounds are constants, so this shows in the first test of a type. */
	return state.failed ? -EOVERFLOW : (int)state.at;
}

int virtio_device_load(struct virtio_device *device, const uint8_t *bytes, size_t length)
{
	/* Only read from. */
	struct device_state state = {.bytes = (uint8_t *)bytes, .size = length};
	bool fresh = device->negotiated == 0;
	uint8_t start[sizeof(magic)], status = device->status;
	uint16_t form, version;
	uint64_t features;
	uint32_t id;
	int ret;

	if (!device->class->load)
		return -EOPNOTSUPP;
	state_get(&state, start, sizeof(start));
	form = state_get_u16(&state);
	version = state_get_u16(&state);
	id = state_get_u32(&state);
	features = state_get_u64(&state);
	if (state.failed || length > DEVICE_STATE_MAX || memcmp(start, magic, sizeof(magic)) != 0)
		return -EINVAL;
	if (form != FORM_VERSION || version != device->class->state_version ||
	    id != device->class->id)
		return -EOPNOTSUPP;
	if (!fresh && features != device->negotiated)
		return -EINVAL;
	/* What may be in the state depends on the features. */
	ret = fresh ? virtio_device_set_features(device, features) : 0;
	if (ret == 0)
		ret = device->class->load(device, &state);
	if (ret < 0 && fresh) {
		virtio_device_reset(device);
		device->status = status;
	}
	return ret;
}
