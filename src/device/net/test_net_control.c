// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control queue of the network device: filter, addresses, queue pairs and offloads, also where
 * the host refuses them or the driver has no such queue.
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
#include "unit/state_check.h"

/* A command on the control queue; returns its ack byte. */
static uint8_t command(struct net_rig *f, unsigned int queue, uint8_t class, uint8_t number,
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

#define CONTROL                                                                      \
	(FEATURE(VIRTIO_NET_F_CTRL_VQ) | FEATURE(VIRTIO_NET_F_CTRL_RX) |             \
	 FEATURE(VIRTIO_NET_F_CTRL_RX_EXTRA) | FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) | \
	 FEATURE(VIRTIO_NET_F_MAC))

/* Whether a frame to that address gets through. */
static bool gets_through(struct net_rig *f, const uint8_t *destination)
{
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[60];
	uint32_t written;

	device_rig_clear(&f->rig);
	if (!virtqueue_has_request(&f->queues[0]))
		net_rig_add_buffers(f, 0, 1, 2000);
	net_rig_make_frame(frame, sizeof(frame), destination);
	assert_int_equal(net_rig_receive(f, 0, &header, frame, sizeof(frame)), NET_RECEIVED);
	if (!device_rig_has_used(&f->rig, 0))
		return false;
	device_rig_take(&f->rig, 0, &written);
	return true;
}

static const uint8_t other_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 9};
static const uint8_t group_mac[ETH_ALEN] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t broadcast_mac[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void expect_unfiltered(struct net_rig *f)
{
	assert_true(gets_through(f, own_mac));
	assert_true(gets_through(f, other_mac));
	assert_true(gets_through(f, group_mac));
}

static void test_filter_default(void **state)
{
	struct net_rig *f = net_rig_start(0);

	(void)state;
	/* Without the commands the device does not filter. */
	expect_unfiltered(f);
	net_rig_stop(f);
	f = net_rig_start(CONTROL);
	assert_true(gets_through(f, own_mac));
	assert_true(gets_through(f, broadcast_mac));
	assert_false(gets_through(f, other_mac));
	assert_false(gets_through(f, group_mac));
	assert_int_equal(f->net.counts.filtered, 2);
	net_rig_stop(f);
}

/* VIRTIO 1.4, 5.1.3.1: CTRL_RX needs CTRL_VQ, and a queue that does not run is useless. */
static void test_filter_without_control_queue(void **state)
{
	struct net_rig *f =
		net_rig_start(FEATURE(VIRTIO_NET_F_CTRL_RX) | FEATURE(VIRTIO_NET_F_MAC));

	(void)state;
	/* The frontend may have given the driver another address. */
	expect_unfiltered(f);
	net_rig_stop(f);
	f = net_rig_start(CONTROL);
	virtio_device_stop_queue(&f->net.device, &f->queues[2], NULL, NULL);
	expect_unfiltered(f);
	assert_int_equal(f->net.counts.filtered, 0);
	net_rig_stop(f);
}

/* A driver without MAC has an address that the device learns from a command, if at all. */
static void test_filter_without_address(void **state)
{
	struct net_rig *f = net_rig_start(CONTROL & ~FEATURE(VIRTIO_NET_F_MAC));

	(void)state;
	assert_true(gets_through(f, other_mac));
	assert_false(gets_through(f, group_mac));
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac,
				 ETH_ALEN, 100),
			 VIRTIO_NET_OK);
	assert_true(gets_through(f, other_mac));
	assert_false(gets_through(f, own_mac));
	net_rig_stop(f);
}

/* CTRL_RX_EXTRA does not need CTRL_RX: it filters only the modes that it can switch off. */
static void test_extra_modes_alone(void **state)
{
	struct net_rig *f =
		net_rig_start(FEATURE(VIRTIO_NET_F_CTRL_VQ) | FEATURE(VIRTIO_NET_F_CTRL_RX_EXTRA) |
			      FEATURE(VIRTIO_NET_F_MAC));
	const uint8_t on = 1;

	(void)state;
	assert_true(gets_through(f, other_mac));
	assert_true(gets_through(f, group_mac));
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, &on, 1, 9),
			 VIRTIO_NET_OK);
	assert_false(gets_through(f, broadcast_mac));
	assert_true(gets_through(f, group_mac));
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOMULTI, &on, 1, 9),
			 VIRTIO_NET_OK);
	assert_false(gets_through(f, group_mac));
	assert_true(gets_through(f, other_mac));
	net_rig_stop(f);
}

