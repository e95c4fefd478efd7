// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter net: checksums, segmentation and the other header fields of a frame (VIRTIO 1.4, 5.1.9.2
 * and 5.1.9.4). The gateway verifies checksums: it answers a TCP segment only if its checksum is
 * right.
 */
#include "devices/net.h"
#include "pages.h"
#include "tests/rings.h"

#define NET	     .device = VIRTIO_ID_NET
#define CSUM	     FEATURE(VIRTIO_NET_F_CSUM)
#define TCP_AT	     34 /* in a frame without options */
#define HEADERS	     54
#define CHECKSUM_AT  16 /* offset in a TCP header */
#define SEGMENT_SIZE 1000u

static uint8_t *frame_of(struct net *net)
{
	return net->out + net->header;
}

/*
 * Leaves the checksum of the segment in out[] to the device: writes the pseudo header's sum there.
 */
static void leave_checksum(struct net *net, uint32_t length)
{
	struct virtio_net_hdr_v1 *header = (struct virtio_net_hdr_v1 *)net->out;
	uint8_t *ip = frame_of(net) + 14;
	uint32_t size = length - net->header - TCP_AT;

	header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->csum_start = TCP_AT;
	header->csum_offset = CHECKSUM_AT;
	net_put16(ip + 20 + CHECKSUM_AT, (uint16_t)~net_sum(NULL, 0, net_pseudo_sum(ip, size)));
}

static void open_with(struct net *net, uint64_t features, const char *name)
{
	net_open(net, features, NET_BUFFERS, NET_BUFFER);
	if ((net->device->negotiated & features) != features)
		skip("%s does not offer %s", device_name(net->device), name);
}

TEST(net_checksum_transmit, "AVP-NET-013", NET, .limit_ms = 30000)
{
	struct net net;
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t acknowledged = 0;
	uint16_t port = 40000;

	open_with(&net, CSUM, "VIRTIO_NET_F_CSUM");
	net_find_gateway(&net, gateway);
	for (uint32_t size = 0; size < 1400; size = size * 2 + 7, port++) {
		uint32_t length = net_form_tcp(&net, gateway, port, 5000, size);

		leave_checksum(&net, length);
		net_send(&net, length, 0);
		check(net_wait_reset(&net, port, &acknowledged, &frame, ANSWER_MS),
		      "no answer to a segment of %u bytes whose checksum the device computes",
		      size);
		check(acknowledged == 5000 + size, "%u bytes of %u arrived", acknowledged - 5000,
		      size);
	}
	/* Does the gateway verify it? Send a wrong one that the device need not complete. */
	net_form_tcp(&net, gateway, port, 5000, 100);
	frame_of(&net)[TCP_AT + CHECKSUM_AT] ^= 0x55;
	net_send(&net, net.header + HEADERS + 100, 0);
	if (net_wait_reset(&net, port, &acknowledged, &frame, 200))
		skip("the gateway does not verify checksums");
}

/* A received TCP segment must have a right checksum. */
static void check_complete(struct net *net, const struct net_frame *frame)
{
	uint8_t *ip = frame->data + net->header + 14;
	uint32_t size = ((uint32_t)ip[2] << 8 | ip[3]) - 20;

	check(net_sum(ip, 20, 0) == 0, "the IPv4 header checksum is wrong");
	check(net_sum(ip + 20, size, net_pseudo_sum(ip, size)) == 0,
	      "SHOULD: a received frame is not fully checksummed");
}

/* Its flags are 0 where the driver cannot complete a checksum. */
static void check_no_flags(struct net *net, const struct net_frame *frame)
{
	(void)net;
	check(frame->data[0] == 0, "flags of a received frame are 0x%x", frame->data[0]);
}

/* The header's fields let the driver complete the checksum, or say that it is right. */
static void check_partial(struct net *net, const struct net_frame *frame)
{
	const struct virtio_net_hdr_v1 *header = (const struct virtio_net_hdr_v1 *)frame->data;
	uint8_t *ether = frame->data + net->header, *ip = ether + 14;
	uint32_t size = ((uint32_t)ip[2] << 8 | ip[3]) - 20;

	check(!(header->flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)),
	      "flags of a received frame are 0x%x", header->flags);
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		uint32_t start = header->csum_start, at = start + header->csum_offset;
		uint32_t end = 14 + 20 + size;

		check(start >= TCP_AT && at + 2 <= end,
		      "csum_start %u and csum_offset %u point outside a frame of %u bytes", start,
		      at - start, end);
		net_put16(ether + at, net_sum(ether + start, end - start, 0));
	} else if (!(header->flags & VIRTIO_NET_HDR_F_DATA_VALID)) {
		return; /* the device reports nothing about it */
	}
	check(net_sum(ip + 20, size, net_pseudo_sum(ip, size)) == 0,
	      "flags 0x%x, csum_start %u and csum_offset %u do not give a right checksum",
	      header->flags, header->csum_start, header->csum_offset);
}

