// SPDX-License-Identifier: BSD-3-Clause
/*
 * The form of every control channel: lines over a connected Unix stream socket. docs/control.md
 * describes it for users. A line is a verb and fields, separated by blanks, and ends with '\n':
 *
 *	verb key=value key="a JSON string, for a value with blanks, quotes or control characters"
 *
 * One descriptor may come with a line. This file builds, parses and transfers lines;
 * control_server.h answers them.
 */
#ifndef AVP_BASE_CONTROL_H
#define AVP_BASE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"

/* The longest line, with its newline. */
#define CONTROL_LINE_SIZE 4096
/* The most fields of a line, and the longest verb or key in bytes. */
#define CONTROL_FIELDS	    24
#define CONTROL_WORD_LENGTH 32

/* The first words of the lines that answer and report. */
#define CONTROL_HELLO "hello"
#define CONTROL_OK    "ok"
#define CONTROL_ERROR "error"
#define CONTROL_EVENT "event"

/* A received line. Everything in it points into the text that was parsed. */
struct control_line {
	const char *verb;
	size_t count;
	struct control_field {
		const char *name, *value;
	} fields[CONTROL_FIELDS];
};

/*
 * Parses @length bytes of @text, a line without its newline, in place; text[length] must be
 * writable. Verb and keys are of a-z, 0-9 and '-', starting with a letter, and no key comes twice;
 * values are UTF-8 without zero bytes. Returns 0, or -EPROTO with *error set.
 */
int control_line_parse(struct control_line *line, char *text, size_t length, struct error *error);

/* The value of a field; NULL: there is none. */
const char *control_line_get(const struct control_line *line, const char *name);

/* Reads a field of decimal digits. Returns false when there is none, or it is not a number. */
bool control_line_number(const struct control_line *line, const char *name, uint64_t *value);

/* Writes what a line `error` reports to *error: code and text. Returns its negative errno. */
int control_line_error(const struct control_line *line, struct error *error);

/* A line to be sent. It is built in any thread, and sent in one piece. */
struct control_message {
	size_t length;
	bool too_long;
	char text[CONTROL_LINE_SIZE];
};

void control_message_begin(struct control_message *message, const char *verb);
/* Makes it the line that answers a request by *error. */
void control_message_begin_error(struct control_message *message, const struct error *error);
/* Bytes of @value that are not UTF-8 become '?'. */
void control_message_add(struct control_message *message, const char *name, const char *value);
void control_message_add_number(struct control_message *message, const char *name, uint64_t value);

/*
 * Sends the line to a connected stream socket, with the descriptor @fd, which stays the caller's,
 * unless it is -1. Never blocks: the socket's buffer is the queue. Any thread. Returns 0, -EMSGSIZE
 * when the line is longer than CONTROL_LINE_SIZE, or -EAGAIN when the peer has left so much unread
 * that there is no room: then it has given up reading. Other negative errnos: the peer is gone.
 */
int control_message_send(struct control_message *message, int socket, int fd);

/* The room for lines that a peer has not read yet, in bytes of the kernel's accounting. */
#define CONTROL_QUEUE_SIZE (64 << 10)

/* One end of a connection, which receives lines in the loop's thread. */
struct control_channel {
	struct event_loop *loop;
	struct event_watch watch; /* fd -1: closed */
	bool paused;
	/*
	 * A line came. Its text is valid until the return. A descriptor that came with it is *fd,
	 * else -1; one that is not taken with take_fd is closed. May close the channel.
	 */
	void (*line)(void *context, const struct control_line *line, int *fd);
	/*
	 * The last call: the peer has closed the connection (@error NULL), or has broken the form
	 * of a line. Must close the channel.
	 */
	void (*ended)(void *context, const struct error *error);
	void *context;
	/*
	 * Descriptors of lines that are not delivered yet, and where in the input the last byte of
	 * that part of the line is. The kernel ends a read behind the data that a descriptor came
	 * with, so that there is at most one for a read, and at most one of an earlier read.
	 */
	struct {
		int fd; /* -1: none */
		size_t at;
	} received[2];
	size_t length;
	char input[CONTROL_LINE_SIZE];
};

/* Makes a closed channel of *channel, with its callbacks unset. */
void control_channel_init(struct control_channel *channel);

/*
 * Starts to receive from the connected stream socket @fd, which is owned from now on, also on
 * failure. The callbacks and the context must be set; *channel must not move. Returns 0 or a
 * negative errno with *error set.
 */
int control_channel_open(struct control_channel *channel, struct event_loop *loop, int fd,
			 struct error *error);

/* The socket, for control_message_send; -1 once the channel is closed. */
static inline int control_channel_socket(const struct control_channel *channel)
{
	return channel->watch.source.fd;
}

/*
 * Stops to deliver lines, or delivers again, first those that were received already. A paused
 * channel notices that its peer is gone.
 */
void control_channel_pause(struct control_channel *channel);
void control_channel_resume(struct control_channel *channel);

/* Receives what is there now, without waiting for the loop: the last lines of a process. */
void control_channel_drain(struct control_channel *channel);

/* Closes the socket and what was received; does nothing on a closed channel. */
void control_channel_close(struct control_channel *channel);

#endif
