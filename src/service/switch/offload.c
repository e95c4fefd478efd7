// SPDX-License-Identifier: BSD-3-Clause
/* Checksums and segmentation in software. */
#include "service/switch/offload.h"

#include <endian.h>
#include <string.h>

#include "base/big_endian.h"
#include "base/internet_checksum.h"
#include "service/switch/frame.h"

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define TCP_HEADER  20
#define TCP	    6
/* TCP has no smaller segments; the work for a packet has a bound (TCP_MIN_MSS of Linux). */
#define SEGMENT_MIN 88
/* Of Ethernet, a tag, IP and TCP, with what IPv6 may have in between. */
#define HEADERS_MAX 512

/* Flags of TCP (RFC 9293, 3.1; RFC 3168, 6.1). */
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

bool switch_offload_fits(const struct virtio_net_hdr_v1 *header, uint32_t offloads)
{
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (!(offloads & SWITCH_CHECKSUM))
		return false;
	if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN && !(offloads & SWITCH_ECN))
		return false;
	return type == VIRTIO_NET_HDR_GSO_NONE ||
	       offloads & (type == VIRTIO_NET_HDR_GSO_TCPV4 ? SWITCH_TSO4 : SWITCH_TSO6);
}

/* A checksum of 0 means that there is none to UDP, and to others the same as its complement. */
static uint16_t checksum_not_zero(const uint8_t *bytes, uint32_t length, uint32_t sum)
{
	uint16_t checksum = internet_checksum(bytes, length, sum);

	return checksum ? checksum : 0xffff;
}

/* What is to be segmented. */
struct packet {
	uint8_t *frame;
	uint32_t length;
	uint32_t ip, tcp, payload; /* where they begin */
	uint32_t segment_size;	   /* of the payload */
	bool ipv6;
};

static bool find_headers(struct packet *packet, const struct virtio_net_hdr_v1 *header,
			 uint32_t type_at)
{
	uint16_t type = big_endian_get16(packet->frame + type_at);
	const uint8_t *ip;

	packet->ip = type_at + 2;
	packet->tcp = le16toh(header->csum_start);
	packet->segment_size = le16toh(header->gso_size);
	packet->ipv6 = (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV6;
	if (type != (packet->ipv6 ? ETH_P_IPV6 : ETH_P_IP) || le16toh(header->csum_offset) != 16 ||
	    packet->tcp < packet->ip + (packet->ipv6 ? IPV6_HEADER : IPV4_HEADER) ||
	    packet->tcp + TCP_HEADER > packet->length)
		return false;
	ip = packet->frame + packet->ip;
	if (packet->ipv6 ? ip[0] >> 4 != 6 :
			   ip[0] >> 4 != 4 || packet->ip + (ip[0] & 0x0fu) * 4 != packet->tcp ||
				   ip[9] != TCP)
		return false;
	packet->payload = packet->tcp + (packet->frame[packet->tcp + 12] >> 4) * 4u;
	return packet->payload >= packet->tcp + TCP_HEADER && packet->payload < packet->length &&
	       SWITCH_HEADER + packet->payload <= HEADERS_MAX &&
	       packet->segment_size >= SEGMENT_MIN;
}

static void finish_ip(const struct packet *packet, uint8_t *frame, uint32_t length, uint16_t index)
{
	uint8_t *ip = frame + packet->ip;

	if (packet->ipv6) {
		big_endian_put16(ip + 4, (uint16_t)(length - packet->ip - IPV6_HEADER));
		return;
	}
	big_endian_put16(ip + 2, (uint16_t)(length - packet->ip));
	big_endian_put16(ip + 4, (uint16_t)(big_endian_get16(ip + 4) + index));
	big_endian_put16(ip + 10, 0);
	big_endian_put16(ip + 10, internet_checksum(ip, packet->tcp - packet->ip, 0));
}

/* RFC 9293, 3.1: the checksum is over a pseudo-header, too. */
static void finish_tcp(const struct packet *packet, uint8_t *frame, uint32_t length)
{
	const uint8_t *ip = frame + packet->ip;
	uint8_t *tcp = frame + packet->tcp;
	uint32_t sum = TCP + (length - packet->tcp);

	sum += packet->ipv6 ? internet_sum(ip + 8, 32) : internet_sum(ip + 12, 8);
	big_endian_put16(tcp + 16, 0);
	big_endian_put16(tcp + 16, checksum_not_zero(tcp, length - packet->tcp, sum));
}

/* A segment of the payload from @done on: its headers are in front of it in @message. */
static void make_segment(const struct packet *packet, uint8_t *message, uint32_t done,
			 uint32_t size, uint16_t index)
{
	uint8_t *frame = message + SWITCH_HEADER, *tcp = frame + packet->tcp;
	uint32_t length = packet->payload + size;
	bool last = packet->payload + done + size == packet->length;

	big_endian_put32(tcp + 4, big_endian_get32(tcp + 4) + done);
	if (!last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (done > 0)
		tcp[13] &= (uint8_t)~TCP_CWR;
	finish_ip(packet, frame, length, index);
	finish_tcp(packet, frame, length);
}

static void segment(const struct packet *packet, const struct switch_offload_ops *ops)
{
	uint8_t headers[HEADERS_MAX];
	uint8_t *first = packet->frame - SWITCH_HEADER;
	uint32_t front = SWITCH_HEADER + packet->payload, left = packet->length - packet->payload;
	uint16_t index = 0;

	memset(first, 0, SWITCH_HEADER);
	memcpy(headers, first, front);
	/* Each in front of its payload, where the one before was. */
	for (uint32_t done = 0; done < left; index++) {
		uint32_t size = left - done < packet->segment_size ? left - done :
								     packet->segment_size;
		uint8_t *message = first + done;

		memcpy(message, headers, front);
		make_segment(packet, message, done, size, index);
		ops->segment(ops->context, message, front + size);
		done += size;
	}
}

bool switch_offload_complete(uint8_t *message, uint32_t length, uint32_t type_at,
			     const struct switch_offload_ops *ops)
{
	struct packet packet = {.frame = message + SWITCH_HEADER, .length = length - SWITCH_HEADER};
	struct virtio_net_hdr_v1 header;
	uint32_t start, at;

	memcpy(&header, message, sizeof(header));
	start = le16toh(header.csum_start);
	at = start + le16toh(header.csum_offset);
	if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		if (!find_headers(&packet, &header, type_at))
			return false;
		segment(&packet, ops);
		return true;
	}
	/* The field has the sum of what is in front, such as a pseudo-header. */
	big_endian_put16(packet.frame + at,
			 checksum_not_zero(packet.frame + start, packet.length - start, 0));
	memset(message, 0, SWITCH_HEADER);
	ops->segment(ops->context, message, length);
	return true;
}
