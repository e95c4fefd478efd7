// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client side of QMP, the QEMU machine protocol (QEMU's docs/interop/qmp-spec): JSON objects,
 * one a line. It negotiates, sends commands without arguments, and reports events.
 */
#ifndef AVP_GUEST_ENGINE_QEMU_QMP_H
#define AVP_GUEST_ENGINE_QEMU_QMP_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/line_reader.h"

/* Longer lines are dropped with a warning; the messages used here are far shorter. */
#define QMP_LINE_SIZE 65536

/* Called from the loop; they may close the connection. */
struct qmp_handlers {
	/* The negotiation is over: commands may be sent. */
	void (*ready)(void *context);
	/* An event; @data is an object, or NULL when it carries none. */
	void (*event)(void *context, const char *name, const json_t *data);
	/* A command was carried out, with @why NULL, or refused. */
	void (*answered)(void *context, const char *command, const char *why);
	/* The other side has closed the connection. */
	void (*ended)(void *context);
};

struct qmp {
	struct line_reader reader;
	const struct qmp_handlers *handlers;
	void *context;
	bool ready;
	bool complained; /* the one warning was logged */
};

/* Starts the client on the connected socket @fd, and takes ownership of it, also on failure. */
int qmp_open(struct qmp *qmp, struct event_loop *loop, int fd, const struct qmp_handlers *handlers,
	     void *context, struct error *error);

/* Sends a command, after ready. The event answered follows. */
int qmp_execute(struct qmp *qmp, const char *command, struct error *error);

/* Handles what has arrived, without waiting for the loop. */
void qmp_drain(struct qmp *qmp);

/* Closes the connection; does nothing if it is closed or zeroed. */
void qmp_close(struct qmp *qmp);

#endif
