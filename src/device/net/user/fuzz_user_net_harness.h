// SPDX-License-Identifier: BSD-3-Clause
/* Shared by the parts of the fuzz target of the user-mode network. */
#ifndef AVP_DEVICE_NET_USER_FUZZ_USER_NET_HARNESS_H
#define AVP_DEVICE_NET_USER_FUZZ_USER_NET_HARNESS_H

#include <poll.h>
#include <slirp/libslirp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/user/dhcp.h"
#include "device/net/user/frame_filter.h"
#include "device/net/user/user_dns.h"

#define NETWORK	    0x0a000200U
#define GUEST	    (NETWORK + 15)
#define GATEWAY	    (NETWORK + 2)
#define NAME_SERVER (NETWORK + 3)
#define SERVER	    0xc0000201U /* 192.0.2.1, of the loopback interface */
#define SERVER_PORT 80
#define DNS_SERVER  "127.0.0.2" /* a server that answers, and one that does not exist */
#define DNS_NOBODY  "127.0.0.3"
#define FORWARDED   8080
#define SOCKETS_MAX 64
#define PEERS_MAX   8

extern const uint8_t user_net_prefix[IPV6_PREFIX];

struct harness {
	const uint8_t *input;
	size_t left;
	struct frame_filter filter;
	struct dhcp_server dhcp;
	struct event_loop loop;
	struct user_dns dns;
	int64_t start_ms; /* on the real clock, which the relay's sockets use */
	Slirp *slirp;
	size_t bytes_before, descriptors;
	unsigned int heard; /* frames for the guest */
	int64_t now_ms;
	uint8_t frame[PACKET_FRAME_MAX];
	uint32_t their_sequence, our_sequence; /* of the connection seen last */
	uint16_t their_port, our_port;
	bool their_ipv6;
	uint16_t mtu;
	struct pollfd sockets[SOCKETS_MAX];
	int socket_count;
	int peers[PEERS_MAX];
	int peer_count;
};

static inline uint8_t take(struct harness *h)
{
	if (!h->left)
		return 0;
	h->left--;
	return *h->input++;
}

static inline uint16_t take16(struct harness *h)
{
	uint16_t high = take(h);

	return (uint16_t)(high << 8 | take(h));
}

/* The guest sends h->frame. */
void user_net_send(struct harness *h, size_t length);

/* A question, or something like one, to the name server. Returns its length. */
size_t user_net_make_question(struct harness *h, uint8_t *message);

/* Checks again what the filter promises about an IPv6 frame that it passed. */
void user_net_check_ipv6(const struct harness *h, size_t length);

/* One of the steps for IPv6. */
void user_net_step_ipv6(struct harness *h, uint8_t step, uint8_t how);

/* Gives the namespace an IPv6 address and servers; a host may lack IPv6. */
void user_net_start_ipv6(void);

/* Accepts connections that are still pending. */
void user_net_drain_ipv6(void);

#endif
