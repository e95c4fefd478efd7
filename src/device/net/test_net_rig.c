// SPDX-License-Identifier: BSD-3-Clause
/* See net_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "device/net/test_net_rig.h"

const uint8_t own_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};

static struct net_wire *to_wire(struct net_backend *backend)
{
	return (struct net_wire *)backend; /* its first member */
}

static bool send_frame(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	struct net_wire *wire = to_wire(backend);

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

static bool use_pair(struct net_backend *backend, uint16_t pair, bool use)
{
	struct net_wire *wire = to_wire(backend);

	if (wire->used[pair] != use && wire->refuse_pair[pair])
		return false;
	wire->used[pair] = use;
	return true;
}

static bool set_offloads(struct net_backend *backend, uint64_t offloads)
{
	struct net_wire *wire = to_wire(backend);

	if (!wire->refuse_offloads)
		wire->offloads = offloads;
	return !wire->refuse_offloads;
}

static const struct net_backend_ops wire_ops = {
	.send = send_frame,
	.resume = resume,
	.stop = stop_pair,
	.use_pair = use_pair,
	.set_offloads = set_offloads,
};

struct net_rig *net_rig_make(void)
{
	struct net_rig *f = calloc(1, sizeof(*f));

	f->wire.backend = (struct net_backend){.ops = &wire_ops, .features = OFFLOADS};
	f->settings = (struct net_settings){
		.mtu = 1500,
		.pairs = PAIRS,
		.queue_size_max = QUEUE_SIZE,
	};
	memcpy(f->settings.mac, own_mac, sizeof(own_mac));
	return f;
}

void net_rig_start_with(struct net_rig *f, uint64_t features)
{
	net_device_init(&f->net, &f->settings, &f->wire.backend, f->queues);
	device_rig_start(&f->rig, &f->net.device, features, QUEUE_SIZE);
}

struct net_rig *net_rig_start(uint64_t features)
{
	struct net_rig *f = net_rig_make();

	net_rig_start_with(f, features);
	return f;
}

void net_rig_stop(struct net_rig *f)
{
	device_rig_stop(&f->rig);
	free(f);
}

void net_rig_make_frame(uint8_t *frame, size_t length, const uint8_t *destination)
{
	for (size_t i = 0; i < length; i++)
		frame[i] = (uint8_t)(i * 3);
	memcpy(frame, destination, length < ETH_ALEN ? length : ETH_ALEN);
}

bool net_rig_transmit(struct net_rig *f, unsigned int queue, const struct virtio_net_hdr_v1 *header,
		      size_t length, size_t cut)
{
	static uint8_t bytes[HEADER + NET_FRAME_MAX + 1024];
	uint32_t written = 99;

	memcpy(bytes, header, HEADER);
	net_rig_make_frame(bytes + HEADER, length, own_mac);
	device_rig_clear(&f->rig);
	device_rig_add(&f->rig, queue, bytes, HEADER + length, 0, cut);
	device_rig_kick(&f->rig, queue);
	if (!device_rig_has_used(&f->rig, queue))
		return false;
	device_rig_take(&f->rig, queue, &written);
	assert_int_equal(written, 0);
	return true;
}

void net_rig_add_buffers(struct net_rig *f, unsigned int queue, unsigned int count, size_t length)
{
	for (unsigned int i = 0; i < count; i++)
		device_rig_add(&f->rig, queue, NULL, 0, length, 65536);
	device_rig_kick(&f->rig, queue);
}

enum net_received net_rig_receive(struct net_rig *f, uint16_t pair,
				  const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
				  size_t length)
{
	enum net_received result = net_device_receive(&f->net, pair, header, frame, length);

	net_device_received(&f->net, pair);
	return result;
}
