// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device as `avp monitor --device` has it: what the monitor has to know of a device that another
 * process serves. `avp run` hands it down in the same form as a person writes it by hand.
 */
#ifndef AVP_GUEST_ENGINE_KVM_MONITOR_DEVICE_H
#define AVP_GUEST_ENGINE_KVM_MONITOR_DEVICE_H

#include "base/arguments.h"
#include "base/error.h"
#include "base/option.h"
#include "monitor/virtio/remote_device.h"
#include "virtio/device_shape.h"

struct monitor_device {
	char *type;   /* a name of device_types, or a number of VIRTIO 1.4, chapter 5 */
	char *name;   /* for the log; NULL: the type */
	char *socket; /* a path, or /dev/fd/N */
	/* 0 or none: as the type has it. */
	uint64_t queues, queue_size;
	struct option_list config_sizes;
	char *config; /* hexadecimal */
	uint8_t config_bytes[REMOTE_CONFIG_MAX];
	uint64_t setting_offset, setting_length;
	struct device_shape shape; /* leads to config_bytes */
};

/* The keys of --device. */
extern const struct option_row monitor_device_rows[];

/*
 * Reads @text into *device, and makes its shape. -EINVAL, a usage error, with nothing to give back:
 * it is not complete, or not what a monitor can have.
 */
int monitor_device_parse(struct monitor_device *device, const char *text, struct error *error);
/* Gives back what it owns. One that is all zero is fine. */
void monitor_device_clear(struct monitor_device *device);

/*
 * Adds the argument that monitor_device_parse reads as this: a connection that is inherited as @fd.
 */
void monitor_device_add(struct arguments *arguments, const char *name,
			const struct device_shape *shape, int fd);

#endif
