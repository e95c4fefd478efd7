// SPDX-License-Identifier: BSD-3-Clause
/*
 * The monitor's side of its control socket: see monitor/control.h.
 */
#ifndef AVP_MONITOR_RUN_CONTROL_SOCKET_H
#define AVP_MONITOR_RUN_CONTROL_SOCKET_H

#include "base/control_server.h"
#include "base/error.h"
#include "base/event_loop.h"

/* The verbs and events. */
extern const struct control_interface monitor_interface;

struct control_socket {
	int fd; /* for events; -1: no socket, nothing is sent */
	struct control_server server;
	/* Called in the loop's thread. They must not close the socket. */
	void (*button)(void *context);
	void (*end)(void *context); /* the verb, or the peer has closed the socket */
	void (*pause)(void *context);
	void (*resume)(void *context);
	/* Returns 0 or a negative errno with *error set. */
	int (*release)(void *context, const char *device, uint64_t attachments,
		       struct error *error);
	void *context;
};

#define CONTROL_SOCKET_NONE ((struct control_socket){.fd = -1, .server.listener.fd = -1})

/*
 * Starts to serve @fd, a connected stream socket, and takes ownership of it, also on failure. Its
 * callbacks and context must be set; *control must not move. Returns 0 or a negative errno with
 * *error set.
 */
int control_socket_open(struct control_socket *control, struct event_loop *loop, int fd,
			struct error *error);

/*
 * Sends the event @name with a field @key of the value @text, or without one if @key is NULL. Never
 * blocks. Any thread may call it until the socket is closed.
 */
void control_socket_send(const struct control_socket *control, const char *name, const char *key,
			 const char *text);

/* The same for an event about a device, with the field text unless @text is NULL. */
void control_socket_send_device(const struct control_socket *control, const char *name,
				const char *device, const char *text);

/* The same for MONITOR_EVENT_STEP: @text was done at @time, in nanoseconds of CLOCK_MONOTONIC. */
void control_socket_send_step(const struct control_socket *control, uint64_t time,
			      const char *text);

/* Closes it; does nothing on CONTROL_SOCKET_NONE. */
void control_socket_close(struct control_socket *control);

#endif
