// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a monitor has to know of a device that another process serves and that vhost-user does not
 * tell (VIRTIO 1.4, chapter 5). Data only: who starts the monitor hands it down.
 */
#ifndef AVP_VIRTIO_DEVICE_SHAPE_H
#define AVP_VIRTIO_DEVICE_SHAPE_H

#include <stdint.h>

#define DEVICE_SHAPE_SIZES 4

/* What becomes of requests in flight when their process dies without a record of them. */
enum device_replay {
	DEVICE_REPLAY_ALL, /* the next process gets them again, so that some may be done twice */
	DEVICE_REPLAY_NOTHING, /* the device needs a reset (VIRTIO 1.4, 2.1.2): the driver decides */
};

struct device_shape {
	uint32_t virtio_id;
	uint16_t queues;	 /* where the process does not tell how many it has */
	uint16_t queue_size_max; /* the largest ring that the process takes, a power of two */
	/*
	 * Lengths of configuration space in bytes that are tried in this order, as some processes
	 * refuse to give more than they have: the longest first; 0 behind the last one.
	 */
	uint32_t config_sizes[DEVICE_SHAPE_SIZES];
	/*
	 * What configuration space is where the process does not give it: this many bytes; 0: there
	 * is none.
	 */
	const uint8_t *config;
	uint32_t config_length;
	/*
	 * The part of configuration space that the driver sets: it lasts until a reset, and is sent
	 * again to a process that was restarted. A length of 0: there is none.
	 */
	uint32_t setting_offset, setting_length;
	enum device_replay replay;
	/*
	 * A flattened device tree. What its root has becomes part of the device's node, for what in
	 * the guest uses the device (Linux, bindings/virtio/virtio-device.yaml). NULL: there is none.
	 */
	const void *tree;
	uint32_t tree_length;
};

#endif
