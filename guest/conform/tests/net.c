// SPDX-License-Identifier: BSD-3-Clause
/* Chapter net (VIRTIO 1.4, 5.1). */
#include "devices/net.h"
#include "host.h"
#include "pages.h"
#include "report.h"
#include "tests/rings.h"

#define NET  .device = VIRTIO_ID_NET
#define CTRL FEATURE(VIRTIO_NET_F_CTRL_VQ)
/*
 * VIRTIO 1.4, 5.1.3.1: features that need the control queue; features that need it or a checksum.
 */
#define NEEDS_CTRL                                                         \
	(FEATURE(VIRTIO_NET_F_CTRL_RX) | FEATURE(VIRTIO_NET_F_CTRL_VLAN) | \
	 FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE) | FEATURE(VIRTIO_NET_F_MQ) | \
	 FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) | FEATURE(NET_F_RSS))
#define NEEDS_OTHERS                                                                        \
	(NEEDS_CTRL | FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6) | \
	 FEATURE(VIRTIO_NET_F_GUEST_ECN) | FEATURE(VIRTIO_NET_F_GUEST_UFO) |                \
	 FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6) |                \
	 FEATURE(VIRTIO_NET_F_HOST_ECN) | FEATURE(VIRTIO_NET_F_HOST_UFO) |                  \
	 FEATURE(NET_F_COALESCING))

/* VIRTIO 1.4, 5.1.3: bits 0 to 23 and 50 to 63 without these. */
#define UNDEFINED (FEATURE(4) | FEATURE(VIRTIO_NET_F_GSO) | FEATURE(58))
#define LOW_BITS  ((FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) << 1) - 1)
#define HIGH_BITS (~(FEATURE(NET_F_STATISTICS) - 1))
#define DEFINED	  ((LOW_BITS | HIGH_BITS) & ~UNDEFINED)

/*
 * Sends a broadcast with an EtherType for local experiments, from a locally administered address.
 */
static void build(struct request *request, unsigned int slot)
{
	static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
				       0x41, 0x56, 0x50, 0,    1,    0x88, 0xb5};

	(void)slot;
	memset(request->memory, 0, NET_HEADER + FRAME_MIN);
	memcpy(request->memory + NET_HEADER, head, sizeof(head));
	request_make_single(request, NET_HEADER + FRAME_MIN, false);
}

/* A receive buffer. */
static void build_large(struct request *request, uint32_t size)
{
	request_make_single(request, size, true);
}

static const char *wrong_offer(uint64_t offered)
{
	return offered & NEEDS_CTRL && !(offered & CTRL) ?
		       "features of control commands without VIRTIO_NET_F_CTRL_VQ" :
		       NULL;
}

static uint32_t identity(struct device *device)
{
	uint64_t address[6];

	for (unsigned int i = 0; i < 6; i++)
		address[i] = config_read(device, i, 1);
	return text_sum(0, address, sizeof(address));
}

#define FIELD(field, features, limit) DEVICE_FIELD(struct virtio_net_config, field, features, limit)

static const struct device_field fields[] = {
	FIELD(mtu, FEATURE(VIRTIO_NET_F_MTU), true),
	FIELD(max_virtqueue_pairs, FEATURE(VIRTIO_NET_F_MQ) | FEATURE(NET_F_RSS), true),
	FIELD(rss_max_key_size, FEATURE(NET_F_RSS) | FEATURE(NET_F_HASH_REPORT), false),
	FIELD(rss_max_indirection_table_length, FEATURE(NET_F_RSS), false),
	FIELD(supported_hash_types, FEATURE(NET_F_RSS) | FEATURE(NET_F_HASH_REPORT), false),
	{.name = NULL},
};

