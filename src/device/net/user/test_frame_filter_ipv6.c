// SPDX-License-Identifier: BSD-3-Clause
/* The filter in front of the user-mode network, for IPv6 frames: what passes, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/big_endian.h"
#include "device/net/user/frame_filter.h"
#include "device/net/user/router.h"

#define GUEST	    "fd61:7670:a00:200::15"
#define GUEST_LINK  "fe80::15"
#define GATEWAY	    "fd61:7670:a00:200::2"
#define NAME_SERVER "fd61:7670:a00:200::3"
#define ROUTER_LINK "fe80::2"
#define OUTSIDE	    "2001:db8::1"
#define MTU	    1500

struct fixture {
	struct frame_filter filter;
	uint8_t frame[PACKET_FRAME_MAX];
	size_t length;
};

static int set_up(void **state)
{
	struct subnet subnet = subnet_default(0);
	struct frame_filter_settings settings = {
		.network = subnet.address,
		.mask = subnet.mask,
		.gateway = subnet.address + 2,
		.name_server = subnet.address + 3,
		.ipv6 = {.on = true, .mtu = MTU},
	};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	subnet_ipv6(&subnet, settings.ipv6.prefix);
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
	return ip_of(f) + IPV6_HEADER;
}

static void read_address(uint8_t *address, const char *text)
{
	assert_int_equal(inet_pton(AF_INET6, text, address), 1);
}

/* Puts headers before @length bytes of data, which are at data_of, with a checksum. */
static void wrap(struct fixture *f, uint8_t protocol, const char *from, const char *to,
		 size_t length)
{
	struct packet_route_ipv6 route = {.hop_limit = 255};

	read_address(route.source, from);
	read_address(route.destination, to);
	packet_wrap_ipv6(data_of(f), &route, protocol, (uint16_t)length);
	f->length = PACKET_IP + IPV6_HEADER + length;
}

static enum frame_verdict check(struct fixture *f)
{
	return frame_filter_check(&f->filter, f->frame, &f->length, 0);
}

static void make_udp(struct fixture *f, const char *from, const char *to, uint16_t port,
		     size_t length)
{
	uint8_t *udp = data_of(f);

	memset(udp, 'u', UDP_HEADER + length);
	big_endian_put16(udp + PORT_SOURCE, 1000);
	big_endian_put16(udp + PORT_DESTINATION, port);
	wrap(f, PROTOCOL_UDP, from, to, UDP_HEADER + length);
}

static void make_tcp(struct fixture *f, const char *from, const char *to, uint16_t port,
		     uint8_t flags)
{
	uint8_t *tcp = data_of(f);

	memset(tcp, 0, TCP_HEADER);
	big_endian_put16(tcp + PORT_SOURCE, 1000);
	big_endian_put16(tcp + PORT_DESTINATION, port);
	tcp[TCP_DATA_OFFSET] = TCP_HEADER / 4 << 4;
	tcp[TCP_FLAGS] = flags;
	wrap(f, PROTOCOL_TCP, from, to, TCP_HEADER);
}

static enum frame_verdict udp(struct fixture *f, const char *from, const char *to, uint16_t port)
{
	make_udp(f, from, to, port, 4);
	return check(f);
}

static enum frame_verdict tcp(struct fixture *f, const char *from, const char *to, uint16_t port)
{
	make_tcp(f, from, to, port, TCP_FLAG_SYN);
	return check(f);
}

/* A message of ICMPv6, of @length bytes, of which the first is its type. */
static enum frame_verdict icmp(struct fixture *f, const char *from, const char *to,
			       const void *message, size_t length)
{
	memcpy(data_of(f), message, length);
	wrap(f, PROTOCOL_ICMPV6, from, to, length);
	return check(f);
}

static enum frame_verdict echo(struct fixture *f, const char *from, const char *to)
{
	return icmp(f, from, to, "\x80\0\0\0\0\1\0\1", 8);
}

static void test_off(void **state)
{
	struct fixture *f = *state;

	f->filter.settings.ipv6.on = false;
	assert_int_equal(udp(f, GUEST, OUTSIDE, 2000), FRAME_DROPPED);
	assert_int_equal(tcp(f, GUEST, NAME_SERVER, 53), FRAME_DROPPED);
	assert_int_equal(echo(f, GUEST, GATEWAY), FRAME_DROPPED);
}

