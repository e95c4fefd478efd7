// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device, driven through the driver side of its queues, on a backend that keeps what is
 * sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "device/net.h"
#include "device_rig.h"

#define BIT(n)	   (UINT64_C(1) << (n))

#define QUEUE_SIZE 32
#define PAIRS	   2
#define HEADER	   sizeof(struct virtio_net_hdr_v1)
#define OFFLOADS                                                                              \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | \
	 BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_CSUM) |                          \
	 BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |                        \
	 BIT(VIRTIO_NET_F_GUEST_ECN))

static const uint8_t own_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};

struct wire {
	struct net_backend backend;
	struct virtio_net_hdr_v1 header; /* of the last frame sent */
	uint8_t frame[NET_FRAME_MAX];
	size_t length;
	unsigned int sent, sent_on[PAIRS], resumed[PAIRS], stopped[PAIRS];
	uint32_t segments; /* of the last frame, with the header's */
	uint64_t offloads;
	bool refuse;
};

struct fixture {
	struct wire wire;
	struct net_settings settings;
	struct net_device net;
	struct virtqueue queues[2 * PAIRS + 1];
	struct device_rig rig;
};

static struct wire *to_wire(struct net_backend *backend)
{
	return (struct wire *)backend; /* its first member */
}

static bool send_frame(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	struct wire *wire = to_wire(backend);

	if (wire->refuse)
		return false;
	assert_true(count >= 1);
	assert_int_equal(segments[0].length, HEADER);
	memcpy(&wire->header, segments[0].base, HEADER);
	wire->length = 0;
	for (uint32_t i = 1; i < count; i++) {
		assert_true(wire->length + segments[i].length <= sizeof(wire->frame));
		memcpy(wire->frame + wire->length, segments[i].base, segments[i].length);
		wire->length += segments[i].length;
	}
	wire->segments = count;
	wire->sent++;
	wire->sent_on[pair]++;
	return true;
}

static void resume(struct net_backend *backend, uint16_t pair)
{
	to_wire(backend)->resumed[pair]++;
}

static void stop_pair(struct net_backend *backend, uint16_t pair)
{
	to_wire(backend)->stopped[pair]++;
}

static void set_offloads(struct net_backend *backend, uint64_t offloads)
{
	to_wire(backend)->offloads = offloads;
}

static const struct net_backend_ops wire_ops = {
	.send = send_frame,
	.resume = resume,
	.stop = stop_pair,
	.set_offloads = set_offloads,
};

static struct fixture *make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->wire.backend = (struct net_backend){.ops = &wire_ops, .features = OFFLOADS};
	f->settings = (struct net_settings){
		.mtu = 1500,
		.pairs = PAIRS,
		.queue_size_max = QUEUE_SIZE,
	};
	memcpy(f->settings.mac, own_mac, sizeof(own_mac));
	return f;
}

static void start_with(struct fixture *f, uint64_t features)
{
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	device_rig_start(&f->rig, &f->net.device, features, QUEUE_SIZE);
}

static struct fixture *start(uint64_t features)
{
	struct fixture *f = make();

	start_with(f, features);
	return f;
}

static void stop(struct fixture *f)
{
	device_rig_stop(&f->rig);
	free(f);
}

