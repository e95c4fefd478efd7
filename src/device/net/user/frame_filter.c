// SPDX-License-Identifier: BSD-3-Clause
/* The filter in front of the user-mode network: only well-formed packets pass. */
#include "device/net/user/frame_filter.h"

#include <string.h>

#include "base/big_endian.h"
#include "base/internet_checksum.h"
#include "device/net/subnet.h"
#include "device/net/user/dns_message.h"
#include "device/net/user/frame_filter_ipv6.h"
#include "device/net/user/tcp_segment.h"

#define ARP_ETHERNET	 1
#define ICMP_ECHO	 8
#define ICMP_UNREACHABLE 3
#define ICMP_PROHIBITED	 13
#define PORT_DHCP	 67
#define BROADCAST	 UINT32_MAX

/* RFC 792: the header of the refused packet and 8 bytes of its data. */
#define REFUSAL_LENGTH (PACKET_IP + IPV4_HEADER + ICMP_HEADER + IPV4_HEADER + 8)

void frame_filter_init(struct frame_filter *filter, const struct frame_filter_settings *settings)
{
	filter->settings = *settings;
}

static bool in_network(const struct frame_filter *filter, uint32_t address)
{
	return (address & filter->settings.mask) == filter->settings.network;
}

/*
 * Whether a guest can have this address: not a service's, the network's or the broadcast address.
 */
static bool is_guest(const struct frame_filter *filter, uint32_t address)
{
	const struct frame_filter_settings *settings = &filter->settings;

	return in_network(filter, address) && address != settings->gateway &&
	       address != settings->name_server && (address & ~settings->mask) != 0 &&
	       (address & ~settings->mask) != ~settings->mask;
}

/*
 * Checks that a router would forward a packet to @address outside the network. A socket of the host
 * would treat some other addresses as its own.
 */
static enum frame_verdict check_route(const struct frame_filter *filter, uint32_t address)
{
	return in_network(filter, address) || !subnet_is_unicast(address) ? FRAME_DROPPED :
									    FRAME_PASSED;
}

/* RFC 826, for IPv4 on Ethernet. */
static enum frame_verdict check_arp(const struct frame_filter *filter, const uint8_t *frame,
				    size_t *length)
{
	static const uint8_t kind[] = {0, ARP_ETHERNET, ETH_P_IP >> 8, ETH_P_IP & 0xff, ETH_ALEN,
				       4};
	const uint8_t *arp = frame + ETH_HLEN;
	uint16_t operation;
	uint32_t sender;

	if (*length < ARP_FRAME || memcmp(arp, kind, sizeof(kind)))
		return FRAME_DROPPED;
	operation = big_endian_get16(arp + ARP_OPERATION);
	sender = big_endian_get32(arp + ARP_SENDER);
	/* A probe (RFC 5227) has no sender yet. */
	if ((operation != ARP_REQUEST && operation != ARP_REPLY) ||
	    (sender && !is_guest(filter, sender)))
		return FRAME_DROPPED;
	*length = ARP_FRAME;
	return FRAME_PASSED;
}

static enum frame_verdict check_tcp(const struct frame_filter *filter, uint8_t *ip, size_t length)
{
	const struct frame_filter_settings *settings = &filter->settings;
	uint32_t to = big_endian_get32(ip + IPV4_DESTINATION);
	uint8_t *tcp = ip + IPV4_HEADER;
	bool opens, allowed;

