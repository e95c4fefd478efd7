// SPDX-License-Identifier: BSD-3-Clause
/* A switch without channels: who gets a frame, in what form, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/big_endian.h"
#include "service/switch/net_switch.h"

#define PORTS	  4
#define FRAMES	  64
#define BUFFER	  (SWITCH_HEADER + SWITCH_FRAME_MAX)
#define SECOND	  SWITCH_SECOND_NS
#define BROADCAST UINT64_C(0xffffffffffff)

/* A port of the test, and the last message for it. */
struct end {
	struct switch_port *port;
	struct switch_port_settings settings;
	unsigned int got, room;
	uint32_t length;
	uint8_t message[BUFFER];
	uint8_t order[FRAMES]; /* a byte of each frame, in turn */
};

static struct net_switch *net;
static struct end *ends;
static unsigned int captured;

static bool reserve(struct switch_port *port, uint32_t length, struct channel_span *span)
{
	struct end *end = port->context;

	assert_true(length <= BUFFER);
	if (!end->room)
		return false;
	end->length = length;
	*span = (struct channel_span){{end->message}, {length}};
	return true;
}

static void commit(struct switch_port *port)
{
	struct end *end = port->context;

	end->order[end->got++ % FRAMES] = end->message[end->length - 1];
	end->room--;
}

static void taken(void *context, const struct switch_port *port, const struct switch_frame *frame)
{
	captured++;
}

static const struct switch_port_ops ops = {reserve, commit};

static struct switch_port_settings access_to(uint16_t vlan)
{
	return (struct switch_port_settings){.vlan = vlan, .priority_max = 7, .burst = 65536};
}

/* PORTS ports that may send to each other, with settings that may be changed before that. */
static void make(void)
{
	net = calloc(1, sizeof(*net));
	ends = calloc(PORTS, sizeof(*ends));
	captured = 0;
	net_switch_init(net, 12345);
	net->taken = taken;
	for (int i = 0; i < PORTS; i++)
		ends[i].settings = access_to(1);
}

static void connect(void)
{
	for (int i = 0; i < PORTS; i++) {
		ends[i].port = net_switch_add(net, &ends[i].settings, &ops, &ends[i]);
		ends[i].room = 1000000;
		assert_non_null(ends[i].port);
	}
	for (int i = 0; i < PORTS; i++)
		for (int k = 0; k < PORTS; k++)
			net_switch_permit(net, ends[i].port, ends[k].port);
}

static void start(void)
{
	make();
	connect();
}

static void stop(void)
{
	net_switch_close(net);
	free(net);
	free(ends);
}

static uint64_t host(unsigned int number)
{
	return UINT64_C(0x020000000000) | number;
}

static void put_address(uint8_t *bytes, uint64_t address)
{
	for (int i = 0; i < ETH_ALEN; i++)
		bytes[i] = (uint8_t)(address >> 8 * (5 - i));
}

/* A message with a frame in it, which tests may change. */
struct sent {
	uint8_t bytes[BUFFER];
	uint32_t length;
};

static uint8_t *frame_of(struct sent *sent)
{
	return sent->bytes + SWITCH_HEADER;
}

/* @tag: 0, or the number behind the type of a tag. */
static void make_frame(struct sent *sent, uint64_t from, uint64_t to, unsigned int tag,
		       uint32_t payload)
{
	uint8_t *frame = frame_of(sent);
	uint32_t at = 12;

	memset(sent->bytes, 0, SWITCH_HEADER);
	put_address(frame, to);
	put_address(frame + 6, from);
	if (tag) {
		big_endian_put16(frame + at, ETH_P_8021Q);
		big_endian_put16(frame + at + 2, (uint16_t)tag);
		at += 4;
	}
	big_endian_put16(frame + at, 0x88b5);
	at += 2;
	for (uint32_t i = 0; i < payload; i++)
		frame[at + i] = (uint8_t)(i * 7);
	sent->length = SWITCH_HEADER + at + payload;
}

