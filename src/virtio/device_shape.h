// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a monitor has to know about a device of another process and does not learn over vhost-user
 * (VIRTIO 1.4, chapter 5). Data only: the monitor gets it from its parent.
 */
#ifndef AVP_VIRTIO_DEVICE_SHAPE_H
#define AVP_VIRTIO_DEVICE_SHAPE_H

#include <stdint.h>

#define DEVICE_SHAPE_SIZES 4
/* The largest that a monitor takes. */
#define DEVICE_SHAPE_QUEUES_MAX 64
#define DEVICE_SHAPE_CONFIG_MAX 256  /* bytes */
#define DEVICE_SHAPE_TREE_MAX	2048 /* bytes */

/* What becomes of requests in flight when their process dies without a record of them. */
enum device_replay {
	/* The next process gets them again: some may be done twice. */
	DEVICE_REPLAY_ALL,
	/* The device needs a reset (VIRTIO 1.4, 2.1.2): the driver decides. */
	DEVICE_REPLAY_NOTHING,
};

struct device_shape {
	uint32_t virtio_id;
	uint16_t queues;	 /* where the process does not report a number */
	uint16_t queue_size_max; /* the largest ring that the process takes, a power of two */
	/*
	 * Lengths of configuration space in bytes, tried in this order, the longest first, because
	 * some processes refuse to read more than they have; 0 after the last.
	 */
	uint32_t config_sizes[DEVICE_SHAPE_SIZES];
	/* Configuration space where the process does not provide it: this many bytes; 0: none. */
	const uint8_t *config;
	uint32_t config_length;
	/*
	 * The part of configuration space that the driver sets: kept until a reset, and sent again
	 * to a restarted process. Length 0: none.
	 */
	uint32_t setting_offset, setting_length;
	enum device_replay replay;
	/*
	 * A flattened device tree, or NULL. What its root has becomes part of the device's node,
	 * for clients of the device in the guest (Linux, bindings/virtio/virtio-device.yaml).
	 */
	const void *tree;
	uint32_t tree_length;
};

#endif