DEVICE_TYPE(net) = {
	.id = VIRTIO_ID_NET,
	.name = "net",
	.base = true,
	.queue = 1,
	.simple = 2, /* others on the link receive its frames */
	.build = build,
	.build_large = build_large,
	.fields = fields,
	.config_size = 8,
	.config_size_with = 8,
	.config_features = FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_STATUS),
	.features = DEFINED,
	.features_high = NET_HIGH_DEFINED,
	.legacy_features = FEATURE(VIRTIO_NET_F_GSO) | FEATURE(NET_F_GUEST_RSC4) |
			   FEATURE(NET_F_GUEST_RSC6),
	.dependent = NEEDS_OTHERS,
	.wrong_offer = wrong_offer,
	.identity = identity,
};

TEST(net_transmit, "AVP-NET-001", NET, .limit_ms = 30000)
{
	static const uint32_t cuts[] = {0, 12, 1000, 3, 13, 20, 26, 40};
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	net_find_gateway(&net, gateway);
	for (unsigned int i = 0; i < 8; i++) {
		/*
		 * Each request differs, so that a late reply is not taken for that of another one.
		 */
		net_send(&net, net_form_arp(&net, (uint8_t)(20 + i), 2), cuts[i]);
		check(net_wait_arp(&net, (uint8_t)(20 + i), gateway, &frame, ANSWER_MS),
		      "a frame cut into pieces of %u bytes did not arrive", cuts[i]);
	}
}

TEST(net_receive, "AVP-NET-002", NET, .limit_ms = 30000)
{
	static const uint64_t features[] = {0, FEATURE(VIRTIO_NET_F_MRG_RXBUF), PACKED};
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];

	for (unsigned int f = 0; f < 3; f++) {
		net_open(&net, features[f], NET_BUFFERS, NET_BUFFER);
		net_find_gateway(&net, gateway);
		for (unsigned int size = 10; size < 1400; size = size * 3 / 2) {
			uint32_t sent = net_form_echo(&net, gateway, (uint16_t)size, size), index;
			bool came = false;

			net_send(&net, sent, 0);
			while (!came && net_wait(&net, &frame, &index, ANSWER_MS)) {
				const uint8_t *icmp = frame.data + NET_HEADER + 34;

				came = frame.length >= sent && icmp[-34 + 12] == 8 &&
				       icmp[-34 + 13] == 0 && icmp[0] == 0 &&
				       (icmp[6] << 8 | icmp[7]) == (int)size;
				if (came)
					check(frame.length == sent ||
						      (sent < NET_HEADER + FRAME_MIN &&
						       frame.length == NET_HEADER + FRAME_MIN),
					      "an answer of %u bytes has the used length %u", sent,
					      frame.length);
				for (uint32_t i = 0; came && i < size; i++)
					check(icmp[8 + i] == (uint8_t)(i * 7 + size),
					      "byte %u of an answer is different", i);
				net_offer(&net, index);
				queue_kick(net.receive);
			}
			check(came, "no answer to an echo request of %u bytes", size);
		}
	}
}

TEST(net_order, "AVP-NET-003", NET, .limit_ms = 15000)
{
	struct net net;
	uint8_t gateway[6];

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	net_find_gateway(&net, gateway);
	net_expect_order(&net);
}

TEST(net_mac, "AVP-NET-004", NET)
{
	struct device *device = device_find(VIRTIO_ID_NET, TRANSPORT_ANY);
	unsigned int sum = 0;

	if (!(device_offered(device) & FEATURE(VIRTIO_NET_F_MAC)))
		skip("%s does not offer VIRTIO_NET_F_MAC", device_name(device));
	for (uint32_t i = 0; i < 6; i++)
		sum += (unsigned int)config_read(device, i, 1);
	check(sum > 0 && !(config_read(device, 0, 1) & 1), "the address begins with 0x%lx",
	      config_read(device, 0, 1));
}

