// SPDX-License-Identifier: BSD-3-Clause
/*
 * A network device in a test, on a backend that records what is sent and refuses what the test
 * says.
 */
#ifndef AVP_DEVICE_NET_TEST_NET_RIG_H
#define AVP_DEVICE_NET_TEST_NET_RIG_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/net.h"
#include "unit/device_rig.h"
#include "virtio/feature.h"

#define QUEUE_SIZE 32
#define PAIRS	   2
#define HEADER	   sizeof(struct virtio_net_hdr_v1)
#define OFFLOADS                                                               \
	(FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |        \
	 FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_HOST_ECN) |    \
	 FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4) | \
	 FEATURE(VIRTIO_NET_F_GUEST_TSO6) | FEATURE(VIRTIO_NET_F_GUEST_ECN))

extern const uint8_t own_mac[ETH_ALEN];

/* A backend that records what is sent. Its first member is the backend. */
struct net_wire {
	struct net_backend backend;
	struct virtio_net_hdr_v1 header; /* of the last frame sent */
	uint8_t frame[NET_FRAME_MAX];
	size_t length;
	unsigned int sent, sent_on[PAIRS], resumed[PAIRS], stopped[PAIRS];
	uint32_t segments; /* of the last frame, with the header's */
	uint64_t offloads;
	bool used[PAIRS];
	bool refuse;	      /* frames */
	bool refuse_offloads; /* requests to change the host side */
	bool refuse_pair[PAIRS];
};

struct net_rig {
	struct net_wire wire;
	struct net_settings settings;
	struct net_device net;
	struct virtqueue queues[2 * PAIRS + 1];
	struct device_rig rig;
};

/* A device with PAIRS pairs and an MTU of 1500, whose settings may be changed before it starts. */
struct net_rig *net_rig_make(void);
void net_rig_start_with(struct net_rig *f, uint64_t features);
/* Both. */
struct net_rig *net_rig_start(uint64_t features);
/* Resets the device and frees all of it. */
void net_rig_stop(struct net_rig *f);

/* A frame to @destination of @length bytes. */
void net_rig_make_frame(uint8_t *frame, size_t length, const uint8_t *destination);

/* Transmits a frame on @queue, cut as said; true when the device used the buffer. */
bool net_rig_transmit(struct net_rig *f, unsigned int queue, const struct virtio_net_hdr_v1 *header,
		      size_t length, size_t cut);

/* Adds @count receive buffers of @length bytes. */
void net_rig_add_buffers(struct net_rig *f, unsigned int queue, unsigned int count, size_t length);

/* The backend receives a frame. */
enum net_received net_rig_receive(struct net_rig *f, uint16_t pair,
				  const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
				  size_t length);

#endif
