// SPDX-License-Identifier: BSD-3-Clause
/* What a sender has left undone is done for a receiver that does not do it itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/big_endian.h"
#include "service/switch/frame.h"
#include "service/switch/offload.h"

#define BUFFER	 (SWITCH_HEADER + SWITCH_FRAME_MAX)
#define SEQUENCE 0xfffffff0u /* it passes its end */

/* A packet of TCP to be segmented, and what became of it. */
struct packet {
	uint8_t *message, *before;
	uint32_t length, type_at, ip, tcp, payload;
	bool ipv6;
	/* Segments so far. */
	uint32_t done, count;
};

static uint32_t add(uint32_t total, const uint8_t *bytes, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		total += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

/* The sum of the pseudo-header. */
static uint32_t pseudo(const struct packet *packet, const uint8_t *ip, uint32_t length)
{
	const uint8_t rest[4] = {0, 6, (uint8_t)(length >> 8), (uint8_t)length};

	return add(add(0, rest, sizeof(rest)), packet->ipv6 ? ip + 8 : ip + 12,
		   packet->ipv6 ? 32 : 8);
}

static void check_segment(void *context, const uint8_t *message, uint32_t length)
{
	static const uint8_t none[sizeof(struct virtio_net_hdr_v1)];
	struct packet *packet = context;
	const uint8_t *frame = message + SWITCH_HEADER, *before = packet->before + SWITCH_HEADER;
	const uint8_t *ip = frame + packet->ip, *tcp = frame + packet->tcp;
	uint32_t size = length - SWITCH_HEADER - packet->payload;
	uint32_t tcp_length = length - SWITCH_HEADER - packet->tcp;
	bool last = packet->done + size == packet->length - SWITCH_HEADER - packet->payload;

	assert_memory_equal(message, none, sizeof(none));
	assert_memory_equal(frame, before, packet->ip);
	assert_memory_equal(frame + packet->payload, before + packet->payload + packet->done, size);
	assert_int_equal(big_endian_get32(tcp + 4), (uint32_t)(SEQUENCE + packet->done));
	/* CWR is in the first one alone, FIN and PSH in the last; ACK in all. */
	assert_int_equal(tcp[13], 0x10 | (packet->done ? 0 : 0x80) | (last ? 0x09 : 0));
	assert_int_equal(add(pseudo(packet, ip, tcp_length), tcp, tcp_length), 0xffff);
	if (packet->ipv6) {
		assert_int_equal(big_endian_get16(ip + 4), tcp_length);
	} else {
		assert_int_equal(add(0, ip, 20), 0xffff);
		assert_int_equal(big_endian_get16(ip + 2), 20 + tcp_length);
		assert_int_equal(big_endian_get16(ip + 4), 77 + packet->count);
	}
	packet->done += size;
	packet->count++;
}

static void make(struct packet *packet, bool ipv6, bool tagged, uint32_t content, uint16_t segment)
{
	struct virtio_net_hdr_v1 header;
	uint8_t *frame, *ip, *tcp;

	*packet = (struct packet){
		.message = calloc(1, BUFFER),
		.before = calloc(1, BUFFER),
		.type_at = tagged ? 16 : 12,
		.ipv6 = ipv6,
	};
	packet->ip = packet->type_at + 2;
	packet->tcp = packet->ip + (ipv6 ? 40 : 20);
	packet->payload = packet->tcp + 32;
	packet->length = SWITCH_HEADER + packet->payload + content;
	header = (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = (ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) |
			    VIRTIO_NET_HDR_GSO_ECN,
		.gso_size = htole16(segment),
		.csum_start = htole16((uint16_t)packet->tcp),
		.csum_offset = htole16(16),
	};
	memcpy(packet->message, &header, sizeof(header));
	frame = packet->message + SWITCH_HEADER;
	ip = frame + packet->ip;
	tcp = frame + packet->tcp;
	for (uint32_t i = 0; i < packet->payload + content; i++)
		frame[i] = (uint8_t)(i * 13 + i / 251);
	big_endian_put16(frame + packet->type_at, ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	ip[0] = ipv6 ? 0x60 : 0x45;
	big_endian_put16(ip + 4, 77);
	if (!ipv6)
		ip[9] = 6;
	big_endian_put32(tcp + 4, SEQUENCE);
	tcp[12] = 8 << 4;
	tcp[13] = 0x99;
	memcpy(packet->before, packet->message, BUFFER);
}

static void unmake(struct packet *packet)
{
	free(packet->message);
	free(packet->before);
}

static bool complete(struct packet *packet)
{
	return switch_offload_complete(packet->message, packet->length, packet->type_at,
				       &(struct switch_offload_ops){check_segment, packet});
}

static void test_segmentation(void **state)
{
	static const uint32_t contents[] = {1, 99, 100, 101, 1000, 3001, 65000};
	struct packet packet;

	for (int kind = 0; kind < 4; kind++)
		for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
			make(&packet, kind & 1, kind & 2, contents[i], 100);
			assert_true(complete(&packet));
			assert_int_equal(packet.done, contents[i]);
			assert_int_equal(packet.count, (contents[i] + 99) / 100);
			unmake(&packet);
		}
}

/* Headers that are not what the header of VIRTIO says: nothing is sent. */
static void test_segmentation_that_is_refused(void **state)
{
	static const struct {
		uint32_t at; /* in the message */
		uint8_t value;
	} wrong[] = {
		{4, 87},		    /* tiny segments */
		{6, 33},		    /* TCP begins elsewhere */
		{8, 17},		    /* the checksum is elsewhere */
		{SWITCH_HEADER + 12, 0x86}, /* not IP */
		{SWITCH_HEADER + 14, 0x46}, /* options that are not there */
		{SWITCH_HEADER + 14, 0x65}, /* of another version */
		{SWITCH_HEADER + 23, 17},   /* UDP */
		{SWITCH_HEADER + 46, 0x40}, /* TCP's header is too short */
	};
	struct packet packet;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make(&packet, false, false, 1000, 100);
		packet.message[wrong[i].at] = wrong[i].value;
		assert_false(complete(&packet));
		assert_int_equal(packet.count, 0);
		unmake(&packet);
	}
	/* Nothing behind the headers. */
	make(&packet, false, false, 0, 100);
	assert_false(complete(&packet));
	unmake(&packet);
}

