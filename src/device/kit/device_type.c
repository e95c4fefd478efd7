// SPDX-License-Identifier: BSD-3-Clause
/* Types by their names. */
#include "device/kit/device_type.h"

#include <string.h>

const struct device_type *device_type_find(const char *name)
{
	for_each_device_type(type)
		if (!strcmp(type->name, name))
			return type;
	return NULL;
}
