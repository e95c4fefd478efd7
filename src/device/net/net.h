// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device (VIRTIO 1.4, 5.1): an Ethernet interface with one or more pairs of a receive
 * and a transmit queue, and a control queue. Frames come from and go to a backend, each with the
 * 12-byte header that describes offloaded work: checksum and segmentation.
 *
 * The backend never keeps guest memory: a frame is sent or dropped at once, and received frames are
 * copied. Like any Ethernet it may lose frames; it counts them.
 */
#ifndef AVP_DEVICE_NET_NET_H
#define AVP_DEVICE_NET_NET_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/container_of.h"
#include "virtio/device.h"

#define NET_PAIRS_MAX 8

/* The longest frame: Ethernet header, VLAN tag, and an IP packet before segmentation. */
#define NET_FRAME_MAX (ETH_HLEN + 4 + 65535)

/*
 * Addresses of each kind in the receive filter; with more, all frames to addresses of the kind are
 * received.
 */
#define NET_FILTER_MAX 64

struct net_device;
struct net_backend;

struct net_backend_ops {
	/*
	 * Sends the frame in @segments: the 12-byte header, checked, in the first one, then the
	 * guest's data. Sends or drops it before it returns. Returns false when dropped.
	 */
	bool (*send)(struct net_backend *backend, uint16_t pair,
		     const struct virtio_segment *segments, uint32_t count);
	/*
	 * The guest has buffers on @pair: pass frames to net_device_receive from now on, beginning
	 * with the one that was kept, if any. Often called when nothing has changed: must be cheap
	 * then.
	 */
	void (*resume)(struct net_backend *backend, uint16_t pair);
	/* Pass no frames on @pair until the next resume. */
	void (*stop)(struct net_backend *backend, uint16_t pair);
	/*
	 * Starts or stops the use of @pair, whose receive queue runs, for received frames. Returns
	 * false, with nothing changed, when the host does not allow it. NULL: always possible.
	 */
	bool (*use_pair)(struct net_backend *backend, uint16_t pair, bool use);
	/*
	 * Sets the offloads that received frames may use: bits of VIRTIO_NET_F_GUEST_*, a part of
	 * backend->features, in any combination. Returns false, with nothing changed, when the host
	 * does not allow it. NULL when backend->features has none of them.
	 */
	bool (*set_offloads)(struct net_backend *backend, uint64_t offloads);
	/* The device was reset, by its driver or because its frontend is gone. NULL: ignored. */
	void (*reset)(struct net_backend *backend);
};

struct net_backend {
	const struct net_backend_ops *ops;
	/* Bits of VIRTIO_NET_F_CSUM, _HOST_* and _GUEST_* that it supports. */
	uint64_t features;
	struct net_device *net; /* set by the device */
};

struct net_settings {
	uint8_t mac[ETH_ALEN];
	uint16_t mtu;	/* bytes, at least 68; 0: not offered */
	uint16_t pairs; /* 1 to NET_PAIRS_MAX */
	uint16_t queue_size_max;
};

/* What the driver wants to receive (VIRTIO 1.4, 5.1.9.5.1 and 5.1.9.5.2). */
struct net_filter {
	bool promiscuous, all_multicast, all_unicast;
	bool no_multicast, no_unicast, no_broadcast;
	/* More than NET_FILTER_MAX addresses: receive all of the kind. */
	bool unicast_overflow, multicast_overflow;
	uint8_t unicast_count, multicast_count;
	uint8_t unicast[NET_FILTER_MAX][ETH_ALEN];
	uint8_t multicast[NET_FILTER_MAX][ETH_ALEN];
};

struct net_counts {
	uint64_t sent, send_dropped, received, receive_dropped, filtered;
};

struct net_device {
	struct virtio_device device;
	struct net_backend *backend;
	struct net_settings settings;
	struct virtio_net_config config; /* as the driver sees it */
	struct net_filter filter;
	struct net_counts counts;
	uint16_t pairs;	   /* in use, when the driver has a control queue */
	uint64_t offloads; /* VIRTIO_NET_F_GUEST_* in force */
	bool mac_set;	   /* by the driver */
	bool filter_known; /* it has set the table of addresses here, or a state has */
	/* The buffers of the frame being received. */
	struct virtio_request *buffers[VIRTQUEUE_SIZE_MAX];
};

/* The number of queues of a device: the pairs and the control queue. */
static inline uint16_t net_queue_count(const struct net_settings *settings)
{
	return (uint16_t)(2 * settings->pairs + 1);
}

/*
 * Makes *net an interface on @backend. @queues (net_queue_count of them) are zeroed; the caller
 * keeps them.
 */
void net_device_init(struct net_device *net, const struct net_settings *settings,
		     struct net_backend *backend, struct virtqueue *queues);

enum net_received {
	NET_RECEIVED, /* delivered, or filtered out */
	NET_FULL,     /* the guest has no buffers: the frame may be kept, resume will be called */
	NET_SHORT,    /* it has too few for this frame; no call announces more of them */
};

/* The backend received a frame of @length bytes for @pair. @header needs no num_buffers. */
enum net_received net_device_receive(struct net_device *net, uint16_t pair,
				     const struct virtio_net_hdr_v1 *header, const void *frame,
				     size_t length);

/* The backend has dropped a received frame that the guest had no room for. */
void net_device_count_dropped(struct net_device *net);

/* After a batch of net_device_receive: notifies the guest. */
void net_device_received(struct net_device *net, uint16_t pair);

/* The link went up or down. It starts up. */
void net_device_set_link(struct net_device *net, bool up);

/* Between net.c and net_control.c. */

static inline struct net_device *to_net(struct virtio_device *device)
{
	return container_of(device, struct net_device, device);
}

/* Handles the commands in the control queue. */
void net_control_handle(struct net_device *net, struct virtqueue *queue);
/* The state after reset. */
void net_control_reset(struct net_device *net);
/* See struct virtio_device_class: all that a driver sets goes through the control queue. */
void net_control_save(struct virtio_device *device, struct device_state *state);
int net_control_load(struct virtio_device *device, struct device_state *state);
/* Whether the driver wants this frame, of at least ETH_HLEN bytes. */
bool net_filter_accepts(const struct net_device *net, const uint8_t *frame);
/* The offloads that the driver may have in force. */
uint64_t net_guest_offloads(const struct net_device *net);
/* Sets @offloads, a subset of those. Returns false, with nothing changed, on failure. */
bool net_set_offloads(struct net_device *net, uint64_t offloads);
/* The control queue, where the driver has one that runs; or NULL. */
const struct virtqueue *net_control_queue(const struct net_device *net);

#endif
