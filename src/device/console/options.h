// SPDX-License-Identifier: BSD-3-Clause
/* The options of a console; the members' meaning is in the table in type.c. */
#ifndef AVP_DEVICE_CONSOLE_OPTIONS_H
#define AVP_DEVICE_CONSOLE_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/option.h"

struct console_options {
	struct option_list
		ports; /* device/console/console_port.h reads them; none: one, the terminal */
};

extern const struct option_row console_option_rows[];

/* Checks what the table cannot express. @options: struct console_options. As device_type.check. */
int console_options_check(const void *options, struct error *error);

#endif