static void test_header(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} damages[] = {
		{0, 0x40},	       /* another version */
		{IPV6_LENGTH, 1},      /* longer than the frame */
		{IPV6_LENGTH + 1, 11}, /* shorter than its datagram */
		{IPV6_HOP_LIMIT, 0},
		{IPV6_NEXT, 43}, /* routing */
		{IPV6_NEXT, 44}, /* a fragment */
		{IPV6_NEXT, 50}, /* encrypted */
		{IPV6_NEXT, 51}, /* authenticated */
		{IPV6_NEXT, 59}, /* nothing */
		{IPV6_NEXT, PROTOCOL_ICMP},
		{IPV6_SOURCE, 0xfc},   /* of another network */
		{IPV6_SOURCE + 15, 2}, /* the gateway's address */
		{IPV6_SOURCE + 15, 3}, /* the name server's */
		{IPV6_SOURCE + 15, 0}, /* the routers' */
		{IPV6_SOURCE, 0xff},   /* a group's */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		make_udp(f, GUEST, OUTSIDE, 2000, 4);
		ip_of(f)[damages[i].at] = damages[i].value;
		assert_int_equal(check(f), FRAME_DROPPED);
	}
	for (size_t length = 0; length < PACKET_IP + IPV6_HEADER + UDP_HEADER + 4; length++) {
		make_udp(f, GUEST, OUTSIDE, 2000, 4);
		f->length = length;
		assert_int_equal(check(f), FRAME_DROPPED);
	}
}

static void test_length(void **state)
{
	struct fixture *f = *state;

	/* Padding is cut. */
	make_udp(f, GUEST, OUTSIDE, 2000, 4);
	f->length += 20;
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(f->length, PACKET_IP + IPV6_HEADER + UDP_HEADER + 4);
	/* As much as the link allows. */
	make_udp(f, GUEST, OUTSIDE, 2000, MTU - IPV6_HEADER - UDP_HEADER);
	assert_int_equal(check(f), FRAME_PASSED);
	make_udp(f, GUEST, OUTSIDE, 2000, MTU - IPV6_HEADER - UDP_HEADER + 1);
	assert_int_equal(check(f), FRAME_DROPPED);
	make_udp(f, GUEST, OUTSIDE, 2000, 4);
	big_endian_put16(data_of(f) + UDP_LENGTH, 11);
	assert_int_equal(check(f), FRAME_DROPPED);
	/* RFC 8200, 8.1. */
	make_udp(f, GUEST, OUTSIDE, 2000, 4);
	big_endian_put16(data_of(f) + UDP_CHECKSUM, 0);
	assert_int_equal(check(f), FRAME_DROPPED);
	assert_int_equal(udp(f, GUEST, OUTSIDE, 0), FRAME_DROPPED);
	make_tcp(f, GUEST, OUTSIDE, 80, TCP_FLAG_SYN | TCP_FLAG_FIN);
	assert_int_equal(check(f), FRAME_DROPPED);
	make_tcp(f, GUEST, OUTSIDE, 80, 0);
	assert_int_equal(check(f), FRAME_PASSED);
}

/* The urgent pointer is cleared, and the checksum stays right or wrong as it was. */
static void test_urgent_is_cleared(void **state)
{
	struct fixture *f = *state;

	make_tcp(f, GUEST, OUTSIDE, 80, TCP_FLAG_ACK | TCP_FLAG_URG);
	big_endian_put16(data_of(f) + TCP_URGENT, 1000);
	wrap(f, PROTOCOL_TCP, GUEST, OUTSIDE, TCP_HEADER);
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(data_of(f)[TCP_FLAGS], TCP_FLAG_ACK);
	assert_int_equal(big_endian_get16(data_of(f) + TCP_URGENT), 0);
	assert_int_equal(packet_protocol(ip_of(f)), PROTOCOL_TCP);
	assert_true(packet_payload_fits(ip_of(f), TCP_HEADER));
}