/* Calls @look for TCP segments of the gateway. */
static void look_at_segments(struct net *net,
			     void (*look)(struct net *net, const struct net_frame *frame))
{
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t acknowledged;

	net_find_gateway(net, gateway);
	for (uint16_t i = 0; i < 8; i++) {
		uint16_t port = (uint16_t)(40100 + i);

		net_send(net, net_form_tcp(net, gateway, port, 5000, 100), 0);
		check(net_wait_reset(net, port, &acknowledged, &frame, ANSWER_MS), "no answer");
		look(net, &frame);
	}
}

TEST(net_checksum_receive, "AVP-NET-014", NET, .limit_ms = 20000)
{
	struct net net;

	open_with(&net, FEATURE(VIRTIO_NET_F_GUEST_CSUM), "VIRTIO_NET_F_GUEST_CSUM");
	look_at_segments(&net, check_partial);
}

TEST(net_checksum_flags, "AVP-NET-014", NET, .limit_ms = 20000)
{
	struct net net;

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	look_at_segments(&net, check_no_flags);
}

TEST(net_checksum_complete, "AVP-NET-015", NET, .limit_ms = 15000)
{
	struct net net;

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	look_at_segments(&net, check_complete);
}

/* Sends a segment of @size bytes, to be cut to SEGMENT_SIZE, with @hdr_len in its header. */
static void send_large(struct net *net, const uint8_t gateway[6], uint16_t port, uint32_t size,
		       uint16_t hdr_len)
{
	struct virtio_net_hdr_v1 *header = (struct virtio_net_hdr_v1 *)net->out;
	uint32_t length = net_form_tcp(net, gateway, port, 5000, size);

	leave_checksum(net, length);
	header->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	header->gso_size = SEGMENT_SIZE;
	header->hdr_len = hdr_len;
	net_send(net, length, 0);
}

/* Each byte must be acknowledged: by a reset for each segment, or by one for all of them. */
static void expect_large(struct net *net, uint16_t port, uint32_t size, const char *what)
{
	struct net_frame frame;
	uint32_t acknowledged = 0, done = 0;

	while (done < size && net_wait_reset(net, port, &acknowledged, &frame, ANSWER_MS)) {
		uint32_t next = done + SEGMENT_SIZE < size ? done + SEGMENT_SIZE : size;

		check(acknowledged == 5000 + next || (done == 0 && acknowledged == 5000 + size),
		      "%s: byte %u of %u was acknowledged after byte %u, with segments of %u", what,
		      acknowledged - 5000, size, done, SEGMENT_SIZE);
		done = acknowledged - 5000;
	}
	check(done == size, "%s: %u of %u bytes arrived", what, done, size);
}

TEST(net_gso_transmit, "AVP-NET-016", NET, .limit_ms = 40000)
{
	static const uint32_t sizes[] = {1001, 2000, 3500, 16000, 60000};
	struct net net;
	uint8_t gateway[6];

	open_with(&net, CSUM | FEATURE(VIRTIO_NET_F_HOST_TSO4), "VIRTIO_NET_F_HOST_TSO4");
	net_find_gateway(&net, gateway);
	for (uint16_t i = 0; i < 5; i++) {
		send_large(&net, gateway, (uint16_t)(40200 + i), sizes[i], HEADERS);
		expect_large(&net, (uint16_t)(40200 + i), sizes[i], "a large frame");
	}
}

static const uint16_t wrong_lengths[] = {0, 1, 40, 53, 55, 1000, 20000, 65535};
#define WRONG_LENGTHS (sizeof(wrong_lengths) / sizeof(wrong_lengths[0]))

