// SPDX-License-Identifier: BSD-3-Clause
/*
 * The options that every device program takes for serving its device. The names are those of the
 * vhost-user specification, "Backend program conventions", where it has some.
 */
#ifndef AVP_DEVICE_KIT_SERVE_OPTIONS_H
#define AVP_DEVICE_KIT_SERVE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"

struct serve_options {
	char *socket_path;
	uint64_t fd;
	uint64_t ready_fd;
	uint64_t control_fd;
	bool print_capabilities;
	bool check_host;
	uint64_t sandbox; /* enum serve_sandbox */
};

enum serve_sandbox { SERVE_SANDBOX_ON, SERVE_SANDBOX_OFF };

extern const struct option_row serve_option_rows[];

#endif
