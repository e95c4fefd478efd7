// SPDX-License-Identifier: BSD-3-Clause
/* Router advertisements. */
#include "device/net/user/router.h"

#include <string.h>

#include "base/big_endian.h"

#define TYPE_ADVERTISEMENT 134
#define LENGTH		   16
#define HOP_LIMIT	   4 /* that guests start with */
#define LIFETIME	   6

#define OPTION_PREFIX	   3
#define OPTION_MTU	   5
#define OPTION_NAME_SERVER 25

/* RFC 4861, 4.6.2: addresses are on the link, and guests make theirs from it. */
#define PREFIX_ON_LINK	  0x80
#define PREFIX_AUTONOMOUS 0x40
#define PREFIX_BITS	  64

/* Adds an option of @units times 8 bytes, and returns its address. */
static uint8_t *add_option(uint8_t **at, uint8_t type, uint8_t units)
{
	uint8_t *option = *at;

	memset(option, 0, (size_t)units * ND_OPTION_UNIT);
	option[0] = type;
	option[1] = units;
	*at += (size_t)units * ND_OPTION_UNIT;
	return option;
}

static void address_guest(struct packet_route_ipv6 *route, const uint8_t *solicitation)
{
	static const uint8_t all_macs[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
	const uint8_t *from;

	memcpy(route->mac, all_macs, ETH_ALEN);
	memcpy(route->destination, ipv6_all_nodes, IPV6_ADDRESS);
	if (!solicitation)
		return;
	from = solicitation + PACKET_IP + IPV6_SOURCE;
	/* RFC 4861, 6.2.6: a guest without an address gets a multicast. */
	if (!memcmp(from, ipv6_unspecified, IPV6_ADDRESS))
		return;
	memcpy(route->mac, solicitation + ETH_ALEN, ETH_ALEN);
	memcpy(route->destination, from, IPV6_ADDRESS);
}

size_t router_advertise(uint8_t frame[ROUTER_FRAME_MAX], const uint8_t prefix[IPV6_PREFIX],
			uint16_t mtu, const uint8_t *solicitation)
{
	static const uint8_t link_local[IPV6_PREFIX] = {0xfe, 0x80};
	struct packet_route_ipv6 route = {.hop_limit = ND_HOP_LIMIT};
	uint8_t *icmp = frame + PACKET_IP + IPV6_HEADER, *at = icmp + LENGTH, *option;

	address_guest(&route, solicitation);
	packet_service_ipv6(route.source, link_local, IPV6_GATEWAY);
	memset(icmp, 0, LENGTH);
	icmp[0] = TYPE_ADVERTISEMENT;
	icmp[HOP_LIMIT] = PACKET_HOPS;
	big_endian_put16(icmp + LIFETIME, ROUTER_LIFETIME);
	option = add_option(&at, ND_OPTION_SOURCE, 1);
	packet_host_mac_ipv6(option + 2, route.source);
	option = add_option(&at, OPTION_PREFIX, 4);
	option[2] = PREFIX_BITS;
	option[3] = PREFIX_ON_LINK | PREFIX_AUTONOMOUS;
	/* Valid and preferred for ever. */
	big_endian_put32(option + 4, UINT32_MAX);
	big_endian_put32(option + 8, UINT32_MAX);
	memcpy(option + 16, prefix, IPV6_PREFIX);
	option = add_option(&at, OPTION_NAME_SERVER, 3);
	big_endian_put32(option + 4, UINT32_MAX);
	packet_service_ipv6(option + 8, prefix, IPV6_NAME_SERVER);
	if (mtu) {
		option = add_option(&at, OPTION_MTU, 1);
		big_endian_put32(option + 4, mtu);
	}
	packet_wrap_ipv6(icmp, &route, PROTOCOL_ICMPV6, (uint16_t)(at - icmp));
	return (size_t)(at - frame);
}
