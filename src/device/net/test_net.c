// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device, driven through the driver side of its queues, on a backend that records what
 * is sent.
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

#include "device/net/test_net_rig.h"

static void test_configuration(void **state)
{
	struct net_rig *f = net_rig_start(FEATURE(VIRTIO_NET_F_MAC));
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
	net_rig_stop(f);
}

static void test_features_follow_backend(void **state)
{
	struct net_rig *f = net_rig_make();

	(void)state;
	f->wire.backend.features = 0;
	f->settings.mtu = 0;
	f->settings.pairs = 1;
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	assert_int_equal(f->net.device.offered & OFFLOADS, 0);
	assert_false(f->net.device.offered & FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
	assert_false(f->net.device.offered & FEATURE(VIRTIO_NET_F_MTU));
	assert_false(f->net.device.offered & FEATURE(VIRTIO_NET_F_MQ));
	/* Bits that a backend cannot have are not offered. */
	f->wire.backend.features = UINT64_MAX;
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	assert_false(f->net.device.offered & FEATURE(VIRTIO_NET_F_HOST_UFO));
	assert_false(f->net.device.offered & FEATURE(VIRTIO_NET_F_RSS));
	assert_false(f->net.device.offered & FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE));
	free(f);
}

/* VIRTIO 1.4, 5.1.3.1 */
static void test_features_that_need_others(void **state)
{
	static const struct {
		uint64_t features;
		int result;
	} cases[] = {
		{FEATURE(VIRTIO_NET_F_GUEST_TSO4), -EINVAL},
		{FEATURE(VIRTIO_NET_F_GUEST_TSO6), -EINVAL},
		{FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_CSUM), 0},
		{FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_ECN), -EINVAL},
		{FEATURE(VIRTIO_NET_F_HOST_TSO4), -EINVAL},
		{FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_ECN), -EINVAL},
		{FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO6) |
			 FEATURE(VIRTIO_NET_F_HOST_ECN),
		 0},
		{OFFLOADS, 0},
	};
	struct net_rig *f = net_rig_make();

	(void)state;
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(virtio_device_set_features(&f->net.device, cases[i].features),
				 cases[i].result);
	free(f);
}

static void test_transmit(void **state)
{
	static const uint64_t rings[] = {0, FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
					 FEATURE(VIRTIO_F_RING_PACKED)};
	static const size_t cuts[] = {7, 12, 13, 100, 65536};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct net_rig *f = net_rig_start(rings[i]);
		const struct virtio_net_hdr_v1 header = {0};

		for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
			uint8_t expected[200];

			net_rig_make_frame(expected, sizeof(expected), own_mac);
			assert_true(net_rig_transmit(f, 1, &header, sizeof(expected), cuts[j]));
			assert_int_equal(f->wire.sent, j + 1);
			assert_int_equal(f->wire.length, sizeof(expected));
			assert_memory_equal(f->wire.frame, expected, sizeof(expected));
		}
		net_rig_stop(f);
	}
}

/* A packet that no driver may send is dropped; the queue continues. */
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
		/* The length of the headers is a hint, cut to the packet's length. */
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
	struct net_rig *f = net_rig_start(OFFLOADS);
	unsigned int sent = 0, dropped = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(net_rig_transmit(f, 1, &cases[i].header, cases[i].length, 65536));
		sent += cases[i].sent;
		dropped += !cases[i].sent;
		assert_int_equal(f->wire.sent, sent);
		if (cases[i].sent)
			assert_memory_equal(&f->wire.header, &cases[i].passed, HEADER);
	}
	assert_int_equal(f->net.counts.sent, sent);
	assert_int_equal(f->net.counts.send_dropped, dropped);
	assert_int_equal(f->net.device.faults, 0);
	net_rig_stop(f);
}

static void test_transmit_without_offloads(void **state)
{
	struct net_rig *f = net_rig_start(0);
	struct virtio_net_hdr_v1 header = {.flags = 1, .csum_start = 34, .csum_offset = 16};
	const struct virtio_net_hdr_v1 none = {0};

	(void)state;
	/* The flag of a feature that was not negotiated counts as unknown. */
	assert_true(net_rig_transmit(f, 1, &header, 100, 65536));
	assert_int_equal(f->wire.sent, 1);
	assert_memory_equal(&f->wire.header, &none, HEADER);
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	header.gso_size = 100;
	assert_true(net_rig_transmit(f, 1, &header, 1000, 65536));
	assert_int_equal(f->wire.sent, 1);
	net_rig_stop(f);
}

static void test_transmit_short_and_refused(void **state)
{
	struct net_rig *f = net_rig_start(0);
	const struct virtio_net_hdr_v1 header = {0};
	uint32_t written;

	(void)state;
	device_rig_add(&f->rig, 1, &header, 5, 0, 65536);
	device_rig_kick(&f->rig, 1);
	device_rig_take(&f->rig, 1, &written);
	assert_int_equal(f->wire.sent, 0);
	f->wire.refuse = true;
	assert_true(net_rig_transmit(f, 1, &header, 60, 65536));
	assert_int_equal(f->net.counts.sent, 0);
	assert_int_equal(f->net.counts.send_dropped, 2);
	net_rig_stop(f);
}

