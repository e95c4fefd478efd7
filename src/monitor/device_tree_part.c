// SPDX-License-Identifier: BSD-3-Clause
/* The parts of the device tree that devices bring along (Devicetree Specification 0.4). */
#include "monitor/device_tree_part.h"

#include <libfdt.h>
#include <string.h>

#define DEPTH_MAX 4

/* What the node of a virtio-mmio device has in any case. */
static const char *const own_properties[] = {"compatible",	 "reg",
					     "interrupts",	 "interrupts-extended",
					     "interrupt-parent", "dma-coherent"};

static int check_properties(const void *part, int node, int depth, struct error *error)
{
	int property;

	fdt_for_each_property_offset(property, part, node)
	{
		const char *name = NULL;
		int length;
		const void *value = fdt_getprop_by_offset(part, property, &name, &length);

		if (!value || !name)
			return error_set_usage(error, "a property cannot be read");
		for (size_t i = 0; i < sizeof(own_properties) / sizeof(own_properties[0]); i++)
			if (depth == 0 && !strcmp(name, own_properties[i]))
				return error_set_usage(error,
						       "its root has '%s', which the device's node "
						       "has already; put it into a node below",
						       name);
		if ((!strcmp(name, "phandle") || !strcmp(name, "linux,phandle")) &&
		    (length != sizeof(fdt32_t) || fdt32_ld(value) < DEVICE_TREE_PHANDLE_MIN ||
		     fdt32_ld(value) == UINT32_MAX))
			return error_set_usage(
				error,
				"has a phandle that is not from 0x%x on; lower ones are the "
				"machine's",
				DEVICE_TREE_PHANDLE_MIN);
	}
	return 0;
}

int device_tree_check_part(const void *part, size_t length, struct error *error)
{
	int depth = 0;

	if (length > DEVICE_SHAPE_TREE_MAX)
		return error_set_usage(error, "is larger than %d bytes", DEVICE_SHAPE_TREE_MAX);
	if (length < sizeof(struct fdt_header) || fdt_check_full(part, length) != 0)
		return error_set_usage(error,
				       "is not a flattened device tree; compile it: dtc -o FILE");
	for (int node = 0; node >= 0 && depth >= 0; node = fdt_next_node(part, node, &depth)) {
		int result = check_properties(part, node, depth, error);

		if (result < 0)
			return result;
		if (depth > DEPTH_MAX)
			return error_set_usage(error, "has nodes more than %d deep", DEPTH_MAX);
	}
	return 0;
}
