// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings that the frontend has disabled (vhost-user specification, "Ring states"): those that
 * discard, and the transmit queues of the network device, which do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "device/net/net.h"
#include "unit/device_rig.h"
#include "unit/vhost_rig.h"
#include "vhost/server_private.h"

#define PAIRS 2

static void let_queue_1_discard(struct vhost_rig *rig, void *context)
{
	rig->test.queues[1].discards = true;
}

/* As many requests as the ring has entries, each completed without an answer. */
static void expect_discarded(struct rig_guest *guest, uint16_t index)
{
	struct driver_queue *driver = &guest->rings[index].driver;

	for (unsigned int i = 0; i < RIG_QUEUE_SIZE; i++) {
		uint32_t written = 1;
		int broken = 0;

		guest_request(guest, index, i % 7, 3);
		for (int wait = 0; wait < 50000 && !driver_queue_has_used(driver); wait++)
			usleep(100);
		assert_non_null(driver_queue_take(driver, &written, &broken));
		assert_int_equal(written, 0);
	}
}

/*
 * "In the disabled state the back-end [...] must process and discard any TX packets", so that a
 * driver gets its buffers back; until the frontend has disabled the ring it waits, and loses
 * nothing.
 */
static void disabled_transmit_queue_discards(void **state)
{
	static const uint64_t features[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_PACKED};
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	rig_run(&fixture->rig, let_queue_1_discard, NULL);
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		guest_boot(guest, &fixture->rig, features[i]);
		guest_echo(guest, 1);
		assert_done(vhost_client_enable_ring(guest->client, 1, false, &error), &error);
		expect_discarded(guest, 1);
		guest_echo(guest, 0);
		assert_done(vhost_client_enable_ring(guest->client, 1, true, &error), &error);
		guest_echo(guest, 1);
		/* Features may change as with any ring that is disabled. */
		for (uint16_t ring = 0; ring < RIG_QUEUES; ring++)
			assert_done(vhost_client_enable_ring(guest->client, ring, false, &error),
				    &error);
		assert_done(vhost_client_set_features(guest->client, features[i] | RIG_EVENT_INDEX,
						      &error),
			    &error);
		/*
		 * Before, the ring's memory belongs to the driver, which may use it for something
		 * else.
		 */
		guest_request(guest, 1, 0, 3);
		guest_expect_nothing(guest, 1);
		guest_disconnect(guest);
		assert_true(rig_wait_idle(&fixture->rig));
	}
}

/* Like after SET_VRING_KICK, before SET_VRING_ENABLE. */
static void wait_for_enable(struct vhost_rig *rig, void *context)
{
	struct vhost_ring *ring = &rig->server->rings[1];
	struct error error;

	vhost_ring_pause(ring);
	ring->enable = VHOST_RING_UNSAID;
	assert_done(vhost_ring_update(ring, false, &error), &error);
	assert_false(ring->queue->started);
}

/* A ring that is about to be enabled, for example after a crash, has packets that must be sent. */
static void nothing_is_discarded_unsaid(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	rig_run(&fixture->rig, let_queue_1_discard, NULL);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	rig_run(&fixture->rig, wait_for_enable, NULL);
	guest_request(guest, 1, 0, 5);
	assert_done(vhost_client_enable_ring(guest->client, 1, true, &error), &error);
	guest_expect(guest, 1, 0, 5);
}

struct wire {
	struct net_backend backend;
	unsigned int sent;
};

static bool count_frame(struct net_backend *backend, uint16_t pair,
			const struct virtio_segment *segments, uint32_t count)
{
	((struct wire *)backend)->sent++;
	return true;
}

static void ignore_pair(struct net_backend *backend, uint16_t pair)
{
}

static const struct net_backend_ops wire_ops = {
	.send = count_frame,
	.resume = ignore_pair,
	.stop = ignore_pair,
};

static void transmit(struct device_rig *rig)
{
	static const uint8_t frame[sizeof(struct virtio_net_hdr_v1) + 60];
	uint32_t written;

	device_rig_clear(rig);
	device_rig_add(rig, 1, frame, sizeof(frame), 0, 65536);
	device_rig_kick(rig, 1);
	device_rig_take(rig, 1, &written);
}

/* A disabled pair sends nothing, and the driver gets its buffers back. */
static void the_network_device_discards(void **state)
{
	static const struct net_settings settings = {.pairs = PAIRS, .queue_size_max = 32};
	struct wire wire = {.backend.ops = &wire_ops};
	struct virtqueue queues[2 * PAIRS + 1];
	struct net_device net;
	struct device_rig rig;

	memset(queues, 0, sizeof(queues));
	net_device_init(&net, &settings, &wire.backend, queues);
	for (uint16_t i = 0; i < 2 * PAIRS + 1; i++)
		assert_int_equal(queues[i].discards, i < 2 * PAIRS && i % 2);
	device_rig_start(&rig, &net.device, 0, 32);
	queues[1].disabled = true;
	transmit(&rig);
	assert_int_equal(wire.sent, 0);
	assert_int_equal(net.counts.send_dropped, 1);
	queues[1].disabled = false;
	transmit(&rig);
	assert_int_equal(wire.sent, 1);
	device_rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(disabled_transmit_queue_discards),
		rig_test(nothing_is_discarded_unsaid),
		cmocka_unit_test(the_network_device_discards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