/* An answer of the gateway shows that the link is up, whatever else the status says. */
TEST(net_status, "AVP-NET-005", NET, .limit_ms = 10000)
{
	struct net net;
	uint8_t gateway[6];

	net_open(&net, FEATURE(VIRTIO_NET_F_STATUS), NET_BUFFERS, NET_BUFFER);
	if (!(net.device->negotiated & FEATURE(VIRTIO_NET_F_STATUS)))
		skip("%s does not offer VIRTIO_NET_F_STATUS", device_name(net.device));
	net_find_gateway(&net, gateway);
	check(NET_CONFIG(net.device, status) & VIRTIO_NET_S_LINK_UP,
	      "status is 0x%lx though the gateway answers", NET_CONFIG(net.device, status));
}

/* Has the host take the link down or up, and checks that the driver is notified of it. */
static void change_link(struct net *net, bool up)
{
	struct device *device = net->device;
	uint32_t notices = device->config_interrupts;

	host_set_link(up);
	if (!wait_until(!(NET_CONFIG(device, status) & VIRTIO_NET_S_LINK_UP) == !up, HOST_MS))
		skip("the host did not take the link %s", up ? "up" : "down");
	check(!device->connected || wait_until(device->config_interrupts != notices, 1000),
	      "status changed to 0x%lx without a notification", NET_CONFIG(device, status));
}

TEST(net_status_change, "AVP-NET-005", NET, .limit_ms = 20000)
{
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];

	net_open(&net, FEATURE(VIRTIO_NET_F_STATUS), NET_BUFFERS, NET_BUFFER);
	if (!(net.device->negotiated & FEATURE(VIRTIO_NET_F_STATUS)))
		skip("%s does not offer VIRTIO_NET_F_STATUS", device_name(net.device));
	if (!host_acts())
		skip(HOST_NEEDED);
	change_link(&net, false);
	net_send(&net, net_form_arp(&net, 15, 2), 0);
	check(!net_wait_arp(&net, 15, gateway, &frame, 300),
	      "status is 0x%lx though the gateway answers", NET_CONFIG(net.device, status));
	change_link(&net, true);
	net_find_gateway(&net, gateway);
}

#define BIT(name) FEATURE(VIRTIO_NET_F_##name)

TEST(net_feature_dependencies, "AVP-NET-006", NET)
{
	/* VIRTIO 1.4, 5.1.3.1: a feature, what it requires, and of what it needs one. */
	static const struct {
		uint64_t feature, all, any;
		const char *name;
	} rows[] = {
		{BIT(GUEST_TSO4), BIT(GUEST_CSUM), 0, "GUEST_TSO4"},
		{BIT(GUEST_TSO6), BIT(GUEST_CSUM), 0, "GUEST_TSO6"},
		{BIT(GUEST_ECN), 0, BIT(GUEST_TSO4) | BIT(GUEST_TSO6), "GUEST_ECN"},
		{BIT(GUEST_UFO), BIT(GUEST_CSUM), 0, "GUEST_UFO"},
		{FEATURE(NET_F_GUEST_USO4), BIT(GUEST_CSUM), 0, "GUEST_USO4"},
		{FEATURE(NET_F_GUEST_USO6), BIT(GUEST_CSUM), 0, "GUEST_USO6"},
		{BIT(HOST_TSO4), BIT(CSUM), 0, "HOST_TSO4"},
		{BIT(HOST_TSO6), BIT(CSUM), 0, "HOST_TSO6"},
		{BIT(HOST_ECN), 0, BIT(HOST_TSO4) | BIT(HOST_TSO6), "HOST_ECN"},
		{BIT(HOST_UFO), BIT(CSUM), 0, "HOST_UFO"},
		{FEATURE(NET_F_HOST_USO), BIT(CSUM), 0, "HOST_USO"},
		{BIT(CTRL_RX), CTRL, 0, "CTRL_RX"},
		{BIT(CTRL_VLAN), CTRL, 0, "CTRL_VLAN"},
		{BIT(GUEST_ANNOUNCE), CTRL, 0, "GUEST_ANNOUNCE"},
		{BIT(MQ), CTRL, 0, "MQ"},
		{BIT(CTRL_MAC_ADDR), CTRL, 0, "CTRL_MAC_ADDR"},
		{FEATURE(NET_F_COALESCING), CTRL, 0, "NOTF_COAL"},
		{FEATURE(NET_F_QUEUE_COALESCING), CTRL, 0, "VQ_NOTF_COAL"},
		{FEATURE(NET_F_RSC_EXT), 0, BIT(HOST_TSO4) | BIT(HOST_TSO6), "RSC_EXT"},
		{FEATURE(NET_F_RSS), CTRL, 0, "RSS"},
		{FEATURE(NET_F_HASH_TUNNEL), CTRL, FEATURE(NET_F_RSS) | FEATURE(NET_F_HASH_REPORT),
		 "HASH_TUNNEL"},
	};
	struct device *device = device_find(VIRTIO_ID_NET, TRANSPORT_ANY);
	uint64_t offered = device_offered(device);

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!(offered & rows[i].feature))
			continue;
		check((offered & rows[i].all) == rows[i].all,
		      "VIRTIO_NET_F_%s is offered without 0x%lx, which it requires", rows[i].name,
		      rows[i].all & ~offered);
		check(!rows[i].any || offered & rows[i].any,
		      "VIRTIO_NET_F_%s is offered without one of 0x%lx, which it requires",
		      rows[i].name, rows[i].any);
	}
}

