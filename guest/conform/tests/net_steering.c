// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter net: receive queue selection, and the hash behind it (VIRTIO 1.4, 5.1.9.4.3 to 5.1.9.4.5
 * and 5.1.9.5.5 to 5.1.9.5.8).
 */
#include "devices/net.h"
#include "pages.h"
#include "tests/rings.h"

#define NET	     .device = VIRTIO_ID_NET
#define MQ	     FEATURE(VIRTIO_NET_F_MQ)
#define RSS	     FEATURE(NET_F_RSS)
#define HASH_REPORT  FEATURE(NET_F_HASH_REPORT)
#define HASH_TUNNEL  FEATURE(NET_F_HASH_TUNNEL)
#define PAIRS_SET    0
#define RSS_CONFIG   1
#define HASH_CONFIG  2
#define TYPE_IPV4    1u
#define TYPE_TCPV4   2u
#define REPORT_NONE  0
#define REPORT_IPV4  1
#define REPORT_TCPV4 2
#define KEY_SIZE     40u
#define ENTRIES	     8u

static uint8_t set_pairs(struct queue *queue, uint16_t pairs)
{
	return net_control(queue, VIRTIO_NET_CTRL_MQ, PAIRS_SET, &pairs, 2);
}

/* Sends several requests; each answer must arrive at one of the first @pairs receive queues. */
static void expect_pairs(struct net *net, uint32_t pairs, const char *when)
{
	struct net_frame frame;
	uint8_t gateway[6];

	for (uint16_t i = 0; i < 16; i++) {
		uint16_t port = (uint16_t)(41000 + i);
		uint32_t acknowledged;

		net_find_gateway(net, gateway);
		net_send(net, net_form_tcp(net, gateway, port, 5000, 10), 0);
		check(net_wait_reset(net, port, &acknowledged, &frame, ANSWER_MS), "no answer %s",
		      when);
		check(frame.pair < pairs, "a frame arrived at receive queue %u %s", frame.pair + 1,
		      when);
	}
}

TEST(net_multiqueue, "AVP-NET-033", NET, .limit_ms = 30000)
{
	struct net net;
	struct queue *queue = net_open_control(&net, MQ, 0, NET_BUFFERS);
	uint32_t maximum;

	if (!(net.device->negotiated & MQ))
		skip("%s does not offer VIRTIO_NET_F_MQ", device_name(net.device));
	maximum = (uint32_t)config_read(net.device, 8, 2);
	expect_pairs(&net, 1, "before VQ_PAIRS_SET");
	check(set_pairs(queue, 0) == VIRTIO_NET_ERR, "0 pairs are not rejected");
	check(set_pairs(queue, (uint16_t)(maximum + 1)) == VIRTIO_NET_ERR,
	      "%u pairs are not rejected", maximum + 1);
	expect_pairs(&net, 1, "after VQ_PAIRS_SET with invalid numbers");
	for (uint32_t pairs = net.pairs; pairs > 0; pairs--) {
		check(set_pairs(queue, (uint16_t)pairs) == VIRTIO_NET_OK, "%u pairs are rejected",
		      pairs);
		expect_pairs(&net, pairs, "after VQ_PAIRS_SET");
	}
}

/* VIRTIO 1.4, 5.1.9.5.7.1, with a table of at most ENTRIES. */
static struct parameters {
	uint32_t types;
	uint16_t mask, unclassified;
	uint16_t table[256];
	uint32_t entries; /* sent, whatever the mask says */
	uint16_t transmit_queues;
	uint8_t key[KEY_SIZE], key_size;
} parameters;

static void make_parameters(uint32_t types, uint32_t pairs)
{
	parameters = (struct parameters){.types = types,
					 .mask = ENTRIES - 1,
					 .unclassified = (uint16_t)(pairs - 1),
					 .entries = ENTRIES,
					 .transmit_queues = (uint16_t)pairs,
					 .key_size = KEY_SIZE};
	for (uint32_t i = 0; i < 256; i++)
		parameters.table[i] = (uint16_t)(i % pairs);
	for (uint32_t i = 0; i < KEY_SIZE; i++)
		parameters.key[i] = (uint8_t)(i * 97 + 13);
}

