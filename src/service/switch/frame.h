// SPDX-License-Identifier: BSD-3-Clause
/*
 * An Ethernet frame in a switch: it stays where its sender has put it, and may still be changed
 * there. What is decided upon was copied.
 */
#ifndef AVP_SERVICE_SWITCH_FRAME_H
#define AVP_SERVICE_SWITCH_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "service/channel/channel.h"
#include "service/switch/protocol.h"

/* Bytes that are copied: up to the end of the addresses of IPv6 behind a tag. */
#define SWITCH_HEAD_SIZE (ETH_HLEN + SWITCH_TAG_SIZE + 40)

struct switch_frame {
	struct virtio_net_hdr_v1 header; /* checked */
	uint32_t length;		 /* without that header */
	uint32_t head_length;
	uint8_t head[SWITCH_HEAD_SIZE];
	struct channel_span span; /* the header and the frame, as they came */
	bool tagged;
	uint16_t vlan;	  /* of the tag, 0: none, or a tag with a priority alone */
	uint8_t priority; /* of the tag */
	uint16_t type;	  /* behind the tag */
};

enum switch_frame_fault {
	SWITCH_FRAME_FINE,
	SWITCH_FRAME_MALFORMED, /* longer than its kind can be, or a checksum where none can be */
	SWITCH_FRAME_TAGS,	/* more than one tag, or one of a provider */
	SWITCH_FRAME_SOURCE,	/* no interface has this address */
	SWITCH_FRAME_BROKEN,	/* no correct client sends this */
};

/* Reads the message of @length bytes in @span. @frame is set unless it is BROKEN. */
enum switch_frame_fault switch_frame_read(struct switch_frame *frame,
					  const struct channel_span *span, uint32_t length);

/* Sets the VLAN and the priority of a frame: those of the tag that it gets. */
static inline void switch_frame_classify(struct switch_frame *frame, uint16_t vlan,
					 uint8_t priority)
{
	frame->vlan = vlan;
	frame->priority = priority;
}

/* The length of the message with or without a tag. */
uint32_t switch_frame_size(const struct switch_frame *frame, bool tagged);

/* Writes the message, of switch_frame_size bytes, with a tag of its VLAN and priority, or none. */
void switch_frame_write(const struct switch_frame *frame, bool tagged,
			const struct channel_span *to);

/* Keys of tables: an address as a number. */
static inline uint64_t switch_address(const uint8_t mac[ETH_ALEN])
{
	uint64_t number = 0;

	for (int i = 0; i < ETH_ALEN; i++)
		number = number << 8 | mac[i];
	return number;
}

static inline bool switch_is_multicast(uint64_t address)
{
	return address >> 40 & 1;
}

#endif