/*
 * What a driver told a process that died is not known to its successor, which filters only after it
 * has heard it again.
 */
static void test_filter_of_another_process(void **state)
{
	const uint64_t rings[] = {0, FEATURE(VIRTIO_F_RING_PACKED)};
	const struct {
		uint32_t unicast_count, multicast_count;
	} table = {0, 0};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct net_rig *f = net_rig_start(CONTROL | rings[i]);

		assert_false(gets_through(f, group_mac));
		f->queues[2].setup.available_index += 5;
		expect_unfiltered(f);
		assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET,
					 &table, sizeof(table), 100),
				 VIRTIO_NET_OK);
		assert_false(gets_through(f, group_mac));
		assert_true(gets_through(f, own_mac));
		virtio_device_reset(&f->net.device);
		assert_false(f->net.filter_known);
		net_rig_stop(f);
	}
}

/* Everything that commands set moves, and works there as here. */
static void test_state(void **state)
{
	const uint64_t features =
		CONTROL | FEATURE(VIRTIO_NET_F_MQ) | FEATURE(VIRTIO_NET_F_GUEST_CSUM) |
		FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	struct net_rig *f = net_rig_start(features), *other = net_rig_make();
	const uint64_t offloads = FEATURE(VIRTIO_NET_F_GUEST_CSUM);
	const uint16_t pairs = PAIRS;
	const uint8_t on = 1;
	struct {
		uint32_t unicast_count;
		uint8_t unicast[2][ETH_ALEN];
		uint32_t multicast_count;
		uint8_t multicast[1][ETH_ALEN];
	} __attribute__((packed))
	table = {2, {{2, 0, 0, 0, 0, 4}, {2, 0, 0, 0, 0, 5}}, 1, {{0x33, 0x33, 0, 0, 0, 1}}};

	(void)state;
	assert_int_equal(command(f, 4, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac,
				 ETH_ALEN, 100),
			 VIRTIO_NET_OK);
	assert_int_equal(command(f, 4, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, &table,
				 sizeof(table), 100),
			 VIRTIO_NET_OK);
	assert_int_equal(command(f, 4, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, &on, 1, 9),
			 VIRTIO_NET_OK);
	assert_int_equal(command(f, 4, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs,
				 sizeof(pairs), 9),
			 VIRTIO_NET_OK);
	assert_int_equal(command(f, 4, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, sizeof(offloads),
				 9),
			 VIRTIO_NET_OK);
	net_device_init(&other->net, &other->settings, &other->wire.backend, other->queues);
	state_check(&f->net.device, &other->net.device);
	assert_memory_equal(other->net.config.mac, other_mac, ETH_ALEN);
	assert_int_equal(other->net.pairs, PAIRS);
	assert_int_equal(other->net.offloads, offloads);
	assert_int_equal(other->wire.offloads, offloads);
	assert_int_equal(other->net.filter.unicast_count, 2);
	assert_true(other->net.filter_known);
	assert_memory_equal(&other->net.filter, &f->net.filter, sizeof(f->net.filter));

	/* Hosts that differ, or refuse the offloads. */
	virtio_device_reset(&other->net.device);
	other->wire.refuse_offloads = true;
	assert_false(state_moves(&f->net.device, &other->net.device));
	other->wire.refuse_offloads = false;
	other->net.settings.mtu++;
	assert_false(state_moves(&f->net.device, &other->net.device));
	other->net.settings = other->settings;
	other->net.settings.pairs--;
	assert_false(state_moves(&f->net.device, &other->net.device));
	/* What no driver could have set. */
	other->net.settings = other->settings;
	f->net.config.mac[0] |= 1;
	assert_false(state_moves(&f->net.device, &other->net.device));
	f->net.config.mac[0] &= 0xfe;
	f->net.pairs = 0;
	assert_false(state_moves(&f->net.device, &other->net.device));
	f->net.pairs = PAIRS + 1;
	assert_false(state_moves(&f->net.device, &other->net.device));
	f->net.pairs = PAIRS;
	f->net.offloads |= FEATURE(VIRTIO_NET_F_GUEST_TSO6);
	assert_false(state_moves(&f->net.device, &other->net.device));
	f->net.offloads = offloads;
	assert_true(state_moves(&f->net.device, &other->net.device));
	net_rig_stop(f);
	free(other);
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
		struct net_rig *f = net_rig_start(CONTROL);

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
		net_rig_stop(f);
	}
}

