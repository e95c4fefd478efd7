// SPDX-License-Identifier: BSD-3-Clause
/*
 * A descriptor store keeps descriptors for a supervisor that may be killed: the next one, of the
 * same name and user, finds them again. Its holder is a process of its own, `avp` in another mode,
 * that outlives who started it and serves a control socket (base/control_server.h):
 *
 *	put name=NAME	  keeps the descriptor that comes along, in place of an earlier one
 *	get name=NAME	  answers with a copy, and goes on to keep it
 *	remove name=NAME
 *	end		  the holder closes all, removes its socket, and ends
 *
 * Not systemd's store (FDSTORE of sd_notify(3)): that gives descriptors back only to the main
 * process of a unit, and a supervisor in a container, or of one guest of several, is none.
 *
 * The client is the user who started the holder, or root, as for every control socket; the
 * directory of the socket keeps other users away from it. A holder whose clients are all gone ends
 * when it keeps nothing, else after DESCRIPTOR_STORE_ALONE_MS: nobody comes any more.
 *
 * What belongs here is what someone outside still holds the other end of: listening sockets, and
 * memory that outlives the process that it describes. The record of requests in flight stays with
 * the monitor: it is about rings in the guest's memory, and ends with it.
 */
#ifndef AVP_HOST_DESCRIPTOR_STORE_H
#define AVP_HOST_DESCRIPTOR_STORE_H

#include "base/error.h"

/* The most descriptors of a store, and the longest name: that of a device, and more. */
#define DESCRIPTOR_STORE_MAXIMUM     128
#define DESCRIPTOR_STORE_NAME_LENGTH 96
#define DESCRIPTOR_STORE_ALONE_MS    60000

/*
 * The client's side. Every call blocks until the answer, for a second at most, and for five until a
 * new holder serves.
 */
struct descriptor_store;

/*
 * Connects to the store at @path, the path of a socket, and starts its holder first if there is
 * none. Returns 0 with *store set, or a negative errno with *error set.
 */
int descriptor_store_open(struct descriptor_store **store, const char *path, struct error *error);

/* Keeps a copy of @fd. Returns 0 or a negative errno with *error set. */
int descriptor_store_put(struct descriptor_store *store, const char *name, int fd,
			 struct error *error);

/* Returns a copy of what is kept, or a negative errno with *error set; -ENOENT: nothing. */
int descriptor_store_get(struct descriptor_store *store, const char *name, struct error *error);

/* Returns 0 or a negative errno with *error set; -ENOENT: nothing. */
int descriptor_store_remove(struct descriptor_store *store, const char *name, struct error *error);

/* The descriptors are needed no more: ends the holder. Then as descriptor_store_close. */
void descriptor_store_end(struct descriptor_store *store);

/* Disconnects; the holder goes on. NULL is fine. */
void descriptor_store_close(struct descriptor_store *store);

/*
 * The holder: makes a socket at @path, closes its standard output and error to say so, locks itself
 * in and serves until its end; for tests after @alone_ms alone. Returns 0, or a negative errno with
 * *error set.
 */
int descriptor_store_hold(const char *path, int alone_ms, struct error *error);

#endif
