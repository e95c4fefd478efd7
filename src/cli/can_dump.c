// SPDX-License-Identifier: BSD-3-Clause
/* `avp can dump`: prints what is on the bus. */
#include "cli/can.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "service/can_bus/notation.h"
#include "service/can_bus/rights.h"

struct dump_options {
	uint64_t count, timeout;
	char *name;
};

static const struct option_row dump_option_rows[] = {
	{
		.name = "count",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct dump_options, count),
		.default_text = "0",
		.help = "end after so many frames; 0: never",
	},
	{
		.name = "timeout",
		.type = OPTION_NUMBER,
		.argument = "MS",
		.offset = offsetof(struct dump_options, timeout),
		.maximum = 86400000,
		.default_text = "0",
		.help = "end when no frame has come for so many milliseconds; 0: never",
	},
	{
		.name = "name",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct dump_options, name),
		.default_text = "can0",
		.help = "the name of the bus in the lines",
	},
	{.name = NULL},
};

struct dump {
	const struct dump_options *options;
	struct can_bus_filters filters;
	uint64_t realtime_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC */
	uint64_t count;
	struct timer timeout;
};

static void handle_started(struct can_session *session)
{
}

static void handle_received(struct can_session *session, const struct can_bus_received *message)
{
	struct dump *dump = session->context;
	char line[CAN_NOTATION_LINE_SIZE];
	size_t length;

	if (dump->options->count && dump->count == dump->options->count)
		return;
	if (!can_bus_filters_pass(&dump->filters, &message->frame))
		return;
	/* A frame does not say whether it has switched the rate. */
	length = can_notation_format_line(&message->frame, false, dump->options->name,
					  message->time_ns + dump->realtime_ns, line);
	fwrite(line, 1, length, stdout);
	if (++dump->count == dump->options->count)
		can_session_end(session, 0);
}

static void handle_timeout(void *context)
{
	can_session_end(context, 0);
}

static void handle_idle(struct can_session *session)
{
	struct dump *dump = session->context;

	if (fflush(stdout) != 0)
		can_session_end(session, error_set_errno(session->error, errno, "standard output"));
	if (dump->options->timeout)
		timer_set_ms(&dump->timeout, dump->options->timeout);
}

static const struct can_session_ops ops = {
	.started = handle_started,
	.received = handle_received,
	.idle = handle_idle,
};

static int run_dump(const struct command_call *call, struct error *error)
{
	struct dump dump = {
		.options = call->options[0],
		.realtime_ns = clock_read_ns(CLOCK_REALTIME) - clock_now_ns(),
		.timeout = TIMER_NONE,
	};
	const struct option_list filters = {call->operands + 1, call->operand_count - 1};
	struct can_session session = {0};
	int result = can_filters_read(&filters, "ID", &dump.filters, error);

	if (result == 0)
		result = can_join(&session, call, &ops, &dump, error);
	if (result == 0)
		result = timer_open(&dump.timeout, &session.loop, CLOCK_MONOTONIC, handle_timeout,
				    &session, error);
	if (result == 0)
		result = can_session_run(&session);
	if (fflush(stdout) != 0 && result == 0)
		result = error_set_errno(error, errno, "standard output");
	timer_close(&dump.timeout);
	can_session_close(&session);
	return result;
}

const struct command command_can_dump = {
	.name = "dump",
	.summary = "print the frames on a bus",
	.description =
		"Prints the frames of others as candump -L does, with the times of the bus, until a "
		"signal comes: those whose identifiers agree with one of the IDs where its MASK has "
		"ones, in hexadecimal, an identifier of 11 bits with 3 digits and one of 29 with 8; "
		"without an ID, all.",
	.groups =
		(const struct option_group[]){
			{"Options", dump_option_rows, sizeof(struct dump_options), false},
			CAN_CLIENT_GROUP,
			{NULL, NULL, 0, false},
		},
	.operands = "PATH [ID[:MASK]]...",
	.operands_minimum = 1,
	.operands_maximum = 1 + CAN_BUS_FILTERS_MAX,
	.examples =
		(const struct command_note[]){
			{"avp can dump bus.sock", "Prints all frames."},
			{"avp can dump bus.sock 100:700 --count 1 --timeout 1000",
			 "Waits a second for a frame from 100 to 1FF."},
			{NULL, NULL},
		},
	.run = run_dump,
};