static void test_mac_table(void **state)
{
	struct net_rig *f = net_rig_start(CONTROL);
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
	/* More than the filter holds: all of the kind. */
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, many,
				 sizeof(many), 1000),
			 VIRTIO_NET_OK);
	assert_true(gets_through(f, other_mac));
	assert_false(gets_through(f, group_mac));
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, empty,
				 sizeof(empty), 1000),
			 VIRTIO_NET_OK);
	assert_false(gets_through(f, other_mac));
	net_rig_stop(f);
}

static void test_mac_address(void **state)
{
	struct net_rig *f = net_rig_start(CONTROL | FEATURE(VIRTIO_NET_F_MAC));
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
	net_rig_stop(f);
}

/* VIRTIO 1.4, 5.1.9.5.6.2 */
static void test_queue_pairs(void **state)
{
	struct net_rig *f = net_rig_start(CONTROL | FEATURE(VIRTIO_NET_F_MQ));
	const struct virtio_net_hdr_v1 header = {0};
	uint16_t pairs = 2, none = 0, many = PAIRS + 1;
	uint8_t frame[60];

	(void)state;
	net_rig_make_frame(frame, sizeof(frame), own_mac);
	net_rig_add_buffers(f, 2, 2, 2000);
	assert_int_equal(f->wire.resumed[1], 0);
	assert_int_equal(net_rig_receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_false(device_rig_has_used(&f->rig, 2));
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &pairs, 2, 100),
			 VIRTIO_NET_OK);
	assert_int_equal(f->wire.resumed[1], 1);
	assert_int_equal(net_rig_receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_true(device_rig_has_used(&f->rig, 2));
	assert_true(net_rig_transmit(f, 3, &header, 60, 100));
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
	net_rig_stop(f);
}

/* A number of pairs that the host does not allow is not acknowledged, and changes nothing. */
static void test_queue_pairs_refused(void **state)
{
	struct net_rig *f = net_rig_start(CONTROL | FEATURE(VIRTIO_NET_F_MQ));
	uint16_t two = 2, one = 1;

	(void)state;
	f->wire.refuse_pair[1] = true;
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &two, 2, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(f->net.pairs, 1);
	assert_true(f->wire.used[0]);
	assert_false(f->wire.used[1]);
	assert_int_equal(f->wire.resumed[1], 0);
	f->wire.refuse_pair[1] = false;
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &two, 2, 100),
			 VIRTIO_NET_OK);
	assert_true(f->wire.used[1]);
	f->wire.refuse_pair[1] = true;
	f->wire.stopped[1] = 0;
	assert_int_equal(command(f, 2 * PAIRS, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				 &one, 2, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(f->net.pairs, 2);
	assert_int_equal(f->wire.stopped[1], 0);
	net_rig_stop(f);
}

/* With a frontend that has the control queue, the queues that run are those in use. */
static void test_queue_pairs_of_the_frontend(void **state)
{
	struct net_rig *f = net_rig_start(FEATURE(VIRTIO_NET_F_MQ));
	const struct virtio_net_hdr_v1 header = {0};
	uint8_t frame[60];
	uint16_t available;

	(void)state;
	net_rig_make_frame(frame, sizeof(frame), own_mac);
	net_rig_add_buffers(f, 2, 2, 2000);
	assert_int_equal(f->wire.resumed[1], 1);
	assert_int_equal(net_rig_receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_true(device_rig_has_used(&f->rig, 2));
	virtio_device_stop_queue(&f->net.device, &f->queues[2], &available, NULL);
	assert_int_equal(net_rig_receive(f, 1, &header, frame, sizeof(frame)), NET_RECEIVED);
	assert_int_equal(f->wire.stopped[1], 1);
	net_rig_stop(f);
}

static void test_guest_offloads(void **state)
{
	const uint64_t features = OFFLOADS | CONTROL | FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	struct net_rig *f = net_rig_start(features & ~FEATURE(VIRTIO_NET_F_GUEST_TSO6));
	uint64_t offloads = FEATURE(VIRTIO_NET_F_GUEST_CSUM);

	(void)state;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 100),
			 VIRTIO_NET_OK);
	assert_int_equal(f->wire.offloads, FEATURE(VIRTIO_NET_F_GUEST_CSUM));
	offloads = 0;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 3),
			 VIRTIO_NET_OK);
	assert_int_equal(f->wire.offloads, 0);
	/* One that was not negotiated, and a short command. */
	offloads = FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO6);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 7, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(f->wire.offloads, 0);
	net_rig_stop(f);
}