TEST(net_hdr_len, "AVP-NET-018", NET, .limit_ms = 20000)
{
	struct virtio_net_hdr_v1 *header;
	struct net_frame frame;
	struct net net;
	uint8_t gateway[6];

	net_open(&net, 0, NET_BUFFERS, NET_BUFFER);
	header = (struct virtio_net_hdr_v1 *)net.out;
	net_find_gateway(&net, gateway);
	for (uint8_t i = 0; i < WRONG_LENGTHS; i++) {
		uint32_t length = net_form_arp(&net, (uint8_t)(30 + i), 2);

		header->hdr_len = wrong_lengths[i];
		net_send(&net, length, 0);
		check(net_wait_arp(&net, (uint8_t)(30 + i), gateway, &frame, ANSWER_MS),
		      "a frame with hdr_len %u did not arrive", wrong_lengths[i]);
	}
}

TEST(net_gso_hdr_len, "AVP-NET-018", NET, .limit_ms = 40000)
{
	struct net net;
	uint8_t gateway[6];

	open_with(&net, CSUM | FEATURE(VIRTIO_NET_F_HOST_TSO4), "VIRTIO_NET_F_HOST_TSO4");
	net_find_gateway(&net, gateway);
	for (uint8_t i = 0; i < WRONG_LENGTHS; i++) {
		uint16_t port = (uint16_t)(40300 + i);

		send_large(&net, gateway, port, 3000, wrong_lengths[i]);
		expect_large(&net, port, 3000, "a large frame with a wrong hdr_len");
	}
}

/* With the feature the device may trust hdr_len; that must do no harm. */
TEST(net_hdr_len_trusted, "AVP-NET-018", NET, .limit_ms = 20000)
{
	struct dut dut;
	struct net net;
	uint8_t gateway[6];

	open_with(&net, CSUM | FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(NET_F_GUEST_HDRLEN),
		  "VIRTIO_NET_F_GUEST_HDRLEN");
	net_find_gateway(&net, gateway);
	for (uint8_t i = 0; i < WRONG_LENGTHS; i++)
		send_large(&net, gateway, (uint16_t)(40400 + i), 3000, wrong_lengths[i]);
	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &dut); n++)
		if (dut.device == net.device)
			dut_must_recover(&dut, "after wrong lengths of headers");
}

/* Checks a frame of each kind that the gateway answers with, by @look. */
static void look_at_frames(struct net *net, void (*look)(const struct net_frame *frame))
{
	struct net_frame frame;
	uint8_t gateway[6];
	uint32_t acknowledged;

	net_find_gateway(net, gateway);
	net_send(net, net_form_arp(net, 40, 2), 0);
	check(net_wait_arp(net, 40, gateway, &frame, ANSWER_MS), "no ARP answer");
	look(&frame);
	net_send(net, net_form_echo(net, gateway, 77, 1000), 0);
	check(net_wait_echo(net, 77, &frame, ANSWER_MS), "no answer to an echo request");
	look(&frame);
	net_send(net, net_form_tcp(net, gateway, 40500, 5000, 100), 0);
	check(net_wait_reset(net, 40500, &acknowledged, &frame, ANSWER_MS), "no TCP answer");
	look(&frame);
}

/* VIRTIO 1.4, 5.1.9.3.1: what a driver offers that accepts large frames in one buffer. */
#define LARGE_BUFFER 65562u
#define GUEST_LARGE                                                            \
	(FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6) | \
	 FEATURE(VIRTIO_NET_F_GUEST_UFO) | FEATURE(NET_F_GUEST_USO4) | FEATURE(NET_F_GUEST_USO6))

/* The kinds of large frames that the driver accepts, and whether the last header is of one. */
static uint64_t accepted;
static bool was_large;

static void check_segmentation(const struct net_frame *frame)
{
	static const struct {
		uint8_t type;
		uint64_t features; /* one of them permits it */
	} kinds[] = {
		{VIRTIO_NET_HDR_GSO_TCPV4, FEATURE(VIRTIO_NET_F_GUEST_TSO4)},
		{VIRTIO_NET_HDR_GSO_TCPV6, FEATURE(VIRTIO_NET_F_GUEST_TSO6)},
		{VIRTIO_NET_HDR_GSO_UDP, FEATURE(VIRTIO_NET_F_GUEST_UFO)},
		{NET_GSO_UDP_L4, FEATURE(NET_F_GUEST_USO4) | FEATURE(NET_F_GUEST_USO6)},
	};
	const struct virtio_net_hdr_v1 *header = (const struct virtio_net_hdr_v1 *)frame->data;
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	bool permitted = false;

	was_large = header->gso_type != VIRTIO_NET_HDR_GSO_NONE;
	if (!was_large)
		return;
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		permitted |= type == kinds[i].type && accepted & kinds[i].features;
	check(permitted && (type == header->gso_type || accepted & FEATURE(VIRTIO_NET_F_GUEST_ECN)),
	      "gso_type is 0x%x, which was not negotiated", header->gso_type);
	check(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, "gso_type is 0x%x without NEEDS_CSUM",
	      header->gso_type);
	check(header->gso_size > 0, "gso_type is 0x%x with gso_size 0", header->gso_type);
}