/* A frame to @destination of @length bytes. */
static void make_frame(uint8_t *frame, size_t length, const uint8_t *destination)
{
	for (size_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(i * 3);
	memcpy(frame, destination, length < ETH_ALEN ? length : ETH_ALEN);
}

/* Transmits a frame on @queue, cut as said; true when the device used the buffer. */
static bool transmit(struct fixture *f, unsigned int queue, const struct virtio_net_hdr_v1 *header,
		     size_t length, size_t cut)
{
	static uint8_t bytes[HEADER + NET_FRAME_MAX + 1024];
	uint32_t written = 99;

	memcpy(bytes, header, HEADER);
	make_frame(bytes + HEADER, length, own_mac);
	device_rig_clear(&f->rig);
	device_rig_add(&f->rig, queue, bytes, HEADER + length, 0, cut);
	device_rig_kick(&f->rig, queue);
	if (!device_rig_has_used(&f->rig, queue))
		return false;
	device_rig_take(&f->rig, queue, &written);
	assert_int_equal(written, 0);
	return true;
}

/* Adds @count receive buffers of @length bytes. */
static void add_buffers(struct fixture *f, unsigned int queue, unsigned int count, size_t length)
{
	for (unsigned int i = 0; i < count; i++)
		device_rig_add(&f->rig, queue, NULL, 0, length, 65536);
	device_rig_kick(&f->rig, queue);
}

static enum net_received receive(struct fixture *f, uint16_t pair,
				 const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
				 size_t length)
{
	enum net_received result = net_device_receive(&f->net, pair, header, frame, length);

	net_device_received(&f->net, pair);
	return result;
}

static void test_configuration(void **state)
{
	struct fixture *f = start(BIT(VIRTIO_NET_F_MAC));
	struct virtio_net_config config = {0};

	(void)state;
	virtio_device_config_read(&f->net.device, 0, &config, sizeof(config));
	assert_memory_equal(config.mac, own_mac, sizeof(own_mac));
	assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config.max_virtqueue_pairs, PAIRS);
	assert_int_equal(config.mtu, 1500);
	assert_int_equal(virtio_device_config_write(&f->net.device, 0, config.mac, 6), -EPERM);
	net_device_set_link(&f->net, true);
	assert_int_equal(f->rig.config_changes, 0);
	net_device_set_link(&f->net, false);
	assert_int_equal(f->rig.config_changes, 1);
	virtio_device_config_read(&f->net.device, 0, &config, sizeof(config));
	assert_int_equal(config.status, 0);
	stop(f);
}

static void test_features_follow_backend(void **state)
{
	struct fixture *f = make();

	(void)state;
	f->wire.backend.features = 0;
	f->settings.mtu = 0;
	f->settings.pairs = 1;
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	assert_int_equal(f->net.device.offered & OFFLOADS, 0);
	assert_false(f->net.device.offered & BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
	assert_false(f->net.device.offered & BIT(VIRTIO_NET_F_MTU));
	assert_false(f->net.device.offered & BIT(VIRTIO_NET_F_MQ));
	/* What a backend cannot mean is not passed on. */
	f->wire.backend.features = UINT64_MAX;
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	assert_false(f->net.device.offered & BIT(VIRTIO_NET_F_HOST_UFO));
	assert_false(f->net.device.offered & BIT(VIRTIO_NET_F_RSS));
	assert_false(f->net.device.offered & BIT(VIRTIO_NET_F_GUEST_ANNOUNCE));
	free(f);
}

/* VIRTIO 1.4, 5.1.3.1 */
static void test_features_that_need_others(void **state)
{
	static const struct {
		uint64_t features;
		int result;
	} cases[] = {
		{BIT(VIRTIO_NET_F_GUEST_TSO4), -EINVAL},
		{BIT(VIRTIO_NET_F_GUEST_TSO6), -EINVAL},
		{BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_CSUM), 0},
		{BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_ECN), -EINVAL},
		{BIT(VIRTIO_NET_F_HOST_TSO4), -EINVAL},
		{BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_ECN), -EINVAL},
		{BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN),
		 0},
		{OFFLOADS, 0},
	};
	struct fixture *f = make();

	(void)state;
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(virtio_device_set_features(&f->net.device, cases[i].features),
				 cases[i].result);
	free(f);
}

