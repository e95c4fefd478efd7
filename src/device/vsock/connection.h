// SPDX-License-Identifier: BSD-3-Clause
/*
 * The connections of a socket device with the host: their table, the line for the rx queue, credit,
 * and bytes that wait for the host side. Only for vsock.c.
 */
#ifndef AVP_DEVICE_VSOCK_CONNECTION_H
#define AVP_DEVICE_VSOCK_CONNECTION_H

#include "device/vsock/vsock.h"

/* Packets without payload that a connection has to send. */
#define VSOCK_PENDING_RST	     1
#define VSOCK_PENDING_REQUEST	     2
#define VSOCK_PENDING_RESPONSE	     4
#define VSOCK_PENDING_CREDIT_UPDATE  8
#define VSOCK_PENDING_CREDIT_REQUEST 16
#define VSOCK_PENDING_SHUTDOWN	     32 /* after all bytes */

struct vsock_connection *vsock_connection_find(struct vsock_device *vsock, uint32_t host_port,
					       uint32_t guest_port);
/* A connection between two ports that have none; NULL: there are too many. */
struct vsock_connection *vsock_connection_new(struct vsock_device *vsock, uint32_t host_port,
					      uint32_t guest_port, uint16_t type);
/* One from a new port of the host, with its REQUEST. */
struct vsock_connection *vsock_connection_call(struct vsock_device *vsock, uint32_t guest_port);
/* It is over on both sides. */
void vsock_connection_free(struct vsock_device *vsock, struct vsock_connection *connection);
/* It is over on this side: RST is sent, and frees it. */
void vsock_connection_end(struct vsock_device *vsock, struct vsock_connection *connection);
/* The same, since the guest broke the rules. */
void vsock_connection_break(struct vsock_device *vsock, struct vsock_connection *connection);
/* Frees all of them. */
void vsock_connections_clear(struct vsock_device *vsock);

/* At the end of the line, unless it is in it; the first of the line, out of it, or NULL. */
void vsock_connection_line_up(struct vsock_device *vsock, struct vsock_connection *connection);
struct vsock_connection *vsock_connection_next(struct vsock_device *vsock);

/* How many bytes the guest has room for. */
uint32_t vsock_connection_credit(const struct vsock_connection *connection);
/* How many bytes of the guest wait. */
uint32_t vsock_connection_waiting(const struct vsock_connection *connection);

/*
 * Takes bytes of the guest, for which the window has room: to the host side, or to wait. Returns
 * how many there were.
 */
size_t vsock_connection_take(struct vsock_device *vsock, struct vsock_connection *connection,
			     const struct virtio_segment *segments, uint32_t count);
/* A message ends behind what was taken. False: there are too many of them. */
bool vsock_connection_mark(struct vsock_connection *connection, uint32_t flags);
/* Offers bytes that wait to the host side. */
void vsock_connection_drain(struct vsock_device *vsock, struct vsock_connection *connection);
/*
 * Puts bytes that wait into the segments, of one message at most. *length: how many; *flags: those
 * of the mark behind them, 0: none. False: there are neither.
 */
bool vsock_connection_echo(struct vsock_connection *connection,
			   const struct virtio_segment *segments, uint32_t count, size_t *length,
			   uint32_t *flags);
/* Does what follows from what has happened: credit is told, directions are shut, it ends. */
void vsock_connection_advance(struct vsock_device *vsock, struct vsock_connection *connection);
/* As vsock_device_ended. */
void vsock_connection_ended(struct vsock_device *vsock, struct vsock_connection *connection,
			    uint8_t directions);

#endif
