// SPDX-License-Identifier: BSD-3-Clause
/*
 * A process that connects to the sockets PATH_PORT for the device process, which is locked in: the
 * guest chooses the port, and nothing but that number reaches this process.
 */
#ifndef AVP_DEVICE_VSOCK_CONNECTOR_H
#define AVP_DEVICE_VSOCK_CONNECTOR_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/event_loop.h"

struct connector {
	struct event_loop *loop;
	struct event_source source; /* fd -1: there is none */
	pid_t pid;
	/* The answer to connector_ask: a connected stream socket, owned from now on, or -errno. */
	void (*answered)(void *context, uint64_t tag, int fd);
	void *context;
};

#define CONNECTOR_NONE ((struct connector){.source = {.fd = -1}})

/*
 * Starts it, for the sockets whose names begin with @path. It is in its sandbox when this returns.
 * Returns 0 or a negative errno with *error set.
 */
int connector_start(struct connector *connector, struct event_loop *loop, const char *path,
		    void (*answered)(void *context, uint64_t tag, int fd), void *context,
		    struct error *error);

/* Asks for a connection; the answer with @tag follows. Returns 0 or a negative errno. */
int connector_ask(struct connector *connector, uint64_t tag, uint32_t port);

/* CONNECTOR_NONE is fine. */
void connector_stop(struct connector *connector);

#endif