static void test_transmit(void **state)
{
	static const uint64_t rings[] = {0, BIT(VIRTIO_RING_F_INDIRECT_DESC),
					 BIT(VIRTIO_F_RING_PACKED)};
	static const size_t cuts[] = {7, 12, 13, 100, 65536};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct fixture *f = start(rings[i]);
		const struct virtio_net_hdr_v1 header = {0};

		for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
			uint8_t expected[200];

			make_frame(expected, sizeof(expected), own_mac);
			assert_true(transmit(f, 1, &header, sizeof(expected), cuts[j]));
			assert_int_equal(f->wire.sent, j + 1);
			assert_int_equal(f->wire.length, sizeof(expected));
			assert_memory_equal(f->wire.frame, expected, sizeof(expected));
		}
		stop(f);
	}
}

/* What no driver may send is dropped; the queue goes on. */
static void test_transmit_checks(void **state)
{
	static const struct {
		struct virtio_net_hdr_v1 header;
		size_t length;
		bool sent;
		struct virtio_net_hdr_v1 passed;
	} cases[] = {
		{{0}, 13, false, {0}},
		{{0}, 14, true, {0}},
		{{0}, NET_FRAME_MAX, true, {0}},
		{{0}, NET_FRAME_MAX + 1, false, {0}},
		/* Checksum fields without the flag, unknown flags and hints are not passed on. */
		{{.flags = 0xfe,
		  .csum_start = 99,
		  .csum_offset = 99,
		  .hdr_len = 60000,
		  .gso_size = 9,
		  .num_buffers = 7},
		 100,
		 true,
		 {0}},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16},
		 100,
		 true,
		 {.flags = 1, .csum_start = 34, .csum_offset = 16}},
		{{.flags = 1, .csum_start = 82, .csum_offset = 16},
		 100,
		 true,
		 {.flags = 1, .csum_start = 82, .csum_offset = 16}},
		{{.flags = 1, .csum_start = 83, .csum_offset = 16}, 100, false, {0}},
		{{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, 100, false, {0}},
		{{.flags = 1, .csum_start = 0xfffe, .csum_offset = 2}, 100, false, {0}},
		{{.flags = 1,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		  .gso_size = 500,
		  .hdr_len = 54,
		  .csum_start = 34,
		  .csum_offset = 16},
		 2000,
		 true,
		 {.flags = 1,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		  .gso_size = 500,
		  .hdr_len = 54,
		  .csum_start = 34,
		  .csum_offset = 16}},
		/* The length of the headers is a hint, cut to what is there. */
		{{.flags = 1,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
		  .gso_size = 500,
		  .hdr_len = 60000,
		  .csum_start = 34,
		  .csum_offset = 16},
		 2000,
		 true,
		 {.flags = 1,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
		  .gso_size = 500,
		  .hdr_len = 2000,
		  .csum_start = 34,
		  .csum_offset = 16}},
		/* Segmentation without checksum, without size, of unknown or unwanted kinds. */
		{{.flags = 0, .gso_type = 1, .gso_size = 500}, 2000, false, {0}},
		{{.flags = 1, .gso_type = 1, .csum_start = 34}, 2000, false, {0}},
		{{.flags = 1, .gso_type = 2, .gso_size = 500}, 2000, false, {0}},
		{{.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 500},
		 2000,
		 false,
		 {0}},
		{{.flags = 1, .gso_type = 5, .gso_size = 500}, 2000, false, {0}},
		{{.flags = 1, .gso_type = 0x21, .gso_size = 500}, 2000, false, {0}},
		{{.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_ECN, .gso_size = 500},
		 2000,
		 false,
		 {0}},
	};
	struct fixture *f = start(OFFLOADS);
	unsigned int sent = 0, dropped = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(transmit(f, 1, &cases[i].header, cases[i].length, 65536));
		sent += cases[i].sent;
		dropped += !cases[i].sent;
		assert_int_equal(f->wire.sent, sent);
		if (cases[i].sent)
			assert_memory_equal(&f->wire.header, &cases[i].passed, HEADER);
	}
	assert_int_equal(f->net.counts.sent, sent);
	assert_int_equal(f->net.counts.send_dropped, dropped);
	assert_int_equal(f->net.device.faults, 0);
	stop(f);
}