TEST(net_feature_hints, "AVP-NET-007", NET)
{
	struct device *device = device_find(VIRTIO_ID_NET, TRANSPORT_ANY);
	uint64_t offered = device_offered(device);

	check(offered & CTRL ||
		      !(offered & (FEATURE(NET_F_HASH_REPORT) | FEATURE(NET_F_CTRL_RX_EXTRA))),
	      "SHOULD: HASH_REPORT or CTRL_RX_EXTRA without CTRL_VQ");
}

/* The header of a received frame; @count: also its num_buffers. */
static void check_headers(uint64_t features, bool count)
{
	struct net net;
	struct net_frame frame;
	const struct virtio_net_hdr_v1 *header;
	uint8_t gateway[6];

	net_open(&net, features, NET_BUFFERS, NET_BUFFER);
	for (uint32_t i = 0; i < NET_BUFFERS; i++)
		memset(net.buffers + i * NET_BUFFER, 0xa5, NET_HEADER);
	net_find_gateway(&net, gateway);
	net_send(&net, net_form_arp(&net, 16, 2), 0);
	check(net_wait_arp(&net, 16, gateway, &frame, ANSWER_MS), "no answer");
	header = (const struct virtio_net_hdr_v1 *)frame.data;
	check(!count || header->num_buffers == 1, "num_buffers is %u", header->num_buffers);
	check(header->flags == 0, "flags of a received frame are 0x%x", header->flags);
	check(header->gso_type == VIRTIO_NET_HDR_GSO_NONE, "gso_type of a received frame is 0x%x",
	      header->gso_type);
}

TEST(net_num_buffers, "AVP-NET-008", NET, .limit_ms = 10000)
{
	check_headers(FEATURE(VIRTIO_NET_F_MRG_RXBUF), true);
	check_headers(0, true);
}

TEST(net_gso_receive, "AVP-NET-017", NET, .limit_ms = 10000)
{
	check_headers(0, false);
}