/* Sends it, in two pieces that are cut at @cut. */
static int send_cut(unsigned int port, const struct sent *sent, uint32_t cut, uint64_t now_ns)
{
	/* Copies of just these sizes: reading behind them is found. */
	uint8_t *pieces[2] = {malloc(cut ? cut : 1), malloc(sent->length - cut + 1)};
	struct channel_span span = {{pieces[0], pieces[1]}, {cut, sent->length - cut}};
	int result;

	memcpy(pieces[0], sent->bytes, cut);
	memcpy(pieces[1], sent->bytes + cut, sent->length - cut);
	result = net_switch_take(net, ends[port].port, &span, sent->length, now_ns);
	free(pieces[0]);
	free(pieces[1]);
	return result;
}

static void send_at(unsigned int port, uint64_t from, uint64_t to, unsigned int tag,
		    uint64_t now_ns)
{
	struct sent sent;

	make_frame(&sent, from, to, tag, 50);
	assert_int_equal(send_cut(port, &sent, sent.length, now_ns), 0);
}

static void send_to(unsigned int port, uint64_t from, uint64_t to)
{
	send_at(port, from, to, 0, SECOND);
}

static void expect_got(unsigned int a, unsigned int b, unsigned int c, unsigned int d)
{
	const unsigned int wanted[] = {a, b, c, d};

	for (int i = 0; i < PORTS; i++) {
		assert_int_equal(ends[i].got, wanted[i]);
		ends[i].got = 0;
	}
}

static void test_learning(void **state)
{
	start();
	send_to(0, host(1), host(2));
	expect_got(0, 1, 1, 1);
	send_to(1, host(2), host(1));
	expect_got(1, 0, 0, 0);
	send_to(0, host(1), host(2));
	expect_got(0, 1, 0, 0);
	/* Two behind the same port. */
	send_to(0, host(9), host(1));
	expect_got(0, 0, 0, 0);
	send_to(2, host(3), BROADCAST);
	expect_got(1, 1, 0, 1);
	/* An interface that moves. */
	send_to(3, host(2), host(3));
	assert_int_equal(ends[3].port->counts.moved, 1);
	expect_got(0, 0, 1, 0);
	send_to(0, host(1), host(2));
	expect_got(0, 0, 0, 1);
	/* It is old. */
	send_at(0, host(1), host(2), 0, (SWITCH_AGE_S + 2) * SECOND);
	expect_got(0, 1, 1, 1);
	/* A port that is gone has nothing behind it. */
	send_at(3, host(2), BROADCAST, 0, (SWITCH_AGE_S + 2) * SECOND);
	expect_got(1, 1, 1, 0);
	net_switch_remove(net, ends[3].port);
	send_at(0, host(1), host(2), 0, (SWITCH_AGE_S + 2) * SECOND);
	expect_got(0, 1, 1, 0);
	assert_int_equal(captured, 9 + 1);
	/* What is between neighbours stays there. */
	send_to(0, host(1), UINT64_C(0x0180c200000e));
	expect_got(0, 0, 0, 0);
	stop();
}

/* One that makes addresses up displaces no others, and is known again once they are old. */
static void test_table_is_bounded(void **state)
{
	uint64_t later = (SWITCH_AGE_S + 10) * SECOND;

	start();
	send_to(1, host(1), BROADCAST);
	for (unsigned int i = 0; i < 20000; i++)
		send_to(0, host(0x1000 + i), host(0x1000 + i));
	assert_int_equal(net->table.learned[0], SWITCH_LEARNED_MAX);
	ends[1].got = ends[2].got = 0;
	send_to(2, host(3), host(1));
	assert_int_equal(ends[1].got, 1);
	send_at(0, host(0x999999), BROADCAST, 0, later);
	ends[0].got = ends[1].got = 0;
	send_at(2, host(3), host(0x999999), 0, later);
	assert_int_equal(ends[0].got, 1);
	assert_int_equal(ends[1].got, 0);
	stop();
}

/* The frame that came is the one that was sent, with another tag. */
static void expect_frame(const struct end *end, const struct sent *sent, uint32_t tag_before,
			 uint32_t tag_after)
{
	const uint8_t *from = sent->bytes + SWITCH_HEADER, *to = end->message + SWITCH_HEADER;
	uint32_t rest = sent->length - SWITCH_HEADER - 12 - tag_before;

	assert_int_equal(end->length, sent->length - tag_before + tag_after);
	assert_memory_equal(to, from, 12);
	assert_memory_equal(to + 12 + tag_after, from + 12 + tag_before, rest);
}

