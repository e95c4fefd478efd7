// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads the log lines of a child process and logs them again.
 */
#include "host/log_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

/* Lines that may come at once, and the time to earn another: enough for a start with debug logs. */
#define BURST	    1000
#define INTERVAL_MS 50
/* The most fields of a line that are passed on. */
#define FIELDS_MAXIMUM 8

/* A parsed line. The strings point into the line or into *object. */
struct parsed_line {
	int level; /* enum log_level; -1: not a log line */
	const char *component, *message;
	json_t *object;
};

static void release(struct parsed_line *parsed)
{
	json_decref(parsed->object);
}

#define cleanup_parsed __attribute__((cleanup(release)))

/* Parses a JSON line, or `level component: message`, in which it replaces the colon with a zero. */
static struct parsed_line read_line(char *line)
{
	struct parsed_line parsed = {.level = -1, .message = line};
	char *component = strchr(line, ' '), *message;
	const char *level, *text;

	parsed.object = json_loads(line, 0, NULL);
	level = json_string_value(json_object_get(parsed.object, "level"));
	text = json_string_value(json_object_get(parsed.object, "msg"));
	if (level && text) {
		parsed.level = log_level_find(level, strlen(level));
		parsed.component = json_string_value(json_object_get(parsed.object, "component"));
		parsed.message = text;
		return parsed;
	}
	message = component ? strstr(component, ": ") : NULL;
	if (!message)
		return parsed;
	parsed.level = log_level_find(line, (size_t)(component - line));
	if (parsed.level < 0)
		return parsed;
	*message = 0;
	parsed.component = component + 1;
	parsed.message = message + 2;
	return parsed;
}

static bool is_field_name(const char *name)
{
	static const char *const own[] = {"time", "level", "guest", "component", "msg"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (!strcmp(own[i], name))
			return false;
	return name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == 0;
}

/* Collects the extra fields of a JSON line. They point into *object; a NULL name ends the list. */
static void find_fields(json_t *object, struct log_field fields[FIELDS_MAXIMUM + 1])
{
	size_t count = 0;
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value) {
		if (count == FIELDS_MAXIMUM || !is_field_name(name) ||
		    (!json_is_string(value) && !json_is_integer(value)))
			continue;
		fields[count++] = (struct log_field){name, json_string_value(value),
						     json_integer_value(value)};
	}
	fields[count].name = NULL;
}

static void log_suppressed(struct log_relay *relay)
{
	if (relay->limit.suppressed)
		log_line(LOG_WARNING, relay->name, "%u lines of its process are suppressed",
			 relay->limit.suppressed);
	relay->limit.suppressed = 0;
}

static void relay_line(struct log_relay *relay, char *line)
{
	cleanup_parsed struct parsed_line parsed = {.level = -1};
	struct log_field fields[FIELDS_MAXIMUM + 1];
	char message[LOG_RELAY_LINE_SIZE];

	if (!log_limit_take(&relay->limit, clock_now_ms()))
		return;
	log_suppressed(relay);
	parsed = read_line(line);
	find_fields(parsed.object, fields);
	/* Other lines come from libraries, which write only when something is wrong. */
	log_fields(parsed.level < 0 ? LOG_WARNING : (enum log_level)parsed.level,
		   relay->name ? relay->name : parsed.component, fields, "%s",
		   fd_names_replace(&relay->files, parsed.message, message, sizeof(message)));
}

static void relay_held_line(struct log_relay *relay)
{
	if (relay->held[0])
		relay_line(relay, relay->held);
	relay->held[0] = 0;
}

static void handle_line(void *context, char *line, size_t length, bool cut)
{
	struct log_relay *relay = context;

	if (relay->through) {
		relay_line(relay, line);
		return;
	}
	relay_held_line(relay);
	/* The line reader cuts lines to this size. */
	memcpy(relay->held, line, strlen(line) + 1);
}

int log_relay_open(struct log_relay *relay, struct event_loop *loop, int *writer,
		   struct error *error)
{
	int ends[2], result;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, "cannot make a pipe");
	relay->limit.burst = BURST;
	relay->limit.interval_ms = INTERVAL_MS;
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
	relay_held_line(relay);
}

void log_relay_drain(struct log_relay *relay)
{
	line_reader_drain(&relay->reader);
}

void log_relay_take_message(struct log_relay *relay, char *message, size_t size)
{
	cleanup_parsed struct parsed_line parsed = read_line(relay->held);

	fd_names_replace(&relay->files, parsed.message, message, size);
	text_make_printable(message);
	relay->held[0] = 0;
}

void log_relay_close(struct log_relay *relay)
{
	line_reader_drain(&relay->reader);
	line_reader_close(&relay->reader);
	relay_held_line(relay);
	log_suppressed(relay);
}

void log_relay_add_arguments(struct arguments *arguments)
{
	arguments_add_format(arguments, "--log-level=%s", log_level_name(log_get_level()));
	arguments_add(arguments, "--log-format=json");
}
