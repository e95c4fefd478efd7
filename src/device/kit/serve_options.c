// SPDX-License-Identifier: BSD-3-Clause
/* The options of serving a device: data only. */
#include "device/kit/serve_options.h"

#include <limits.h>
#include <stddef.h>

static const char *const sandbox_choices[] = {
	[SERVE_SANDBOX_ON] = "on",
	[SERVE_SANDBOX_OFF] = "off",
	NULL,
};

const struct option_row serve_option_rows[] = {
	{
		.name = "socket-path",
		.type = OPTION_PATH,
		.argument = "PATH",
		.offset = offsetof(struct serve_options, socket_path),
		.help = "make a socket there, with a lock file PATH.lock beside it, serve one "
			"frontend after another, and remove both at the end; replace a socket that "
			"a killed process left behind",
	},
	{
		.name = "fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct serve_options, fd),
		.maximum = INT_MAX,
		.help = "use the inherited socket N: a connected one, and end with the "
			"connection, or a listening one",
	},
	{
		.name = "ready-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct serve_options, ready_fd),
		.maximum = INT_MAX,
		.help = "write a byte to the inherited descriptor N, and close it, once frontends "
			"are served",
	},
	{
		.name = "control-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct serve_options, control_fd),
		.maximum = INT_MAX,
		.help = "answer the line `heartbeat` that comes through the inherited socket N by "
			"`ok`, and end when its other end is closed; `avp run` supervises a device "
			"this way",
	},
	{
		.name = "print-capabilities",
		.type = OPTION_FLAG,
		.offset = offsetof(struct serve_options, print_capabilities),
		.help = "print the program's capabilities as JSON, and exit",
	},
	{
		.name = "check-host",
		.type = OPTION_FLAG,
		.offset = offsetof(struct serve_options, check_host),
		.help = "print what this machine offers to the device, a line each with tabs for "
			"`avp doctor`, and exit",
	},
	{
		.name = "sandbox",
		.type = OPTION_CHOICE,
		.argument = "WHETHER",
		.offset = offsetof(struct serve_options, sandbox),
		.choices = sandbox_choices,
		.default_text = "on",
		.help = "give up all rights that are not needed before serving; off is for "
			"debuggers",
	},
	{.name = NULL},
};
