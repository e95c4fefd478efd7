// SPDX-License-Identifier: BSD-3-Clause
/* Checksums and headers of packets. */
#include "device/net/user/packet.h"

#include <string.h>

#include "base/big_endian.h"
#include "base/internet_checksum.h"

const uint8_t ipv6_unspecified[IPV6_ADDRESS];
const uint8_t ipv6_all_nodes[IPV6_ADDRESS] = {0xff, 2, [15] = 1};

void packet_take_address(uint8_t address[IPV6_ADDRESS], const uint8_t *ip, bool source)
{
	if (packet_is_ipv6(ip))
		memcpy(address, ip + (source ? IPV6_SOURCE : IPV6_DESTINATION), IPV6_ADDRESS);
	else
		memcpy(address, ip + (source ? IPV4_SOURCE : IPV4_DESTINATION), 4);
}

uint32_t packet_pseudo_sum(const uint8_t *ip, uint16_t length)
{
	size_t header = packet_ip_header(ip);
	uint32_t sum = (uint32_t)packet_protocol(ip) + length;

	/* The addresses are the last fields of the header. */
	for (size_t i = packet_is_ipv6(ip) ? IPV6_SOURCE : IPV4_SOURCE; i < header; i += 2)
		sum += big_endian_get16(ip + i);
	return sum;
}

static size_t checksum_offset(uint8_t protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return TCP_CHECKSUM;
	case PROTOCOL_UDP:
		return UDP_CHECKSUM;
	}
	return ICMP_CHECKSUM;
}

bool packet_payload_fits(const uint8_t *ip, uint16_t length)
{
	return !internet_checksum(ip + packet_ip_header(ip), length, packet_pseudo_sum(ip, length));
}

void packet_finish_payload(uint8_t *ip, uint16_t length)
{
	uint8_t *payload = ip + packet_ip_header(ip), protocol = packet_protocol(ip);
	uint8_t *checksum = payload + checksum_offset(protocol);
	uint16_t sum;

	big_endian_put16(checksum, 0);
	sum = internet_checksum(payload, length, packet_pseudo_sum(ip, length));
	/* RFC 768: 0 would mean no checksum. */
	big_endian_put16(checksum, sum || protocol != PROTOCOL_UDP ? sum : 0xffff);
}

void packet_finish_ip(uint8_t *ip, uint16_t total)
{
	ip[0] = 4 << 4 | IPV4_HEADER / 4;
	big_endian_put16(ip + IPV4_TOTAL_LENGTH, total);
	big_endian_put16(ip + IPV4_CHECKSUM, 0);
	big_endian_put16(ip + IPV4_CHECKSUM, internet_checksum(ip, IPV4_HEADER, 0));
}

void packet_host_mac(uint8_t mac[ETH_ALEN], uint32_t address)
{
	mac[0] = 0x52;
	mac[1] = 0x55;
	big_endian_put32(mac + 2, address);
}

void packet_wrap_ip(uint8_t *frame, const uint8_t mac[ETH_ALEN], uint32_t source,
		    uint32_t destination, uint8_t protocol, uint16_t total)
{
	uint8_t *ip = frame + PACKET_IP;

	memset(frame, 0, PACKET_IP + IPV4_HEADER);
	memcpy(frame, mac, ETH_ALEN);
	packet_host_mac(frame + ETH_ALEN, source);
	big_endian_put16(frame + 2 * ETH_ALEN, ETH_P_IP);
	ip[IPV4_TTL] = PACKET_HOPS;
	ip[IPV4_PROTOCOL] = protocol;
	big_endian_put32(ip + IPV4_SOURCE, source);
	big_endian_put32(ip + IPV4_DESTINATION, destination);
	packet_finish_ip(ip, total);
}

size_t packet_wrap_tcp(uint8_t *frame, const struct packet_flow *flow, uint16_t length)
{
	packet_wrap_ip(frame, flow->mac, flow->source, flow->destination, PROTOCOL_TCP,
		       (uint16_t)(IPV4_HEADER + length));
	packet_finish_payload(frame + PACKET_IP, length);
	return PACKET_IP + IPV4_HEADER + length;
}

size_t packet_wrap_udp(uint8_t *frame, const struct packet_flow *flow, uint16_t length)
{
	uint8_t *udp = frame + PACKET_IP + IPV4_HEADER;
	uint16_t udp_length = (uint16_t)(UDP_HEADER + length);

	packet_wrap_ip(frame, flow->mac, flow->source, flow->destination, PROTOCOL_UDP,
		       (uint16_t)(IPV4_HEADER + udp_length));
	big_endian_put16(udp + PORT_SOURCE, flow->source_port);
	big_endian_put16(udp + PORT_DESTINATION, flow->destination_port);
	big_endian_put16(udp + UDP_LENGTH, udp_length);
	packet_finish_payload(frame + PACKET_IP, udp_length);
	return PACKET_IP + IPV4_HEADER + udp_length;
}

void packet_service_ipv6(uint8_t address[IPV6_ADDRESS], const uint8_t prefix[IPV6_PREFIX],
			 enum ipv6_service service)
{
	memset(address, 0, IPV6_ADDRESS);
	memcpy(address, prefix, IPV6_PREFIX);
	address[IPV6_ADDRESS - 1] = (uint8_t)service;
}

void packet_host_mac_ipv6(uint8_t mac[ETH_ALEN], const uint8_t address[IPV6_ADDRESS])
{
	mac[0] = 0x52;
	mac[1] = 0x56;
	memcpy(mac + 2, address + IPV6_ADDRESS - 4, 4);
}

void packet_wrap_ipv6(uint8_t *payload, const struct packet_route_ipv6 *route, uint8_t protocol,
		      uint16_t length)
{
	uint8_t *ip = payload - IPV6_HEADER, *frame = ip - PACKET_IP;

	memset(frame, 0, PACKET_IP + IPV6_HEADER);
	memcpy(frame, route->mac, ETH_ALEN);
	packet_host_mac_ipv6(frame + ETH_ALEN, route->source);
	big_endian_put16(frame + 2 * ETH_ALEN, ETH_P_IPV6);
	ip[0] = 6 << 4;
	big_endian_put16(ip + IPV6_LENGTH, length);
	ip[IPV6_NEXT] = protocol;
	ip[IPV6_HOP_LIMIT] = route->hop_limit;
	memcpy(ip + IPV6_SOURCE, route->source, IPV6_ADDRESS);
	memcpy(ip + IPV6_DESTINATION, route->destination, IPV6_ADDRESS);
	if (protocol == PROTOCOL_UDP)
		big_endian_put16(payload + UDP_LENGTH, length);
	packet_finish_payload(ip, length);
}
