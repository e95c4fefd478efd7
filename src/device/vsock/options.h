// SPDX-License-Identifier: BSD-3-Clause
/* The options of a socket device; the members' meaning is in the table in type.c. */
#ifndef AVP_DEVICE_VSOCK_OPTIONS_H
#define AVP_DEVICE_VSOCK_OPTIONS_H

#include <stdint.h>

#include "base/option.h"

struct vsock_options {
	uint64_t cid, echo;
	char *uds;
};

extern const struct option_row vsock_option_rows[];

struct device_type;
extern const struct device_type device_type_vsock;

#endif
