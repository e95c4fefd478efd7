// SPDX-License-Identifier: BSD-3-Clause
/* `avp can`: a client of a CAN bus, on the command line. */
#include "cli/can.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/avp.h"
#include "service/can_bus/notation.h"

const struct option_row can_client_option_rows[] = {
	{
		.name = "client",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct can_client_options, client),
		.help = "join the bus under this name, which is in the service's configuration "
			"file if there is one; without it the name is the subcommand, a dash, and "
			"the number of the process",
	},
	{.name = NULL},
};

int can_join(struct can_session *session, const struct command_call *call,
	     const struct can_session_ops *ops, void *context, struct error *error)
{
	const struct can_client_options *client = call->options[1];

	return can_session_open(session, ops, context, call->operands[0], client->client,
				call->command->name, error);
}

int can_frames_read(char *const *texts, size_t count, struct can_bus_frame *frames,
		    struct error *error)
{
	for (size_t i = 0; i < count; i++)
		if (!can_notation_parse(texts[i], strlen(texts[i]), &frames[i]))
			return error_set_usage(
				error,
				"'%.160s' is not a frame; write it like 123#DEADBEEF, "
				"12345678#00, 123#R or 123##000",
				texts[i]);
	return 0;
}

int can_check_sent(const struct can_session *session, struct error *error)
{
	uint64_t not_sent = session->not_sent + session->pending;

	if (!not_sent)
		return 0;
	return error_set(error, EIO,
			 "%s: %" PRIu64 " frames were not on the bus: this client may not send "
			 "them, the bus carries no FD frames, or they were under way at the end",
			 session->path, not_sent);
}

static const struct command *const subcommands[] = {
	&command_can_send,   &command_can_dump,	  &command_can_gen,
	&command_can_replay, &command_can_bridge, NULL,
};

const struct command command_can = {
	.name = "can",
	.summary = "send and receive frames on a CAN bus",
	.description =
		"Joins a bus that `avp service can-bus` serves, by the path of its socket. Frames "
		"are written as for cansend, and lines of logs as by candump -L: 123#DEADBEEF, an "
		"identifier of 11 bits and data; 12345678#, one of 29 bits; 123#R4, a remote "
		"frame; 123##0DEADBEEF, an FD frame.",
	.subcommands = subcommands,
};
