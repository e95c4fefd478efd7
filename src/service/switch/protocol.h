// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a network switch and its clients say to each other over a channel
 * (service/channel/channel.h); numbers are in the byte order of the machine, those in
 * struct virtio_net_hdr_v1 little-endian. switch.md describes it for those who write a client.
 *
 * Frames may be lost, as on any Ethernet: nothing is answered.
 */
#ifndef AVP_SERVICE_SWITCH_PROTOCOL_H
#define AVP_SERVICE_SWITCH_PROTOCOL_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdint.h>

/*
 * Slots of a channel: frames of 1514 bytes fill twelve of them, and the longest message, which is
 * longer than 64 KiB, fits into half of a ring.
 */
#define SWITCH_SLOT_SIZE 128
#define SWITCH_SLOTS	 2048

/*
 * In both directions: struct virtio_net_hdr_v1 (VIRTIO 1.4, 5.1.6), whose num_buffers means
 * nothing, and the frame, without its checksum. To the switch the header is as a driver makes it,
 * with NEEDS_CSUM as the only flag; from the switch it asks for no more than the client takes.
 */
#define SWITCH_FRAME 1
/* From a client: struct switch_offloads. Until it comes, the client takes none. */
#define SWITCH_OFFLOADS 2

/* What frames to the client may have left undone: as VIRTIO_NET_F_GUEST_*. */
#define SWITCH_CHECKSUM 1
#define SWITCH_TSO4	2 /* with SWITCH_CHECKSUM */
#define SWITCH_TSO6	4 /* with SWITCH_CHECKSUM */
#define SWITCH_ECN	8 /* segments with CWR, with one of the two above */

struct switch_offloads {
	uint32_t offloads;
};

#define SWITCH_HEADER	((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define SWITCH_TAG_SIZE 4
/* A frame: at least an Ethernet header, at most a tagged IP packet of 65535 bytes. */
#define SWITCH_FRAME_MIN ETH_HLEN
#define SWITCH_FRAME_MAX (ETH_HLEN + SWITCH_TAG_SIZE + 65535)

#endif
