// SPDX-License-Identifier: BSD-3-Clause
/* `avp hold-descriptors`: the process of a descriptor store, which a supervisor starts. */
#include "cli/avp.h"
#include "host/descriptor_store.h"

struct hold_options {
	char *socket_path;
};

static const struct option_row hold_option_rows[] = {
	{
		.name = "socket-path",
		.type = OPTION_PATH,
		.argument = "PATH",
		.offset = offsetof(struct hold_options, socket_path),
		.required = true,
		.help = "the socket to make and serve",
	},
	{.name = NULL},
};

static int run(const struct command_call *call, struct error *error)
{
	const struct hold_options *options = call->options[0];

	return descriptor_store_hold(options->socket_path, DESCRIPTOR_STORE_ALONE_MS, error);
}

static const struct option_group groups[] = {
	{"Options", hold_option_rows, sizeof(struct hold_options), false},
	{NULL, NULL, 0, false},
};

const struct command command_hold_descriptors = {
	.name = "hold-descriptors",
	.summary = "keep descriptors for a supervisor that may be killed",
	.groups = groups,
	.run = run,
	.hidden = true,
};