static void test_vlans(void **state)
{
	struct sent sent;

	make();
	ends[1].settings = access_to(10);
	ends[2].settings.trunk[10 / 8] |= 1 << 10 % 8;
	ends[3].settings.vlan = 0;
	ends[3].settings.trunk[10 / 8] |= 1 << 10 % 8;
	connect();
	/* At every place of the pieces. */
	for (uint32_t cut = 0; cut < 110; cut++) {
		make_frame(&sent, host(2), BROADCAST, 0, 90);
		assert_int_equal(send_cut(1, &sent, cut, SECOND), 0);
		expect_frame(&ends[2], &sent, 0, 4);
		assert_int_equal(big_endian_get16(ends[2].message + SWITCH_HEADER + 12),
				 ETH_P_8021Q);
		assert_int_equal(big_endian_get16(ends[2].message + SWITCH_HEADER + 14), 10);
		expect_frame(&ends[3], &sent, 0, 4);
		expect_got(0, 0, 1, 1);
		make_frame(&sent, host(3), BROADCAST, 10, 90);
		assert_int_equal(send_cut(2, &sent, cut, SECOND), 0);
		expect_frame(&ends[1], &sent, 4, 0);
		expect_frame(&ends[3], &sent, 4, 4);
		expect_got(0, 1, 0, 1);
	}
	/* Untagged frames of the trunk are of VLAN 1. */
	send_to(2, host(3), BROADCAST);
	expect_got(1, 0, 0, 0);
	/* Addresses are those of a VLAN. */
	send_to(0, host(2), host(3));
	expect_got(0, 0, 1, 0);
	/* A tag with a priority alone may be everywhere. */
	send_at(0, host(2), host(3), 5 << 13, SECOND);
	expect_got(0, 0, 1, 0);
	stop();
}

/* Where a checksum begins moves with the tag. */
static void test_checksum_behind_a_tag(void **state)
{
	struct virtio_net_hdr_v1 header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					   .csum_start = htole16(34),
					   .csum_offset = htole16(6)};
	struct sent sent;

	make();
	for (int i = 0; i < 2; i++)
		ends[i].settings = access_to(10);
	ends[2].settings.trunk[10 / 8] |= 1 << 10 % 8;
	connect();
	for (int i = 0; i < PORTS; i++)
		ends[i].port->offloads = SWITCH_CHECKSUM;
	make_frame(&sent, host(1), BROADCAST, 0, 90);
	memcpy(sent.bytes, &header, sizeof(header));
	assert_int_equal(send_cut(0, &sent, 50, SECOND), 0);
	memcpy(&header, ends[1].message, sizeof(header));
	assert_int_equal(le16toh(header.csum_start), 34);
	memcpy(&header, ends[2].message, sizeof(header));
	assert_int_equal(le16toh(header.csum_start), 38);
	assert_int_equal(le16toh(header.csum_offset), 6);
	/* And back. */
	make_frame(&sent, host(3), BROADCAST, 10, 90);
	memcpy(sent.bytes, &header, sizeof(header));
	assert_int_equal(send_cut(2, &sent, 50, SECOND), 0);
	memcpy(&header, ends[0].message, sizeof(header));
	assert_int_equal(le16toh(header.csum_start), 34);
	stop();
}

static void test_tags_that_are_refused(void **state)
{
	struct sent sent;

	make();
	ends[1].settings.trunk[10 / 8] |= 1 << 10 % 8;
	ends[3].settings.vlan = 0;
	connect();
	send_at(0, host(1), BROADCAST, 10, SECOND);
	send_at(0, host(1), BROADCAST, 1, SECOND);
	assert_int_equal(ends[0].port->counts.bad_tag, 2);
	send_at(1, host(2), BROADCAST, 11, SECOND);
	assert_int_equal(ends[1].port->counts.bad_tag, 1);
	send_to(3, host(4), BROADCAST);
	assert_int_equal(ends[3].port->counts.bad_tag, 1);
	/* Two tags, the inner one of a VLAN that the sender is not in. */
	for (int i = 0; i < 2; i++) {
		make_frame(&sent, host(2), BROADCAST, 10, 50);
		big_endian_put16(frame_of(&sent) + 16, i ? ETH_P_8021AD : ETH_P_8021Q);
		assert_int_equal(send_cut(1, &sent, 20, SECOND), 0);
		make_frame(&sent, host(1), BROADCAST, 3 << 13, 50);
		big_endian_put16(frame_of(&sent) + 16, i ? ETH_P_8021AD : ETH_P_8021Q);
		assert_int_equal(send_cut(0, &sent, 20, SECOND), 0);
	}
	assert_int_equal(ends[1].port->counts.bad_tag, 3);
	assert_int_equal(ends[0].port->counts.bad_tag, 4);
	/* One that ends within its tag. */
	make_frame(&sent, host(1), BROADCAST, 0, 2);
	big_endian_put16(frame_of(&sent) + 12, ETH_P_8021Q);
	assert_int_equal(send_cut(0, &sent, sent.length, SECOND), 0);
	assert_int_equal(ends[0].port->counts.bad_tag, 5);
	expect_got(0, 0, 0, 0);
	stop();
}