TEST(net_mergeable, "AVP-NET-009", NET, .limit_ms = 20000)
{
	const uint32_t size = 1000;
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t index, total = 0, count = 0, expected = 0, sent;

	net_open(&net, FEATURE(VIRTIO_NET_F_MRG_RXBUF), NET_BUFFERS, 256);
	if (!(net.device->negotiated & FEATURE(VIRTIO_NET_F_MRG_RXBUF)))
		skip("%s does not offer VIRTIO_NET_F_MRG_RXBUF", device_name(net.device));
	net_find_gateway(&net, gateway);
	sent = net_form_echo(&net, gateway, 1, size);
	net_send(&net, sent, 0);
	while ((count == 0 || count < expected) && net_wait(&net, &frame, &index, ANSWER_MS)) {
		if (count == 0) {
			if (frame.length < 256) {
				net_offer(&net, index);
				continue;
			}
			expected = ((const struct virtio_net_hdr_v1 *)frame.data)->num_buffers;
			check(expected == (sent + 255) / 256, "num_buffers is %u for %u bytes",
			      expected, sent);
		}
		count++;
		total += frame.length;
		check(count == expected || frame.length == 256,
		      "buffer %u of %u has %u bytes, not all 256", count, expected, frame.length);
	}
	check(count == expected && total == sent, "%u bytes in %u buffers arrived, not %u in %u",
	      total, count, sent, expected);
}

TEST(net_receive_small, "AVP-NET-010", NET, .limit_ms = 20000)
{
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t index;

	net_open(&net, 0, NET_BUFFERS, 128);
	net_find_gateway(&net, gateway);
	/* A reply that does not fit in any buffer: they have 128 bytes each. */
	net_send(&net, net_form_echo(&net, gateway, 1, 1000), 0);
	while (net_wait(&net, &frame, &index, 100)) {
		check(frame.length <= 128, "the used length of a buffer of 128 bytes is %u",
		      frame.length);
		net_offer(&net, index);
	}
	/* With larger buffers the device continues, if necessary after a reset. */
	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	net_send(&net, net_form_arp(&net, 16, 2), 0);
	check(net_wait_arp(&net, 16, gateway, &frame, ANSWER_MS),
	      "no frame arrived after one that was too long");
}

TEST(net_no_receive_buffers, "AVP-NET-011", NET, .limit_ms = 30000)
{
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	net_find_gateway(&net, gateway);
	net_open(&net, 0, 0, NET_BUFFER);
	for (int i = 0; i < 100; i++)
		net_send(&net, net_form_arp(&net, 15, 2), 0);
	for (uint32_t i = 0; i < NET_BUFFERS; i++)
		net_offer(&net, i);
	queue_kick(net.receive);
	net_send(&net, net_form_arp(&net, 16, 2), 0);
	check(net_wait_arp(&net, 16, gateway, &frame, ANSWER_MS),
	      "nothing arrived once there were buffers");
}

TEST(net_flags_unknown, "AVP-NET-012", NET, .limit_ms = 15000)
{
	static const uint8_t flags[] = {0x02, 0x04, 0x08, 0x10, 0x80};
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	net_find_gateway(&net, gateway);
	for (unsigned int i = 0; i < 5; i++) {
		uint32_t length = net_form_arp(&net, (uint8_t)(20 + i), 2);

		net.out[0] = flags[i] & ~1u;
		memset(net.out + 6, 0x33, 4); /* checksum fields without their flag */
		net_send(&net, length, 0);
		check(net_wait_arp(&net, (uint8_t)(20 + i), gateway, &frame, ANSWER_MS),
		      "a frame with the unknown flags 0x%x did not arrive", flags[i]);
	}
}

