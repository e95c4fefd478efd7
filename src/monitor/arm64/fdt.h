// SPDX-License-Identifier: BSD-3-Clause
/*
 * The device tree (Devicetree Specification 0.4, and the bindings of Linux) that describes the
 * machine to the guest.
 */
#ifndef AVP_MONITOR_ARM64_FDT_H
#define AVP_MONITOR_ARM64_FDT_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/device_shape.h"

/* Random bytes in the tree: Linux' kaslr-seed and rng-seed. */
#define ARM64_TREE_SEED 64

struct arm64_tree {
	uint64_t memory; /* bytes, from ARM64_MEMORY_ADDRESS on */
	uint32_t cpus;
	unsigned int gic;			  /* its version: 2 or 3 */
	unsigned int virtio_devices;		  /* in the first slots */
	const struct device_shape *const *shapes; /* of them; NULL: none has a part of the tree */
	const char *command_line;
	uint64_t initrd_address, initrd_size; /* size 0: none */
	uint64_t kaslr_seed;
	uint8_t rng_seed[ARM64_TREE_SEED];
};

/*
 * Writes the tree into the @size bytes at @buffer. Returns its length, or -ENOSPC when it does not
 * fit.
 */
int arm64_tree_write(void *buffer, size_t size, const struct arm64_tree *tree);

#endif
