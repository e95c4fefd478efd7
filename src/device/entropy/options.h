// SPDX-License-Identifier: BSD-3-Clause
/* The options of a source of random numbers; the members' meaning is in the table in type.c. */
#ifndef AVP_DEVICE_ENTROPY_OPTIONS_H
#define AVP_DEVICE_ENTROPY_OPTIONS_H

#include <stdint.h>

#include "base/option.h"

struct entropy_options {
	uint64_t unused; /* no options yet */
};

extern const struct option_row entropy_option_rows[];

struct device_type;
extern const struct device_type device_type_entropy;

#endif