/* Opens the device for large frames; skips if it does not offer them. */
static void open_large(struct net *net)
{
	net_open(net,
		 FEATURE(VIRTIO_NET_F_GUEST_CSUM) | GUEST_LARGE | FEATURE(VIRTIO_NET_F_GUEST_ECN),
		 NET_BUFFERS, LARGE_BUFFER);
	accepted = net->device->negotiated;
	if (!(accepted & GUEST_LARGE))
		skip("%s offers no kind of large frames", device_name(net->device));
}

TEST(net_gso_headers, "AVP-NET-017", NET, .limit_ms = 20000)
{
	struct net net;

	open_large(&net);
	look_at_frames(&net, check_segmentation);
}

/* A large frame of a second device on the link arrives whole or in segments. */
TEST(net_gso_received, "AVP-NET-017", NET, .limit_ms = 30000)
{
	const uint32_t size = 8000;
	const uint16_t port = 40600;
	struct net from, to;
	struct net_frame frame;
	uint32_t index, done = 0;

	open_large(&to);
	if (!(accepted & FEATURE(VIRTIO_NET_F_GUEST_TSO4)))
		skip("%s does not offer VIRTIO_NET_F_GUEST_TSO4", device_name(to.device));
	if (!net_open_nth(&from, 1, CSUM | FEATURE(VIRTIO_NET_F_HOST_TSO4), 0, 0, NET_BUFFER) ||
	    !(from.device->negotiated & FEATURE(VIRTIO_NET_F_HOST_TSO4)))
		skip("no second network device that offers VIRTIO_NET_F_HOST_TSO4");
	send_large(&from, to.mac, port, size, HEADERS);
	while (done < size && net_wait(&to, &frame, &index, ANSWER_MS)) {
		const uint8_t *ether = frame.data + to.header, *tcp = ether + TCP_AT;
		uint32_t length = frame.length - to.header;

		if (length > HEADERS && ether[12] == 8 && ether[13] == 0 && ether[23] == 6 &&
		    (tcp[0] << 8 | tcp[1]) == port) {
			check_segmentation(&frame);
			check(was_large || length - HEADERS <= SEGMENT_SIZE,
			      "a frame with %u bytes of data arrived with gso_type NONE",
			      length - HEADERS);
			for (uint32_t i = HEADERS; i < length; i++, done++)
				check(ether[i] == (uint8_t)(done * 5 + 5000),
				      "byte %u of a large frame is different", done);
		}
		net_offer(&to, index);
		queue_kick(to.receive);
	}
	if (done == 0)
		skip("no second network device whose frames reach the first");
	check(done == size, "%u of %u bytes of a large frame arrived", done, size);
}

static const struct virtio_net_hdr_v1 *header_of(const struct net_frame *frame)
{
	return (const struct virtio_net_hdr_v1 *)frame->data;
}

static void has_no_tunnel(const struct net_frame *frame)
{
	const struct virtio_net_hdr_v1 *header = header_of(frame);

	check(!(header->gso_type & NET_GSO_TUNNELS) && !(header->flags & NET_FLAG_TUNNEL_CSUM),
	      "a received frame has flags 0x%x and gso_type 0x%x: bits of a tunnel", header->flags,
	      header->gso_type);
}

TEST(net_tunnel_unasked, "AVP-NET-020", NET, .limit_ms = 20000)
{
	struct net net;

	net_open(&net, FEATURE(VIRTIO_NET_F_GUEST_CSUM), NET_BUFFERS, NET_BUFFER);
	look_at_frames(&net, has_no_tunnel);
}

