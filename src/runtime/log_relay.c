// SPDX-License-Identifier: BSD-3-Clause
/*
 * Log lines of a child process.
 */
#include "runtime/log_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

static void pass_on(const char *line)
{
	char text[LOG_RELAY_LINE_SIZE + 1];

	log_write(text, snprintf(text, sizeof(text), "%s\n", line));
}

static void pass_on_held(struct log_relay *relay)
{
	if (relay->held[0])
		pass_on(relay->held);
	relay->held[0] = 0;
}

static void handle_line(void *context, char *line, size_t length, bool cut)
{
	struct log_relay *relay = context;

	text_make_printable(line);
	if (relay->through) {
		pass_on(line);
		return;
	}
	pass_on_held(relay);
	/* The reader's lines are no longer than that. */
	memcpy(relay->held, line, strlen(line) + 1);
}

int log_relay_open(struct log_relay *relay, struct event_loop *loop, int *writer,
		   struct error *error)
{
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	relay->through = false;
	relay->held[0] = 0;
	relay->reader.line = handle_line;
	relay->reader.ended = NULL;
	relay->reader.context = relay;
	result = line_reader_open(&relay->reader, loop, ends[0], LOG_RELAY_LINE_SIZE, error);
	if (result < 0)
		close(ends[1]);
	else
		*writer = ends[1];
	return result;
}

void log_relay_let_through(struct log_relay *relay)
{
	relay->through = true;
	pass_on_held(relay);
}

void log_relay_drain(struct log_relay *relay)
{
	line_reader_drain(&relay->reader);
}

void log_relay_take_message(struct log_relay *relay, char *message, size_t size)
{
	const char *line = relay->held;
	json_t *object = json_loads(line, 0, NULL);
	const char *text = json_string_value(json_object_get(object, "msg"));
	size_t length;

	if (!text) {
		const char *colon = strstr(line, ": ");

		text = !strncmp(line, "error ", strlen("error ")) && colon ? colon + 2 : line;
	}
	length = strnlen(text, size - 1);
	memcpy(message, text, length);
	message[length] = 0;
	json_decref(object);
	relay->held[0] = 0;
}

void log_relay_close(struct log_relay *relay)
{
	line_reader_drain(&relay->reader);
	line_reader_close(&relay->reader);
	pass_on_held(relay);
}

void log_relay_add_arguments(struct arguments *arguments)
{
	static const char *const levels[] = {
		[LOG_ERROR] = "error",
		[LOG_WARNING] = "warning",
		[LOG_INFO] = "info",
		[LOG_DEBUG] = "debug",
	};

	arguments_add_format(arguments, "--log-level=%s", levels[log_get_level()]);
	arguments_add_format(arguments, "--log-format=%s",
			     log_get_format() == LOG_FORMAT_JSON ? "json" : "text");
}