/* Offloads that the host does not allow are not acknowledged; those before stay in force. */
static void test_guest_offloads_refused(void **state)
{
	static const struct virtio_net_hdr_v1 partial = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
							 .csum_start = 34,
							 .csum_offset = 16};
	struct net_rig *f =
		net_rig_start(OFFLOADS | CONTROL | FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
	const uint64_t before = f->wire.offloads;
	uint64_t offloads = 0;
	uint8_t frame[100];

	(void)state;
	f->wire.refuse_offloads = true;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(f->net.offloads, before);
	/* So frames that rely on them get through. */
	net_rig_make_frame(frame, sizeof(frame), own_mac);
	net_rig_add_buffers(f, 0, 1, 4000);
	assert_int_equal(net_rig_receive(f, 0, &partial, frame, sizeof(frame)), NET_RECEIVED);
	assert_true(device_rig_has_used(&f->rig, 0));
	f->wire.refuse_offloads = false;
	/* A feature that was negotiated, but is not an offload. */
	offloads = before | FEATURE(VIRTIO_NET_F_MAC);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				 VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads, 8, 100),
			 VIRTIO_NET_ERR);
	assert_int_equal(f->net.offloads, before);
	net_rig_stop(f);
}

/* What the host does not allow cannot be negotiated. */
static void test_features_refused_by_the_host(void **state)
{
	struct net_rig *f = net_rig_make();

	(void)state;
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	f->wire.refuse_offloads = true;
	assert_int_equal(virtio_device_set_features(&f->net.device, OFFLOADS), -EINVAL);
	assert_int_equal(f->net.device.negotiated, 0);
	assert_int_equal(f->net.offloads, 0);
	f->wire.refuse_offloads = false;
	assert_int_equal(virtio_device_set_features(&f->net.device, OFFLOADS), 0);
	/* A host that cannot switch them off is refused for a driver without them, too. */
	f->wire.refuse_offloads = true;
	virtio_device_reset(&f->net.device);
	assert_int_equal(virtio_device_set_features(&f->net.device, 0), -EINVAL);
	free(f);
}

static void test_wrong_commands(void **state)
{
	struct net_rig *f = net_rig_start(FEATURE(VIRTIO_NET_F_CTRL_VQ));
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
	net_rig_stop(f);
}

static unsigned int kept;
static bool kept_late; /* the driver knew already */

static void note_keep(struct virtio_device *device)
{
	kept++;
	kept_late |= device_rig_has_used(device->transport_context, 2);
}

static void ignore_change(struct virtio_device *device)
{
}

/* What a command has set is kept before the driver learns that it was carried out. */
static void test_settings_are_kept(void **state)
{
	static const struct virtio_transport_ops transport = {
		.config_changed = ignore_change,
		.keep_state = note_keep,
	};
	struct net_rig *f = net_rig_start(CONTROL);
	const uint8_t on = 1;

	(void)state;
	kept = 0;
	kept_late = false;
	f->net.device.transport = &transport;
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1, 9),
			 VIRTIO_NET_OK);
	assert_int_equal(kept, 1);
	/* One that is refused changes nothing. */
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_RX, 99, &on, 1, 9), VIRTIO_NET_ERR);
	assert_int_equal(kept, 1);
	assert_int_equal(command(f, 2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other_mac,
				 ETH_ALEN, 9),
			 VIRTIO_NET_OK);
	assert_int_equal(kept, 2);
	assert_false(kept_late);
	net_rig_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter_default),
		cmocka_unit_test(test_filter_without_control_queue),
		cmocka_unit_test(test_filter_without_address),
		cmocka_unit_test(test_extra_modes_alone),
		cmocka_unit_test(test_filter_of_another_process),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_receive_modes),
		cmocka_unit_test(test_mac_table),
		cmocka_unit_test(test_mac_address),
		cmocka_unit_test(test_queue_pairs),
		cmocka_unit_test(test_queue_pairs_refused),
		cmocka_unit_test(test_queue_pairs_of_the_frontend),
		cmocka_unit_test(test_guest_offloads),
		cmocka_unit_test(test_guest_offloads_refused),
		cmocka_unit_test(test_features_refused_by_the_host),
		cmocka_unit_test(test_wrong_commands),
		cmocka_unit_test(test_settings_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