static void test_transmit_without_offloads(void **state)
{
	struct fixture *f = start(0);
	struct virtio_net_hdr_v1 header = {.flags = 1, .csum_start = 34, .csum_offset = 16};
	const struct virtio_net_hdr_v1 none = {0};

	(void)state;
	/* The flag of a feature that was not negotiated is one that is not recognized. */
	assert_true(transmit(f, 1, &header, 100, 65536));
	assert_int_equal(f->wire.sent, 1);
	assert_memory_equal(&f->wire.header, &none, HEADER);
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	header.gso_size = 100;
	assert_true(transmit(f, 1, &header, 1000, 65536));
	assert_int_equal(f->wire.sent, 1);
	stop(f);
}

static void test_transmit_short_and_refused(void **state)
{
	struct fixture *f = start(0);
	const struct virtio_net_hdr_v1 header = {0};
	uint32_t written;

	(void)state;
	device_rig_add(&f->rig, 1, &header, 5, 0, 65536);
	device_rig_kick(&f->rig, 1);
	device_rig_take(&f->rig, 1, &written);
	assert_int_equal(f->wire.sent, 0);
	f->wire.refuse = true;
	assert_true(transmit(f, 1, &header, 60, 65536));
	assert_int_equal(f->net.counts.sent, 0);
	assert_int_equal(f->net.counts.send_dropped, 2);
	stop(f);
}

static void test_receive(void **state)
{
	struct fixture *f = start(0);
	const struct virtio_net_hdr_v1 header = {0};
	struct virtio_net_hdr_v1 seen;
	uint8_t frame[1514], *in;
	uint32_t written;

	(void)state;
	make_frame(frame, sizeof(frame), own_mac);
	assert_int_equal(receive(f, 0, &header, frame, sizeof(frame)), NET_FULL);
	add_buffers(f, 0, 1, 1526);
	assert_int_equal(f->wire.resumed[0], 1);
	assert_int_equal(receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));
	assert_int_equal(written, HEADER + sizeof(frame));
	memcpy(&seen, in, HEADER);
	assert_int_equal(seen.num_buffers, 1);
	assert_memory_equal(in + HEADER, frame, sizeof(frame));
	/* Without MRG_RXBUF a frame that does not fit its buffer can never be delivered. */
	add_buffers(f, 0, 2, 1000);
	assert_int_equal(receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_int_equal(receive(f, 0, &header, frame, 900), NET_RECEIVED);
	assert_true(device_rig_has_used(&f->rig, 0));
	assert_int_equal(f->net.counts.receive_dropped, 1);
	assert_int_equal(f->net.counts.received, 2);
	stop(f);
}

/* VIRTIO 1.4, 5.1.9.4.1 */
static void test_receive_merged(void **state)
{
	static const uint64_t rings[] = {
		0,
		BIT(VIRTIO_F_RING_PACKED),
		BIT(VIRTIO_F_IN_ORDER),
		BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct fixture *f = start(BIT(VIRTIO_NET_F_MRG_RXBUF) | rings[i]);
		const struct virtio_net_hdr_v1 header = {0};
		uint8_t frame[1514], got[2000];
		/* More rounds than the ring has entries: it wraps. */
		for (int round = 0; round < 3 * QUEUE_SIZE; round++) {
			size_t length = 60 + (size_t)round * 13;
			size_t taken = 0, buffers = (HEADER + length + 299) / 300;
			struct virtio_net_hdr_v1 seen;

			device_rig_clear(&f->rig);
			make_frame(frame, length, own_mac);
			/* Whole frames or nothing: with too few buffers none is used. */
			add_buffers(f, 0, (unsigned int)buffers - 1, 300);
			assert_int_equal(receive(f, 0, &header, frame, length),
					 buffers == 1 ? NET_FULL : NET_SHORT);
			assert_false(device_rig_has_used(&f->rig, 0));
			add_buffers(f, 0, 1, 300);
			assert_int_equal(receive(f, 0, &header, frame, length), NET_RECEIVED);
			for (size_t j = 0; j < buffers; j++) {
				uint32_t written;
				uint8_t *in = device_rig_at(&f->rig,
							    device_rig_take(&f->rig, 0, &written));

				/* All but the last are full. */
				assert_int_equal(written,
						 j + 1 < buffers ? 300 : HEADER + length - 300 * j);
				memcpy(got + taken, in, written);
				taken += written;
			}
			assert_false(device_rig_has_used(&f->rig, 0));
			memcpy(&seen, got, HEADER);
			assert_int_equal(seen.num_buffers, buffers);
			assert_memory_equal(got + HEADER, frame, length);
		}
		assert_int_equal(f->net.device.faults, 0);
		stop(f);
	}
}

