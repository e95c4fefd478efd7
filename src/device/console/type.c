// SPDX-License-Identifier: BSD-3-Clause
/* The type of a console: data only. */
#include <limits.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "device/console/console_port.h"
#include "device/console/options.h"
#include "device/kit/device_type.h"

const struct option_row console_option_rows[] = {
	{
		.name = "port",
		.type = OPTION_LIST,
		.argument = "PORT",
		.offset = offsetof(struct console_options, ports),
		.item_path = console_port_path,
		.help = "where a port leads: NAME:terminal, NAME:socket:PATH, NAME:file:PATH, "
			"NAME:echo or NAME:null; may be repeated, and the first one is the guest's "
			"console; without it one port, the terminal",
	},
	{.name = NULL},
};

static const struct option_row terminal_option_rows[] = {
	{
		.name = "stream-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct terminal_options, stream_fd),
		.minimum = 3,
		.maximum = INT_MAX,
		.help = "let the port of the kind terminal lead to the inherited connected socket "
			"N; without it, to standard input and output",
	},
	{
		.name = "size-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct terminal_options, size_fd),
		.minimum = 3,
		.maximum = INT_MAX,
		.help = "the inherited file N starts with the size of that port, columns and rows, "
			"16 bits each",
	},
	{
		.name = "resized-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct terminal_options, resized_fd),
		.minimum = 3,
		.maximum = INT_MAX,
		.help = "a byte comes through the inherited connected socket N when the size has "
			"changed",
	},
	{.name = NULL},
};

const struct device_type device_type_console = {
	.name = "console",
	.summary = "the guest's console, and channels to programs in it",
	.shape =
		{
			.virtio_id = VIRTIO_ID_CONSOLE,
			.queues = 2,
			.queue_size_max = 256,
			.config_sizes = {sizeof(struct virtio_console_config), 8},
		},
	.options = console_option_rows,
	.options_size = sizeof(struct console_options),
	.check = console_options_check,
	.uses_terminal = console_uses_terminal,
	.run_row =
		{
			.argument = "OPTION…",
			.argument_optional = true,
			.help = "add a console and channels to programs in the guest; its first port is "
				"/dev/hvc0 there; may be repeated",
		},
	.example_call = "--console=port=tty:terminal,port=agent:socket:agent.sock",
	.vhost_user_type = "console",
	.program =
		{
			DEVICE_PROGRAM("console"),
			.summary = "serve a console",
			.groups = DEVICE_PROGRAM_GROUPS(console,
							{"Terminal options", terminal_option_rows,
							 sizeof(struct terminal_options), false}),
			.examples =
				(const struct command_note[]){
					{"avp device console --socket-path console.sock",
					 "Serves a console on this terminal."},
					{"avp device console --port shell:socket:/tmp/shell.sock "
					 "--port agent:socket:/tmp/agent.sock --socket-path "
					 "console.sock",
					 "Serves a console and a channel called agent, each for "
					 "the clients of a socket."},
					{NULL, NULL},
				},
		},
	.conform = {.devices = (const char *const[]){"port=tty:echo,port=agent:echo,port=log:null",
						     NULL}},
};