static void test_destinations(void **state)
{
	static const struct {
		const char *to;
		enum frame_verdict udp, tcp, udp_loopback, ping;
	} cases[] = {
		{OUTSIDE, FRAME_PASSED, FRAME_PASSED, FRAME_PASSED, FRAME_DROPPED},
		{"fd00::1", FRAME_PASSED, FRAME_PASSED, FRAME_PASSED, FRAME_DROPPED},
		{"64:ff9b::192.0.2.1", FRAME_PASSED, FRAME_PASSED, FRAME_PASSED, FRAME_DROPPED},
		{"2002:c000:201::1", FRAME_PASSED, FRAME_PASSED, FRAME_PASSED, FRAME_DROPPED},
		{GATEWAY, FRAME_REFUSED, FRAME_REFUSED, FRAME_PASSED, FRAME_PASSED},
		{NAME_SERVER, FRAME_REFUSED, FRAME_REFUSED, FRAME_REFUSED, FRAME_PASSED},
		{ROUTER_LINK, 0, 0, 0, FRAME_PASSED},
		/* Unused; the library would map them to the host. */
		{"fd61:7670:a00:200::4", 0, 0, 0, 0},
		{"fd61:7670:a00:200::1:2", 0, 0, 0, 0},
		{"fd61:7670:a00:200::", 0, 0, 0, 0},
		{GUEST, 0, 0, 0, 0},
		/* The host's own, in many forms. */
		{"::1", 0, 0, 0, 0},
		{"::", 0, 0, 0, 0},
		{"::ffff:127.0.0.1", 0, 0, 0, 0},
		{"::ffff:192.0.2.1", 0, 0, 0, 0},
		{"::127.0.0.1", 0, 0, 0, 0},
		{"64:ff9b::127.0.0.1", 0, 0, 0, 0},
		{"64:ff9b::0.0.0.0", 0, 0, 0, 0},
		{"64:ff9b::255.255.255.255", 0, 0, 0, 0},
		{"2002:7f00:1::1", 0, 0, 0, 0},
		{"fe80::1", 0, 0, 0, 0},
		{"fec0::1", 0, 0, 0, 0},
		{"ff02::1", 0, 0, 0, 0},
		{"ff0e::1", 0, 0, 0, 0},
		{"100::1", 0, 0, 0, 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->filter.settings.host_loopback = false;
		assert_int_equal(udp(f, GUEST, cases[i].to, 2000), cases[i].udp);
		assert_int_equal(tcp(f, GUEST, cases[i].to, 2000), cases[i].tcp);
		assert_int_equal(echo(f, GUEST, cases[i].to), cases[i].ping);
		f->filter.settings.host_loopback = true;
		assert_int_equal(udp(f, GUEST, cases[i].to, 2000), cases[i].udp_loopback);
		assert_int_equal(tcp(f, GUEST, cases[i].to, 2000), cases[i].udp_loopback);
	}
	/* A link-local address does not lead beyond the link. */
	assert_int_equal(udp(f, GUEST_LINK, OUTSIDE, 2000), FRAME_DROPPED);
	assert_int_equal(tcp(f, GUEST_LINK, GATEWAY, 2000), FRAME_DROPPED);
	assert_int_equal(udp(f, "::", OUTSIDE, 2000), FRAME_DROPPED);
}

/* The name server is ours, and the library's servers for DHCP and TFTP are not reachable. */
static void test_services(void **state)
{
	struct fixture *f = *state;

	f->filter.settings.host_loopback = true;
	assert_int_equal(udp(f, GUEST, NAME_SERVER, 53), FRAME_FOR_DNS);
	assert_int_equal(tcp(f, GUEST, NAME_SERVER, 53), FRAME_FOR_DNS);
	make_udp(f, GUEST, NAME_SERVER, 53, 4);
	data_of(f)[UDP_CHECKSUM] ^= 1;
	assert_int_equal(check(f), FRAME_DROPPED);
	make_tcp(f, GUEST, NAME_SERVER, 53, TCP_FLAG_SYN);
	data_of(f)[TCP_CHECKSUM] ^= 1;
	assert_int_equal(check(f), FRAME_DROPPED);
	assert_int_equal(udp(f, GUEST, GATEWAY, 69), FRAME_REFUSED);
	assert_int_equal(udp(f, GUEST, GATEWAY, 547), FRAME_REFUSED);
	assert_int_equal(udp(f, GUEST_LINK, "ff02::1:2", 547), FRAME_DROPPED);
	assert_int_equal(udp(f, GUEST, OUTSIDE, 69), FRAME_PASSED);
}

/* Adds a header of @units times 8 bytes, of kind @type, with @options, before the data. */
static void add_extension(struct fixture *f, uint8_t type, uint8_t units, const void *options,
			  size_t length)
{
	size_t size = (size_t)units * 8;
	uint8_t *data = data_of(f);

	memmove(data + size, data, f->length - PACKET_IP - IPV6_HEADER);
	memset(data, 0, size);
	data[0] = ip_of(f)[IPV6_NEXT];
	data[1] = units - 1;
	memcpy(data + 2, options, length);
	ip_of(f)[IPV6_NEXT] = type;
	f->length += size;
	big_endian_put16(ip_of(f) + IPV6_LENGTH, (uint16_t)(f->length - PACKET_IP - IPV6_HEADER));
}

static void test_extensions_are_removed(void **state)
{
	struct fixture *f = *state;

	make_udp(f, GUEST, OUTSIDE, 2000, 4);
	add_extension(f, 60, 1, "\1\4", 2);
	add_extension(f, 60, 3, "\36\24", 2);
	add_extension(f, 0, 1, "\5\2\0\0\1\0", 6);
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(f->length, PACKET_IP + IPV6_HEADER + UDP_HEADER + 4);
	assert_int_equal(ip_of(f)[IPV6_NEXT], PROTOCOL_UDP);
	assert_int_equal(big_endian_get16(ip_of(f) + IPV6_LENGTH), UDP_HEADER + 4);
	assert_memory_equal(data_of(f) + UDP_HEADER, "uuuu", 4);
	/* The maximum, and one more. */
	for (int count = 4; count < 6; count++) {
		make_udp(f, GUEST, OUTSIDE, 2000, 4);
		for (int i = 0; i < count; i++)
			add_extension(f, 60, 1, "", 0);
		assert_int_equal(check(f), count == 4 ? FRAME_PASSED : FRAME_DROPPED);
	}
}

static void test_bad_extensions(void **state)
{
	static const struct {
		uint8_t type, units;
		const char *options;
		size_t length;
	} cases[] = {
		{60, 1, "\1\5", 2},	      /* an option longer than the header */
		{60, 1, "\0\0\0\0\0\1", 6},   /* without a length */
		{60, 1, "\xc2\4\0\1\0\0", 6}, /* a jumbo payload */
		{0, 1, "\xc2\4\0\1\0\0", 6},
		{60, 1, "\x41\0", 2}, /* must not be skipped */
		{43, 1, "", 0},	      /* routing */
		{44, 1, "", 0},	      /* a fragment, though the only one */
		{135, 1, "", 0},      /* mobility */
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_udp(f, GUEST, OUTSIDE, 2000, 4);
		add_extension(f, cases[i].type, cases[i].units, cases[i].options, cases[i].length);
		assert_int_equal(check(f), FRAME_DROPPED);
	}
	/* RFC 8200, 4.1: hop-by-hop options come first. */
	make_udp(f, GUEST, OUTSIDE, 2000, 4);
	add_extension(f, 0, 1, "", 0);
	add_extension(f, 60, 1, "", 0);
	assert_int_equal(check(f), FRAME_DROPPED);
	/* One longer than the packet. */
	make_udp(f, GUEST, OUTSIDE, 2000, 4);
	add_extension(f, 60, 1, "", 0);
	data_of(f)[1] = 20;
	assert_int_equal(check(f), FRAME_DROPPED);
	/* Nothing after it, and less than a header. */
	make_udp(f, GUEST, OUTSIDE, 2000, 4);
	add_extension(f, 60, 1, "", 0);
	big_endian_put16(ip_of(f) + IPV6_LENGTH, 8);
	assert_int_equal(check(f), FRAME_DROPPED);
	big_endian_put16(ip_of(f) + IPV6_LENGTH, 4);
	assert_int_equal(check(f), FRAME_DROPPED);
}

/* A message of neighbour discovery for @target, with an option. */
static size_t make_nd(uint8_t message[64], uint8_t type, const char *target, const char *option,
		      size_t option_length)
{
	size_t fixed = type == 133 ? 8 : 24;

	memset(message, 0, 64);
	message[0] = type;
	if (fixed > 8)
		read_address(message + 8, target);
	memcpy(message + fixed, option, option_length);
	return fixed + option_length;
}

#define LINK_OPTION "\1\1\2\0\0\0\0\1"

static void test_solicitation(void **state)
{
	static const struct {
		const char *from, *to, *target;
		bool option, good;
	} cases[] = {
		{GUEST_LINK, "ff02::1:ff00:2", ROUTER_LINK, true, true},
		{GUEST, "ff02::1:ff00:3", NAME_SERVER, true, true},
		{GUEST, GATEWAY, GATEWAY, false, true},
		{"::", "ff02::1:ff00:2", GATEWAY, false, true},
		/*
		 * RFC 4861, 7.1.1: a sender without an address has no address option, and asks a
		 * multicast address.
		 */
		{"::", "ff02::1:ff00:2", GATEWAY, true, false},
		{"::", GATEWAY, GATEWAY, false, false},
		/* Duplicate detection for a guest's address: no answer. */
		{"::", "ff02::1:ff00:15", GUEST, false, false},
		{GUEST, "ff02::1:ff00:2", "ff02::1", true, false},
		{GUEST, "ff02::1", GATEWAY, true, false},
		{GUEST, OUTSIDE, GATEWAY, true, false},
		{ROUTER_LINK, "ff02::1:ff00:2", ROUTER_LINK, true, false},
		{GATEWAY, "ff02::1:ff00:2", ROUTER_LINK, true, false},
		{OUTSIDE, "ff02::1:ff00:2", ROUTER_LINK, true, false},
		{"ff02::1", "ff02::1:ff00:2", ROUTER_LINK, true, false},
	};
	struct fixture *f = *state;
	uint8_t message[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = make_nd(message, 135, cases[i].target, LINK_OPTION,
					cases[i].option ? 8 : 0);

		assert_int_equal(icmp(f, cases[i].from, cases[i].to, message, length),
				 cases[i].good ? FRAME_PASSED : FRAME_DROPPED);
	}
}

static void test_advertisement(void **state)
{
	static const struct {
		const char *from, *to, *target;
		uint8_t flags;
		bool good;
	} cases[] = {
		{GUEST, GATEWAY, GUEST, 0x60, true},
		{GUEST_LINK, ROUTER_LINK, GUEST_LINK, 0x60, true},
		{GUEST, "ff02::1", GUEST, 0x20, true},
		/* RFC 4861, 7.1.2: a solicited advertisement is not multicast. */
		{GUEST, "ff02::1", GUEST, 0x60, false},
		{GUEST, GATEWAY, GATEWAY, 0x60, false},
		{GUEST, GATEWAY, "ff02::1", 0x60, false},
		{GUEST, OUTSIDE, GUEST, 0x60, false},
		{GATEWAY, GATEWAY, GUEST, 0x60, false},
		{"::", GATEWAY, GUEST, 0x60, false},
	};
	struct fixture *f = *state;
	uint8_t message[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = make_nd(message, 136, cases[i].target, "\2\1\2\0\0\0\0\1", 8);

		message[4] = cases[i].flags;
		assert_int_equal(icmp(f, cases[i].from, cases[i].to, message, length),
				 cases[i].good ? FRAME_PASSED : FRAME_DROPPED);
	}
}

static void test_router_solicitation(void **state)
{
	static const struct {
		const char *from, *to;
		bool option, good;
	} cases[] = {
		{GUEST_LINK, "ff02::2", true, true}, {GUEST_LINK, ROUTER_LINK, true, true},
		{"::", "ff02::2", false, true},	     {"::", "ff02::2", true, false},
		{GUEST_LINK, OUTSIDE, true, false},  {ROUTER_LINK, "ff02::2", true, false},
		{OUTSIDE, "ff02::2", true, false},
	};
	struct fixture *f = *state;
	uint8_t message[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = make_nd(message, 133, NULL, LINK_OPTION, cases[i].option ? 8 : 0);

		assert_int_equal(icmp(f, cases[i].from, cases[i].to, message, length),
				 cases[i].good ? FRAME_FOR_ROUTER : FRAME_DROPPED);
	}
}

/*
 * RFC 4861, 4.6: options without a length, or longer than the message; and messages that are cut.
 */
static void test_nd_is_sane(void **state)
{
	static const struct {
		const char *option;
		size_t length;
	} cases[] = {
		{"\1\0\2\0\0\0\0\1", 8},
		{"\1\2\2\0\0\0\0\1", 8},
		{"\1\1\2\0\0\0\0", 7},
		{"\1\1\2\0\0\0\0\1\1", 9},
		{"\1\1\2\0\0\0\0\1\x19\xff\0\0\0\0\0\0", 16},
	};
	struct fixture *f = *state;
	uint8_t message[64];
	size_t length;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint8_t type = 133; type <= 136; type++) {
			length = make_nd(message, type, type == 136 ? GUEST : GATEWAY,
					 cases[i].option, cases[i].length);
			assert_int_equal(icmp(f, GUEST_LINK, type == 133 ? "ff02::2" : GATEWAY,
					      message, length),
					 FRAME_DROPPED);
		}
	}
	length = make_nd(message, 135, GATEWAY, LINK_OPTION, 8);
	for (size_t cut = 0; cut < 24; cut++)
		assert_int_equal(icmp(f, GUEST, GATEWAY, message, cut), FRAME_DROPPED);
	assert_int_equal(icmp(f, GUEST, GATEWAY, message, length), FRAME_PASSED);
	/* From somewhere else, damaged, or of a kind that is not known. */
	icmp(f, GUEST, GATEWAY, message, length);
	ip_of(f)[IPV6_HOP_LIMIT] = 254;
	assert_int_equal(check(f), FRAME_DROPPED);
	icmp(f, GUEST, GATEWAY, message, length);
	data_of(f)[2] ^= 1;
	assert_int_equal(check(f), FRAME_DROPPED);
	message[1] = 1;
	assert_int_equal(icmp(f, GUEST, GATEWAY, message, length), FRAME_DROPPED);
}