/* A frame that does not fit into all the buffers that the ring can hold is dropped. */
static void test_receive_more_than_the_ring(void **state)
{
	struct fixture *f = start(BIT(VIRTIO_NET_F_MRG_RXBUF));
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[1514];

	(void)state;
	make_frame(frame, sizeof(frame), own_mac);
	add_buffers(f, 0, QUEUE_SIZE, 40);
	assert_int_equal(receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_int_equal(f->net.counts.receive_dropped, 1);
	assert_int_equal(receive(f, 0, &header, frame, 1000), NET_RECEIVED);
	assert_int_equal(f->net.counts.received, 1);
	stop(f);
}

static void test_receive_tiny_buffer(void **state)
{
	struct fixture *f = start(BIT(VIRTIO_NET_F_MRG_RXBUF));
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[60];

	(void)state;
	make_frame(frame, sizeof(frame), own_mac);
	add_buffers(f, 0, 2, HEADER - 1);
	assert_int_equal(receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_true(f->net.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->rig.reports, 1);
	stop(f);
}

/* Frames made before the offloads changed must not reach a driver that does not expect them. */
static void test_receive_offloads(void **state)
{
	static const struct virtio_net_hdr_v1 plain = {0};
	static const struct virtio_net_hdr_v1 partial = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
							 .csum_start = 34,
							 .csum_offset = 16};
	static const struct virtio_net_hdr_v1 valid = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	static const struct virtio_net_hdr_v1 segments = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = 1000,
	};
	static const struct {
		uint64_t features;
		const struct virtio_net_hdr_v1 *header;
		size_t length;
		bool delivered;
		uint8_t flags;
	} cases[] = {
		{0, &plain, 100, true, 0},
		{0, &partial, 100, false, 0},
		{0, &valid, 100, true, 0},
		{0, &segments, 100, false, 0},
		{BIT(VIRTIO_NET_F_GUEST_CSUM), &partial, 100, true, 1},
		{BIT(VIRTIO_NET_F_GUEST_CSUM), &valid, 100, true, 2},
		{BIT(VIRTIO_NET_F_GUEST_CSUM), &segments, 100, false, 0},
		{BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6), &segments, 100, false,
		 0},
		{BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4), &segments, 2000, true,
		 1},
		/* VIRTIO 1.4, 5.1.4.1: not more than the MTU, unless it is to be segmented. */
		{BIT(VIRTIO_NET_F_MTU), &plain, 1518, true, 0},
		{BIT(VIRTIO_NET_F_MTU), &plain, 1519, false, 0},
		{0, &plain, 1900, true, 0},
		{0, &plain, 13, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = start(cases[i].features);
		uint8_t frame[2000];

		make_frame(frame, sizeof(frame), own_mac);
		assert_int_equal(f->wire.offloads, cases[i].features & ~BIT(VIRTIO_NET_F_MTU));
		add_buffers(f, 0, 1, 4000);
		assert_int_equal(receive(f, 0, cases[i].header, frame, cases[i].length),
				 NET_RECEIVED);
		assert_int_equal(device_rig_has_used(&f->rig, 0), cases[i].delivered);
		if (cases[i].delivered) {
			uint32_t written;
			uint8_t *in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));

			assert_int_equal(in[0], cases[i].flags);
		}
		stop(f);
	}
}

