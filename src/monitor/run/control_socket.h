// SPDX-License-Identifier: BSD-3-Clause
/*
 * The monitor's side of its control socket: see monitor/control.h.
 */
#ifndef AVP_MONITOR_RUN_CONTROL_SOCKET_H
#define AVP_MONITOR_RUN_CONTROL_SOCKET_H

#include "base/error.h"
#include "base/event_loop.h"
#include "base/line_reader.h"

struct control_socket {
	int fd; /* for writing; -1: no socket, nothing is sent */
	struct line_reader reader;
	/* Called in the loop's thread. */
	void (*button)(void *context);
	void (*end)(void *context); /* the command, or the peer has closed the socket */
	void *context;
};

/*
 * Starts to read commands from @fd, a connected stream socket, and takes ownership of it, also on
 * failure. The callbacks and the context must be set; *control must not move. Returns 0 or a
 * negative errno with *error set.
 */
int control_socket_open(struct control_socket *control, struct event_loop *loop, int fd,
			struct error *error);

/*
 * Sends a line of @word and, unless it is NULL, @text. Never blocks. Any thread may call it until
 * the socket is closed.
 */
void control_socket_send(const struct control_socket *control, const char *word, const char *text);

/* Closes it; with fd -1 and a zeroed reader it does nothing. */
void control_socket_close(struct control_socket *control);

#endif
