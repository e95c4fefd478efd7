// SPDX-License-Identifier: BSD-3-Clause
/* The type of the CAN bus: data only. */
#include "service/can_bus/options.h"
#include "service/can_bus/rights.h"
#include "service/kit/service_type.h"

/* CAN FD controllers of today go up to 8 Mbit/s; classic CAN has 1 Mbit/s. */
#define BIT_RATE_MAX	  1000000
#define DATA_BIT_RATE_MAX 8000000
#define RATE_MAX	  1000000

static const struct option_row bus_rows[] = {
	{
		.name = "bit-rate",
		.type = OPTION_NUMBER,
		.argument = "BITS",
		.offset = offsetof(struct can_bus_options, bit_rate),
		.maximum = BIT_RATE_MAX,
		.default_text = "0",
		.help = "bits a second; frames take the time that they would take on a wire; 0: "
			"as fast as possible",
	},
	{
		.name = "data-bit-rate",
		.type = OPTION_NUMBER,
		.argument = "BITS",
		.offset = offsetof(struct can_bus_options, data_bit_rate),
		.maximum = DATA_BIT_RATE_MAX,
		.default_text = "0",
		.help = "bits a second of the data phase of FD frames; 0: FD frames do not switch "
			"the rate",
	},
	{
		.name = "classic",
		.type = OPTION_FLAG,
		.offset = offsetof(struct can_bus_options, classic),
		.help = "carry no FD frames",
	},
	{
		.name = "name",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct can_bus_options, name),
		.default_text = "can0",
		.help = "name of the bus in its log and its capture",
	},
	{
		.name = "log",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct can_bus_options, log),
		.help = "append each frame on the bus to this file, in the form of `candump -L`",
	},
	{
		.name = "pcap",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct can_bus_options, pcap),
		.help = "append each frame on the bus to this file, as a capture for Wireshark",
	},
	{.name = NULL},
};

static const struct option_row client_rows[] = {
	{
		.name = "send",
		.type = OPTION_LIST,
		.argument = "ID[:MASK]",
		.offset = offsetof(struct can_bus_client_options, send),
		.help = "identifiers that it may send: those that agree with ID where MASK has "
			"ones, in hexadecimal, an identifier of 11 bits with 3 digits and one of 29 "
			"with 8; without any, all",
	},
	{
		.name = "receive",
		.type = OPTION_LIST,
		.argument = "ID[:MASK]",
		.offset = offsetof(struct can_bus_client_options, receive),
		.help = "identifiers that it receives",
	},
	{
		.name = "frames-per-second",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct can_bus_client_options, frames_per_second),
		.maximum = RATE_MAX,
		.default_text = "0",
		.help = "frames that it may send in a second; the others wait; 0: no limit",
	},
	{
		.name = "burst",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct can_bus_client_options, burst),
		.maximum = RATE_MAX,
		.default_text = "1",
		.help = "frames that it may send at once within that limit",
	},
	{.name = NULL},
};

static int check(const void *options, struct error *error)
{
	const struct can_bus_options *bus = options;

	if (bus->data_bit_rate && bus->classic)
		return error_set_usage(error, "data-bit-rate: excludes classic; omit one of them");
	if (bus->data_bit_rate && bus->data_bit_rate < bus->bit_rate)
		return error_set_usage(error, "data-bit-rate: is lower than bit-rate");
	return 0;
}

static int check_client(const void *options, struct error *error)
{
	struct can_bus_rights rights;

	return can_bus_rights_read(options, &rights, error);
}

static const struct option_row inject_rows[] = {
	{
		.name = "client",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct can_bus_inject, client),
		.required = true,
		.help = "its name",
	},
	{
		.name = "errors",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct can_bus_inject, errors),
		.minimum = 1,
		.maximum = 1000,
		.default_text = "32",
		.help = "how many of its next transmissions; 32 in a row bring it off the bus",
	},
	{.name = NULL},
};

/* The handlers are in program.c, in this order. */
static const struct control_verb verbs[] = {
	{
		.name = "inject",
		.help = "has the next transmissions of a client end with an error frame",
		.fields = inject_rows,
		.size = sizeof(struct can_bus_inject),
	},
	{.name = NULL},
};

const struct service_type service_type_can_bus = {
	.name = "can-bus",
	.summary = "a CAN bus, classic and FD",
	.key = "bus",
	.options = bus_rows,
	.options_size = sizeof(struct can_bus_options),
	.client_options = client_rows,
	.client_options_size = sizeof(struct can_bus_client_options),
	.check = check,
	.check_client = check_client,
	.verbs = verbs,
	.program =
		{
			SERVICE_PROGRAM("can-bus"),
			.summary = "serve a CAN bus",
			.groups = SERVICE_PROGRAM_GROUPS(bus_rows, sizeof(struct can_bus_options)),
			.examples =
				(const struct command_note[]){
					{"avp service can-bus --socket-path bus.sock",
					 "Serves a bus that is as fast as the machine."},
					{"avp service can-bus --socket-path bus.sock --bit-rate "
					 "500000 --data-bit-rate 2000000 --log bus.log",
					 "Serves one with the rates of a wire, and logs it."},
					{NULL, NULL},
				},
		},
};
