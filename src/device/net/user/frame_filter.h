// SPDX-License-Identifier: BSD-3-Clause
/*
 * The filter between the guest's frames and the library behind the user-mode network. The library
 * never gets malformed frames, however it would handle them. A frame that passes is an ARP packet,
 * or an IPv4 or IPv6 packet of the guest to a destination that it may reach, which is
 * 	- exactly as long as its header says, without padding behind it, IP options, extension
 * 	  headers or fragments;
 * 	- TCP with a header and options that fit, a right checksum, flags that belong together and
 * 	  no urgent data, not too much before its turn (tcp_order.h);
 * 	- UDP whose length is that of the packet, a ping, or what neighbour discovery needs.
 * Freestanding: bytes in, verdict out.
 */
#ifndef AVP_DEVICE_NET_USER_FRAME_FILTER_H
#define AVP_DEVICE_NET_USER_FRAME_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/user/ip_reassembly.h"
#include "device/net/user/neighbours.h"
#include "device/net/user/packet.h"
#include "device/net/user/tcp_order.h"

/* Addresses are in host byte order. */
struct frame_filter_settings {
	uint32_t network, mask;
	uint32_t gateway, name_server; /* in it */
	bool host_loopback;	       /* the gateway maps to the host's 127.0.0.1 and ::1 */
	struct {
		bool on; /* else no IPv6 packet passes */
		uint16_t mtu;
		uint8_t prefix[IPV6_PREFIX];
	} ipv6;
};

/* Programs of the host that use forwarded UDP ports, as many as the guest can answer at a time. */
#define FRAME_FILTER_PEERS 256

struct frame_filter {
	struct frame_filter_settings settings;
	struct {
		uint16_t host_port, guest_port;
	} peers[FRAME_FILTER_PEERS];
	struct ip_reassembly reassembly;
	struct neighbours neighbours;
	struct tcp_order order;
};

enum frame_verdict {
	FRAME_DROPPED,	  /* damaged, or without a valid destination */
	FRAME_KEPT,	  /* a fragment, until the rest arrives */
	FRAME_PASSED,	  /* is complete and may pass */
	FRAME_REFUSED,	  /* is complete, but not permitted: see frame_filter_refuse */
	FRAME_FOR_DHCP,	  /* a complete UDP packet for the DHCP server */
	FRAME_FOR_DNS,	  /* a complete packet for the name server, with the right checksum */
	FRAME_FOR_ROUTER, /* a complete router solicitation: router.h */
};

/* @filter: zeroed. */
void frame_filter_init(struct frame_filter *filter, const struct frame_filter_settings *settings);

/*
 * Checks the guest's frame of *@length bytes, in a buffer of PACKET_FRAME_MAX bytes. A frame that
 * is not dropped or kept may have been changed, *length too.
 */
enum frame_verdict frame_filter_check(struct frame_filter *filter, uint8_t *frame, size_t *length,
				      int64_t now_ms);

/*
 * Handles a frame of the library for the guest: records to whom the guest may answer. Returns
 * whether the guest gets it; the answer to a frame that it does not get is in filter->neighbours,
 * for the library.
 */
bool frame_filter_receive(struct frame_filter *filter, const uint8_t *frame, size_t length);

/*
 * Makes the answer to a refused @frame of @length bytes: ICMP "administratively prohibited" (RFC
 * 1812, 5.2.7.1; RFC 4443, 3.1). Returns its length.
 */
#define FRAME_REFUSAL_MAX (PACKET_IP + IPV6_MTU_MIN)
size_t frame_filter_refuse(const struct frame_filter *filter, const uint8_t *frame, size_t length,
			   uint8_t answer[FRAME_REFUSAL_MAX]);

#endif