static void test_addresses(void **state)
{
	make();
	ends[0].settings.pinned = true;
	assert_int_equal(net_switch_pin(net, host(1), &ends[0].settings), 0);
	assert_int_equal(net_switch_pin(net, host(1), &ends[0].settings), 0);
	assert_int_equal(net_switch_pin(net, host(1), &ends[1].settings), -EEXIST);
	for (unsigned int i = 2; i < 100; i++)
		assert_int_equal(net_switch_pin(net, host(200 - 2 * i), &ends[0].settings), 0);
	connect();
	send_to(0, host(1), BROADCAST);
	expect_got(0, 1, 1, 1);
	send_to(0, host(7), BROADCAST);
	send_to(1, host(1), BROADCAST);
	send_to(1, host(100), BROADCAST);
	expect_got(0, 0, 0, 0);
	assert_int_equal(ends[0].port->counts.bad_address, 1);
	assert_int_equal(ends[1].port->counts.bad_address, 2);
	send_to(1, host(101), host(1));
	expect_got(1, 0, 0, 0);
	/* Nobody's. */
	send_to(2, 0, BROADCAST);
	send_to(2, BROADCAST, host(1));
	send_to(2, UINT64_C(0x010000000001), host(1));
	assert_int_equal(ends[2].port->counts.bad_address, 3);
	expect_got(0, 0, 0, 0);
	stop();
}

static void test_permitted_pairs(void **state)
{
	start();
	memset(net->permitted, 0, sizeof(net->permitted));
	net_switch_permit(net, ends[0].port, ends[1].port);
	net_switch_permit(net, ends[1].port, ends[0].port);
	net_switch_permit(net, ends[2].port, ends[1].port);
	send_to(0, host(1), BROADCAST);
	expect_got(0, 1, 0, 0);
	send_to(1, host(2), BROADCAST);
	expect_got(1, 0, 0, 0);
	send_to(2, host(3), BROADCAST);
	expect_got(0, 1, 0, 0);
	send_to(3, host(4), host(2));
	expect_got(0, 0, 0, 0);
	assert_int_equal(ends[3].port->counts.not_permitted, 1);
	/* Who may not be sent to cannot draw frames by the address of another. */
	send_to(3, host(2), host(9));
	send_to(0, host(1), host(2));
	expect_got(0, 1, 0, 0);
	stop();
}

static void test_lengths(void **state)
{
	struct channel_span span;
	struct sent *sent = calloc(1, sizeof(*sent));
	struct virtio_net_hdr_v1 header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34};

	start();
	make_frame(sent, host(1), BROADCAST, 0, 65535);
	assert_int_equal(send_cut(0, sent, 1000, SECOND), 0);
	expect_got(0, 1, 1, 1);
	/* Longer than IP can make them. */
	make_frame(sent, host(1), BROADCAST, 0, 65536);
	assert_int_equal(send_cut(0, sent, 1000, SECOND), 0);
	assert_int_equal(ends[0].port->counts.malformed, 1);
	/* A checksum within the addresses. */
	make_frame(sent, host(1), BROADCAST, 0, 100);
	header.csum_start = htole16(13);
	memcpy(sent->bytes, &header, sizeof(header));
	assert_int_equal(send_cut(0, sent, 10, SECOND), 0);
	assert_int_equal(ends[0].port->counts.malformed, 2);
	expect_got(0, 0, 0, 0);
	/* What no correct client sends. */
	header.csum_start = htole16(113);
	memcpy(sent->bytes, &header, sizeof(header));
	assert_int_equal(send_cut(0, sent, 10, SECOND), -EPROTO);
	header = (struct virtio_net_hdr_v1){.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	memcpy(sent->bytes, &header, sizeof(header));
	assert_int_equal(send_cut(0, sent, 10, SECOND), -EPROTO);
	header = (struct virtio_net_hdr_v1){.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1400};
	memcpy(sent->bytes, &header, sizeof(header));
	assert_int_equal(send_cut(0, sent, 10, SECOND), -EPROTO);
	span = (struct channel_span){{sent->bytes}, {SWITCH_HEADER + 13}};
	assert_int_equal(net_switch_take(net, ends[0].port, &span, SWITCH_HEADER + 13, 0), -EPROTO);
	assert_int_equal(net_switch_take(net, ends[0].port, &span, BUFFER + 1, 0), -EPROTO);
	expect_got(0, 0, 0, 0);
	free(sent);
	stop();
}

