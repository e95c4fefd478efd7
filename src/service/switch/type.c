// SPDX-License-Identifier: BSD-3-Clause
/* The type of the network switch: data only. */
#include "service/kit/service_type.h"
#include "service/switch/options.h"
#include "service/switch/settings.h"

/* More than any link of today. */
#define RATE_MAX  UINT64_C(1000000000000)
#define BURST_MAX UINT64_C(1000000000)

static const struct option_row switch_rows[] = {
	{
		.name = "uplink",
		.type = OPTION_STRING,
		.argument = "TAP",
		.offset = offsetof(struct switch_options, uplink),
		.object = OPTION_OBJECT_TAP,
		.minimum = 1,
		.maximum = 15, /* IFNAMSIZ less its end */
		.ascii = true,
		.help = "the host's tap interface that is a port of the switch, too: the client "
			"`" SWITCH_UPLINK "`",
	},
	{
		.name = "pcap",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct switch_options, pcap),
		.help = "append each frame that a port has sent, and that was taken, to this file, "
			"as a capture for Wireshark",
	},
	{.name = NULL},
};

static const struct option_row client_rows[] = {
	{
		.name = "to",
		.type = OPTION_LIST,
		.argument = "NAME",
		.offset = offsetof(struct switch_client_options, to),
		.help = "the clients that it may send to; * for all; without any, nobody",
	},
	{
		.name = "vlan",
		.type = OPTION_NUMBER,
		.argument = "VLAN",
		.offset = offsetof(struct switch_client_options, vlan),
		.maximum = 4094,
		.default_text = "1",
		.help = "VLAN of its frames without a tag; 0: it has none",
	},
	{
		.name = "trunk",
		.type = OPTION_LIST,
		.argument = "VLAN[-VLAN]",
		.offset = offsetof(struct switch_client_options, trunk),
		.help = "VLANs of its frames with a tag; without any, frames with a tag are refused",
	},
	{
		.name = "addresses",
		.type = OPTION_LIST,
		.argument = "ADDRESS",
		.offset = offsetof(struct switch_client_options, addresses),
		.help = "the MAC addresses that it alone sends from; without any, it may use "
			"every address that is not another client's",
	},
	{
		.name = "priority",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct switch_client_options, priority),
		.maximum = 7,
		.default_text = "0",
		.help = "priority of its frames without a tag",
	},
	{
		.name = "priority-max",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct switch_client_options, priority_max),
		.maximum = 7,
		.default_text = "7",
		.help = "highest priority of its frames; higher ones are lowered to it",
	},
	{
		.name = "frames-per-second",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct switch_client_options, frames_per_second),
		.maximum = RATE_MAX,
		.default_text = "0",
		.help = "frames that it may send in a second; the others wait; 0: no limit",
	},
	{
		.name = "bytes-per-second",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct switch_client_options, bytes_per_second),
		.maximum = RATE_MAX,
		.default_text = "0",
		.help = "bytes that it may send in a second; 0: no limit",
	},
	{
		.name = "receive-bytes-per-second",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct switch_client_options, receive_bytes_per_second),
		.maximum = RATE_MAX,
		.default_text = "0",
		.help = "bytes that are sent to it in a second; the others wait in the order of "
			"their priorities, and are lost when they are too many; 0: no limit",
	},
	{
		.name = "burst",
		.type = OPTION_NUMBER,
		.argument = "BYTES",
		.offset = offsetof(struct switch_client_options, burst),
		.maximum = BURST_MAX,
		.default_text = "65536",
		.help = "bytes at once within these limits",
	},
	{.name = NULL},
};

static int check_client(const void *options, struct error *error)
{
	struct switch_port_settings settings;

	return switch_settings_read(options, &settings, error);
}

const struct service_type service_type_switch = {
	.name = "switch",
	.summary = "an Ethernet switch with VLANs and priorities",
	.key = "switch",
	.options = switch_rows,
	.options_size = sizeof(struct switch_options),
	.client_options = client_rows,
	.client_options_size = sizeof(struct switch_client_options),
	.check_client = check_client,
	.program =
		{
			SERVICE_PROGRAM("switch"),
			.summary = "serve an Ethernet switch",
			.groups =
				SERVICE_PROGRAM_GROUPS(switch_rows, sizeof(struct switch_options)),
			.examples =
				(const struct command_note[]){
					{"avp service switch --socket-path sw.sock",
					 "Serves a switch for all guests of this user, which `avp "
					 "run --net link=sw.sock` connects."},
					{"avp service switch --socket-path sw.sock --config "
					 "switch.json",
					 "Serves one for the clients in a file, and between those "
					 "that it permits."},
					{NULL, NULL},
				},
		},
};