/* No other message passes. */
static void test_icmp(void **state)
{
	struct fixture *f = *state;

	for (unsigned int type = 0; type < 256; type++) {
		uint8_t message[64] = {(uint8_t)type};

		if (type != 128 && (type < 133 || type > 136))
			assert_int_equal(icmp(f, GUEST, GATEWAY, message, 32), FRAME_DROPPED);
	}
	/* A router advertisement of the guest's. */
	assert_int_equal(icmp(f, GUEST_LINK, "ff02::1", (uint8_t[64]){134}, 32), FRAME_DROPPED);
	assert_int_equal(icmp(f, GUEST, GATEWAY, "\x80\0\0\0\0\1\0", 7), FRAME_DROPPED);
}

/* Whether the filter answers when the library asks for the Ethernet address of @target. */
static bool is_answered(struct fixture *f, const char *target)
{
	static const uint8_t guest_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
	uint8_t request[PACKET_IP + IPV6_HEADER + 64] = {0}, answer[NEIGHBOURS_ANSWER_MAX];
	uint8_t *message = request + PACKET_IP + IPV6_HEADER;
	struct packet_route_ipv6 route = {.hop_limit = 255, .destination = {0xff, 2}};
	size_t length;

	make_nd(message, 135, target, LINK_OPTION, 8);
	read_address(route.source, GATEWAY);
	packet_wrap_ipv6(message, &route, PROTOCOL_ICMPV6, 32);
	if (frame_filter_receive(&f->filter, request, PACKET_IP + IPV6_HEADER + 32))
		return false;
	length = neighbours_take_answer(&f->filter.neighbours, answer);
	assert_int_equal(length, PACKET_IP + IPV6_HEADER + 32);
	assert_memory_equal(answer, request + ETH_ALEN, ETH_ALEN);
	assert_memory_equal(answer + ETH_ALEN, guest_mac, ETH_ALEN);
	assert_memory_equal(answer + PACKET_IP + IPV6_DESTINATION, route.source, IPV6_ADDRESS);
	/* The answer would also pass as the guest's. */
	memcpy(f->frame, answer, length);
	f->length = length;
	assert_int_equal(check(f), FRAME_PASSED);
	assert_memory_equal(data_of(f) + 8, message + 8, IPV6_ADDRESS);
	assert_memory_equal(data_of(f) + 26, guest_mac, ETH_ALEN);
	return true;
}

