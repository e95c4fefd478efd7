// SPDX-License-Identifier: BSD-3-Clause
/*
 * The filter in front of the user-mode network, frame by frame: what passes and in which form, what
 * is dropped, and fragments in any order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/big_endian.h"
#include "base/internet_checksum.h"
#include "device/net/user/frame_filter.h"

#define GUEST	    0x0a00020fU
#define GATEWAY	    0x0a000202U
#define NAME_SERVER 0x0a000203U
#define OUTSIDE	    0xc0000201U /* 192.0.2.1 */

struct fixture {
	struct frame_filter filter;
	uint8_t frame[PACKET_FRAME_MAX];
	size_t length;
	int64_t now_ms;
};

static int set_up(void **state)
{
	const struct frame_filter_settings settings = {
		.network = 0x0a000200,
		.mask = 0xffffff00,
		.gateway = GATEWAY,
		.name_server = NAME_SERVER,
	};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	frame_filter_init(&f->filter, &settings);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static uint8_t *ip_of(struct fixture *f)
{
	return f->frame + PACKET_IP;
}

static uint8_t *data_of(struct fixture *f)
{
	return ip_of(f) + IPV4_HEADER;
}

/* Puts headers before @length bytes of data, which are at data_of. */
static void wrap(struct fixture *f, uint8_t protocol, uint32_t from, uint32_t to, size_t length)
{
	uint8_t *ip = ip_of(f);

	memset(f->frame, 0, PACKET_IP + IPV4_HEADER);
	f->frame[12] = 8;
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = protocol;
	big_endian_put16(ip + IPV4_ID, 77);
	big_endian_put32(ip + IPV4_SOURCE, from);
	big_endian_put32(ip + IPV4_DESTINATION, to);
	packet_finish_ip(ip, (uint16_t)(IPV4_HEADER + length));
	f->length = PACKET_IP + IPV4_HEADER + length;
}

static void make_udp(struct fixture *f, uint32_t to, uint16_t from_port, uint16_t to_port,
		     size_t length)
{
	uint8_t *udp = data_of(f);

	memset(udp, 'u', UDP_HEADER + length);
	big_endian_put16(udp + PORT_SOURCE, from_port);
	big_endian_put16(udp + PORT_DESTINATION, to_port);
	big_endian_put16(udp + UDP_LENGTH, (uint16_t)(UDP_HEADER + length));
	big_endian_put16(udp + UDP_CHECKSUM, 0);
	wrap(f, PROTOCOL_UDP, GUEST, to, UDP_HEADER + length);
}

static uint16_t data_length(const struct fixture *f)
{
	return (uint16_t)(f->length - PACKET_IP - IPV4_HEADER);
}

static void sum_tcp(struct fixture *f)
{
	packet_finish_payload(ip_of(f), data_length(f));
}

/* A segment with a header of @words times 4 bytes, the options being NOPs, and 5 bytes of data. */
static void make_tcp(struct fixture *f, uint32_t to, uint8_t flags, uint8_t words)
{
	uint8_t *tcp = data_of(f);
	size_t header = (size_t)words * 4;

	memset(tcp, 0, TCP_HEADER);
	big_endian_put16(tcp + PORT_SOURCE, 1000);
	big_endian_put16(tcp + PORT_DESTINATION, 80);
	tcp[TCP_DATA_OFFSET] = (uint8_t)(words << 4);
	tcp[TCP_FLAGS] = flags;
	if (header > TCP_HEADER)
		memset(tcp + TCP_HEADER, 1, header - TCP_HEADER);
	memcpy(tcp + header, "hello", 5);
	wrap(f, PROTOCOL_TCP, GUEST, to, header + 5);
	sum_tcp(f);
}

static enum frame_verdict check(struct fixture *f)
{
	return frame_filter_check(&f->filter, f->frame, &f->length, f->now_ms);
}

static void test_padding_is_cut(void **state)
{
	struct fixture *f = *state;

	make_udp(f, OUTSIDE, 1000, 2000, 4);
	memset(f->frame + f->length, 'p', 60);
	f->length = 60;
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(f->length, PACKET_UDP_DATA + 4);
	assert_memory_equal(f->frame + PACKET_UDP_DATA, "uuuu", 4);
	assert_int_equal(internet_checksum(ip_of(f), IPV4_HEADER, 0), 0);
}

static void test_ip_header(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} damages[] = {
		{0, 0x65},		     /* another version */
		{0, 0x44},		     /* a header shorter than one */
		{0, 0x4f},		     /* longer than the packet */
		{IPV4_TOTAL_LENGTH, 1},	     /* a packet longer than the frame */
		{IPV4_TOTAL_LENGTH + 1, 19}, /* shorter than its header */
		{IPV4_TTL, 0},
		{IPV4_FRAGMENT, 0x80}, /* the flag that is reserved */
		{IPV4_PROTOCOL, 2},
		{IPV4_SOURCE + 3, 2},	/* the gateway's address */
		{IPV4_SOURCE + 3, 3},	/* the name server's */
		{IPV4_SOURCE + 3, 255}, /* all stations' */
		{IPV4_SOURCE + 3, 0},	/* the network's */
		{IPV4_SOURCE, 11},	/* of another network */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		uint8_t *ip = ip_of(f);

		make_udp(f, OUTSIDE, 1000, 2000, 8);
		ip[damages[i].at] = damages[i].value;
		big_endian_put16(ip + IPV4_CHECKSUM, 0);
		big_endian_put16(ip + IPV4_CHECKSUM,
				 internet_checksum(ip, (size_t)(ip[0] & 0xf) * 4, 0));
		assert_int_equal(check(f), FRAME_DROPPED);
	}
	make_udp(f, OUTSIDE, 1000, 2000, 8);
	ip_of(f)[IPV4_CHECKSUM] ^= 1;
	assert_int_equal(check(f), FRAME_DROPPED);
	for (size_t length = 0; length < PACKET_UDP_DATA + 8; length++) {
		make_udp(f, OUTSIDE, 1000, 2000, 8);
		f->length = length;
		assert_int_equal(check(f), FRAME_DROPPED);
	}
	make_udp(f, OUTSIDE, 1000, 2000, 8);
	assert_int_equal(check(f), FRAME_PASSED);
}

