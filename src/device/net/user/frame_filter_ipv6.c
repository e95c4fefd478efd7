// SPDX-License-Identifier: BSD-3-Clause
/*
 * The filter for IPv6 (RFC 8200): packets without extension headers, up to the MTU, and the
 * messages of neighbour discovery (RFC 4861) that hosts send.
 */
#include "device/net/user/frame_filter_ipv6.h"

#include <string.h>

#include "base/big_endian.h"
#include "device/net/subnet.h"
#include "device/net/user/dns_message.h"
#include "device/net/user/tcp_segment.h"

/* Extension headers before the data that are examined and removed, at most. */
#define EXTENSIONS_MAX	   4
#define EXTENSION_UNIT	   8
#define NEXT_HOP_BY_HOP	   0
#define NEXT_OPTIONS	   60
#define OPTION_PAD1	   0
#define OPTION_NOT_SKIPPED 0xc0 /* RFC 8200, 4.2: unknown options must not be skipped */
#define PORT_DHCP	   547
#define ICMP_UNREACHABLE   1
#define ICMP_PROHIBITED	   1
#define ICMP_ECHO	   128
#define ND_ROUTER_SOLICIT  133
#define ND_ROUTER_LENGTH   8

static const uint8_t all_routers[IPV6_ADDRESS] = {0xff, 2, [15] = 2};
static const uint8_t solicited_node[13] = {0xff, 2, [11] = 1, 0xff};
static const uint8_t link_local[8] = {0xfe, 0x80};

static bool equal(const uint8_t *one, const uint8_t *other)
{
	return !memcmp(one, other, IPV6_ADDRESS);
}

static bool in_network(const struct frame_filter *filter, const uint8_t *address)
{
	return !memcmp(address, filter->settings.ipv6.prefix, IPV6_PREFIX);
}

static bool is_link_local(const uint8_t *address)
{
	return !memcmp(address, link_local, sizeof(link_local));
}

/* The service at an address of the network or a link-local one. */
static enum ipv6_service service_of(const uint8_t *address)
{
	for (size_t i = IPV6_PREFIX; i < IPV6_ADDRESS - 1; i++)
		if (address[i])
			return IPV6_NONE;
	switch (address[IPV6_ADDRESS - 1]) {
	case IPV6_GATEWAY:
	case IPV6_NAME_SERVER:
		return address[IPV6_ADDRESS - 1];
	}
	return IPV6_NONE;
}

static bool is_service(const struct frame_filter *filter, const uint8_t *address)
{
	return (in_network(filter, address) || is_link_local(address)) && service_of(address);
}

/*
 * Whether a guest can have this address: the first of a network belongs to its routers (RFC 4291,
 * 2.6.1).
 */
static bool is_guest(const struct frame_filter *filter, const uint8_t *address)
{
	return (in_network(filter, address) || is_link_local(address)) && !service_of(address) &&
	       memcmp(address + IPV6_PREFIX, ipv6_unspecified, IPV6_ADDRESS - IPV6_PREFIX);
}

/*
 * Whether a router would forward a packet to @address outside the network. An address that embeds
 * an IPv4 address (RFC 6052, RFC 3056) counts like that one. A socket of the host could treat
 * others, such as ::1 and ::ffff:127.0.0.1, as its own.
 */
static bool is_routed(const uint8_t *address)
{
	static const uint8_t translated[12] = {0, 0x64, 0xff, 0x9b};

	if (!memcmp(address, translated, sizeof(translated)))
		return subnet_is_unicast(big_endian_get32(address + 12));
	if (big_endian_get16(address) == 0x2002)
		return subnet_is_unicast(big_endian_get32(address + 2));
	/* Global unicast and unique local addresses: RFC 4291, 2.4, and RFC 4193. */
	return (address[0] & 0xe0) == 0x20 || (address[0] & 0xfe) == 0xfc;
}

/* Whether all options of a hop-by-hop or destination options header may be skipped. */
static bool options_fit(const uint8_t *option, size_t length)
{
	while (length > 0) {
		size_t size = 1;

		if (*option != OPTION_PAD1) {
			if (*option & OPTION_NOT_SKIPPED || length < 2 ||
			    (size_t)option[1] + 2 > length)
				return false;
			size = (size_t)option[1] + 2;
		}
		option += size;
		length -= size;
	}
	return true;
}

/*
 * Removes option headers before the data, of @length bytes with them; routing, fragment and
 * encryption headers stay, and are not a protocol that passes. Returns the length of the data, or
 * -1.
 */
static long remove_options(uint8_t *ip, size_t length)
{
	uint8_t next = ip[IPV6_NEXT], *at = ip + IPV6_HEADER;

	for (int i = 0; next == NEXT_OPTIONS || (next == NEXT_HOP_BY_HOP && i == 0); i++) {
		size_t size;

		if (i == EXTENSIONS_MAX || length < EXTENSION_UNIT)
			return -1;
		size = ((size_t)at[1] + 1) * EXTENSION_UNIT;
		if (size > length || !options_fit(at + 2, size - 2))
			return -1;
		next = at[0];
		at += size;
		length -= size;
	}
	memmove(ip + IPV6_HEADER, at, length);
	ip[IPV6_NEXT] = next;
	big_endian_put16(ip + IPV6_LENGTH, (uint16_t)length);
	return (long)length;
}

