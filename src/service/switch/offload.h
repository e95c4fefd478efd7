// SPDX-License-Identifier: BSD-3-Clause
/*
 * Does what a sender has left undone and a receiver does not do itself: checksums, and the
 * segmentation of TCP (VIRTIO 1.4, 5.1.9.2).
 */
#ifndef AVP_SERVICE_SWITCH_OFFLOAD_H
#define AVP_SERVICE_SWITCH_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "service/switch/protocol.h"

/* Whether a frame with this header, which was checked, may go to a receiver as it is. */
bool switch_offload_fits(const struct virtio_net_hdr_v1 *header, uint32_t offloads);

/* A frame of its own, as complete as the receiver wants it. */
struct switch_offload_ops {
	void (*segment)(void *context, const uint8_t *message, uint32_t length);
	void *context;
};

/*
 * Passes on the @message of @length bytes, the header of VIRTIO and the frame, in as many messages
 * as it takes. The message is changed, and must have SWITCH_HEADER + SWITCH_FRAME_MAX bytes of
 * room. @type_at: where in the frame the type is, behind its tag. Returns false when headers of the
 * packet are not what the header of VIRTIO says.
 */
bool switch_offload_complete(uint8_t *message, uint32_t length, uint32_t type_at,
			     const struct switch_offload_ops *ops);

#endif
