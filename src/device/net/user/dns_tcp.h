// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's side of DNS over TCP (RFC 7766): the least of TCP (RFC 9293) that serves questions
 * one by one. Segments in and out; the other end is one Ethernet cable away, so there is no
 * congestion, and what comes out of order is sent again. In fixed memory.
 */
#ifndef AVP_DEVICE_NET_USER_DNS_TCP_H
#define AVP_DEVICE_NET_USER_DNS_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/user/dns_relay.h"
#include "device/net/user/packet.h"

/* One more takes the place of the one that has been idle for longest. */
#define DNS_TCP_CONNECTIONS 16

/* A connection on which nothing gets further for so long, in ms, is ended. */
#define DNS_TCP_IDLE_MS 30000

/* How long until a segment is sent again, each time twice as long, and how often. */
#define DNS_TCP_RESEND_MS 500
#define DNS_TCP_RESENDS	  6

/* Segments sent before the first of them is acknowledged: a guest has room for that many frames. */
#define DNS_TCP_FLIGHT 16

/* Segments are written with room for all headers before them. */
#define DNS_TCP_ROOM (PACKET_IP + IPV6_HEADER)

enum dns_tcp_state { DNS_TCP_FREE, DNS_TCP_HANDSHAKE, DNS_TCP_OPEN, DNS_TCP_CLOSING };

struct dns_tcp_connection {
	enum dns_tcp_state state;
	struct dns_asker guest;
	uint32_t expected;	     /* next sequence number of the guest's */
	uint32_t first, next, reach; /* ours: not acknowledged yet, to be sent, ever sent */
	uint32_t window, mss;	     /* the guest's */
	bool guest_closed;	     /* it sends nothing more */
	bool asked;		     /* the question is with the relay, and out too */
	unsigned int resends;
	int64_t resend_ms, idle_ms; /* INT64_MAX: nothing to send again */
	size_t in_length;
	size_t out_start, out_length; /* answer bytes: acknowledged, and all */
	uint8_t in[DNS_PREFIX + DNS_QUESTION_MAX];
	uint8_t out[DNS_STREAM_MAX];
};

/*
 * Sends a segment, of @length bytes at @segment, to a guest: the checksum is to be done, and
 * headers go into the DNS_TCP_ROOM bytes before it.
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
 * Takes a segment of the guest, whose checksum was checked, with a header that fits; @guest says
 * who it is from.
 */
void dns_tcp_take(struct dns_tcp *tcp, const struct dns_asker *guest, const uint8_t *segment,
		  size_t length, int64_t now_ms);

/* The relay's answer to a question of connection @index, @length bytes in the memory given. */
void dns_tcp_answer(struct dns_tcp *tcp, int index, size_t length, int64_t now_ms);

/* Forgets all connections: their guest is gone. */
void dns_tcp_forget_all(struct dns_tcp *tcp);

/* When dns_tcp_expire has something to do; INT64_MAX: never. */
int64_t dns_tcp_deadline_ms(const struct dns_tcp *tcp);
void dns_tcp_expire(struct dns_tcp *tcp, int64_t now_ms);

#endif