TEST(net_header_hostile, "AVP-NET-019", NET, .limit_ms = 60000)
{
	const uint64_t features = FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |
				  FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_HOST_UFO);
	struct dut dut = {0};
	struct net net;

	net_open(&net, features, NET_BUFFERS, NET_BUFFER);
	for (int i = 0; i < 300; i++) {
		struct driver_buffer buffer;
		/* Frames shorter than a header come last: some devices fail after them. */
		uint32_t length = (uint32_t)(random_number() % 1600), written;

		for (uint32_t b = 0; b < NET_HEADER; b++)
			net.out[b] = (uint8_t)random_number();
		length = i < 280 ? length + NET_HEADER : length % NET_HEADER;
		if (i % 3)
			net.out[0] &= 1;
		if (i % 4)
			net.out[1] = (uint8_t)(random_number() % 8);
		buffer = buffer_of(net.out, length ? length : 1);
		check(driver_queue_add(&net.transmit->ring, &buffer, 1, 0, &net) == 0, "no room");
		queue_kick(net.transmit);
		if (!wait_until(driver_queue_has_used(&net.transmit->ring) ||
					net.device->ops->status(net.device) & NEEDS_RESET,
				ANSWER_MS))
			fail("a frame of %u bytes with header %02x %02x is neither used nor an error",
			     length, net.out[0], net.out[1]);
		if (net.device->ops->status(net.device) & NEEDS_RESET)
			net_open(&net, features, NET_BUFFERS, NET_BUFFER);
		else
			queue_wait(net.transmit, &written, 1);
	}
	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &dut); n++)
		if (dut.device == net.device)
			dut_must_recover(&dut, "after hostile headers");
}

#define MTU_MIN	 68u
#define MTU_IPV6 1280u
#define ETHERNET 14u
#define IP_MORE	 0x20 /* in byte 6 of a packet: more fragments follow */
#define ECHO	 28u  /* the headers of an echo request: IPv4 and ICMP */
/* Longer frames, with what belongs to them, do not fit into the memory for one. */
#define MTU_MOST 65000u

/*
 * Opens the device with VIRTIO_NET_F_MTU and buffers for frames that are @more bytes longer than
 * the mtu, which is returned; skips if it does not offer the feature.
 */
static uint32_t open_mtu(struct net *net, uint32_t more)
{
	struct device *device = device_find(VIRTIO_ID_NET, TRANSPORT_ANY);
	uint32_t mtu;

	if (!(device_offered(device) & FEATURE(VIRTIO_NET_F_MTU)))
		skip("%s does not offer VIRTIO_NET_F_MTU", device_name(device));
	mtu = (uint32_t)NET_CONFIG(device, mtu);
	check(mtu >= MTU_MIN, "mtu is %u", mtu);
	if (mtu > MTU_MOST)
		mtu = MTU_MOST;
	net_open(net, FEATURE(VIRTIO_NET_F_MTU), NET_BUFFERS, mtu + more + 128);
	return mtu;
}

TEST(net_mtu, "AVP-NET-022", NET)
{
	struct net net;
	uint32_t mtu = open_mtu(&net, 0);

	check(NET_CONFIG(net.device, mtu) >= mtu, "mtu changed from %u to %lu when it was accepted",
	      mtu, NET_CONFIG(net.device, mtu));
}

TEST(net_mtu_both_ways, "AVP-NET-022", NET, .limit_ms = 15000)
{
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t mtu = open_mtu(&net, 0);

	net_find_gateway(&net, gateway);
	if (mtu < ECHO + 8)
		skip("no echo request fits in an mtu of %u", mtu);
	net_send(&net, net_form_echo(&net, gateway, 1, mtu - ECHO), 0);
	check(net_wait_echo(&net, 1, &frame, ANSWER_MS),
	      "no answer to a packet of %u bytes, the mtu", mtu);
	if (frame.data[net.header + ETHERNET + 6] & IP_MORE)
		skip("the gateway answers in fragments: its mtu is less than %u", mtu);
	check(frame.length == net.header + ETHERNET + mtu,
	      "the answer to a packet of %u bytes, the mtu, has %u", mtu,
	      frame.length - net.header - ETHERNET);
}

/*
 * A packet that is longer than the mtu goes out in fragments. A gateway with a larger mtu answers
 * it by one frame, which the device must drop.
 */