static uint32_t pack_parameters(uint8_t *data)
{
	uint32_t size = 8;

	memcpy(data, &parameters.types, 4);
	memcpy(data + 4, &parameters.mask, 2);
	memcpy(data + 6, &parameters.unclassified, 2);
	memcpy(data + size, parameters.table, parameters.entries * 2);
	size += parameters.entries * 2;
	memcpy(data + size, &parameters.transmit_queues, 2);
	data[size + 2] = parameters.key_size;
	memcpy(data + size + 3, parameters.key, KEY_SIZE);
	return size + 3 + KEY_SIZE;
}

static uint8_t set_steering(struct queue *queue)
{
	static uint8_t data[1024];
	uint32_t size = pack_parameters(data);

	return net_control(queue, VIRTIO_NET_CTRL_MQ, RSS_CONFIG, data, size);
}

static uint32_t toeplitz(const uint8_t *data, uint32_t size)
{
	const uint8_t *key = parameters.key;
	uint32_t window = (uint32_t)key[0] << 24 | (uint32_t)key[1] << 16 | (uint32_t)key[2] << 8 |
			  key[3];
	uint32_t hash = 0;

	for (uint32_t bit = 0; bit < 8 * size; bit++) {
		uint32_t next = bit + 32;

		if (data[bit / 8] & 0x80 >> bit % 8)
			hash ^= window;
		window = window << 1 | (key[next / 8 % KEY_SIZE] >> (7 - next % 8) & 1);
	}
	return hash;
}

/* The hash of a TCP frame includes its ports, that of any other IPv4 frame only its addresses. */
static uint32_t hash_of(struct net *net, const struct net_frame *frame, bool ports)
{
	const uint8_t *ip = frame->data + net->header + 14;

	return toeplitz(ip + 12, ports ? 12 : 8);
}

static void expect_steering(struct net *net, uint32_t types)
{
	struct net_frame frame;
	uint8_t gateway[6];

	net_find_gateway(net, gateway);
	for (uint16_t i = 0; i < 16; i++) {
		uint16_t port = (uint16_t)(42000 + 7 * i);
		uint32_t acknowledged, wanted;

		net_send(net, net_form_tcp(net, gateway, port, 5000, 10), 0);
		check(net_wait_reset(net, port, &acknowledged, &frame, ANSWER_MS), "no answer");
		wanted =
			parameters.table[hash_of(net, &frame, types & TYPE_TCPV4) & parameters.mask];
		check(frame.pair == wanted,
		      "a frame with the hash 0x%x arrived at receive queue %u, not %u (types 0x%x)",
		      hash_of(net, &frame, types & TYPE_TCPV4), frame.pair + 1, wanted + 1, types);
	}
	net_send(net, net_form_arp(net, 80, 2), 0);
	check(net_wait_arp(net, 80, gateway, &frame, ANSWER_MS), "no ARP answer");
	check(frame.pair == parameters.unclassified,
	      "a frame without a hash arrived at receive queue %u, not %u", frame.pair + 1,
	      parameters.unclassified + 1u);
}

