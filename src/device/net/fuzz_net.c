// SPDX-License-Identifier: BSD-3-Clause
/*
 * Hostile rings, packets and commands against the network device, and frames from a wire, all from
 * the input.
 */
#include <stdlib.h>
#include <string.h>

#include "device/net/net.h"
#include "fuzz/hostile_driver.h"

#define PAIRS 2

#define OFFLOADS                                                                           \
	(UINT64_C(1) << VIRTIO_NET_F_CSUM | UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 |        \
	 UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6 | UINT64_C(1) << VIRTIO_NET_F_HOST_ECN |    \
	 UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 | \
	 UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6 | UINT64_C(1) << VIRTIO_NET_F_GUEST_ECN)

struct wire {
	struct net_backend backend;
	uint64_t bytes; /* read of what was sent, so that a sanitizer sees the access */
	uint64_t offloads;
	bool refuses; /* requests to change the host side */
};

/* Frames that a kernel would refuse, or worse, must not get here. */
static bool send_frame(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	struct wire *wire = (struct wire *)backend; /* its first member */
	struct virtio_net_hdr_v1 header;
	size_t length = 0;

	PROMISE(pair < PAIRS && count > 0 && segments[0].length == sizeof(header));
	memcpy(&header, segments[0].base, sizeof(header));
	for (uint32_t i = 1; i < count; i++) {
		const uint8_t *bytes = segments[i].base;

		for (size_t j = 0; j < segments[i].length; j++)
			wire->bytes += bytes[j];
		length += segments[i].length;
	}
	PROMISE(length >= ETH_HLEN && length <= NET_FRAME_MAX);
	PROMISE(!(header.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
	PROMISE(header.num_buffers == 0 && header.hdr_len <= length);
	if (header.flags)
		PROMISE((size_t)header.csum_start + header.csum_offset + 2 <= length);
	else
		PROMISE(header.gso_type == VIRTIO_NET_HDR_GSO_NONE);
	if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		PROMISE(header.gso_size > 0);
	return wire->bytes % 7 != 0;
}

static void ignore_pair(struct net_backend *backend, uint16_t pair)
{
	(void)backend;
	PROMISE(pair < PAIRS);
}

static bool set_offloads(struct net_backend *backend, uint64_t offloads)
{
	struct wire *wire = (struct wire *)backend;

	PROMISE(!(offloads & ~OFFLOADS));
	if (wire->refuses)
		return false;
	wire->offloads = offloads;
	return true;
}

static bool use_pair(struct net_backend *backend, uint16_t pair, bool use)
{
	(void)use;
	PROMISE(pair < PAIRS);
	return !((struct wire *)backend)->refuses;
}

static const struct net_backend_ops wire_ops = {
	.send = send_frame,
	.resume = ignore_pair,
	.stop = ignore_pair,
	.use_pair = use_pair,
	.set_offloads = set_offloads,
};

static void happening(struct hostile_driver *driver, uint8_t what)
{
	static uint8_t frame[NET_FRAME_MAX + 1];
	struct net_device *net = driver->context;
	struct virtio_net_hdr_v1 header;
	uint16_t length, pair = what & 1;
	struct wire *wire = (struct wire *)net->backend;

	/* What was acknowledged is in force, even if the host refused other requests. */
	PROMISE(net->offloads == wire->offloads);
	wire->refuses = (what & 0x30) == 0x30;

	if (what & 2) {
		net_device_set_link(net, what & 4);
		return;
	}
	hostile_bytes(driver, &header, sizeof(header));
	hostile_bytes(driver, &length, sizeof(length));
	hostile_bytes(driver, frame, ETH_HLEN);
	net_device_receive(net, pair, &header, frame, what & 8 ? length : length % 2048);
	net_device_received(net, pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct net_device net;
	struct wire wire = {.backend = {.ops = &wire_ops, .features = OFFLOADS}};
	const struct net_settings settings = {
		.mac = {2, 0, 0, 0, 0, 1},
		.mtu = 1500,
		.pairs = PAIRS,
		.queue_size_max = HOSTILE_QUEUE_SIZE,
	};
	struct hostile_driver driver = {.happening = happening, .context = &net};
	struct virtqueue queues[2 * PAIRS + 1] = {0};

	net_device_init(&net, &settings, &wire.backend, queues);
	hostile_driver_run(&driver, &net.device, data, size);
	return 0;
}