	if (!tcp_segment_is_sane(tcp, length) || !packet_payload_fits(ip, (uint16_t)length))
		return FRAME_DROPPED;
	tcp_segment_clear_urgent(tcp);
	opens = (tcp[TCP_FLAGS] & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN;
	if (to == settings->gateway)
		allowed = settings->host_loopback;
	else if (to != settings->name_server)
		return check_route(filter, to);
	else if (big_endian_get16(tcp + PORT_DESTINATION) == DNS_PORT)
		return FRAME_FOR_DNS;
	else
		allowed = false;
	/* Segments of a connection through a forwarded port pass. */
	return allowed || !opens ? FRAME_PASSED : FRAME_REFUSED;
}

static size_t peer_index(uint16_t host_port, uint16_t guest_port)
{
	return (host_port ^ guest_port * 31U) % FRAME_FILTER_PEERS;
}

static bool is_peer(const struct frame_filter *filter, uint16_t host_port, uint16_t guest_port)
{
	size_t index = peer_index(host_port, guest_port);

	return filter->peers[index].host_port == host_port &&
	       filter->peers[index].guest_port == guest_port;
}

/* RFC 768: 0 means no checksum. */
static bool udp_checksum_fits(const uint8_t *ip, size_t length)
{
	return !big_endian_get16(ip + IPV4_HEADER + UDP_CHECKSUM) ||
	       packet_payload_fits(ip, (uint16_t)length);
}

static enum frame_verdict check_udp(const struct frame_filter *filter, const uint8_t *ip,
				    size_t length)
{
	const struct frame_filter_settings *settings = &filter->settings;
	const uint8_t *udp = ip + IPV4_HEADER;
	uint32_t to = big_endian_get32(ip + IPV4_DESTINATION);
	uint16_t from_port, to_port;

	if (length < UDP_HEADER || big_endian_get16(udp + UDP_LENGTH) != length)
		return FRAME_DROPPED;
	from_port = big_endian_get16(udp + PORT_SOURCE);
	to_port = big_endian_get16(udp + PORT_DESTINATION);
	if (!from_port || !to_port)
		return FRAME_DROPPED;
	if (to_port == PORT_DHCP && (to == BROADCAST || to == settings->gateway))
		return udp_checksum_fits(ip, length) ? FRAME_FOR_DHCP : FRAME_DROPPED;
	if (!big_endian_get32(ip + IPV4_SOURCE))
		return FRAME_DROPPED;
	/* The library has its own TFTP server there. */
	if (to == settings->gateway)
		return to_port != PORT_TFTP && (settings->host_loopback ||
						is_peer(filter, to_port, from_port)) ?
			       FRAME_PASSED :
			       FRAME_REFUSED;
	if (to != settings->name_server)
		return check_route(filter, to);
	if (to_port != DNS_PORT)
		return FRAME_REFUSED;
	return udp_checksum_fits(ip, length) ? FRAME_FOR_DNS : FRAME_DROPPED;
}

/* A guest needs only pings; the library ignores the rest. */
static enum frame_verdict check_icmp(const struct frame_filter *filter, const uint8_t *ip,
				     size_t length)
{
	const struct frame_filter_settings *settings = &filter->settings;
	const uint8_t *icmp = ip + IPV4_HEADER;
	uint32_t to = big_endian_get32(ip + IPV4_DESTINATION);

	if (length < ICMP_HEADER || icmp[0] != ICMP_ECHO || icmp[1] != 0)
		return FRAME_DROPPED;
	if (to == settings->gateway || to == settings->name_server)
		return FRAME_PASSED;
	return check_route(filter, to);
}

/*
 * Normalizes a packet of at most *@total bytes: checks the header, cuts to its length, removes
 * options, reassembles.
 */
static enum frame_verdict make_whole(struct frame_filter *filter, uint8_t *ip, size_t *total,
				     int64_t now_ms)
{
	size_t header, length;
	uint16_t field;

	if (*total < IPV4_HEADER)
		return FRAME_DROPPED;
	header = (size_t)(ip[0] & 0xf) * 4;
	length = big_endian_get16(ip + IPV4_TOTAL_LENGTH);
	field = big_endian_get16(ip + IPV4_FRAGMENT);
	if (ip[0] >> 4 != 4 || header < IPV4_HEADER || header > length || length > *total ||
	    !ip[IPV4_TTL] || field & IPV4_RESERVED_FLAG || internet_checksum(ip, header, 0))
		return FRAME_DROPPED;
	if (header > IPV4_HEADER)
		memmove(ip + IPV4_HEADER, ip + header, length - header);
	*total = length - (header - IPV4_HEADER);
	if (field & (IPV4_MORE | IPV4_OFFSET_MASK) &&
	    !ip_reassembly_add(&filter->reassembly, ip, total, now_ms))
		return FRAME_KEPT;
	packet_finish_ip(ip, (uint16_t)*total);
	return FRAME_PASSED;
}

/* Checks a complete packet of @total bytes. */
static enum frame_verdict check_whole(struct frame_filter *filter, uint8_t *ip, size_t total)
{
	uint32_t source = big_endian_get32(ip + IPV4_SOURCE);

