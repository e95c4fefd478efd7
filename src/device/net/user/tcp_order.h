// SPDX-License-Identifier: BSD-3-Clause
/*
 * Bounds how many segments of a guest's TCP connections arrive before their turn. The library
 * behind the user-mode network keeps those, each in a buffer of its own, however many and however
 * short they are. So it gets a number of them, enough for what real guests lose; one more becomes a
 * segment without data, which the library answers with what it has (RFC 9293, 3.10.7.4).
 *
 * What the library has of a connection is known from its acknowledgements, of which the first is
 * that of the SYN. A connection that is not in the table, because too many others are, gets into it
 * by the next one. One that ends in order takes with it, without a word, what the library keeps
 * from beyond its end: so the library gets nothing from there before its turn. Freestanding.
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

/* Segments before their turn, of all connections. The library's window of 64 KiB holds about 50. */
#define TCP_ORDER_EARLY 512

struct tcp_order_flow {
	/* Addresses, of which IPv4 takes the first 4 bytes; all 0: not in use. */
	uint8_t guest[IPV6_ADDRESS], host[IPV6_ADDRESS];
	uint16_t guest_port, host_port;
	uint32_t expected;     /* sequence number of the guest's next byte */
	uint32_t acknowledged; /* the same, as the library has told: it has all before that */
	uint32_t early;	       /* segments that the library keeps, or fewer */
	bool known;	       /* the library has told of it since the guest's last SYN */
	bool ended;   /* the guest's stream has an end, which the library may have yet to reach */
	uint32_t end; /* behind it */
};

/* Starts as zeroes. */
struct tcp_order {
	struct tcp_order_flow flows[TCP_ORDER_SETS][TCP_ORDER_WAYS];
	uint8_t victims[TCP_ORDER_SETS]; /* that a new flow displaces next */
	struct {
		struct tcp_order_flow *flow; /* NULL: not in use */
		uint32_t start, end;
	} early[TCP_ORDER_EARLY];
};

/*
 * The guest sends a packet of *@total bytes: an IPv4 or IPv6 header without options at @ip, and a
 * segment whose header and checksum are right. One that comes too early loses its data: *total
 * changes, and what goes with it.
 */
void tcp_order_send(struct tcp_order *order, uint8_t *ip, size_t *total);

/*
 * The library has no connection any more, and so keeps no segment. It does not tell of one that it
 * gives up after a long time.
 */
void tcp_order_forget(struct tcp_order *order);

/* The library sends such a packet, of @total bytes that came from it, to the guest. */
void tcp_order_receive(struct tcp_order *order, const uint8_t *ip, size_t total);

#endif
