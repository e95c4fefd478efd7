// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fields of packets as bytes: offsets, numbers in network byte order and the checksum of the
 * internet protocols. Freestanding.
 */
#ifndef AVP_DEVICE_NET_USER_PACKET_H
#define AVP_DEVICE_NET_USER_PACKET_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/subnet.h"

/* The time to live of our packets (RFC 1122, 3.2.1.7). */
#define PACKET_HOPS 64

/* The IP header follows the Ethernet header. */
#define PACKET_IP ETH_HLEN

/* IPv4 (RFC 791, 3.1). Our headers have no options. */
#define IPV4_HEADER	   20
#define IPV4_TOTAL_LENGTH  2
#define IPV4_ID		   4
#define IPV4_FRAGMENT	   6
#define IPV4_TTL	   8
#define IPV4_PROTOCOL	   9
#define IPV4_CHECKSUM	   10
#define IPV4_SOURCE	   12
#define IPV4_DESTINATION   16
#define IPV4_RESERVED_FLAG 0x8000
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE	   0x2000
#define IPV4_OFFSET_MASK   0x1fff /* in units of 8 bytes */
#define IPV4_LENGTH_MAX	   65535

/* IPv6 (RFC 8200, 3). Our headers have no extensions. */
#define IPV6_HEADER	 40
#define IPV6_LENGTH	 4
#define IPV6_NEXT	 6
#define IPV6_HOP_LIMIT	 7
#define IPV6_SOURCE	 8
#define IPV6_DESTINATION 24
#define IPV6_ADDRESS	 16
#define IPV6_PREFIX	 SUBNET_IPV6_PREFIX
#define IPV6_MTU_MIN	 SUBNET_IPV6_MTU_MIN

/* Neighbour discovery (RFC 4861, 4) in ICMPv6, after the IPv6 header. */
#define ND_SOLICIT	  135
#define ND_ADVERTISE	  136
#define ND_HOP_LIMIT	  255
#define ND_FLAGS	  4
#define ND_FLAG_SOLICITED 0x40
#define ND_FLAG_OVERRIDE  0x20
#define ND_TARGET	  8
#define ND_LENGTH	  24 /* without options */
#define ND_OPTION_SOURCE  1
#define ND_OPTION_TARGET  2
#define ND_OPTION_UNIT	  8

/* The longest frame that holds a packet: a datagram reassembled from fragments. */
#define PACKET_FRAME_MAX (ETH_HLEN + IPV4_LENGTH_MAX)

/* ARP for IPv4 on Ethernet (RFC 826), after the Ethernet header. */
#define ARP_LENGTH	28
#define ARP_FRAME	(ETH_HLEN + ARP_LENGTH)
#define ARP_OPERATION	6
#define ARP_SENDER_MAC	8
#define ARP_SENDER	14
#define ARP_TARGET_MAC	18
#define ARP_TARGET	24
#define ARP_REQUEST	1
#define ARP_REPLY	2

#define PROTOCOL_ICMP	1
#define PROTOCOL_TCP	6
#define PROTOCOL_UDP	17
#define PROTOCOL_ICMPV6 58

/* TCP (RFC 9293, 3.1) and UDP (RFC 768). */
#define PORT_SOURCE	 0
#define PORT_DESTINATION 2
#define TCP_HEADER	 20
#define TCP_SEQUENCE	 4
#define TCP_ACKNOWLEDGED 8
#define TCP_DATA_OFFSET	 12
#define TCP_FLAGS	 13
#define TCP_WINDOW	 14
#define TCP_CHECKSUM	 16
#define TCP_URGENT	 18
#define TCP_FLAG_FIN	 0x01
#define TCP_FLAG_SYN	 0x02
#define TCP_FLAG_RST	 0x04
#define TCP_FLAG_PSH	 0x08
#define TCP_FLAG_ACK	 0x10
#define TCP_FLAG_URG	 0x20
#define TCP_OPTION_END	 0
#define TCP_OPTION_NOP	 1
#define TCP_OPTION_MSS	 2
#define UDP_HEADER	 8
#define UDP_LENGTH	 4
#define UDP_CHECKSUM	 6
#define PORT_TFTP	 69

/*
 * ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code and checksum, and four bytes that depend on the
 * type.
 */
#define ICMP_HEADER   8
#define ICMP_CHECKSUM 2

static inline bool packet_is_ipv6(const uint8_t *ip)
{
	return ip[0] >> 4 == 6;
}