	/* A guest without an address may talk only to the DHCP server: see check_udp. */
	if (!is_guest(filter, source) && (source || ip[IPV4_PROTOCOL] != PROTOCOL_UDP))
		return FRAME_DROPPED;
	switch (ip[IPV4_PROTOCOL]) {
	case PROTOCOL_TCP:
		return check_tcp(filter, ip, total - IPV4_HEADER);
	case PROTOCOL_UDP:
		return check_udp(filter, ip, total - IPV4_HEADER);
	case PROTOCOL_ICMP:
		return check_icmp(filter, ip, total - IPV4_HEADER);
	}
	return FRAME_DROPPED;
}

static enum frame_verdict check_ip(struct frame_filter *filter, uint8_t *frame, size_t *length,
				   int64_t now_ms)
{
	size_t total = *length - ETH_HLEN;
	uint8_t *ip = frame + PACKET_IP;
	enum frame_verdict verdict = make_whole(filter, ip, &total, now_ms);

	if (verdict != FRAME_PASSED)
		return verdict;
	verdict = check_whole(filter, ip, total);
	if (verdict == FRAME_PASSED) {
		neighbours_learn(&filter->neighbours, big_endian_get32(ip + IPV4_SOURCE),
				 frame + ETH_ALEN);
		if (ip[IPV4_PROTOCOL] == PROTOCOL_TCP)
			tcp_order_send(&filter->order, ip, &total);
	}
	*length = ETH_HLEN + total;
	return verdict;
}

enum frame_verdict frame_filter_check(struct frame_filter *filter, uint8_t *frame, size_t *length,
				      int64_t now_ms)
{
	if (*length < ETH_HLEN || *length > PACKET_FRAME_MAX)
		return FRAME_DROPPED;
	switch (big_endian_get16(frame + 2 * ETH_ALEN)) {
	case ETH_P_ARP:
		return check_arp(filter, frame, length);
	case ETH_P_IP:
		return check_ip(filter, frame, length, now_ms);
	case ETH_P_IPV6:
		return frame_filter_check_ipv6(filter, frame, length);
	}
	return FRAME_DROPPED;
}

/* Records a program of the host at the gateway's address, to which the guest may answer. */
static void note_peer(struct frame_filter *filter, const uint8_t *udp)
{
	uint16_t host_port = big_endian_get16(udp + PORT_SOURCE);
	uint16_t guest_port = big_endian_get16(udp + PORT_DESTINATION);
	size_t index = peer_index(host_port, guest_port);

	filter->peers[index].host_port = host_port;
	filter->peers[index].guest_port = guest_port;
}

bool frame_filter_receive(struct frame_filter *filter, const uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + PACKET_IP;

	if (neighbours_answer(&filter->neighbours, frame, length))
		return false;
	if (length >= PACKET_IP + IPV6_HEADER &&
	    big_endian_get16(frame + 2 * ETH_ALEN) == ETH_P_IPV6 && ip[IPV6_NEXT] == PROTOCOL_TCP)
		tcp_order_receive(&filter->order, ip, length - PACKET_IP);
	if (length < PACKET_UDP_DATA || big_endian_get16(frame + 2 * ETH_ALEN) != ETH_P_IP ||
	    big_endian_get16(ip + IPV4_FRAGMENT) & IPV4_OFFSET_MASK)
		return true;
	if (ip[IPV4_PROTOCOL] == PROTOCOL_TCP)
		tcp_order_receive(&filter->order, ip, length - PACKET_IP);
	else if (ip[IPV4_PROTOCOL] == PROTOCOL_UDP &&
		 big_endian_get32(ip + IPV4_SOURCE) == filter->settings.gateway)
		note_peer(filter, ip + IPV4_HEADER);
	return true;
}

size_t frame_filter_refuse(const struct frame_filter *filter, const uint8_t *frame, size_t length,
			   uint8_t answer[FRAME_REFUSAL_MAX])
{
	const uint8_t *refused = frame + PACKET_IP;
	uint8_t *icmp = answer + PACKET_IP + IPV4_HEADER;

	if (big_endian_get16(frame + 2 * ETH_ALEN) == ETH_P_IPV6)
		return frame_filter_refuse_ipv6(filter, frame, length, answer);
	memset(icmp, 0, ICMP_HEADER);
	packet_wrap_ip(answer, frame + ETH_ALEN, filter->settings.gateway,
		       big_endian_get32(refused + IPV4_SOURCE), PROTOCOL_ICMP,
		       REFUSAL_LENGTH - PACKET_IP);
	icmp[0] = ICMP_UNREACHABLE;
	icmp[1] = ICMP_PROHIBITED;
	memcpy(icmp + ICMP_HEADER, refused, IPV4_HEADER + 8);
	big_endian_put16(icmp + 2,
			 internet_checksum(icmp, REFUSAL_LENGTH - PACKET_IP - IPV4_HEADER, 0));
	return REFUSAL_LENGTH;
}
