// SPDX-License-Identifier: BSD-3-Clause
/*
 * Device types: what the tests of rings, transports and life must know of a type to drive it. A
 * type registers itself in the file that has its tests: DEVICE_TYPE(name) = {...} makes an entry in
 * a linker section, where the other tests find all types in link order.
 */
#ifndef CONFORM_TYPE_H
#define CONFORM_TYPE_H

#include "bus/bus.h"

/* A driver's request: readable buffers, then writable ones, all of them in its memory. */
struct request {
	struct driver_buffer buffers[4];
	unsigned int readable, writable;
	uint8_t *memory;
};

#define REQUEST_SIZE 1024 /* bytes of memory that a request has */

/* Makes a request of one buffer, the first @size bytes of its memory. */
static inline void request_make_single(struct request *request, uint32_t size, bool writable)
{
	request->buffers[0] = buffer_of(request->memory, size);
	request->readable = !writable;
	request->writable = writable;
}

/* A field of the configuration. */
struct device_field {
	const char *name; /* as in contract/CHAPTER.toml; NULL: the end of a list */
	uint32_t offset;
	unsigned int width; /* in bytes */
	uint64_t features;  /* with one of which the field exists; 0: always */
	bool limit;	    /* a profile may bound it: the device's line in the log has it */
};

/* The row of a field of the structure @config; @bits and @bounded as features and limit. */
#define DEVICE_FIELD(config, field, bits, bounded)                                                \
	{                                                                                         \
		.name = #field, .offset = offsetof(config, field),                                \
		.width = sizeof(((config *)NULL)->field), .features = (bits), .limit = (bounded), \
	}

struct device_type {
	uint32_t id;
	const char *name; /* as in devices= on the command line */
	bool base;	  /* a machine of the base profile has such a device (AVP-DISC-017) */

	/* Requests go to this queue. The queues below it are set up and stay empty. */
	uint32_t queue;
	/*
	 * Not 0: a request takes one descriptor. Tests that need such a device take the type with
	 * the lowest number; the number is lower the fewer others notice its requests.
	 */
	unsigned int simple;
	/* The tests skip a device that offers one of these features. */
	uint64_t excluded_features;
	/* A driver must accept at least one of these; 0: it may do without. */
	uint64_t needed_features;
	/*
	 * Returns the features without which the device may refuse a driver; NULL: none. The guest
	 * has what they need of a driver, and accepts them in all tests.
	 */
	uint64_t (*demands)(struct device *device);
	/*
	 * Makes the well-formed request number @slot. request->memory is set, its contents are
	 * undefined.
	 */
	void (*build)(struct request *request, unsigned int slot);
	/* Returns what is wrong with the result, or NULL. Not called if no buffer is writable. */
	const char *(*verify)(const struct request *request, uint32_t written);
	/*
	 * Makes a request for queue 0 that lets the device write most of the request's memory,
	 * @size bytes. NULL: the type has no such request.
	 */
	void (*build_large)(struct request *request, uint32_t size);

	/*
	 * How many bytes of the configuration a driver can read: without any of config_features,
	 * and with one of them. Both 0: the type has no configuration.
	 */
	uint32_t config_size, config_size_with;
	uint64_t config_features;
	bool config_wide; /* it begins with a field of 64 bits */
	/* Fields that do not change while the device is in use; NULL: none. */
	const struct device_field *fields;
	/* Writes to its bytes [command_start, command_end) have an effect outside of the device. */
	uint32_t command_start, command_end;

	/* Feature bits that the type defines (VIRTIO 1.4, 2.2); @features_high: 64 to 95. */
	uint64_t features;
	uint32_t features_high;
	uint64_t legacy_features; /* those that only a transitional device may offer */
	uint64_t dependent;	  /* features that depend on other features of the type */
	/* Returns which rule of the type the offered features break, or NULL. NULL: no rules. */
	const char *(*wrong_offer)(uint64_t offered);
	/* Returns a checksum of what a reset of the machine must not change. NULL: nothing. */
	uint32_t (*identity)(struct device *device);
};

#define DEVICE_TYPE(type_name)                           \
	static const struct device_type type_##type_name \
		__attribute__((used, section(".types"), aligned(8)))

extern const struct device_type types_start[], types_end[];

#define for_each_type(type) \
	for (const struct device_type *type = types_start; type < types_end; type++)

/* See struct device_type, demands. */
uint64_t device_demands(struct device *device);
/*
 * False: the transport exposes no configuration, or the type has none. *size is what the transport
 * exposes.
 */
bool device_has_config(struct device *device, uint32_t *size);
/* How many bytes of the configuration a driver can read with the negotiated features. */
uint32_t device_config_size(const struct device *device);
/* Whether a write of @width bytes at @offset has an effect outside of the device. */
bool device_config_commands(const struct device *device, uint32_t offset, uint32_t width);

#endif