/* The length of an IP header, which has no options or extensions. */
static inline size_t packet_ip_header(const uint8_t *ip)
{
	return packet_is_ipv6(ip) ? IPV6_HEADER : IPV4_HEADER;
}

static inline uint8_t packet_protocol(const uint8_t *ip)
{
	return ip[packet_is_ipv6(ip) ? IPV6_NEXT : IPV4_PROTOCOL];
}

/*
 * Copies the source or destination of a packet: an IPv4 address uses the first 4 bytes, and the
 * rest stays unchanged.
 */
void packet_take_address(uint8_t address[IPV6_ADDRESS], const uint8_t *ip, bool source);

/* The length of a TCP header with its options. */
static inline size_t packet_tcp_header(const uint8_t *tcp)
{
	return (size_t)(tcp[TCP_DATA_OFFSET] >> 4) * 4;
}

/*
 * The sum of the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1), for internet_checksum, with @length
 * bytes after the IP header.
 */
uint32_t packet_pseudo_sum(const uint8_t *ip, uint16_t length);

/*
 * Whether the checksum of the TCP segment, UDP datagram or ICMPv6 message of @length bytes there is
 * right.
 */
bool packet_payload_fits(const uint8_t *ip, uint16_t length);

/* Writes that checksum. */
void packet_finish_payload(uint8_t *ip, uint16_t length);

/* Completes an IPv4 header without options: version, length of header and packet, checksum. */
void packet_finish_ip(uint8_t *ip, uint16_t total);

/* The Ethernet address of @address, in host byte order, in the user network. */
void packet_host_mac(uint8_t mac[ETH_ALEN], uint32_t address);

/*
 * Writes Ethernet and IPv4 headers, of a packet of @total bytes, at @frame; @mac is the receiver's.
 * Addresses are in host byte order; the Ethernet source is packet_host_mac of @source.
 */
void packet_wrap_ip(uint8_t *frame, const uint8_t mac[ETH_ALEN], uint32_t source,
		    uint32_t destination, uint8_t protocol, uint16_t total);

/*
 * Writes Ethernet, IPv4 and UDP headers before the @length bytes of data in @frame at
 * PACKET_UDP_DATA. Addresses and ports are in host byte order; the Ethernet source is
 * packet_host_mac of @source. Returns the length of the frame.
 */
#define PACKET_UDP_DATA (PACKET_IP + IPV4_HEADER + UDP_HEADER)
struct packet_flow {
	uint8_t mac[ETH_ALEN]; /* of the receiver */
	uint32_t source, destination;
	uint16_t source_port, destination_port;
};
size_t packet_wrap_udp(uint8_t *frame, const struct packet_flow *flow, uint16_t length);

/*
 * The same for a TCP segment of @length bytes after the room for Ethernet and IPv4 headers; the
 * segment contains its ports.
 */
size_t packet_wrap_tcp(uint8_t *frame, const struct packet_flow *flow, uint16_t length);

/* RFC 4291, 2.5.2 and 2.7.1. */
extern const uint8_t ipv6_unspecified[IPV6_ADDRESS];
extern const uint8_t ipv6_all_nodes[IPV6_ADDRESS];

/* The services of our IPv6 network: the last byte of each address; the bytes before it are 0. */
enum ipv6_service { IPV6_NONE = 0, IPV6_GATEWAY = 2, IPV6_NAME_SERVER = 3 };

void packet_service_ipv6(uint8_t address[IPV6_ADDRESS], const uint8_t prefix[IPV6_PREFIX],
			 enum ipv6_service service);

/* The Ethernet address of an IPv6 address in the user network. */
void packet_host_mac_ipv6(uint8_t mac[ETH_ALEN], const uint8_t address[IPV6_ADDRESS]);

/*
 * Writes Ethernet and IPv6 headers before the @length bytes at @payload: a UDP datagram, a TCP
 * segment or an ICMPv6 message. Fills in its checksum, and its length if it has one.
 */
struct packet_route_ipv6 {
	uint8_t mac[ETH_ALEN]; /* of the receiver */
	uint8_t hop_limit;
	uint8_t source[IPV6_ADDRESS], destination[IPV6_ADDRESS];
};
void packet_wrap_ipv6(uint8_t *payload, const struct packet_route_ipv6 *route, uint8_t protocol,
		      uint16_t length);

#endif