static void test_receive(void **state)
{
	struct net_rig *f = net_rig_start(0);
	const struct virtio_net_hdr_v1 header = {0};
	struct virtio_net_hdr_v1 seen;
	uint8_t frame[1514], *in;
	uint32_t written;

	(void)state;
	net_rig_make_frame(frame, sizeof(frame), own_mac);
	assert_int_equal(net_rig_receive(f, 0, &header, frame, sizeof(frame)), NET_FULL);
	net_rig_add_buffers(f, 0, 1, 1526);
	assert_int_equal(f->wire.resumed[0], 1);
	assert_int_equal(net_rig_receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));
	assert_int_equal(written, HEADER + sizeof(frame));
	memcpy(&seen, in, HEADER);
	assert_int_equal(seen.num_buffers, 1);
	assert_memory_equal(in + HEADER, frame, sizeof(frame));
	/* Without MRG_RXBUF a frame that does not fit its buffer can never be delivered. */
	net_rig_add_buffers(f, 0, 2, 1000);
	assert_int_equal(net_rig_receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_int_equal(net_rig_receive(f, 0, &header, frame, 900), NET_RECEIVED);
	assert_true(device_rig_has_used(&f->rig, 0));
	assert_int_equal(f->net.counts.receive_dropped, 1);
	assert_int_equal(f->net.counts.received, 2);
	net_rig_stop(f);
}

/* VIRTIO 1.4, 5.1.9.4.1 */
static void test_receive_merged(void **state)
{
	static const uint64_t rings[] = {
		0,
		FEATURE(VIRTIO_F_RING_PACKED),
		FEATURE(VIRTIO_F_IN_ORDER),
		FEATURE(VIRTIO_F_RING_PACKED) | FEATURE(VIRTIO_F_IN_ORDER),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct net_rig *f = net_rig_start(FEATURE(VIRTIO_NET_F_MRG_RXBUF) | rings[i]);
		const struct virtio_net_hdr_v1 header = {0};
		uint8_t frame[1514], got[2000];
		/* More rounds than the ring has entries: it wraps. */
		for (int round = 0; round < 3 * QUEUE_SIZE; round++) {
			size_t length = 60 + (size_t)round * 13;
			size_t taken = 0, buffers = (HEADER + length + 299) / 300;
			struct virtio_net_hdr_v1 seen;

			device_rig_clear(&f->rig);
			net_rig_make_frame(frame, length, own_mac);
			/* Whole frames or nothing: with too few buffers none is used. */
			net_rig_add_buffers(f, 0, (unsigned int)buffers - 1, 300);
			assert_int_equal(net_rig_receive(f, 0, &header, frame, length),
					 buffers == 1 ? NET_FULL : NET_SHORT);
			assert_false(device_rig_has_used(&f->rig, 0));
			net_rig_add_buffers(f, 0, 1, 300);
			assert_int_equal(net_rig_receive(f, 0, &header, frame, length),
					 NET_RECEIVED);
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
		net_rig_stop(f);
	}
}

/* A frame that does not fit into all the buffers that the ring can hold is dropped. */
static void test_receive_more_than_the_ring(void **state)
{
	struct net_rig *f = net_rig_start(FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[1514];

	(void)state;
	net_rig_make_frame(frame, sizeof(frame), own_mac);
	net_rig_add_buffers(f, 0, QUEUE_SIZE, 40);
	assert_int_equal(net_rig_receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_int_equal(f->net.counts.receive_dropped, 1);
	assert_int_equal(net_rig_receive(f, 0, &header, frame, 1000), NET_RECEIVED);
	assert_int_equal(f->net.counts.received, 1);
	net_rig_stop(f);
}

static void test_receive_tiny_buffer(void **state)
{
	struct net_rig *f = net_rig_start(FEATURE(VIRTIO_NET_F_MRG_RXBUF));
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[60];

	(void)state;
	net_rig_make_frame(frame, sizeof(frame), own_mac);
	net_rig_add_buffers(f, 0, 2, HEADER - 1);
	assert_int_equal(net_rig_receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_true(f->net.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->rig.reports, 1);
	net_rig_stop(f);
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
		{FEATURE(VIRTIO_NET_F_GUEST_CSUM), &partial, 100, true, 1},
		{FEATURE(VIRTIO_NET_F_GUEST_CSUM), &valid, 100, true, 2},
		{FEATURE(VIRTIO_NET_F_GUEST_CSUM), &segments, 100, false, 0},
		{FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO6), &segments,
		 100, false, 0},
		{FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4), &segments,
		 2000, true, 1},
		/* VIRTIO 1.4, 5.1.4.1: not more than the MTU, unless it is to be segmented. */
		{FEATURE(VIRTIO_NET_F_MTU), &plain, 1518, true, 0},
		{FEATURE(VIRTIO_NET_F_MTU), &plain, 1519, false, 0},
		{0, &plain, 1900, true, 0},
		{0, &plain, 13, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_rig *f = net_rig_start(cases[i].features);
		uint8_t frame[2000];

		net_rig_make_frame(frame, sizeof(frame), own_mac);
		assert_int_equal(f->wire.offloads, cases[i].features & ~FEATURE(VIRTIO_NET_F_MTU));
		net_rig_add_buffers(f, 0, 1, 4000);
		assert_int_equal(net_rig_receive(f, 0, cases[i].header, frame, cases[i].length),
				 NET_RECEIVED);
		assert_int_equal(device_rig_has_used(&f->rig, 0), cases[i].delivered);
		if (cases[i].delivered) {
			uint32_t written;
			uint8_t *in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));

			assert_int_equal(in[0], cases[i].flags);
		}
		net_rig_stop(f);
	}
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