TEST(net_mtu_exceeded, "AVP-NET-022", NET, .limit_ms = 15000)
{
	const uint32_t more = 400;
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t mtu = open_mtu(&net, more), index;

	net_find_gateway(&net, gateway);
	net_send_fragments(&net, net_form_echo(&net, gateway, 1, mtu + more - ECHO), mtu);
	while (net_wait(&net, &frame, &index, 300)) {
		check(frame.length <= net.header + ETHERNET + mtu,
		      "a frame of %u bytes arrived, with an mtu of %u", frame.length - net.header,
		      mtu);
		net_offer(&net, index);
		queue_kick(net.receive);
	}
	net_send(&net, net_form_arp(&net, 16, 2), 0);
	check(net_wait_arp(&net, 16, gateway, &frame, ANSWER_MS),
	      "nothing arrives after a packet that was longer than the mtu");
}

TEST(net_mtu_minimum, "AVP-NET-023", NET)
{
	struct net net;
	uint32_t mtu = open_mtu(&net, 0);

	check(mtu >= MTU_IPV6, "SHOULD: mtu is %u", mtu);
}

TEST(net_speed_duplex, "AVP-NET-024", NET)
{
	struct net net;
	uint64_t speed, duplex;

	net_open(&net, FEATURE(NET_F_SPEED_DUPLEX), 0, NET_BUFFER);
	if (!(net.device->negotiated & FEATURE(NET_F_SPEED_DUPLEX)))
		skip("%s does not offer VIRTIO_NET_F_SPEED_DUPLEX", device_name(net.device));
	speed = NET_CONFIG(net.device, speed);
	duplex = NET_CONFIG(net.device, duplex);
	check(speed <= 0x7fffffff || speed == UINT32_MAX, "speed is 0x%lx", speed);
	check(duplex <= 1 || duplex == 0xff, "duplex is 0x%lx", duplex);
}

TEST(net_config_limits, "AVP-NET-025", NET)
{
	struct device *device = device_find(VIRTIO_ID_NET, TRANSPORT_ANY);
	uint64_t offered = device_offered(device);

	if (!(offered & (FEATURE(VIRTIO_NET_F_MQ) | FEATURE(NET_F_RSS))))
		skip("%s offers neither VIRTIO_NET_F_MQ nor RSS", device_name(device));
	check(NET_CONFIG(device, max_virtqueue_pairs) >= 1 &&
		      NET_CONFIG(device, max_virtqueue_pairs) <= 0x8000,
	      "max_virtqueue_pairs is %lu", NET_CONFIG(device, max_virtqueue_pairs));
	if (offered & FEATURE(NET_F_RSS)) {
		check(NET_CONFIG(device, rss_max_key_size) >= 40, "rss_max_key_size is %lu",
		      NET_CONFIG(device, rss_max_key_size));
		check(NET_CONFIG(device, rss_max_indirection_table_length) >= 128,
		      "rss_max_indirection_table_length is %lu",
		      NET_CONFIG(device, rss_max_indirection_table_length));
	}
}

TEST(net_control, "AVP-NET-026", NET)
{
	struct net net;
	struct queue *queue = net_open_control(&net, 0, 0, 0);
	uint8_t one = 1;

	check(net_control(queue, 99, 0, &one, 1) == VIRTIO_NET_ERR,
	      "an unknown class is not rejected");
	check(net_control(queue, VIRTIO_NET_CTRL_RX, 99, &one, 1) == VIRTIO_NET_ERR,
	      "an unknown command is not rejected");
	check(net_control(queue, VIRTIO_NET_CTRL_MQ, 0, "\x01\x00", 2) == VIRTIO_NET_ERR,
	      "VQ_PAIRS_SET is not rejected though VIRTIO_NET_F_MQ was not negotiated");
	check(net_control(queue, VIRTIO_NET_CTRL_RX, 0, &one, 1) == VIRTIO_NET_ERR,
	      "PROMISC is not rejected though VIRTIO_NET_F_CTRL_RX was not negotiated");
}

