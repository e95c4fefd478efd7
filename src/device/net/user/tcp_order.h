// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bounds the early (out-of-order) segments of a guest's TCP connections. The library behind the
 * user-mode network keeps each in a buffer of its own, however many and however short they are. So
 * it gets a bounded number, enough for the losses of real guests; one more becomes a segment
 * without data, which the library answers with an acknowledgement (RFC 9293, 3.10.7.4).
 *
 * The library's acknowledgements, from that of the SYN on, show what it has received. A connection
 * that is not in the table, because it was full, is added at the next acknowledgement. When a
 * stream ends in order, the library releases segments from beyond its end without a sign of it: so
 * it never gets early segments from there. Freestanding.
 */
#ifndef AVP_DEVICE_NET_USER_TCP_ORDER_H
#define AVP_DEVICE_NET_USER_TCP_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/user/packet.h"

/* The library can have SLIRP_SOCKETS_MAX connections; each goes into one set. */
#define TCP_ORDER_SETS 512
#define TCP_ORDER_WAYS 8

/* Early segments of all connections. The library's window of 64 KiB holds about 50. */
#define TCP_ORDER_EARLY 512

struct tcp_order_flow {
	/* Addresses; IPv4 uses the first 4 bytes; all 0: not in use. */
	uint8_t guest[IPV6_ADDRESS], host[IPV6_ADDRESS];
	uint16_t guest_port, host_port;
	uint32_t expected;     /* sequence number of the guest's next byte */
	uint32_t acknowledged; /* the same according to the library: it has all before that */
	uint32_t early;	       /* upper bound of the segments that the library keeps */
	bool known;	       /* the library has acknowledged since the guest's last SYN */
	bool ended;   /* the guest has sent a FIN, which the library may not have reached yet */
	uint32_t end; /* the number after it */
};

/* Starts as zeroes. */
struct tcp_order {
	struct tcp_order_flow flows[TCP_ORDER_SETS][TCP_ORDER_WAYS];
	uint8_t victims[TCP_ORDER_SETS]; /* the entry that a new flow replaces next */
	struct {
		struct tcp_order_flow *flow; /* NULL: not in use */
		uint32_t start, end;
	} early[TCP_ORDER_EARLY];
};

/*
 * The guest sends a packet of *@total bytes: an IPv4 or IPv6 header without options at @ip, and a
 * segment whose header and checksum are right. One that exceeds the bound loses its data: *total
 * and the headers change.
 */
void tcp_order_send(struct tcp_order *order, uint8_t *ip, size_t *total);

/*
 * The library has no connection any more, and so keeps no segment. It does not report connections
 * that time out.
 */
void tcp_order_forget(struct tcp_order *order);

/* The library sends such a packet of @total bytes to the guest. */
void tcp_order_receive(struct tcp_order *order, const uint8_t *ip, size_t total);

#endif
