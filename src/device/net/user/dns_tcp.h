// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's side of DNS over TCP (RFC 7766): the part of TCP (RFC 9293) that is needed to serve
 * queries one by one. Segments in and out; the peer is directly connected, so there is no
 * congestion control, and out-of-order segments are dropped and sent again. In fixed memory.
 */
#ifndef AVP_DEVICE_NET_USER_DNS_TCP_H
#define AVP_DEVICE_NET_USER_DNS_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/user/dns_relay.h"
#include "device/net/user/packet.h"

/* One more replaces the one that has been idle for longest. */
#define DNS_TCP_CONNECTIONS 16

/* A connection without progress for this long, in ms, is ended. */
#define DNS_TCP_IDLE_MS 30000

/* The first retransmission timeout, which doubles each time, and the number of retransmissions. */
#define DNS_TCP_RESEND_MS 500
#define DNS_TCP_RESENDS	  6

/* Unacknowledged segments in flight: a guest has room for that many frames. */
#define DNS_TCP_FLIGHT 16

/* Room for all headers before a segment. */
#define DNS_TCP_ROOM (PACKET_IP + IPV6_HEADER)

enum dns_tcp_state { DNS_TCP_FREE, DNS_TCP_HANDSHAKE, DNS_TCP_OPEN, DNS_TCP_CLOSING };

struct dns_tcp_connection {
	enum dns_tcp_state state;
	struct dns_asker guest;
	uint32_t expected;	     /* next sequence number of the guest's */
	uint32_t first, next, reach; /* ours: not acknowledged yet, to be sent, ever sent */
	uint32_t window, mss;	     /* the guest's */
	bool guest_closed;	     /* its FIN was received */
	bool asked;		     /* the relay has the query, and uses out */
	unsigned int resends;
	int64_t resend_ms, idle_ms; /* INT64_MAX: nothing to retransmit */
	size_t in_length;
	size_t out_start, out_length; /* answer bytes: acknowledged, and all */
	uint8_t in[DNS_PREFIX + DNS_QUESTION_MAX];
	uint8_t out[DNS_STREAM_MAX];
};

/*
 * Sends a segment of @length bytes at @segment to a guest: computes the checksum, and writes
 * headers into the DNS_TCP_ROOM bytes before it.
 */
typedef void dns_tcp_send(void *context, const struct dns_asker *guest, uint8_t *segment,
			  size_t length);

struct dns_tcp {
	struct dns_relay *relay;
	dns_tcp_send *send;
	void *context;
	uint32_t mss; /* ours */
	size_t active;
	struct dns_tcp_connection connections[DNS_TCP_CONNECTIONS];
	uint8_t frame[PACKET_FRAME_MAX];
};

/* @tcp: zeroed. @mtu is that of the link. */
void dns_tcp_init(struct dns_tcp *tcp, struct dns_relay *relay, uint16_t mtu, dns_tcp_send *send,
		  void *context);

/*
 * Handles a segment of the guest, whose checksum and header length were checked; @guest is its
 * sender.
 */
void dns_tcp_take(struct dns_tcp *tcp, const struct dns_asker *guest, const uint8_t *segment,
		  size_t length, int64_t now_ms);

/* The relay's answer to a query of connection @index, @length bytes in the memory given to it. */
void dns_tcp_answer(struct dns_tcp *tcp, int index, size_t length, int64_t now_ms);

/* Forgets all connections: their guest is gone. */
void dns_tcp_forget_all(struct dns_tcp *tcp);

/* When to call dns_tcp_expire; INT64_MAX: never. */
int64_t dns_tcp_deadline_ms(const struct dns_tcp *tcp);
void dns_tcp_expire(struct dns_tcp *tcp, int64_t now_ms);

#endif
