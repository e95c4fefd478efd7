// SPDX-License-Identifier: BSD-3-Clause
/*
 * The asking side of control channels (base/control.h): one request over a connection of its own.
 */
#ifndef AVP_BASE_CONTROL_REQUEST_H
#define AVP_BASE_CONTROL_REQUEST_H

#include "base/control.h"

struct control_request {
	const char *peer;      /* who is asked, for errors: "guest 'car'" */
	const char *interface; /* that it must speak, in this version */
	unsigned int version;
	struct control_message *message; /* the request */
	int fd;				 /* goes with it, and stays the caller's; -1: none */
	bool follows; /* go on after the answer, with events, until the other end closes */
	int limit_ms; /* for the whole of it; -1: none */
	/* A line of the answer or an event came, errors aside. May be NULL. */
	void (*line)(void *context, const struct control_line *line);
	void *context;
};

/*
 * Sends the request over the connected socket @fd, which is owned, also on failure, and waits for
 * the answer. Returns 0, or a negative errno with *error set: what the other end has refused;
 * -EPROTO: it does not speak that version; -EPIPE: it has closed the connection; -ETIMEDOUT.
 */
int control_request_send(const struct control_request *request, int fd, struct error *error);

#endif