/* The guest sends a packet; its Ethernet address is that of the test above. */
static void send_from(struct fixture *f, const char *address)
{
	make_udp(f, address, OUTSIDE, 2000, 4);
	memcpy(f->frame + ETH_ALEN, "\2\0\0\0\0\1", ETH_ALEN);
	assert_int_equal(check(f), FRAME_PASSED);
}

static void test_neighbours(void **state)
{
	struct fixture *f = *state;

	assert_false(is_answered(f, GUEST));
	send_from(f, GUEST);
	assert_true(is_answered(f, GUEST));
	assert_false(is_answered(f, "fd61:7670:a00:200::16"));
	send_from(f, "fd61:7670:a00:200:1:2:3:4");
	assert_true(is_answered(f, "fd61:7670:a00:200:1:2:3:4"));
	assert_true(is_answered(f, GUEST));
	/* No address is learnt from a packet that does not pass. */
	make_udp(f, "fd61:7670:a00:200::17", "::1", 2000, 4);
	assert_int_equal(check(f), FRAME_DROPPED);
	assert_false(is_answered(f, "fd61:7670:a00:200::17"));
}

/* A segment of a byte at @sequence. Returns whether the byte is still there. */
static bool passes_with_data(struct fixture *f, uint32_t sequence)
{
	uint8_t *tcp = data_of(f);

	make_tcp(f, GUEST, OUTSIDE, 80, TCP_FLAG_ACK);
	big_endian_put32(tcp + TCP_SEQUENCE, sequence);
	tcp[TCP_HEADER] = 'x';
	wrap(f, PROTOCOL_TCP, GUEST, OUTSIDE, TCP_HEADER + 1);
	assert_int_equal(check(f), FRAME_PASSED);
	assert_int_equal(big_endian_get16(ip_of(f) + IPV6_LENGTH),
			 f->length - PACKET_IP - IPV6_HEADER);
	assert_int_equal(packet_protocol(ip_of(f)), PROTOCOL_TCP);
	assert_true(packet_payload_fits(ip_of(f), (uint16_t)(f->length - PACKET_IP - IPV6_HEADER)));
	return f->length == PACKET_IP + IPV6_HEADER + TCP_HEADER + 1;
}

