// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host side of a socket device: Unix sockets, as Firecracker and Cloud Hypervisor have them. A
 * client of PATH gets to a port of the guest: it sends `CONNECT PORT\n`, and once the guest has
 * accepted, it is sent `OK HOSTPORT\n`. When the guest connects to a port of the host, it gets to
 * the program that listens at PATH_PORT.
 */
#ifndef AVP_DEVICE_VSOCK_UDS_H
#define AVP_DEVICE_VSOCK_UDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/vsock/connector.h"
#include "device/vsock/vsock.h"

/* Clients that have not said which port they want; of more, the oldest is sent away. */
#define UDS_GREETERS_MAX 32
/* The longest such line, with its end. */
#define UDS_LINE_MAX 32

struct uds;

/* A client that is still to say which port it wants. */
struct uds_greeter {
	struct uds *uds;
	struct event_watch watch; /* fd -1: none */
	uint64_t number;	  /* of the client */
	char line[UDS_LINE_MAX];
	uint32_t length;
};

/* The socket of a connection of the device, with its index. */
struct uds_stream {
	struct uds *uds;
	struct event_watch watch; /* fd -1: none */
	uint32_t generation;	  /* of the connection in this place */
	bool greeted;		  /* a client, which waits for OK */
	bool hung_up, blocked;
};

struct uds {
	struct vsock_host host;
	struct event_loop *loop;
	struct event_watch listener; /* fd -1: there is none */
	struct connector connector;
	struct vsock_memory *memory;
	uint64_t clients;
	struct uds_greeter greeters[UDS_GREETERS_MAX];
	struct uds_stream streams[VSOCK_CONNECTIONS_MAX];
};

/*
 * Makes it. @listener: a listening socket at @path, owned from now on; -1 with NULL: the guest has
 * nobody to talk to. Call before rights are dropped. Returns 0 or a negative errno with *error set.
 */
int uds_open(struct uds *uds, struct event_loop *loop, int listener, const char *path,
	     struct error *error);
/* Serves clients, once the device is there. */
void uds_start(struct uds *uds);
/* Safe on one that is zeroed; the device is not used any more. */
void uds_close(struct uds *uds);

#endif