/* Frames of all priorities for a port without room: it gets the highest first. */
static void test_priorities(void **state)
{
	make();
	for (int i = 0; i < PORTS; i++)
		ends[i].settings.trunk[0] |= 1 << 2;
	ends[3].settings.priority_max = 4;
	connect();
	send_at(1, host(2), BROADCAST, 2, SECOND);
	ends[1].got = ends[1].room = 0;
	for (unsigned int i = 0; i < 24; i++) {
		struct sent sent;

		make_frame(&sent, host(1), host(2), (i % 8) << 13 | 2, 50);
		sent.bytes[sent.length - 1] = (uint8_t)(i % 8 << 4 | i / 8);
		assert_int_equal(send_cut(i % 8 == 7 ? 3 : 0, &sent, 0, SECOND), 0);
	}
	assert_int_equal(ends[1].got, 0);
	assert_int_equal(net_switch_run(net, SECOND), UINT64_MAX);
	assert_true(ends[1].port->blocked);
	ends[1].room = 100;
	assert_int_equal(net_switch_run(net, SECOND), UINT64_MAX);
	assert_false(ends[1].port->blocked);
	assert_int_equal(ends[1].got, 24);
	/* Those with 7 were lowered to 4; each keeps its place among its own. */
	assert_int_equal(ends[1].order[0], 6 << 4);
	assert_int_equal(ends[1].order[2], 6 << 4 | 2);
	assert_int_equal(ends[1].order[3], 5 << 4);
	assert_int_equal(ends[1].order[6], 4 << 4);
	assert_int_equal(ends[1].order[7], 7 << 4);
	assert_int_equal(ends[1].order[8], 4 << 4 | 1);
	assert_int_equal(ends[1].order[23], 2);
	stop();
}

/* One that sends more than a port takes leaves room in its queue for others. */
static void test_shares(void **state)
{
	uint64_t lost;

	start();
	send_to(1, host(2), BROADCAST);
	ends[1].room = 0;
	for (int i = 0; i < 20000; i++)
		send_to(0, host(1), host(2));
	lost = ends[1].port->counts.lost;
	assert_true(lost > 0);
	for (int i = 0; i < 100; i++)
		send_to(2, host(3), host(2));
	assert_int_equal(ends[1].port->counts.lost, lost);
	stop();
}

static void test_limits(void **state)
{
	uint64_t now = SECOND, next;

	make();
	ends[0].settings.frames_per_second = 10;
	ends[1].settings.bytes_per_second = 1000;
	ends[1].settings.burst = 200;
	ends[2].settings.receive_bytes_per_second = 640;
	ends[2].settings.burst = 64;
	connect();
	/* A frame each 100 ms. */
	assert_int_equal(switch_port_wait(ends[0].port, now), 0);
	send_at(0, host(1), BROADCAST, 0, now);
	assert_int_equal(switch_port_wait(ends[0].port, now), SECOND / 10);
	assert_int_equal(switch_port_wait(ends[0].port, now + SECOND / 20), SECOND / 20);
	assert_int_equal(switch_port_wait(ends[0].port, now + SECOND), 0);
	/* 76 bytes with the header: three at once are more than the burst. */
	send_at(1, host(2), BROADCAST, 0, now);
	send_at(1, host(2), BROADCAST, 0, now);
	assert_int_equal(switch_port_wait(ends[1].port, now), 0);
	send_at(1, host(2), BROADCAST, 0, now);
	assert_int_equal(switch_port_wait(ends[1].port, now), 28 * SECOND / 1000);
	/* Frames of 64 bytes: two at once, then one each 100 ms. */
	expect_got(3, 1, 2, 4);
	assert_int_equal(ends[2].port->counts.delivered, 2);
	for (unsigned int i = 0; i < 2; i++) {
		next = net_switch_run(net, now);
		assert_int_equal(next, now + SECOND / 10);
		assert_false(ends[2].port->blocked);
		now = next;
	}
	assert_int_equal(net_switch_run(net, now), UINT64_MAX);
	expect_got(0, 0, 2, 0);
	stop();
}

