// SPDX-License-Identifier: BSD-3-Clause
/* `avp can replay`: sends the frames of a log. */
#include "cli/can.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "service/can_bus/notation.h"

struct replay_options {
	char *interface;
	bool fast;
};

static const struct option_row replay_option_rows[] = {
	{
		.name = "interface",
		.type = OPTION_STRING,
		.argument = "NAME",
		.offset = offsetof(struct replay_options, interface),
		.help = "only the lines of that interface",
	},
	{
		.name = "fast",
		.type = OPTION_FLAG,
		.offset = offsetof(struct replay_options, fast),
		.help = "send as fast as the bus takes the frames, not with the times between them",
	},
	{.name = NULL},
};

struct replay {
	const struct replay_options *options;
	const char *path;
	FILE *file;
	uint64_t number; /* of the line */
	uint64_t errors; /* error frames, which are not sent */
	bool begun, over;
	uint64_t first_ns, begun_ns; /* times of the log, and of CLOCK_MONOTONIC */
	struct can_notation_line next;
	struct timer timer;
};

/* Whether the line is to be sent: 0 not, or a negative errno. */
static int take_line(struct replay *replay, const char *text, size_t length, struct error *error)
{
	const char *interface = replay->options->interface;

	if (length == CAN_NOTATION_LINE_SIZE - 1 ||
	    !can_notation_parse_line(text, length, &replay->next))
		return error_set_usage(error,
				       "%s: line %" PRIu64 ": is not a line of `candump -L`: "
				       "(SECONDS.MICROSECONDS) INTERFACE FRAME",
				       replay->path, replay->number);
	if (interface && (strlen(interface) != replay->next.name_length ||
			  memcmp(interface, replay->next.name, replay->next.name_length) != 0))
		return 0;
	replay->errors += replay->next.error;
	return !replay->next.error;
}

/* Reads up to the next frame. Returns 1, 0 at the end, or a negative errno. */
static int read_next(struct replay *replay, struct error *error)
{
	char text[CAN_NOTATION_LINE_SIZE];

	while (fgets(text, sizeof(text), replay->file)) {
		size_t length = strcspn(text, "\r\n");
		int result;

		replay->number++;
		if (!length)
			continue;
		result = take_line(replay, text, length, error);
		if (result != 0)
			return result;
	}
	replay->over = true;
	return ferror(replay->file) ? error_set_errno(error, errno, "%s", replay->path) : 0;
}

static void send_due(struct can_session *session)
{
	struct replay *replay = session->context;
	int result = 0;

	while (result >= 0 && !replay->over) {
		uint64_t now_ns = clock_now_ns(), at_ns = replay->next.time_ns;
		uint64_t due_ns = replay->begun_ns;

		/* The clock of the log may have been set back. */
		if (!replay->options->fast && at_ns > replay->first_ns)
			due_ns += at_ns - replay->first_ns;
		if (due_ns > now_ns) {
			timer_set(&replay->timer, due_ns - now_ns);
			return;
		}
		if (!can_session_send(session, 0, &replay->next.frame))
			return;
		result = read_next(replay, session->error);
	}
	if (result < 0 || !session->pending)
		can_session_end(session, result);
}

static void handle_started(struct can_session *session)
{
	struct replay *replay = session->context;

	replay->first_ns = replay->next.time_ns;
	replay->begun_ns = clock_now_ns();
	send_due(session);
}

static void handle_sent(struct can_session *session, uint32_t tag, bool success)
{
	send_due(session);
}

static void handle_timer(void *context)
{
	send_due(context);
}

static const struct can_session_ops ops = {.started = handle_started, .sent = handle_sent};

static int run_replay(const struct command_call *call, struct error *error)
{
	struct replay replay = {
		.options = call->options[0],
		.path = call->operands[1],
		.timer = TIMER_NONE,
	};
	struct can_session session = {0};
	cleanup_file FILE *file = fopen(replay.path, "re");
	int result;

	if (!file)
		return error_set_usage(error, "%s: %s; give a log of candump", replay.path,
				       strerror(errno));
	replay.file = file;
	/* Mistakes in the first line need no bus. */
	result = read_next(&replay, error);
	if (result < 0)
		return result;
	result = can_join(&session, call, &ops, &replay, error);
	if (result == 0)
		result = timer_open(&replay.timer, &session.loop, CLOCK_MONOTONIC, handle_timer,
				    &session, error);
	if (result == 0)
		result = can_session_run(&session);
	if (replay.errors)
		log_warning("%s: %" PRIu64 " error frames were not sent", replay.path,
			    replay.errors);
	if (result == 0)
		result = can_check_sent(&session, error);
	timer_close(&replay.timer);
	can_session_close(&session);
	return result;
}

const struct command command_can_replay = {
	.name = "replay",
	.summary = "send the frames of a log",
	.description =
		"Sends the frames of FILE, a log of candump or of `avp service can-bus --log`, with "
		"the times between them as they were, or later where the bus is busy, and ends when "
		"the last one was on the bus. Error frames in the log are not sent.",
	.groups =
		(const struct option_group[]){
			{"Options", replay_option_rows, sizeof(struct replay_options), false},
			CAN_CLIENT_GROUP,
			{NULL, NULL, 0, false},
		},
	.operands = "PATH FILE",
	.operands_minimum = 2,
	.operands_maximum = 2,
	.examples =
		(const struct command_note[]){
			{"avp can replay bus.sock drive.log --interface can1",
			 "Sends what was on can1."},
			{NULL, NULL},
		},
	.run = run_replay,
};