/* Checks the destination: a service of the network, or an address outside it. */
static enum frame_verdict check_destination(const struct frame_filter *filter, const uint8_t *ip,
					    uint16_t port, bool refused)
{
	const uint8_t *to = ip + IPV6_DESTINATION;

	if (!in_network(filter, ip + IPV6_SOURCE))
		return FRAME_DROPPED;
	if (!in_network(filter, to))
		return is_routed(to) ? FRAME_PASSED : FRAME_DROPPED;
	switch (service_of(to)) {
	case IPV6_GATEWAY:
		return filter->settings.host_loopback && !refused ? FRAME_PASSED : FRAME_REFUSED;
	case IPV6_NAME_SERVER:
		if (port != DNS_PORT)
			return FRAME_REFUSED;
		return FRAME_FOR_DNS;
	case IPV6_NONE:
		break;
	}
	/* The library maps each address of the network to the host's ::1. */
	return FRAME_DROPPED;
}

static enum frame_verdict check_tcp(const struct frame_filter *filter, uint8_t *ip, size_t length)
{
	uint8_t *tcp = ip + IPV6_HEADER;

	if (!tcp_segment_is_sane(tcp, length) || !packet_payload_fits(ip, (uint16_t)length))
		return FRAME_DROPPED;
	tcp_segment_clear_urgent(tcp);
	return check_destination(filter, ip, big_endian_get16(tcp + PORT_DESTINATION), false);
}

static enum frame_verdict check_udp(const struct frame_filter *filter, const uint8_t *ip,
				    size_t length)
{
	const uint8_t *udp = ip + IPV6_HEADER;
	uint16_t to;

	/* RFC 8200, 8.1: a checksum is required. */
	if (length < UDP_HEADER || big_endian_get16(udp + UDP_LENGTH) != length ||
	    !big_endian_get16(udp + UDP_CHECKSUM) || !packet_payload_fits(ip, (uint16_t)length))
		return FRAME_DROPPED;
	to = big_endian_get16(udp + PORT_DESTINATION);
	if (!big_endian_get16(udp + PORT_SOURCE) || !to)
		return FRAME_DROPPED;
	/* The library has its own servers there. */
	return check_destination(filter, ip, to, to == PORT_TFTP || to == PORT_DHCP);
}

/*
 * RFC 4861, 4.6: options must have a length and fit. *source: whether one is the sender's address.
 */
static bool nd_options_fit(const uint8_t *option, size_t length, bool *source)
{
	*source = false;
	while (length > 0) {
		size_t size;

		if (length < ND_OPTION_UNIT)
			return false;
		size = (size_t)option[1] * ND_OPTION_UNIT;
		if (size == 0 || size > length)
			return false;
		if (option[0] == ND_OPTION_SOURCE)
			*source = true;
		option += size;
		length -= size;
	}
	return true;
}

/* RFC 4861, 6.1.1. */
static enum frame_verdict check_router_solicitation(const struct frame_filter *filter,
						    const uint8_t *ip, bool source)
{
	const uint8_t *from = ip + IPV6_SOURCE, *to = ip + IPV6_DESTINATION;

	if (equal(from, ipv6_unspecified) ? source : !is_guest(filter, from))
		return FRAME_DROPPED;
	return equal(to, all_routers) || is_service(filter, to) ? FRAME_FOR_ROUTER : FRAME_DROPPED;
}

/* RFC 4861, 7.1.1: for an address of the library. */
static enum frame_verdict check_solicitation(const struct frame_filter *filter, const uint8_t *ip,
					     bool source)
{
	const uint8_t *from = ip + IPV6_SOURCE, *to = ip + IPV6_DESTINATION;
	const uint8_t *target = ip + IPV6_HEADER + ND_TARGET;
	bool solicited = !memcmp(to, solicited_node, sizeof(solicited_node));

	if (!is_service(filter, target) || !(solicited || is_service(filter, to)))
		return FRAME_DROPPED;
	if (equal(from, ipv6_unspecified))
		return source || !solicited ? FRAME_DROPPED : FRAME_PASSED;
	return is_guest(filter, from) ? FRAME_PASSED : FRAME_DROPPED;
}

/* RFC 4861, 7.1.2: of an address of the guest. */
static enum frame_verdict check_advertisement(const struct frame_filter *filter, const uint8_t *ip)
{
	const uint8_t *to = ip + IPV6_DESTINATION, *icmp = ip + IPV6_HEADER;

	if (!is_guest(filter, ip + IPV6_SOURCE) || !is_guest(filter, icmp + ND_TARGET))
		return FRAME_DROPPED;
	if (equal(to, ipv6_all_nodes))
		return icmp[ND_FLAGS] & ND_FLAG_SOLICITED ? FRAME_DROPPED : FRAME_PASSED;
	return is_service(filter, to) ? FRAME_PASSED : FRAME_DROPPED;
}