/* Packets of IGMP and MLD */

static void make_ipv4(struct sent *sent, unsigned int from, uint32_t group, uint8_t protocol,
		      const uint8_t *content, uint32_t length)
{
	uint8_t *ip = frame_of(sent) + ETH_HLEN;

	make_frame(sent, host(from), UINT64_C(0x01005e000000) | (group & 0x7fffff), 0, 24 + length);
	big_endian_put16(ip - 2, ETH_P_IP);
	memset(ip, 0, 24);
	ip[0] = 0x46;
	big_endian_put16(ip + 2, (uint16_t)(24 + length));
	ip[9] = protocol;
	big_endian_put32(ip + 16, group);
	memcpy(ip + 24, content, length);
}

static void send_igmp(unsigned int port, uint8_t kind, uint32_t group, uint64_t now_ns)
{
	uint8_t content[8] = {kind};
	struct sent sent;

	big_endian_put32(content + 4, group);
	make_ipv4(&sent, port + 1, group ? group : 0xe0000001, 2, content, sizeof(content));
	assert_int_equal(send_cut(port, &sent, 30, now_ns), 0);
}

static void send_data(unsigned int port, uint32_t group, uint64_t now_ns)
{
	struct sent sent;

	make_ipv4(&sent, port + 1, group, 17, (const uint8_t[8]){0}, 8);
	assert_int_equal(send_cut(port, &sent, 30, now_ns), 0);
}

#define GROUP 0xe1020304u

static void test_igmp(void **state)
{
	uint8_t report[28] = {0x22, [7] = 2, [8] = 4, [16] = 2, 0, 0, 1};
	struct sent sent;
	uint64_t now = SECOND;

	start();
	/* No querier: all get it, and the report as well. */
	send_igmp(1, 0x16, GROUP, now);
	expect_got(1, 0, 1, 1);
	send_data(0, GROUP, now);
	expect_got(0, 1, 1, 1);
	/* The querier is behind port 3. */
	send_igmp(3, 0x11, 0, now);
	expect_got(1, 1, 1, 0);
	send_data(0, GROUP, now);
	expect_got(0, 1, 0, 1);
	send_data(0, GROUP + 1, now);
	expect_got(0, 0, 0, 1);
	/* What does not leave the link. */
	send_data(0, 0xe00000fb, now);
	expect_got(0, 1, 1, 1);
	/* Reports are for routers. */
	send_igmp(2, 0x12, GROUP, now);
	expect_got(0, 0, 0, 1);
	send_data(0, GROUP, now);
	expect_got(0, 1, 1, 1);
	/* A leave, and nobody says that it remains. */
	send_igmp(1, 0x17, GROUP, now);
	expect_got(0, 0, 0, 1);
	send_data(0, GROUP, now + SECOND);
	expect_got(0, 1, 1, 1);
	send_data(0, GROUP, now + 3 * SECOND);
	expect_got(0, 0, 1, 1);
	/* Version 3: one record joins, the other leaves, and has a source that is not there. */
	big_endian_put32(report + 12, GROUP);
	big_endian_put32(report + 20, GROUP + 1);
	make_ipv4(&sent, 1, 0xe0000016, 2, report, sizeof(report));
	assert_int_equal(send_cut(1, &sent, 40, now + 3 * SECOND), 0);
	expect_got(0, 0, 0, 1);
	send_data(0, GROUP, now + 3 * SECOND);
	expect_got(0, 1, 1, 1);
	/* The querier is gone. */
	send_data(0, GROUP + 1, now + (SWITCH_MEMBER_S + 1) * SECOND);
	expect_got(0, 1, 1, 1);
	stop();
}

