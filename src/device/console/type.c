// SPDX-License-Identifier: BSD-3-Clause
/* The type of a console: data only. */
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
	.argument = "OPTION…",
};