/* A command on the control queue; returns its ack byte. */
static uint8_t command(struct fixture *f, unsigned int queue, uint8_t class, uint8_t number,
		       const void *data, size_t length, size_t cut)
{
	uint8_t bytes[2 + 1024] = {class, number};
	uint32_t written;
	uint8_t *in;

	assert_true(length <= sizeof(bytes) - 2);
	if (length > 0)
		memcpy(bytes + 2, data, length);
	device_rig_add(&f->rig, queue, bytes, 2 + length, 1, cut);
	device_rig_kick(&f->rig, queue);
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, queue, &written));
	assert_int_equal(written, 1);
	return in[0];
}

#define CONTROL                                                                                    \
	(BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | \
	 BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))

/* Does a frame to that address get through? */
static bool gets_through(struct fixture *f, const uint8_t *destination)
{
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[60];
	uint32_t written;

	device_rig_clear(&f->rig);
	if (!virtqueue_has_request(&f->queues[0]))
		add_buffers(f, 0, 1, 2000);
	make_frame(frame, sizeof(frame), destination);
	assert_int_equal(receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	if (!device_rig_has_used(&f->rig, 0))
		return false;
	device_rig_take(&f->rig, 0, &written);
	return true;
}

static const uint8_t other_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 9};
static const uint8_t group_mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t broadcast_mac[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void test_filter_default(void **state)
{
	struct fixture *f = start(0);

	(void)state;
	/* Without the commands the device does not filter. */
	assert_true(gets_through(f, own_mac));
	assert_true(gets_through(f, other_mac));
	assert_true(gets_through(f, group_mac));
	stop(f);
	/* Nor where the frontend keeps the control queue to itself and passes the rest on, as DPDK. */
	f = start(CONTROL & ~BIT(VIRTIO_NET_F_CTRL_VQ));
	assert_true(gets_through(f, other_mac));
	assert_true(gets_through(f, group_mac));
	stop(f);
	f = start(CONTROL);
	assert_true(gets_through(f, own_mac));
	assert_true(gets_through(f, broadcast_mac));
	assert_false(gets_through(f, other_mac));
	assert_false(gets_through(f, group_mac));
	assert_int_equal(f->net.counts.filtered, 2);
	stop(f);
}

static void test_receive_modes(void **state)
{
	static const struct {
		uint8_t command;
		bool own, other, group, broadcast; /* with the mode on */
	} cases[] = {
		{VIRTIO_NET_CTRL_RX_PROMISC, true, true, true, true},
		{VIRTIO_NET_CTRL_RX_ALLMULTI, true, false, true, true},
		{VIRTIO_NET_CTRL_RX_ALLUNI, true, true, false, true},
		{VIRTIO_NET_CTRL_RX_NOMULTI, true, false, false, true},
		{VIRTIO_NET_CTRL_RX_NOUNI, false, false, false, true},
		{VIRTIO_NET_CTRL_RX_NOBCAST, true, false, false, false},
	};
	const uint8_t on = 1, off = 0, wrong = 2;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = start(CONTROL);

		assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, cases[i].command, &on, 1, 1),
				 VIRTIO_NET_OK);
		assert_int_equal(gets_through(f, own_mac), cases[i].own);
		assert_int_equal(gets_through(f, other_mac), cases[i].other);
		assert_int_equal(gets_through(f, group_mac), cases[i].group);
		assert_int_equal(gets_through(f, broadcast_mac), cases[i].broadcast);
		assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, cases[i].command, &off, 1, 9),
				 VIRTIO_NET_OK);
		assert_true(gets_through(f, own_mac));
		assert_false(gets_through(f, other_mac));
		assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, cases[i].command, &wrong, 1, 9),
				 VIRTIO_NET_ERR);
		assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, cases[i].command, NULL, 0, 9),
				 VIRTIO_NET_ERR);
		stop(f);
	}
}

