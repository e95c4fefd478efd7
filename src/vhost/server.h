// SPDX-License-Identifier: BSD-3-Clause
/*
 * The serving side of vhost-user: offers one virtio_device to a frontend in another process, one
 * connection at a time. A peer that breaks the protocol loses its connection; the next one is
 * served.
 */
#ifndef AVP_VHOST_SERVER_H
#define AVP_VHOST_SERVER_H

#include <stdbool.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "virtio/device.h"

struct vhost_server;

/*
 * Makes a server for @device on @loop; both must outlive it. NULL with *error set on failure. The
 * server owns device->transport, device->memory, device->report_fault and the ring storage, and
 * adapts device->offered to what vhost-user carries.
 *
 * The server polls the rings, so it offers each request to a device once: if handle leaves one in
 * the ring, the device must come back for it by itself, such as when a frame arrives.
 */
struct vhost_server *vhost_server_new(struct event_loop *loop, struct virtio_device *device,
				      struct error *error);

/*
 * Serves the connections that come in on the listening socket @fd (owned from now on), one at a
 * time, for as long as the loop runs; others wait in the backlog. When accept fails for lack of
 * memory or descriptors, the loop is stopped with status 1.
 */
int vhost_server_listen(struct vhost_server *server, int fd, struct error *error);

/*
 * Serves the one connection @fd (owned from now on); when it ends the loop is stopped with
 * status 0, or 1 when the peer broke the protocol.
 */
int vhost_server_serve(struct vhost_server *server, int fd, struct error *error);

/* Ends the connection, resets the device and frees the server. NULL is allowed. */
void vhost_server_free(struct vhost_server *server);

#endif