static void test_ip_options_are_removed(void **state)
{
	struct fixture *f = *state;
	uint8_t *ip = ip_of(f);

	make_udp(f, OUTSIDE, 1000, 2000, 4);
	memmove(data_of(f) + 40, data_of(f), UDP_HEADER + 4);
	memset(data_of(f), 1, 40);
	ip[0] = 0x4f;
	big_endian_put16(ip + IPV4_TOTAL_LENGTH, 60 + UDP_HEADER + 4);
	big_endian_put16(ip + IPV4_CHECKSUM, 0);
	big_endian_put16(ip + IPV4_CHECKSUM, internet_checksum(ip, 60, 0));
	f->length += 40;
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(f->length, PACKET_UDP_DATA + 4);
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(big_endian_get16(ip + IPV4_TOTAL_LENGTH), IPV4_HEADER + UDP_HEADER + 4);
	assert_int_equal(internet_checksum(ip, IPV4_HEADER, 0), 0);
	assert_memory_equal(f->frame + PACKET_UDP_DATA, "uuuu", 4);
}

static void test_udp_length(void **state)
{
	struct fixture *f = *state;

	for (uint16_t length = 0; length < 30; length++) {
		make_udp(f, OUTSIDE, 1000, 2000, 4);
		big_endian_put16(data_of(f) + UDP_LENGTH, length);
		assert_int_equal(check(f), length == 12 ? FRAME_PASSED : FRAME_DROPPED);
	}
	make_udp(f, OUTSIDE, 1000, 0, 4);
	assert_int_equal(check(f), FRAME_DROPPED);
	make_udp(f, OUTSIDE, 0, 2000, 4);
	assert_int_equal(check(f), FRAME_DROPPED);
	wrap(f, PROTOCOL_UDP, GUEST, OUTSIDE, 7);
	assert_int_equal(check(f), FRAME_DROPPED);
}