static bool craft_control(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct queue *commands;
	struct vring_desc *table;
	uint8_t *memory = dut->area;

	if (dut->device->id != VIRTIO_ID_NET || variant > 5 ||
	    !(device_offered(dut->device) & CTRL))
		return false;
	device_open(dut->device,
		    CTRL | FEATURE(VIRTIO_NET_F_CTRL_RX) | FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR));
	device_queue(dut->device, 0, 16);
	queue_restart(queue);
	queue_enable(queue);
	commands = device_queue(dut->device, 2, 16);
	device_run(dut->device);
	table = split_table_of(commands);
	memset(memory, 0, 512);
	memory[0] = VIRTIO_NET_CTRL_MAC;
	/* The count of MAC addresses exceeds the buffer. */
	memset(memory + 2, 0xff, 8);
	table[0] = (struct vring_desc){(uint64_t)memory, 2, VRING_DESC_F_NEXT, 1};
	table[1] = (struct vring_desc){(uint64_t)memory + 2, 4, VRING_DESC_F_NEXT, 2};
	table[2] = (struct vring_desc){(uint64_t)memory + 256, 1, VRING_DESC_F_WRITE, 0};
	if (variant == 0)
		table[0].len = 1;
	else if (variant == 1)
		table[0].flags = 0; /* no ack */
	else if (variant == 2)
		table[2].len = 0;
	else if (variant == 3)
		table[1].len = 0xfffff;
	else if (variant == 4)
		table[0] = (struct vring_desc){(uint64_t)memory + 256, 1, VRING_DESC_F_WRITE, 0};
	split_offer(commands, 0);
	queue_kick(commands);
	return true;
}

TEST(net_control_hostile, "AVP-NET-027", NET, .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &dut); n++)
		any |= dut.device->id == VIRTIO_ID_NET && device_offered(dut.device) & CTRL;
	if (!any)
		skip("no device offers VIRTIO_NET_F_CTRL_VQ");
	attack_duts(SPLIT, craft_control, "an invalid control command");
}

TEST(net_rx_modes, "AVP-NET-028", NET)
{
	struct net net;
	struct queue *queue = net_open_control(
		&net, FEATURE(VIRTIO_NET_F_CTRL_RX) | FEATURE(NET_F_CTRL_RX_EXTRA), 0, 0);
	uint8_t on;

	if (!(net.device->negotiated & FEATURE(VIRTIO_NET_F_CTRL_RX)))
		skip("%s does not offer VIRTIO_NET_F_CTRL_RX", device_name(net.device));
	for (uint8_t command = 0;
	     command < (net.device->negotiated & FEATURE(NET_F_CTRL_RX_EXTRA) ? 6 : 2); command++)
		for (on = 0; on < 2; on++)
			check(net_control(queue, VIRTIO_NET_CTRL_RX, command, &on, 1) ==
				      VIRTIO_NET_OK,
			      "command %u with %u is rejected", command, on);
}

TEST(net_transmit_flood, "AVP-NET-042", NET, .limit_ms = 30000)
{
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	net_find_gateway(&net, gateway);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 200; i++)
			net_send(&net, net_form_arp(&net, 15, 200), 0);
		net_send(&net, net_form_arp(&net, 16, 2), 0);
		check(net_wait_arp(&net, 16, gateway, &frame, ANSWER_MS),
		      "no answer arrives after many frames");
	}
}

TEST(net_round_trip, "AVP-NET-044", NET, .limit_ms = 30000)
{
	static struct distribution distribution;
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	net_find_gateway(&net, gateway);
	distribution_start(&distribution);
	for (int i = 0; i < 100; i++) {
		uint64_t from = arch_ticks();

		net_send(&net, net_form_arp(&net, 15, 2), 0);
		check(net_wait_arp(&net, 15, gateway, &frame, ANSWER_MS), "no answer");
		distribution_add(&distribution, ticks_to_ns(arch_ticks() - from));
	}
	distribution_report(&distribution, "net_round_trip", "ns");
}