static void test_mac_table(void **state)
{
	struct fixture *f = start(CONTROL);
	struct {
		uint32_t unicast;
		uint8_t unicasts[2][ETH_ALEN];
		uint32_t multicast;
		uint8_t multicasts[1][ETH_ALEN];
	} __attribute__((packed)) table = {.unicast = 2, .multicast = 1};
	uint8_t many[4 + (NET_FILTER_MAX + 1) * ETH_ALEN + 4] = {NET_FILTER_MAX + 1};
	const uint8_t empty[8] = {0};

	(void)state;
	memcpy(table.unicasts[1], other_mac, ETH_ALEN);
	memcpy(table.multicasts[0], group_mac, ETH_ALEN);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, &table,
				 sizeof(table), 5),
			 VIRTIO_NET_OK);
	assert_true(gets_through(f, other_mac));
	assert_true(gets_through(f, group_mac));
	/* Counts that reach beyond the command change nothing. */
	table.unicast = 3;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, &table,
				 sizeof(table), 100),
			 VIRTIO_NET_ERR);
	table.unicast = UINT32_MAX;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, &table,
				 sizeof(table), 100),
			 VIRTIO_NET_ERR);
	/* Six times this is 2, in 32 bits. */
	table.unicast = 0x2aaaaaab;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, &table,
				 sizeof(table), 100),
			 VIRTIO_NET_ERR);
	table.unicast = 2;
	table.multicast = 2;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, &table,
				 sizeof(table), 100),
			 VIRTIO_NET_ERR);
	assert_true(gets_through(f, other_mac));
	/* Too many to remember: all of the kind. */
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, many,
				 sizeof(many), 1000),
			 VIRTIO_NET_OK);
	assert_true(gets_through(f, other_mac));
	assert_false(gets_through(f, group_mac));
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, empty,
				 sizeof(empty), 1000),
			 VIRTIO_NET_OK);
	assert_false(gets_through(f, other_mac));
	stop(f);
}

static void test_mac_address(void **state)
{
	struct fixture *f = start(CONTROL | BIT(VIRTIO_NET_F_MAC));
	uint8_t mac[ETH_ALEN];

	(void)state;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac,
				 ETH_ALEN, 100),
			 VIRTIO_NET_OK);
	virtio_device_config_read(&f->net.device, 0, mac, sizeof(mac));
	assert_memory_equal(mac, other_mac, sizeof(mac));
	assert_true(gets_through(f, other_mac));
	assert_false(gets_through(f, own_mac));
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, group_mac,
				 ETH_ALEN, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac,
				 ETH_ALEN - 1, 100),
			 VIRTIO_NET_ERR);
	virtio_device_reset(&f->net.device);
	virtio_device_config_read(&f->net.device, 0, mac, sizeof(mac));
	assert_memory_equal(mac, own_mac, sizeof(mac));
	stop(f);
}