TEST(net_rss, "AVP-NET-035", NET, .limit_ms = 40000)
{
	struct net net;
	struct queue *queue = net_open_control(&net, RSS, 0, NET_BUFFERS);
	struct device *device = net.device;
	uint32_t supported, longest;
	static uint8_t data[64];

	if (!(device->negotiated & RSS))
		skip("%s does not offer VIRTIO_NET_F_RSS", device_name(device));
	longest = (uint32_t)config_read(device, 18, 2);
	supported = (uint32_t)config_read(device, 20, 4);
	for (uint32_t types = TYPE_IPV4; types <= (TYPE_IPV4 | TYPE_TCPV4); types += TYPE_TCPV4) {
		if (types & ~supported)
			continue;
		make_parameters(types, net.pairs);
		check(set_steering(queue) == VIRTIO_NET_OK, "a valid table is rejected");
		expect_steering(&net, types);
	}
	make_parameters(TYPE_IPV4, net.pairs);
	parameters.mask = 4;
	parameters.entries = 5;
	check(set_steering(queue) == VIRTIO_NET_ERR, "a table of 5 entries is not rejected");
	if (longest < 256) {
		make_parameters(TYPE_IPV4, net.pairs);
		parameters.mask = 255;
		parameters.entries = 256;
		check(set_steering(queue) == VIRTIO_NET_ERR,
		      "a table of 256 entries is not rejected, though the limit is %u", longest);
	}
	make_parameters(TYPE_IPV4, net.pairs);
	pack_parameters(data);
	check(net_control(queue, VIRTIO_NET_CTRL_MQ, RSS_CONFIG, data, 12) == VIRTIO_NET_ERR,
	      "a truncated table is not rejected");
	parameters.unclassified = 0x7fff;
	check(set_steering(queue) == VIRTIO_NET_ERR,
	      "an unclassified queue that does not exist is not rejected");
	make_parameters(TYPE_IPV4, net.pairs);
	for (uint32_t i = 0; i < ENTRIES; i++)
		parameters.table[i] = 0x7fff;
	check(set_steering(queue) == VIRTIO_NET_ERR,
	      "a table with queues that do not exist is not rejected");
	/* A rejected command must not affect the working configuration. */
	make_parameters(TYPE_IPV4, net.pairs);
	check(set_steering(queue) == VIRTIO_NET_OK, "a valid table is rejected");
	expect_steering(&net, TYPE_IPV4);
}

static uint8_t set_hash(struct queue *queue, uint32_t types, uint32_t pairs)
{
	static uint8_t data[64];

	make_parameters(types, pairs);
	if (queue->device->negotiated & RSS)
		return set_steering(queue);
	memset(data, 0, sizeof(data));
	memcpy(data, &types, 4);
	data[12] = KEY_SIZE;
	memcpy(data + 13, parameters.key, KEY_SIZE);
	return net_control(queue, VIRTIO_NET_CTRL_MQ, HASH_CONFIG, data, 13 + KEY_SIZE);
}

static void expect_report(struct net *net, const struct net_frame *frame, uint32_t report,
			  const char *what, const char *when)
{
	uint32_t value, found = frame->data[16] | (uint32_t)frame->data[17] << 8;

	check(found == report, "hash_report of %s is %u, not %u, %s", what, found, report, when);
	if (report == REPORT_NONE)
		return;
	memcpy(&value, frame->data + 12, 4);
	check(value == hash_of(net, frame, report == REPORT_TCPV4),
	      "hash_value of %s is 0x%x, not 0x%x", what, value,
	      hash_of(net, frame, report == REPORT_TCPV4));
}

static void expect_reports(struct net *net, uint32_t echo, uint32_t tcp, const char *when)
{
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t acknowledged;

	net_find_gateway(net, gateway);
	net_send(net, net_form_arp(net, 90, 2), 0);
	check(net_wait_arp(net, 90, gateway, &frame, ANSWER_MS), "no ARP answer");
	expect_report(net, &frame, REPORT_NONE, "an ARP frame", when);
	net_send(net, net_form_echo(net, gateway, 91, 100), 0);
	check(net_wait_echo(net, 91, &frame, ANSWER_MS), "no answer to an echo request");
	expect_report(net, &frame, echo, "an echo reply", when);
	for (uint16_t port = 43000; port < 43008; port++) {
		net_send(net, net_form_tcp(net, gateway, port, 5000, 10), 0);
		check(net_wait_reset(net, port, &acknowledged, &frame, ANSWER_MS), "no TCP answer");
		expect_report(net, &frame, tcp, "a TCP frame", when);
	}
}

/* VIRTIO 1.4, 5.1.9.4.4.4 */
static void check_tunnels(struct net *net, struct queue *queue, uint32_t supported)
{
	const uint32_t none = 0, unknown = 1u << 31;

	check(net_control(queue, 7, 0, &none, 4) == VIRTIO_NET_OK,
	      "hashing of tunnels cannot be disabled");
	check(net_control(queue, 7, 0, &unknown, 4) == VIRTIO_NET_ERR,
	      "SHOULD: an unknown tunnel type is not rejected");
	expect_reports(net, supported & TYPE_IPV4 ? REPORT_IPV4 : REPORT_NONE, REPORT_TCPV4,
		       "without tunnel types");
}

