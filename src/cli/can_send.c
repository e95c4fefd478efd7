// SPDX-License-Identifier: BSD-3-Clause
/* `avp can send`: sends frames, each when the one before was on the bus. */
#include "cli/can.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

struct send {
	char *const *texts;
	struct can_bus_frame *frames;
	uint32_t count;
	uint32_t number; /* of the frame that is sent */
};

static void send_frame(struct can_session *session)
{
	const struct send *send = session->context;

	if (send->number == send->count)
		can_session_end(session, 0);
	else
		can_session_send(session, send->number, &send->frames[send->number]);
}

static void handle_started(struct can_session *session)
{
	send_frame(session);
}

static void handle_sent(struct can_session *session, uint32_t tag, bool success)
{
	struct send *send = session->context;

	/* The service is not trusted with @tag. */
	if (success) {
		send->number++;
		send_frame(session);
	} else {
		can_session_end(session,
				error_set(session->error, EIO,
					  "%s: %s was not on the bus: this client may not send it, "
					  "or the bus carries no FD frames",
					  session->path, send->texts[send->number]));
	}
}

static const struct can_session_ops ops = {.started = handle_started, .sent = handle_sent};

static int run_send(const struct command_call *call, struct error *error)
{
	const size_t count = call->operand_count - 1;
	cleanup_free struct can_bus_frame *frames = calloc(count, sizeof(*frames));
	struct send send = {call->operands + 1, frames, (uint32_t)count, 0};
	struct can_session session = {0};
	int result;

	if (!frames)
		return error_set(error, ENOMEM, "out of memory");
	result = can_frames_read(send.texts, count, frames, error);
	if (result == 0)
		result = can_join(&session, call, &ops, &send, error);
	if (result == 0)
		result = can_session_run(&session);
	/* A signal came before the last frame was over. */
	if (result == 0 && session.sent < count)
		result = error_set(error, EINTR, "%s: interrupted", session.path);
	can_session_close(&session);
	return result;
}

const struct command command_can_send = {
	.name = "send",
	.summary = "send frames",
	.description =
		"Sends the frames, each when the one before was on the bus, and ends when the "
		"last one was.",
	.groups =
		(const struct option_group[]){
			{"Options", (const struct option_row[]){{.name = NULL}}, 0, false},
			CAN_CLIENT_GROUP,
			{NULL, NULL, 0, false},
		},
	.operands = "PATH FRAME...",
	.operands_minimum = 2,
	.operands_maximum = 1 << 16,
	.examples =
		(const struct command_note[]){
			{"avp can send bus.sock 123#DEADBEEF 12345678#R",
			 "Sends a frame and a remote frame."},
			{NULL, NULL},
		},
	.run = run_send,
};
