// SPDX-License-Identifier: BSD-3-Clause
/* The options of a CAN controller; the members' meaning is in the table in type.c. */
#ifndef AVP_DEVICE_CAN_OPTIONS_H
#define AVP_DEVICE_CAN_OPTIONS_H

#include <stdbool.h>

#include "base/option.h"

struct can_options {
	char *link, *client;
	bool classic;
};

extern const struct option_row can_option_rows[];

struct device_type;
extern const struct device_type device_type_can;

#endif
