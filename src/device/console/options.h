// SPDX-License-Identifier: BSD-3-Clause
/* The options of a console; the members' meaning is in the table in type.c. */
#ifndef AVP_DEVICE_CONSOLE_OPTIONS_H
#define AVP_DEVICE_CONSOLE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"

struct console_options {
	struct option_list
		ports; /* parsed by device/console/console_port.h; none: one, the terminal */
};

extern const struct option_row console_option_rows[];

/* Descriptors of a terminal that another process owns; 0: not given. */
struct terminal_options {
	uint64_t stream_fd, size_fd, resized_fd;
};

/* Checks what the table cannot express. @options: struct console_options. As device_type.check. */
int console_options_check(const void *options, struct error *error);

struct device_type;
extern const struct device_type device_type_console;

#endif