TEST(net_tunnel, "AVP-NET-020", NET, .limit_ms = 30000)
{
	/*
	 * VIRTIO 1.4, 5.1.9.2.2: flags and gso_type that the driver must not use without a feature.
	 */
	static const uint8_t refused[][2] = {{1, 0x61}, {0, 0x21}, {3, 0x21}, {1, 0x20}, {9, 0x01}};
	struct net_frame frame;
	struct net net;
	uint8_t gateway[6];

	net_open_nth(&net, 0,
		     CSUM | FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6) |
			     FEATURE(NET_F_HOST_USO),
		     NET_HIGH_HOST_TUNNEL, NET_BUFFERS, NET_BUFFER);
	if (!(net.device->negotiated_high & NET_HIGH_HOST_TUNNEL))
		skip("%s does not offer VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO", device_name(net.device));
	net_find_gateway(&net, gateway);
	/* Offsets beyond the frame, which mean nothing without a tunnel's bit. */
	net_form_arp(&net, 50, 2);
	memset(net.out + 20, 0xff, 4);
	net_send(&net, net.header + FRAME_MIN, 0);
	check(net_wait_arp(&net, 50, gateway, &frame, ANSWER_MS),
	      "a frame with a tunnel's offsets but none of its bits did not arrive");
	for (uint8_t i = 0; i < 5; i++) {
		struct virtio_net_hdr_v1 *header = (struct virtio_net_hdr_v1 *)net.out;

		net_form_arp(&net, (uint8_t)(60 + i), 2);
		header->flags = refused[i][0];
		header->gso_type = refused[i][1];
		header->gso_size = 100;
		header->csum_start = TCP_AT;
		net_send(&net, net.header + FRAME_MIN, 0);
		check(!net_wait_arp(&net, (uint8_t)(60 + i), gateway, &frame, 200),
		      "a frame with flags 0x%x and gso_type 0x%x was accepted", refused[i][0],
		      refused[i][1]);
	}
}

static void has_no_coalescing(const struct net_frame *frame)
{
	check(!(header_of(frame)->flags & NET_FLAG_RSC_INFO),
	      "RSC_INFO is set though VIRTIO_NET_F_RSC_EXT was not negotiated");
}

static void has_coalescing_when_large(const struct net_frame *frame)
{
	const struct virtio_net_hdr_v1 *header = (const struct virtio_net_hdr_v1 *)frame->data;

	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	check(header->flags & NET_FLAG_RSC_INFO, "gso_type 0x%x without RSC_INFO",
	      header->gso_type);
	check(header->csum_start > 0, "RSC_INFO with a count of 0 segments");
}

#define COALESCED (FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4))

TEST(net_rsc_unasked, "AVP-NET-021", NET, .limit_ms = 20000)
{
	struct net net;

	net_open(&net, COALESCED, NET_BUFFERS, LARGE_BUFFER);
	look_at_frames(&net, has_no_coalescing);
}

TEST(net_rsc, "AVP-NET-021", NET, .limit_ms = 20000)
{
	struct net net;

	net_open(&net, COALESCED | FEATURE(NET_F_RSC_EXT), NET_BUFFERS, LARGE_BUFFER);
	if (!(net.device->negotiated & FEATURE(NET_F_RSC_EXT)))
		skip("%s does not offer VIRTIO_NET_F_RSC_EXT", device_name(net.device));
	look_at_frames(&net, has_coalescing_when_large);
}

static void has_no_security(const struct net_frame *frame)
{
	check(!(header_of(frame)->flags & NET_FLAGS_SECURITY), "flags of a received frame are 0x%x",
	      header_of(frame)->flags);
}

TEST(net_ipsec_flags, "AVP-NET-040", NET, .limit_ms = 20000)
{
	struct net net;

	net_open_nth(&net, 0, FEATURE(VIRTIO_NET_F_GUEST_CSUM),
		     NET_HIGH_OUTER_HEADER | NET_HIGH_IPSEC, NET_BUFFERS, NET_BUFFER);
	look_at_frames(&net, has_no_security);
}

TEST(net_ipsec_resource, "AVP-NET-040", NET, .limit_ms = 20000)
{
	struct net_frame frame;
	struct net net;
	uint8_t gateway[6];

	net_open_nth(&net, 0, FEATURE(VIRTIO_NET_F_GUEST_CSUM),
		     NET_HIGH_OUTER_HEADER | NET_HIGH_IPSEC, NET_BUFFERS, NET_BUFFER);
	if (net.header < 32)
		skip("the headers of %s end before resource_id and resource_type",
		     device_name(net.device));
	net_find_gateway(&net, gateway);
	net_form_arp(&net, 50, 2);
	memset(net.out + 26, 0xff, 6); /* resource_id and resource_type */
	net_send(&net, net.header + FRAME_MIN, 0);
	check(net_wait_arp(&net, 50, gateway, &frame, ANSWER_MS),
	      "a frame with a resource and without SECURITY did not arrive");
}