/* The library has all of the guest's before byte @expected. */
static void acknowledge(struct fixture *f, uint8_t flags, uint32_t expected)
{
	uint8_t frame[PACKET_IP + IPV6_HEADER + TCP_HEADER] = {0};
	uint8_t *tcp = frame + PACKET_IP + IPV6_HEADER;
	struct packet_route_ipv6 route = {.hop_limit = 64};

	big_endian_put16(tcp + PORT_SOURCE, 80);
	big_endian_put16(tcp + PORT_DESTINATION, 1000);
	big_endian_put32(tcp + TCP_ACKNOWLEDGED, expected);
	tcp[TCP_DATA_OFFSET] = TCP_HEADER / 4 << 4;
	tcp[TCP_FLAGS] = flags;
	read_address(route.source, OUTSIDE);
	read_address(route.destination, GUEST);
	packet_wrap_ipv6(tcp, &route, PROTOCOL_TCP, TCP_HEADER);
	assert_true(frame_filter_receive(&f->filter, frame, sizeof(frame)));
}

/* Early segments pass as long as there is room for them: tcp_order.h. */
static void test_order(void **state)
{
	struct fixture *f = *state;

	acknowledge(f, TCP_FLAG_SYN | TCP_FLAG_ACK, 1000);
	assert_true(passes_with_data(f, 1000));
	for (uint32_t i = 0; i < TCP_ORDER_EARLY; i++)
		assert_true(passes_with_data(f, 2000 + 2 * i));
	assert_false(passes_with_data(f, 1500));
	assert_true(passes_with_data(f, 1001));
	/* The library has them, and there is room again. */
	acknowledge(f, TCP_FLAG_ACK, 4000);
	assert_true(passes_with_data(f, 5000));
}

