// SPDX-License-Identifier: BSD-3-Clause
/*
 * Logs the lines of a child process of this program as lines of this process. A faulty or hostile
 * child can write anything, so each line carries the name of the child and the rate is limited.
 * While the child starts, its last line is held back: if the child exits, that line is the reason.
 */
#ifndef AVP_HOST_LOG_RELAY_H
#define AVP_HOST_LOG_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arguments.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/line_reader.h"
#include "base/log_limit.h"
#include "host/fd_names.h"

/* Longer lines are cut to this size, the terminating zero included. */
#define LOG_RELAY_LINE_SIZE 4096

struct log_relay {
	const char *name;      /* component of the lines, NULL: the child's own; set by the owner */
	struct fd_names files; /* the child's descriptors; set by the owner */
	struct log_limit limit;
	struct line_reader reader;
	bool through; /* no line is held back */
	char held[LOG_RELAY_LINE_SIZE];
};

/*
 * Makes a pipe and starts to read it. *writer, owned by the caller, is the other end: the standard
 * output and error of a child.
 */
int log_relay_open(struct log_relay *relay, struct event_loop *loop, int *writer,
		   struct error *error);

/* The child has started: logs the line that was held back, and from now on every line at once. */
void log_relay_let_through(struct log_relay *relay);

/* Reads what is left in the pipe of a child that has ended. */
void log_relay_drain(struct log_relay *relay);

/*
 * Takes the line that is held back. *message, of @size bytes, gets its text without level and
 * component, or "" when there is none.
 */
void log_relay_take_message(struct log_relay *relay, char *message, size_t size);

/* Drains the pipe, logs the held line and closes the pipe. Does nothing on a zeroed relay. */
void log_relay_close(struct log_relay *relay);

/* Appends the options that give a child this process's log level, and JSON, which keeps fields. */
void log_relay_add_arguments(struct arguments *arguments);

#endif
