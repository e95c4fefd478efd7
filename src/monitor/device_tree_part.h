// SPDX-License-Identifier: BSD-3-Clause
/*
 * The parts of the device tree that devices bring along: struct device_shape.tree. They come from
 * files, and are checked once before a machine is made of them.
 */
#ifndef AVP_MONITOR_DEVICE_TREE_PART_H
#define AVP_MONITOR_DEVICE_TREE_PART_H

#include <stddef.h>

#include "base/error.h"
#include "virtio/device_shape.h"

/* Smaller phandles are the machine's own. */
#define DEVICE_TREE_PHANDLE_MIN 0x100

/*
 * Checks the @length bytes at @part. Returns 0, or -EINVAL with a usage error that completes
 * "device-tree: ": it is no flattened device tree, too deep or too large, has a phandle that is the
 * machine's, or properties that the device's node has itself.
 */
int device_tree_check_part(const void *part, size_t length, struct error *error);

#endif