static void test_refusal(void **state)
{
	static const size_t lengths[] = {4, 1400};
	struct fixture *f = *state;
	uint8_t answer[FRAME_REFUSAL_MAX], address[IPV6_ADDRESS];

	for (size_t i = 0; i < 2; i++) {
		size_t packet = IPV6_HEADER + UDP_HEADER + lengths[i], length, payload;

		make_udp(f, GUEST, GATEWAY, 2000, lengths[i]);
		memset(f->frame + ETH_ALEN, 7, ETH_ALEN);
		assert_int_equal(check(f), FRAME_REFUSED);
		length = frame_filter_refuse(&f->filter, f->frame, f->length, answer);
		if (packet > IPV6_MTU_MIN - IPV6_HEADER - 8)
			packet = IPV6_MTU_MIN - IPV6_HEADER - 8;
		payload = 8 + packet;
		assert_int_equal(length, PACKET_IP + IPV6_HEADER + payload);
		assert_memory_equal(answer, "\7\7\7\7\7\7", ETH_ALEN);
		assert_int_equal(big_endian_get16(answer + PACKET_IP + IPV6_LENGTH), payload);
		read_address(address, GUEST);
		assert_memory_equal(answer + PACKET_IP + IPV6_DESTINATION, address, IPV6_ADDRESS);
		assert_int_equal(answer[PACKET_IP + IPV6_HEADER], 1);
		assert_int_equal(answer[PACKET_IP + IPV6_HEADER + 1], 1);
		assert_memory_equal(answer + PACKET_IP + IPV6_HEADER + 8, ip_of(f), packet);
		assert_int_equal(packet_protocol(answer + PACKET_IP), PROTOCOL_ICMPV6);
		assert_true(packet_payload_fits(answer + PACKET_IP, (uint16_t)payload));
	}
}