static void test_tcp_header(void **state)
{
	static const struct {
		uint8_t flags;
		bool good;
	} flags[] = {
		{TCP_FLAG_SYN, true},
		{TCP_FLAG_SYN | TCP_FLAG_ACK, true},
		{TCP_FLAG_ACK, true},
		{TCP_FLAG_RST, true},
		{TCP_FLAG_FIN | TCP_FLAG_ACK, true},
		/* A segment without a connection gets a reset (RFC 9293, 3.10.7.1). */
		{0, true},
		{TCP_FLAG_FIN, true},
		{TCP_FLAG_SYN | TCP_FLAG_FIN, false},
		{TCP_FLAG_SYN | TCP_FLAG_RST, false},
		{0xff, false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		make_tcp(f, OUTSIDE, flags[i].flags, 5);
		assert_int_equal(check(f), flags[i].good ? FRAME_PASSED : FRAME_DROPPED);
	}
	for (uint8_t words = 0; words < 16; words++) {
		make_tcp(f, OUTSIDE, TCP_FLAG_ACK, 10);
		data_of(f)[TCP_DATA_OFFSET] = (uint8_t)(words << 4);
		sum_tcp(f);
		assert_int_equal(check(f),
				 words >= 5 && words <= 10 ? FRAME_PASSED : FRAME_DROPPED);
	}
	make_tcp(f, OUTSIDE, TCP_FLAG_ACK, 5);
	data_of(f)[PORT_DESTINATION] = data_of(f)[PORT_DESTINATION + 1] = 0;
	sum_tcp(f);
	assert_int_equal(check(f), FRAME_DROPPED);
	make_tcp(f, OUTSIDE, TCP_FLAG_SYN, 5);
	data_of(f)[TCP_CHECKSUM] ^= 1;
	assert_int_equal(check(f), FRAME_DROPPED);
	wrap(f, PROTOCOL_TCP, GUEST, OUTSIDE, TCP_HEADER - 1);
	assert_int_equal(check(f), FRAME_DROPPED);
}

static void test_tcp_options(void **state)
{
	static const struct {
		uint8_t options[4];
		bool good;
	} cases[] = {
		{{2, 4, 5, 180}, true}, /* the largest segment */
		{{0, 9, 9, 9}, true},	/* the end option, with bytes after it */
		{{3, 3, 7, 0}, true},	{{2, 5, 1, 1}, false}, /* longer than the header */
		{{1, 1, 1, 2}, false},			       /* without a length */
		{{2, 0, 1, 1}, false},	{{2, 1, 1, 1}, false}, {{1, 8, 255, 1}, false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_tcp(f, OUTSIDE, TCP_FLAG_SYN, 6);
		memcpy(data_of(f) + TCP_HEADER, cases[i].options, 4);
		sum_tcp(f);
		assert_int_equal(check(f), cases[i].good ? FRAME_PASSED : FRAME_DROPPED);
	}
}

static void test_urgent_is_cleared(void **state)
{
	static const uint16_t pointers[] = {0, 1, 5, 1000, 0xffff};
	struct fixture *f = *state;
	uint8_t *tcp = data_of(f);

	make_tcp(f, OUTSIDE, TCP_FLAG_SYN, 5);
	assert_int_equal(check(f), FRAME_PASSED);
	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
		make_tcp(f, OUTSIDE, TCP_FLAG_ACK, 5);
		tcp[TCP_FLAGS] |= i % 2 ? TCP_FLAG_URG : 0;
		big_endian_put16(tcp + TCP_URGENT, pointers[i]);
		sum_tcp(f);
		assert_int_equal(check(f), FRAME_PASSED);
		assert_int_equal(tcp[TCP_FLAGS], TCP_FLAG_ACK);
		assert_int_equal(big_endian_get16(tcp + TCP_URGENT), 0);
		assert_memory_equal(tcp + TCP_HEADER, "hello", 5);
		assert_true(packet_payload_fits(ip_of(f), data_length(f)));
	}
}

/* A segment with a gap before it, or of an unknown connection, loses its data. */
static void test_order(void **state)
{
	struct fixture *f = *state;

	make_tcp(f, OUTSIDE, TCP_FLAG_ACK, 6);
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(f->length, PACKET_IP + IPV4_HEADER + 24);
	assert_true(packet_payload_fits(ip_of(f), data_length(f)));
	/* Until the library has acknowledged something of it. */
	make_tcp(f, GUEST, TCP_FLAG_ACK, 5);
	big_endian_put32(ip_of(f) + IPV4_SOURCE, OUTSIDE);
	big_endian_put16(data_of(f) + PORT_SOURCE, 80);
	big_endian_put16(data_of(f) + PORT_DESTINATION, 1000);
	assert_true(frame_filter_receive(&f->filter, f->frame, f->length));
	make_tcp(f, OUTSIDE, TCP_FLAG_ACK, 6);
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(f->length, PACKET_IP + IPV4_HEADER + 24 + 5);
}

static void test_icmp(void **state)
{
	struct fixture *f = *state;

	for (unsigned int type = 0; type < 256; type++) {
		memset(data_of(f), 0, 16);
		data_of(f)[0] = (uint8_t)type;
		wrap(f, PROTOCOL_ICMP, GUEST, OUTSIDE, 16);
		assert_int_equal(check(f), type == 8 ? FRAME_PASSED : FRAME_DROPPED);
	}
	memset(data_of(f), 8, 1);
	wrap(f, PROTOCOL_ICMP, GUEST, OUTSIDE, 7);
	assert_int_equal(check(f), FRAME_DROPPED);
}

static void test_arp(void **state)
{
	static const uint8_t request[28] = {0,	1, 8, 0,  6, 4, 0, 1, 2, 0, 0,	0, 0, 1,
					    10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2};
	static const struct {
		size_t at;
		uint8_t value;
		bool good;
	} cases[] = {
		{1, 1, true},	 {7, 2, true},	{1, 6, false},	{2, 9, false},	{4, 255, false},
		{5, 255, false}, {7, 3, false}, {17, 2, false}, {17, 3, false}, {14, 11, false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(f->frame, 0, 64);
		f->frame[12] = 8;
		f->frame[13] = 6;
		memcpy(f->frame + 14, request, sizeof(request));
		f->frame[14 + cases[i].at] = cases[i].value;
		f->length = 64;
		assert_int_equal(check(f), cases[i].good ? FRAME_PASSED : FRAME_DROPPED);
	}
	/* A probe, which has no address yet, and one that is cut. */
	memcpy(f->frame + 14, request, sizeof(request));
	memset(f->frame + 28, 0, 4);
	f->length = 64;
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(f->length, 42);
	f->length = 41;
	assert_int_equal(check(f), FRAME_DROPPED);
}

/* The library asks for the owner of @address. Returns whether the guest gets the request. */
static bool ask(struct fixture *f, uint32_t address)
{
	static const uint8_t kind[] = {0, 1, 8, 0, 6, 4, 0, ARP_REQUEST};
	uint8_t *arp = f->frame + ETH_HLEN;

	memset(f->frame, 0xff, ETH_ALEN);
	memset(f->frame + ETH_ALEN, 0x52, ETH_ALEN);
	big_endian_put16(f->frame + 2 * ETH_ALEN, ETH_P_ARP);
	memset(arp, 0, ARP_LENGTH);
	memcpy(arp, kind, sizeof(kind));
	memset(arp + ARP_SENDER_MAC, 0x52, ETH_ALEN);
	big_endian_put32(arp + ARP_SENDER, GATEWAY);
	big_endian_put32(arp + ARP_TARGET, address);
	return frame_filter_receive(&f->filter, f->frame, ARP_FRAME);
}

/* The guest sends a packet from @address and an Ethernet address full of @mac. */
static void show_address(struct fixture *f, uint32_t address, uint8_t mac)
{
	make_udp(f, OUTSIDE, 1000, 1000, 4);
	wrap(f, PROTOCOL_UDP, address, OUTSIDE, UDP_HEADER + 4);
	memset(f->frame + ETH_ALEN, mac, ETH_ALEN);
	check(f);
}

static void expect_answer(struct fixture *f, uint32_t address, uint8_t mac)
{
	static const uint8_t kind[] = {0, 1, 8, 0, 6, 4, 0, ARP_REPLY};
	uint8_t answer[NEIGHBOURS_ANSWER_MAX], macs[2 * ETH_ALEN];
	const uint8_t *arp = answer + ETH_HLEN;

	assert_int_equal(neighbours_take_answer(&f->filter.neighbours, answer), ARP_FRAME);
	memset(macs, 0x52, ETH_ALEN);
	memset(macs + ETH_ALEN, mac, ETH_ALEN);
	assert_memory_equal(answer, macs, sizeof(macs));
	assert_int_equal(big_endian_get16(answer + 2 * ETH_ALEN), ETH_P_ARP);
	assert_memory_equal(arp, kind, sizeof(kind));
	assert_memory_equal(arp + ARP_SENDER_MAC, macs + ETH_ALEN, ETH_ALEN);
	assert_int_equal(big_endian_get32(arp + ARP_SENDER), address);
	assert_memory_equal(arp + ARP_TARGET_MAC, macs, ETH_ALEN);
	assert_int_equal(big_endian_get32(arp + ARP_TARGET), GATEWAY);
}

/* The guest gets requests only for addresses that it has not sent from. */
static void test_answers_for_the_guest(void **state)
{
	struct fixture *f = *state;
	uint8_t answer[NEIGHBOURS_ANSWER_MAX];

	assert_true(ask(f, GUEST));
	assert_true(ask(f, 0));
	show_address(f, GATEWAY, 1); /* the guest must not claim it */
	assert_true(ask(f, GATEWAY));
	show_address(f, GUEST, 1);
	show_address(f, GUEST + 1, 2);
	assert_false(ask(f, GUEST));
	expect_answer(f, GUEST, 1);
	assert_false(ask(f, GUEST + 1));
	expect_answer(f, GUEST + 1, 2);
	assert_true(ask(f, GUEST + 2));
	show_address(f, GUEST, 3);
	assert_false(ask(f, GUEST));
	expect_answer(f, GUEST, 3);
	/* No answers to other ARP frames, nor to more requests than there is room for. */
	for (int i = 0; i < 2 * NEIGHBOURS_ANSWERS; i++)
		assert_false(ask(f, GUEST));
	f->frame[ETH_HLEN + ARP_OPERATION + 1] = ARP_REPLY;
	assert_true(frame_filter_receive(&f->filter, f->frame, ARP_FRAME));
	for (int i = 0; i < NEIGHBOURS_ANSWERS; i++)
		expect_answer(f, GUEST, 3);
	assert_int_equal(neighbours_take_answer(&f->filter.neighbours, answer), 0);
}

static void test_other_frames(void **state)
{
	struct fixture *f = *state;

	for (uint32_t type = 0; type < 0x10000; type++) {
		make_udp(f, OUTSIDE, 1000, 2000, 4);
		big_endian_put16(f->frame + 12, (uint16_t)type);
		assert_int_equal(check(f), type == 0x800 ? FRAME_PASSED : FRAME_DROPPED);
	}
}

/* The destinations of each protocol, without and with the host's loopback. */
static void test_destinations(void **state)
{
	static const struct {
		uint32_t to;
		enum frame_verdict udp, tcp, ping, udp_loopback, tcp_loopback;
	} cases[] = {
		{OUTSIDE, FRAME_PASSED, FRAME_PASSED, FRAME_PASSED, FRAME_PASSED, FRAME_PASSED},
		{GATEWAY, FRAME_REFUSED, FRAME_REFUSED, FRAME_PASSED, FRAME_PASSED, FRAME_PASSED},
		{NAME_SERVER, FRAME_REFUSED, FRAME_REFUSED, FRAME_PASSED, FRAME_REFUSED,
		 FRAME_REFUSED},
		/* Unused addresses; broadcast; the host itself; multicast. */
		{0x0a000210, 0, 0, 0, 0, 0},
		{0x0a0002ff, 0, 0, 0, 0, 0},
		{0x0a000200, 0, 0, 0, 0, 0},
		{0xffffffff, 0, 0, 0, 0, 0},
		{0x7f000001, 0, 0, 0, 0, 0},
		{0x7fffffff, 0, 0, 0, 0, 0},
		{0x00000000, 0, 0, 0, 0, 0},
		{0x00000001, 0, 0, 0, 0, 0},
		{0xe00000fb, 0, 0, 0, 0, 0},
		{0xf0000001, 0, 0, 0, 0, 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int loopback = 0; loopback < 2; loopback++) {
			f->filter.settings.host_loopback = loopback;
			make_udp(f, cases[i].to, 1000, 2000, 4);
			assert_int_equal(check(f), loopback ? cases[i].udp_loopback : cases[i].udp);
			make_tcp(f, cases[i].to, TCP_FLAG_SYN, 5);
			assert_int_equal(check(f), loopback ? cases[i].tcp_loopback : cases[i].tcp);
			memset(data_of(f), 0, 8);
			data_of(f)[0] = 8;
			wrap(f, PROTOCOL_ICMP, GUEST, cases[i].to, 8);
			assert_int_equal(check(f), cases[i].ping);
		}
	}
}

static void test_name_server(void **state)
{
	struct fixture *f = *state;

	uint8_t *data = data_of(f);

	for (uint16_t damage = 0; damage < 2; damage++) {
		make_udp(f, NAME_SERVER, 1000, 53, 5);
		big_endian_put16(data + UDP_CHECKSUM,
				 internet_checksum(data, UDP_HEADER + 5,
						   packet_pseudo_sum(ip_of(f), UDP_HEADER + 5)) ^
					 damage);
		assert_int_equal(check(f), damage ? FRAME_DROPPED : FRAME_FOR_DNS);
		make_tcp(f, NAME_SERVER, TCP_FLAG_SYN, 5);
		big_endian_put16(data + PORT_DESTINATION, 53);
		sum_tcp(f);
		big_endian_put16(data + TCP_CHECKSUM,
				 big_endian_get16(data + TCP_CHECKSUM) ^ damage);
		assert_int_equal(check(f), damage ? FRAME_DROPPED : FRAME_FOR_DNS);
	}
	/* Without a checksum, and from a sender without an address. */
	make_udp(f, NAME_SERVER, 1000, 53, 4);
	assert_int_equal(check(f), FRAME_FOR_DNS);
	make_udp(f, NAME_SERVER, 1000, 53, 4);
	big_endian_put32(ip_of(f) + IPV4_SOURCE, 0);
	packet_finish_ip(ip_of(f), IPV4_HEADER + UDP_HEADER + 4);
	assert_int_equal(check(f), FRAME_DROPPED);
}

/* The library's TFTP server must not be reachable. */
static void test_tftp(void **state)
{
	struct fixture *f = *state;

	f->filter.settings.host_loopback = true;
	make_udp(f, GATEWAY, 1000, 69, 20);
	assert_int_equal(check(f), FRAME_REFUSED);
	make_udp(f, OUTSIDE, 1000, 69, 20);
	assert_int_equal(check(f), FRAME_PASSED);
}

/* Connections that come through a forwarded port can be answered, and nothing else. */
static void test_forwarded_peers(void **state)
{
	const struct packet_flow flow = {.source = GATEWAY,
					 .source_port = 4000,
					 .destination = GUEST,
					 .destination_port = 7};
	uint8_t received[PACKET_UDP_DATA + 4] = {0};
	struct fixture *f = *state;
	size_t length = packet_wrap_udp(received, &flow, 4);

	make_udp(f, GATEWAY, 7, 4000, 4);
	assert_int_equal(check(f), FRAME_REFUSED);
	assert_true(frame_filter_receive(&f->filter, received, length - 5));
	make_udp(f, GATEWAY, 7, 4000, 4);
	assert_int_equal(check(f), FRAME_REFUSED);
	assert_true(frame_filter_receive(&f->filter, received, length));
	make_udp(f, GATEWAY, 7, 4000, 4);
	assert_int_equal(check(f), FRAME_PASSED);
	make_udp(f, GATEWAY, 7, 4001, 4);
	assert_int_equal(check(f), FRAME_REFUSED);
	make_udp(f, GATEWAY, 8, 4000, 4);
	assert_int_equal(check(f), FRAME_REFUSED);
	/* TCP: all but what opens a connection. */
	make_tcp(f, GATEWAY, TCP_FLAG_SYN | TCP_FLAG_ACK, 5);
	assert_int_equal(check(f), FRAME_PASSED);
	make_tcp(f, GATEWAY, TCP_FLAG_ACK, 5);
	assert_int_equal(check(f), FRAME_PASSED);
}

static void test_refusal(void **state)
{
	struct fixture *f = *state;
	uint8_t answer[FRAME_REFUSAL_MAX], *ip = answer + PACKET_IP;

	make_tcp(f, GATEWAY, TCP_FLAG_SYN, 5);
	memcpy(f->frame + 6, "guest!", 6);
	assert_int_equal(check(f), FRAME_REFUSED);
	assert_int_equal(frame_filter_refuse(&f->filter, f->frame, f->length, answer),
			 PACKET_IP + 2 * IPV4_HEADER + 16);
	assert_memory_equal(answer, "guest!", 6);
	assert_int_equal(internet_checksum(ip, IPV4_HEADER, 0), 0);
	assert_int_equal(big_endian_get32(ip + IPV4_SOURCE), GATEWAY);
	assert_int_equal(big_endian_get32(ip + IPV4_DESTINATION), GUEST);
	assert_int_equal(internet_checksum(ip + IPV4_HEADER, 36, 0), 0);
	assert_int_equal(ip[IPV4_HEADER], 3);
	assert_memory_equal(ip + IPV4_HEADER + 8, ip_of(f), IPV4_HEADER + 8);
}

static void test_dhcp_frames(void **state)
{
	struct fixture *f = *state;
	uint16_t sum;

	make_udp(f, 0xffffffff, 68, 67, 300);
	wrap(f, PROTOCOL_UDP, 0, 0xffffffff, UDP_HEADER + 300);
	assert_int_equal(check(f), FRAME_FOR_DHCP);
	make_udp(f, GATEWAY, 68, 67, 300);
	assert_int_equal(check(f), FRAME_FOR_DHCP);
	/* Without an address only DHCP passes. */
	make_udp(f, OUTSIDE, 68, 67, 300);
	wrap(f, PROTOCOL_UDP, 0, OUTSIDE, UDP_HEADER + 300);
	assert_int_equal(check(f), FRAME_DROPPED);
	make_tcp(f, OUTSIDE, TCP_FLAG_SYN, 5);
	wrap(f, PROTOCOL_TCP, 0, OUTSIDE, TCP_HEADER + 5);
	assert_int_equal(check(f), FRAME_DROPPED);
	/* The library does not check the checksum later. */
	for (uint16_t damage = 0; damage < 2; damage++) {
		make_udp(f, GATEWAY, 68, 67, 300);
		sum = internet_checksum(data_of(f), 308, packet_pseudo_sum(ip_of(f), 308));
		big_endian_put16(data_of(f) + UDP_CHECKSUM, sum ^ damage);
		assert_int_equal(check(f), damage ? FRAME_DROPPED : FRAME_FOR_DHCP);
	}
}

/*
 * A fragment of a UDP datagram: bytes @offset to @end of its data, whose values depend on their
 * offset.
 */
static enum frame_verdict fragment(struct fixture *f, size_t offset, size_t end, size_t total)
{
	static uint8_t datagram[IPV4_LENGTH_MAX];
	uint8_t *ip = ip_of(f);

	for (size_t i = UDP_HEADER; i < total; i++)
		datagram[i] = (uint8_t)(i * 7 + i / 256);
	big_endian_put16(datagram + PORT_SOURCE, 1000);
	big_endian_put16(datagram + PORT_DESTINATION, 2000);
	big_endian_put16(datagram + UDP_LENGTH, (uint16_t)total);
	memcpy(data_of(f), datagram + offset, end - offset);
	wrap(f, PROTOCOL_UDP, GUEST, OUTSIDE, end - offset);
	big_endian_put16(ip + IPV4_FRAGMENT,
			 (uint16_t)(offset / 8 | (end < total ? IPV4_MORE : 0)));
	big_endian_put16(ip + IPV4_CHECKSUM, 0);
	big_endian_put16(ip + IPV4_CHECKSUM, internet_checksum(ip, IPV4_HEADER, 0));
	return check(f);
}

static void expect_datagram(struct fixture *f, size_t total)
{
	const uint8_t *data = data_of(f);

	assert_int_equal(f->length, PACKET_IP + IPV4_HEADER + total);
	assert_int_equal(internet_checksum(ip_of(f), IPV4_HEADER, 0), 0);
	assert_int_equal(big_endian_get16(ip_of(f) + IPV4_FRAGMENT), 0);
	for (size_t i = UDP_HEADER; i < total; i++)
		assert_int_equal(data[i], (uint8_t)(i * 7 + i / 256));
}

static void test_fragments_in_any_order(void **state)
{
	static const size_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	static const size_t cuts[] = {0, 1480, 2960, 3001};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		for (size_t j = 0; j < 3; j++) {
			size_t part = orders[i][j];

			assert_int_equal(fragment(f, cuts[part], cuts[part + 1], 3001),
					 j < 2 ? FRAME_KEPT : FRAME_PASSED);
		}
		expect_datagram(f, 3001);
	}
}

static void test_largest_datagram(void **state)
{
	const size_t total = IPV4_LENGTH_MAX - IPV4_HEADER;
	struct fixture *f = *state;

	for (size_t at = 0; at < total; at += 1480)
		assert_int_equal(fragment(f, at, at + 1480 < total ? at + 1480 : total, total),
				 at + 1480 < total ? FRAME_KEPT : FRAME_PASSED);
	expect_datagram(f, total);
}

/*
 * Contradictory fragments discard their datagram; the next one with its number is complete again.
 */
static void test_fragments_that_contradict(void **state)
{
	static const size_t cases[][3] = {
		{8, 32, 3001},	       /* overlaps the beginning */
		{0, 16, 3001},	       /* comes twice */
		{2960, 2976, 2976},    /* another end */
		{3008, 3016, 4000},    /* behind the end */
		{65512, 65524, 65524}, /* beyond the longest datagram */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(fragment(f, 0, 16, 3001), FRAME_KEPT);
		assert_int_equal(fragment(f, 2960, 3001, 3001), FRAME_KEPT);
		assert_int_equal(fragment(f, cases[i][0], cases[i][1], cases[i][2]), FRAME_KEPT);
		assert_int_equal(fragment(f, 16, 2960, 3001), FRAME_KEPT);
		f->now_ms += IP_REASSEMBLY_TIME + 1;
		assert_int_equal(fragment(f, 0, 1480, 3001), FRAME_KEPT);
		assert_int_equal(fragment(f, 1480, 3001, 3001), FRAME_PASSED);
		expect_datagram(f, 3001);
	}
	/* Without data, or with data that leaves a gap. */
	assert_int_equal(fragment(f, 1480, 1480, 3001), FRAME_KEPT);
	assert_int_equal(fragment(f, 0, 1479, 3001), FRAME_KEPT);
}

/* A last fragment alone, as the very first frame. */
static void test_last_fragment_alone(void **state)
{
	assert_int_equal(fragment(*state, 1480, 1528, 1528), FRAME_KEPT);
}

static void test_fragments_expire(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fragment(f, 0, 1480, 3001), FRAME_KEPT);
	f->now_ms += IP_REASSEMBLY_TIME + 1;
	assert_int_equal(fragment(f, 1480, 3001, 3001), FRAME_KEPT);
	assert_int_equal(fragment(f, 0, 1480, 3001), FRAME_PASSED);
}