static void keep(void *context, const uint8_t *message, uint32_t length)
{
	memcpy(context, message, length);
}

/* A checksum alone, of an odd length; one that comes out as 0 is written as its complement. */
static void test_checksum(void **state)
{
	uint8_t message[SWITCH_HEADER + 45] = {0}, back[sizeof(message)];
	struct virtio_net_hdr_v1 header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = htole16(34),
		.csum_offset = htole16(6),
	};
	const struct switch_offload_ops ops = {keep, back};
	uint8_t *udp = message + SWITCH_HEADER + 34;

	for (int i = 0; i < 11; i++)
		udp[i] = (uint8_t)(200 + i);
	memcpy(message, &header, sizeof(header));
	assert_true(switch_offload_complete(message, sizeof(message), 12, &ops));
	/* With what the field had: the sum of what is in front of the header. */
	assert_int_equal(add(add(0, (const uint8_t[]){206, 207}, 2), back + SWITCH_HEADER + 34, 11),
			 0xffff);
	assert_int_equal(back[0], 0);

	memset(udp, 0, 11);
	udp[0] = udp[1] = 0xff;
	memcpy(message, &header, sizeof(header));
	assert_true(switch_offload_complete(message, sizeof(message), 12, &ops));
	assert_int_equal(big_endian_get16(back + SWITCH_HEADER + 40), 0xffff);
}

static void test_fits(void **state)
{
	const uint32_t tso4 = SWITCH_CHECKSUM | SWITCH_TSO4;
	struct virtio_net_hdr_v1 header = {0};

	assert_true(switch_offload_fits(&header, 0));
	header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	assert_false(switch_offload_fits(&header, 0));
	assert_true(switch_offload_fits(&header, SWITCH_CHECKSUM));
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	assert_false(switch_offload_fits(&header, SWITCH_CHECKSUM | SWITCH_TSO6));
	assert_false(switch_offload_fits(&header, SWITCH_TSO4));
	assert_true(switch_offload_fits(&header, tso4));
	header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_false(switch_offload_fits(&header, tso4));
	assert_true(switch_offload_fits(&header, tso4 | SWITCH_ECN));
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	assert_false(switch_offload_fits(&header, tso4));
	assert_true(switch_offload_fits(&header, SWITCH_CHECKSUM | SWITCH_TSO6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segmentation),
		cmocka_unit_test(test_segmentation_that_is_refused),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