TEST(net_hash_report, "AVP-NET-036", NET, .limit_ms = 40000)
{
	struct net net;
	struct queue *queue;
	uint32_t supported;

	if (!(device_offered(device_find(VIRTIO_ID_NET, TRANSPORT_ANY)) & HASH_REPORT))
		skip("the first network device does not offer VIRTIO_NET_F_HASH_REPORT");
	queue = net_open_control(&net, HASH_REPORT | RSS | HASH_TUNNEL, 0, NET_BUFFERS);
	supported = (uint32_t)config_read(net.device, 20, 4);
	expect_reports(&net, REPORT_NONE, REPORT_NONE, "before types are enabled");
	if (supported & TYPE_IPV4) {
		check(set_hash(queue, TYPE_IPV4, net.pairs) == VIRTIO_NET_OK,
		      "a hash of addresses is rejected");
		expect_reports(&net, REPORT_IPV4, REPORT_IPV4, "by addresses");
	}
	if (supported & TYPE_TCPV4) {
		check(set_hash(queue, TYPE_TCPV4 | (supported & TYPE_IPV4), net.pairs) ==
			      VIRTIO_NET_OK,
		      "a hash of ports is rejected");
		expect_reports(&net, supported & TYPE_IPV4 ? REPORT_IPV4 : REPORT_NONE,
			       REPORT_TCPV4, "by ports");
	}
	if (net.device->negotiated & HASH_TUNNEL)
		check_tunnels(&net, queue, supported);
	/* A reset disables the hash types that the driver enabled before. */
	net_open_control(&net, HASH_REPORT | RSS | HASH_TUNNEL, 0, NET_BUFFERS);
	expect_reports(&net, REPORT_NONE, REPORT_NONE, "after a reset");
}

/* VIRTIO 1.4, 5.1.9.5.8 */
#define CONTEXT	    9
#define CONTEXT_CAP 0
#define CONTEXT_ADD 1

TEST(net_rss_context, "AVP-NET-037", NET, .limit_ms = 20000)
{
	static uint8_t data[1024];
	struct net net;
	uint32_t written;

	/* As many as the limit, and as many again after a reset. */
	for (int round = 0; round < 2; round++) {
		struct queue *queue = net_open_control(&net, RSS, NET_HIGH_RSS_CONTEXT, 0);
		static uint16_t limit;
		/* The device writes the capability before its ack. */
		static uint8_t head[2] = {CONTEXT, CONTEXT_CAP};
		static volatile uint8_t answer;
		struct driver_buffer buffers[3] = {buffer_of(head, 2), buffer_of(&limit, 2),
						   buffer_of((void *)&answer, 1)};

		/* The feature requires RSS, so check both. */
		if (!(net.device->negotiated_high & NET_HIGH_RSS_CONTEXT) ||
		    !(net.device->negotiated & RSS))
			skip("%s does not offer VIRTIO_NET_F_RSS_CONTEXT", device_name(net.device));
		limit = 0;
		answer = NET_NO_ANSWER;
		check(queue_do(queue, buffers, 1, 2, &written, ANSWER_MS) &&
			      answer == VIRTIO_NET_OK && limit >= 1,
		      "max_rss_contexts is %u, with the ack %u", limit, answer);
		make_parameters(TYPE_IPV4, net.pairs);
		for (uint16_t id = 1; id <= limit && id <= 64; id++) {
			memset(data, 0, 8);
			memcpy(data, &id, 2);
			check(net_control(queue, CONTEXT, CONTEXT_ADD, data,
					  8 + pack_parameters(data + 8)) == VIRTIO_NET_OK,
			      "context %u of %u is rejected%s", id, limit,
			      round ? ", after a reset of the device" : "");
		}
	}
}