/* VIRTIO 1.4, 5.1.9.5.6.2 */
static void test_queue_pairs(void **state)
{
	struct fixture *f = start(CONTROL | BIT(VIRTIO_NET_F_MQ));
	const struct virtio_net_hdr_v1 header = {0};
	uint16_t pairs = 2, none = 0, many = PAIRS + 1;
	uint8_t frame[60];

	(void)state;
	make_frame(frame, sizeof(frame), own_mac);
	add_buffers(f, 2, 2, 2000);
	assert_int_equal(f->wire.resumed[1], 0);
	assert_int_equal(receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_false(device_rig_has_used(&f->rig, 2));
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &pairs, 2, 100),
			 VIRTIO_NET_OK);
	assert_int_equal(f->wire.resumed[1], 1);
	assert_int_equal(receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_true(device_rig_has_used(&f->rig, 2));
	assert_true(transmit(f, 3, &header, 60, 100));
	assert_int_equal(f->wire.sent_on[1], 1);
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &none, 2, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &many, 2, 100),
			 VIRTIO_NET_ERR);
	pairs = 1;
	f->wire.stopped[1] = 0;
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &pairs, 2, 100),
			 VIRTIO_NET_OK);
	assert_int_equal(f->wire.stopped[1], 1);
	stop(f);
}

/* With a frontend that has the control queue, the queues that run are those in use. */
static void test_queue_pairs_of_the_frontend(void **state)
{
	struct fixture *f = start(BIT(VIRTIO_NET_F_MQ));
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[60];
	uint16_t available;

	(void)state;
	make_frame(frame, sizeof(frame), own_mac);
	add_buffers(f, 2, 2, 2000);
	assert_int_equal(f->wire.resumed[1], 1);
	assert_int_equal(receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_true(device_rig_has_used(&f->rig, 2));
	virtio_device_stop_queue(&f->net.device, &f->queues[2], &available, NULL);
	assert_int_equal(receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_int_equal(f->wire.stopped[1], 1);
	stop(f);
}

static void test_guest_offloads(void **state)
{
	const uint64_t features = OFFLOADS | CONTROL | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	struct fixture *f = start(features & ~BIT(VIRTIO_NET_F_GUEST_TSO6));
	uint64_t offloads = BIT(VIRTIO_NET_F_GUEST_CSUM);

	(void)state;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 100),
			 VIRTIO_NET_OK);
	assert_int_equal(f->wire.offloads, BIT(VIRTIO_NET_F_GUEST_CSUM));
	offloads = 0;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 3),
			 VIRTIO_NET_OK);
	assert_int_equal(f->wire.offloads, 0);
	/* One that was not negotiated, and a short command. */
	offloads = BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 7, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(f->wire.offloads, 0);
	stop(f);
}

static void test_wrong_commands(void **state)
{
	struct fixture *f = start(BIT(VIRTIO_NET_F_CTRL_VQ));
	const uint8_t on = 1;

	(void)state;
	/* Known ones whose feature was not negotiated, and unknown ones. */
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1, 9),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_VLAN, 0, &on, 1, 9), VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2, 255, 255, NULL, 0, 9), VIRTIO_NET_ERR);
	device_rig_add(&f->rig, 2, &on, 1, 1, 9);
	device_rig_kick(&f->rig, 2);
	assert_true(device_rig_has_used(&f->rig, 2));
	assert_int_equal(f->net.device.faults, 0);
	device_rig_add(&f->rig, 2, &on, 1, 0, 9);
	device_rig_kick(&f->rig, 2);
	assert_true(f->net.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_features_follow_backend),
		cmocka_unit_test(test_features_that_need_others),
		cmocka_unit_test(test_transmit),
		cmocka_unit_test(test_transmit_checks),
		cmocka_unit_test(test_transmit_without_offloads),
		cmocka_unit_test(test_transmit_short_and_refused),
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_receive_merged),
		cmocka_unit_test(test_receive_more_than_the_ring),
		cmocka_unit_test(test_receive_tiny_buffer),
		cmocka_unit_test(test_receive_offloads),
		cmocka_unit_test(test_filter_default),
		cmocka_unit_test(test_receive_modes),
		cmocka_unit_test(test_mac_table),
		cmocka_unit_test(test_mac_address),
		cmocka_unit_test(test_queue_pairs),
		cmocka_unit_test(test_queue_pairs_of_the_frontend),
		cmocka_unit_test(test_guest_offloads),
		cmocka_unit_test(test_wrong_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
