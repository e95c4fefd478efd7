// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the rest of AVP knows of a type of device: a table row. `avp device TYPE`, `avp run --TYPE`, the bundle's
 * avp.devices, what the monitor is told and the tables in docs/ come from it.
 */
#ifndef AVP_DEVICE_KIT_DEVICE_TYPE_H
#define AVP_DEVICE_KIT_DEVICE_TYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/option.h"
#include "virtio/device_shape.h"

struct device_type {
	const char *name;    /* as in `avp device NAME` */
	const char *summary; /* one line for help */
	struct device_shape shape;
	const struct option_row *options;
	size_t options_size;
	/* The row whose value may stand first without a key: --block FILE,readonly. NULL: none. */
	const char *positional;
	/*
	 * Checks values against each other and the files named; NULL: nothing to check. Messages
	 * start with the name of the option that is wrong: "file: /x.img: is empty; …".
	 */
	int (*check)(const void *options, struct error *error);
	/* Whether this one talks to the terminal, which only one of a guest can. NULL: none does. */
	bool (*uses_terminal)(const void *options);
	const char *argument; /* what follows --TYPE in the help of avp run */
	/* Options of the device that a starting bundle has; NULL: it has none of this type. */
	const char *example;
};

/* One for each room that src/device/meson.build lists, in that order; ends with NULL. */
extern const struct device_type *const device_types[];
/* Goes through them, with @type declared as the one at hand. */
#define for_each_device_type(type)                                                \
	for (const struct device_type *const *type##_place = device_types, *type; \
	     (type = *type##_place); type##_place++)

/* The type of that name; NULL: there is none. */
const struct device_type *device_type_find(const char *name);

#endif
