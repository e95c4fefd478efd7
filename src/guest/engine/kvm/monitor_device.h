// SPDX-License-Identifier: BSD-3-Clause
/*
 * The keys of `avp monitor --device`: what the monitor has to know of a device that another process
 * serves. `avp run` passes them in the same form as a user writes them.
 */
#ifndef AVP_GUEST_ENGINE_KVM_MONITOR_DEVICE_H
#define AVP_GUEST_ENGINE_KVM_MONITOR_DEVICE_H

#include "base/arguments.h"
#include "base/error.h"
#include "base/option.h"
#include "virtio/device_shape.h"

struct monitor_device {
	char *type;   /* a name of device_types, or a number of VIRTIO 1.4, chapter 5 */
	char *name;   /* for the log; NULL: the type */
	char *socket; /* a path, or /dev/fd/N */
	/* 0 or empty: the type's. */
	uint64_t queues, queue_size;
	struct option_list config_sizes;
	char *config; /* hexadecimal */
	uint8_t config_bytes[DEVICE_SHAPE_CONFIG_MAX];
	uint64_t setting_offset, setting_length;
	char *tree_path;
	void *tree;		   /* allocated */
	uint64_t replay;	   /* 0: as the type has it; else enum device_replay + 1 */
	struct device_shape shape; /* points to config_bytes */
};

/* The keys of --device. */
extern const struct option_row monitor_device_rows[];

/*
 * Reads @text into *device, and makes its shape. Returns 0, or -EINVAL with *error set, a usage
 * error, when it is incomplete or invalid; then there is nothing to free.
 */
int monitor_device_parse(struct monitor_device *device, const char *text, struct error *error);
/* Frees what it owns. A zeroed struct is fine. */
void monitor_device_clear(struct monitor_device *device);

/*
 * Adds the argument that monitor_device_parse reads as this device, for an inherited connection
 * @fd.
 */
/* @tree_fd: the shape's device tree in a file that is inherited; -1: none. */
void monitor_device_add(struct arguments *arguments, const char *name,
			const struct device_shape *shape, int fd, int tree_fd);

#endif