/* One that wants more groups than it can have gets all of them, and no others go without. */
static void test_groups_are_bounded(void **state)
{
	start();
	send_igmp(3, 0x11, 0, SECOND);
	for (unsigned int i = 0; i < 5000; i++)
		send_igmp(2, 0x16, GROUP + 100 + i, SECOND);
	send_igmp(1, 0x16, GROUP, SECOND);
	for (int i = 0; i < PORTS; i++)
		ends[i].got = 0;
	send_data(0, GROUP, SECOND);
	expect_got(0, 1, 1, 1);
	send_data(0, GROUP + 4000, SECOND);
	expect_got(0, 0, 1, 1);
	assert_int_equal(net->groups.memberships[2], SWITCH_MEMBERSHIPS_MAX);
	/* They end. */
	send_igmp(3, 0x11, 0, 200 * SECOND);
	send_igmp(1, 0x16, GROUP, 200 * SECOND);
	for (int i = 0; i < PORTS; i++)
		ends[i].got = 0;
	send_data(0, GROUP + 100, 300 * SECOND);
	expect_got(0, 0, 0, 1);
	send_igmp(2, 0x16, GROUP + 7, 300 * SECOND);
	ends[3].got = 0;
	send_data(0, GROUP + 7, 300 * SECOND);
	expect_got(0, 0, 1, 1);
	stop();
}

static void send_ipv6(unsigned int port, uint8_t kind, uint8_t scope, uint32_t group, bool report)
{
	struct sent sent;
	uint8_t *ip = frame_of(&sent) + ETH_HLEN;
	const uint8_t address[16] = {0xff,
				     scope,
				     [12] = (uint8_t)(group >> 24),
				     (uint8_t)(group >> 16),
				     (uint8_t)(group >> 8),
				     (uint8_t)group};

	make_frame(&sent, host(port + 1), UINT64_C(0x333300000000) | (report ? 0x16 : group), 0,
		   40 + 8 + 28);
	if (kind == 130)
		put_address(frame_of(&sent), UINT64_C(0x333300000001));
	big_endian_put16(ip - 2, ETH_P_IPV6);
	memset(ip, 0, 40 + 8 + 28);
	ip[0] = 0x60;
	big_endian_put16(ip + 4, 8 + 28);
	memcpy(ip + 24, address, sizeof(address));
	ip[40] = 58;
	ip[6] = kind ? 0 : 17;
	ip[48] = kind;
	if (kind == 143) {
		ip[55] = 1;
		ip[56] = 4;
		memcpy(ip + 60, address, sizeof(address));
	} else {
		memcpy(ip + 56, address, sizeof(address));
	}
	assert_int_equal(send_cut(port, &sent, 60, SECOND), 0);
}

static void test_mld(void **state)
{
	start();
	send_ipv6(3, 130, 2, 1, false);
	expect_got(1, 1, 1, 0);
	send_ipv6(0, 0, 5, 7, false);
	expect_got(0, 0, 0, 1);
	send_ipv6(1, 131, 5, 7, true);
	send_ipv6(2, 143, 5, 8, true);
	expect_got(0, 0, 0, 2);
	send_ipv6(0, 0, 5, 7, false);
	expect_got(0, 1, 0, 1);
	send_ipv6(0, 0, 5, 8, false);
	expect_got(0, 0, 1, 1);
	/* Neighbour discovery is flooded, and so are IPv4 groups: no querier was heard there. */
	send_ipv6(0, 0, 2, 0xff000001, false);
	expect_got(0, 1, 1, 1);
	send_data(0, GROUP, SECOND);
	expect_got(0, 1, 1, 1);
	send_ipv6(1, 132, 5, 7, true);
	expect_got(0, 0, 0, 1);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learning),
		cmocka_unit_test(test_table_is_bounded),
		cmocka_unit_test(test_vlans),
		cmocka_unit_test(test_checksum_behind_a_tag),
		cmocka_unit_test(test_tags_that_are_refused),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_permitted_pairs),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_igmp),
		cmocka_unit_test(test_groups_are_bounded),
		cmocka_unit_test(test_mld),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
