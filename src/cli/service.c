// SPDX-License-Identifier: BSD-3-Clause
/* `avp service`: executes the program of a service. */
#include "cli/avp.h"
#include "service/kit/service_type.h"

const struct command command_service = {
	.name = "service",
	.summary = "serve what several guests share",
	.description =
		"Serves several clients, mostly the devices of different guests. It maps the "
		"memory of none of them: each client has a channel to it.\n"
		"\n"
		"A service runs in the foreground and exits on SIGTERM or SIGINT. `avp control` "
		"asks it for its state.",
	.subcommands = service_programs,
};
