// SPDX-License-Identifier: BSD-3-Clause
/*
 * The log lines of a child process of this same program, passed on as lines of this one. A child
 * that goes wrong can write what it likes: its lines say who they are from, and there is a limit on
 * how many come through. While it starts, its last line is held back: if it ends, that line says
 * why.
 */
#ifndef AVP_GUEST_RUN_LOG_RELAY_H
#define AVP_GUEST_RUN_LOG_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arguments.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/line_reader.h"
#include "base/log_limit.h"
#include "guest/run/fd_names.h"

/* What is kept of a line, its end included. */
#define LOG_RELAY_LINE_SIZE 4096

struct log_relay {
	const char *name; /* set by the owner, or NULL: the component of lines that are passed on */
	struct fd_names files; /* set by the owner: what its descriptors are */
	struct log_limit limit;
	struct line_reader reader;
	bool through; /* no line is held back */
	char held[LOG_RELAY_LINE_SIZE];
};

/*
 * Starts to read from a pipe of which *writer, the caller's, is the other end: to be the standard
 * output and error of a child.
 */
int log_relay_open(struct log_relay *relay, struct event_loop *loop, int *writer,
		   struct error *error);

/* The child has started: passes on the line that was held back, and from now on all at once. */
void log_relay_let_through(struct log_relay *relay);

/* Reads what a child that has ended said last. */
void log_relay_drain(struct log_relay *relay);

/*
 * Takes the line that is held back, if any, away: *message, of @size bytes, gets its text without
 * level and component, or is empty.
 */
void log_relay_take_message(struct log_relay *relay, char *message, size_t size);

/* Drains, passes on what is held back and closes the pipe; one that is zeroed is left alone. */
void log_relay_close(struct log_relay *relay);

/* Appends the options that have a child log what this process does, in JSON, which keeps fields. */
void log_relay_add_arguments(struct arguments *arguments);

#endif