/* Networks that differ for IPv4 differ for IPv6. */
static void test_prefix(void **state)
{
	uint8_t prefix[SUBNET_IPV6_PREFIX], address[IPV6_ADDRESS] = {0}, expected[IPV6_ADDRESS];
	struct subnet subnet = subnet_default(0);

	(void)state;
	subnet_ipv6(&subnet, prefix);
	memcpy(address, prefix, sizeof(prefix));
	read_address(expected, "fd61:7670:a00:200::");
	assert_memory_equal(address, expected, IPV6_ADDRESS);
	subnet = subnet_default(1);
	subnet_ipv6(&subnet, prefix);
	memcpy(address, prefix, sizeof(prefix));
	read_address(expected, "fd61:7670:a00:300::");
	assert_memory_equal(address, expected, IPV6_ADDRESS);
}

static void expect_advertisement(struct fixture *f, const uint8_t *frame, size_t length,
				 const char *to, uint16_t mtu)
{
	const uint8_t *ip = frame + PACKET_IP, *message = ip + IPV6_HEADER;
	uint8_t address[IPV6_ADDRESS], router_mac[ETH_ALEN] = {0x52, 0x56, 0, 0, 0, 2};
	size_t size = length - PACKET_IP - IPV6_HEADER;
	unsigned int seen = 0;

	assert_true(length <= ROUTER_FRAME_MAX);
	assert_int_equal(big_endian_get16(ip + IPV6_LENGTH), size);
	assert_int_equal(ip[IPV6_HOP_LIMIT], 255);
	read_address(address, ROUTER_LINK);
	assert_memory_equal(ip + IPV6_SOURCE, address, IPV6_ADDRESS);
	read_address(address, to);
	assert_memory_equal(ip + IPV6_DESTINATION, address, IPV6_ADDRESS);
	assert_int_equal(message[0], 134);
	assert_true(big_endian_get16(message + 6) * INT64_C(1000) > 2 * ROUTER_INTERVAL_MS);
	assert_int_equal(packet_protocol(ip), PROTOCOL_ICMPV6);
	assert_true(packet_payload_fits(ip, (uint16_t)size));
	for (size_t at = 16; at < size; at += (size_t)message[at + 1] * 8) {
		const uint8_t *option = message + at;

		assert_true(option[1] && at + (size_t)option[1] * 8 <= size);
		if (option[0] == 1) {
			assert_memory_equal(option + 2, router_mac, ETH_ALEN);
			seen |= 1;
		} else if (option[0] == 3) {
			assert_int_equal(option[2], 64);
			assert_memory_equal(option + 16, f->filter.settings.ipv6.prefix, 8);
			seen |= 2;
		} else if (option[0] == 25) {
			read_address(address, NAME_SERVER);
			assert_memory_equal(option + 8, address, IPV6_ADDRESS);
			seen |= 4;
		} else if (option[0] == 5) {
			assert_int_equal(big_endian_get32(option + 4), mtu);
			seen |= 8;
		}
	}
	assert_int_equal(seen, mtu ? 15 : 7);
}

static void test_router(void **state)
{
	struct fixture *f = *state;
	const uint8_t *prefix = f->filter.settings.ipv6.prefix;
	uint8_t frame[ROUTER_FRAME_MAX], message[64];
	size_t length = make_nd(message, 133, NULL, LINK_OPTION, 8);

	assert_int_equal(icmp(f, GUEST_LINK, "ff02::2", message, length), FRAME_FOR_ROUTER);
	memset(f->frame + ETH_ALEN, 7, ETH_ALEN);
	expect_advertisement(f, frame, router_advertise(frame, prefix, 0, f->frame), GUEST_LINK, 0);
	assert_memory_equal(frame, "\7\7\7\7\7\7", ETH_ALEN);
	assert_int_equal(icmp(f, "::", "ff02::2", message, 8), FRAME_FOR_ROUTER);
	expect_advertisement(f, frame, router_advertise(frame, prefix, 1400, f->frame), "ff02::1",
			     1400);
	assert_memory_equal(frame, "\x33\x33\0\0\0\1", ETH_ALEN);
	expect_advertisement(f, frame, router_advertise(frame, prefix, 1400, NULL), "ff02::1",
			     1400);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_off),
		TEST(test_header),
		TEST(test_length),
		TEST(test_urgent_is_cleared),
		TEST(test_destinations),
		TEST(test_services),
		TEST(test_extensions_are_removed),
		TEST(test_bad_extensions),
		TEST(test_solicitation),
		TEST(test_advertisement),
		TEST(test_router_solicitation),
		TEST(test_nd_is_sane),
		TEST(test_icmp),
		TEST(test_neighbours),
		TEST(test_order),
		TEST(test_refusal),
		TEST(test_prefix),
		TEST(test_router),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
