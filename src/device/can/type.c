// SPDX-License-Identifier: BSD-3-Clause
/* The type of a CAN controller: data only. */
#include "device/can/can.h"
#include "device/can/options.h"
#include "device/kit/device_type.h"

const struct option_row can_option_rows[] = {
	{
		.name = "link",
		.type = OPTION_PATH,
		.argument = "PATH",
		.offset = offsetof(struct can_options, link),
		.required = true,
		.object = OPTION_OBJECT_SERVICE,
		.help = "socket of the bus, which `avp service can-bus` serves",
	},
	{
		.name = OPTION_CLIENT,
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct can_options, client),
		.help = "name under which it joins the bus; without it GUEST.DEVICE, or `can` for "
			"a device by hand",
	},
	{
		.name = "classic",
		.type = OPTION_FLAG,
		.offset = offsetof(struct can_options, classic),
		.help = "offer the guest no CAN FD",
	},
	{.name = NULL},
};

const struct device_type device_type_can = {
	.name = "can",
	.summary = "a CAN controller, classic and FD",
	.shape =
		{
			.virtio_id = 36,
			.queues = CAN_QUEUES,
			.queue_size_max = CAN_QUEUE_SIZE_MAX,
			.config_sizes = {sizeof(struct virtio_can_config)},
		},
	.options = can_option_rows,
	.options_size = sizeof(struct can_options),
	.positional = "link",
	.run_row =
		{
			.argument = "PATH[,OPTION…]",
			.help = "add a CAN controller on the bus at PATH; may be repeated",
		},
	.example_call = "--can bus.sock",
	.conform =
		{
			.devices = (const char *const[]){"$AVP_SERVICE,client=first",
							 "$AVP_SERVICE,client=second", NULL},
			.service = "can-bus",
			/* The fewest errors in a row that bring a client off the bus. */
			.action = "busoff",
			.action_words =
				(const char *const[]){"inject", "client=first", "errors=32", NULL},
			.words = "bus=1",
		},
	.vhost_user_type = "can",
	.program =
		{
			DEVICE_PROGRAM("can"),
			.summary = "serve a CAN controller",
			.groups = DEVICE_PROGRAM_GROUPS(can),
			.examples =
				(const struct command_note[]){
					{"avp device can --link bus.sock --socket-path can.sock",
					 "Serves a controller on the bus at bus.sock."},
					{NULL, NULL},
				},
		},
};