/* Neighbour discovery, and pings of addresses in the network: the library supports no others. */
static enum frame_verdict check_icmp(const struct frame_filter *filter, const uint8_t *ip,
				     size_t length)
{
	const uint8_t *icmp = ip + IPV6_HEADER;
	size_t fixed = ND_LENGTH;
	bool source;

	if (length < ICMP_HEADER || icmp[1] != 0 || !packet_payload_fits(ip, (uint16_t)length))
		return FRAME_DROPPED;
	if (icmp[0] == ICMP_ECHO)
		return is_guest(filter, ip + IPV6_SOURCE) &&
				       is_service(filter, ip + IPV6_DESTINATION) ?
			       FRAME_PASSED :
			       FRAME_DROPPED;
	if (icmp[0] == ND_ROUTER_SOLICIT)
		fixed = ND_ROUTER_LENGTH;
	if (ip[IPV6_HOP_LIMIT] != ND_HOP_LIMIT || length < fixed ||
	    !nd_options_fit(icmp + fixed, length - fixed, &source))
		return FRAME_DROPPED;
	switch (icmp[0]) {
	case ND_ROUTER_SOLICIT:
		return check_router_solicitation(filter, ip, source);
	case ND_SOLICIT:
		return check_solicitation(filter, ip, source);
	case ND_ADVERTISE:
		return check_advertisement(filter, ip);
	}
	return FRAME_DROPPED;
}

/* Checks a packet with @length bytes of data after its only header. */
static enum frame_verdict check_whole(const struct frame_filter *filter, uint8_t *ip, size_t length)
{
	if (ip[IPV6_NEXT] == PROTOCOL_ICMPV6)
		return check_icmp(filter, ip, length);
	if (!is_guest(filter, ip + IPV6_SOURCE))
		return FRAME_DROPPED;
	switch (ip[IPV6_NEXT]) {
	case PROTOCOL_TCP:
		return check_tcp(filter, ip, length);
	case PROTOCOL_UDP:
		return check_udp(filter, ip, length);
	}
	return FRAME_DROPPED;
}

enum frame_verdict frame_filter_check_ipv6(struct frame_filter *filter, uint8_t *frame,
					   size_t *length)
{
	size_t total = *length - ETH_HLEN;
	uint8_t *ip = frame + PACKET_IP;
	enum frame_verdict verdict;
	long data;

	if (!filter->settings.ipv6.on || total < IPV6_HEADER || ip[0] >> 4 != 6 ||
	    !ip[IPV6_HOP_LIMIT])
		return FRAME_DROPPED;
	total = big_endian_get16(ip + IPV6_LENGTH);
	if (total > *length - ETH_HLEN - IPV6_HEADER ||
	    total > filter->settings.ipv6.mtu - (size_t)IPV6_HEADER)
		return FRAME_DROPPED;
	data = remove_options(ip, total);
	if (data < 0)
		return FRAME_DROPPED;
	total = IPV6_HEADER + (size_t)data;
	verdict = check_whole(filter, ip, (size_t)data);
	if (verdict == FRAME_PASSED) {
		if (is_guest(filter, ip + IPV6_SOURCE))
			neighbours_learn_ipv6(&filter->neighbours, ip + IPV6_SOURCE,
					      frame + ETH_ALEN);
		if (ip[IPV6_NEXT] == PROTOCOL_TCP)
			tcp_order_send(&filter->order, ip, &total);
	}
	*length = ETH_HLEN + total;
	return verdict;
}

size_t frame_filter_refuse_ipv6(const struct frame_filter *filter, const uint8_t *frame,
				size_t length, uint8_t answer[FRAME_REFUSAL_MAX])
{
	const uint8_t *refused = frame + PACKET_IP;
	uint8_t *icmp = answer + PACKET_IP + IPV6_HEADER;
	size_t size = length - PACKET_IP;
	struct packet_route_ipv6 route = {.hop_limit = ND_HOP_LIMIT};

	/* RFC 4443, 2.4: as much of it as fits into the smallest MTU. */
	if (size > FRAME_REFUSAL_MAX - PACKET_IP - IPV6_HEADER - ICMP_HEADER)
		size = FRAME_REFUSAL_MAX - PACKET_IP - IPV6_HEADER - ICMP_HEADER;
	memset(icmp, 0, ICMP_HEADER);
	icmp[0] = ICMP_UNREACHABLE;
	icmp[1] = ICMP_PROHIBITED;
	memcpy(icmp + ICMP_HEADER, refused, size);
	memcpy(route.mac, frame + ETH_ALEN, ETH_ALEN);
	memcpy(route.destination, refused + IPV6_SOURCE, IPV6_ADDRESS);
	packet_service_ipv6(route.source, filter->settings.ipv6.prefix, IPV6_GATEWAY);
	packet_wrap_ipv6(icmp, &route, PROTOCOL_ICMPV6, (uint16_t)(ICMP_HEADER + size));
	return PACKET_IP + IPV6_HEADER + ICMP_HEADER + size;
}
