// SPDX-License-Identifier: BSD-3-Clause
/*
 * Joins a service (`avp service NAME`), as docs/services.md describes: over its control socket the
 * client hands it one end of a pair of sockets, on which the service then offers the channel.
 */
#ifndef AVP_HOST_SERVICE_LINK_H
#define AVP_HOST_SERVICE_LINK_H

#include "base/error.h"

/* The interface of a service's control socket (base/control.h). */
#define SERVICE_INTERFACE "avp-service"
#define SERVICE_VERSION	  1
/* The verb by which a client joins: client=NAME, with an end of a socket pair. */
#define SERVICE_JOIN "join"
/* A time limit for joining, in milliseconds, for those who have nothing else to do. */
#define SERVICE_JOIN_MS 10000

/* Connects to the socket at @path. Returns it, or a negative errno with *error set. */
int service_link_connect(const char *path, struct error *error);

/*
 * Joins the service at @path as @client; blocks for @limit_ms at most. Returns the socket for
 * channel_accept, non-blocking and owned by the caller, with the offer in it; or a negative errno
 * with *error set.
 */
int service_link_join(const char *path, const char *client, int limit_ms, struct error *error);

#endif