/*
 * More datagrams at a time than there is room for: the oldest is replaced, the newest is complete.
 */
static void test_fragments_of_many(void **state)
{
	struct fixture *f = *state;

	for (uint8_t i = 0; i < 100; i++) {
		f->now_ms++;
		memset(data_of(f), i, 16);
		wrap(f, PROTOCOL_UDP, GUEST, OUTSIDE + i, 16);
		big_endian_put16(ip_of(f) + IPV4_FRAGMENT, IPV4_MORE);
		big_endian_put16(ip_of(f) + IPV4_CHECKSUM, 0);
		big_endian_put16(ip_of(f) + IPV4_CHECKSUM,
				 internet_checksum(ip_of(f), IPV4_HEADER, 0));
		assert_int_equal(check(f), FRAME_KEPT);
	}
	f->now_ms++;
	assert_int_equal(fragment(f, 1480, 3001, 3001), FRAME_KEPT);
	assert_int_equal(fragment(f, 0, 1480, 3001), FRAME_PASSED);
	expect_datagram(f, 3001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_padding_is_cut),
		TEST(test_ip_header),
		TEST(test_ip_options_are_removed),
		TEST(test_udp_length),
		TEST(test_tcp_header),
		TEST(test_tcp_options),
		TEST(test_urgent_is_cleared),
		TEST(test_order),
		TEST(test_icmp),
		TEST(test_arp),
		TEST(test_answers_for_the_guest),
		TEST(test_other_frames),
		TEST(test_destinations),
		TEST(test_name_server),
		TEST(test_tftp),
		TEST(test_forwarded_peers),
		TEST(test_refusal),
		TEST(test_dhcp_frames),
		TEST(test_fragments_in_any_order),
		TEST(test_largest_datagram),
		TEST(test_fragments_that_contradict),
		TEST(test_last_fragment_alone),
		TEST(test_fragments_expire),
		TEST(test_fragments_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
