// SPDX-License-Identifier: BSD-3-Clause
/* An Ethernet frame in a switch: IEEE 802.3 and 802.1Q, and the header of VIRTIO 1.4, 5.1.6. */
#include "service/switch/frame.h"

#include <endian.h>
#include <string.h>

#include "base/big_endian.h"

/* Of both addresses. */
#define ADDRESSES (2 * ETH_ALEN)

/* What the header of a correct client says: as that of a driver, once its device has checked it. */
static bool header_is_fine(const struct virtio_net_hdr_v1 *header, uint32_t length)
{
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (header->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return false;
	if (header->flags &&
	    (uint32_t)le16toh(header->csum_start) + le16toh(header->csum_offset) + 2 > length)
		return false;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	return header->flags && header->gso_size &&
	       (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6);
}

static bool is_tag(uint16_t type)
{
	return type == ETH_P_8021Q || type == ETH_P_8021AD;
}

/* IEEE 802.1Q, 9.6: priority in three bits, one that means nothing here, and the VLAN. */
static void read_tag(struct switch_frame *frame)
{
	uint16_t control = big_endian_get16(frame->head + ETH_HLEN);

	frame->tagged = true;
	frame->vlan = control & 0xfff;
	frame->priority = (uint8_t)(control >> 13);
	frame->type = big_endian_get16(frame->head + ETH_HLEN + 2);
}

/* Whether length and checksum are where they can be, so that they can move with a tag. */
static bool is_formed(const struct switch_frame *frame)
{
	uint32_t tag = frame->tagged ? SWITCH_TAG_SIZE : 0;
	uint16_t start = le16toh(frame->header.csum_start);

	if (frame->length > SWITCH_FRAME_MAX - SWITCH_TAG_SIZE + tag)
		return false;
	return !frame->header.flags ||
	       (start >= ETH_HLEN + tag && start <= UINT16_MAX - SWITCH_TAG_SIZE);
}

enum switch_frame_fault switch_frame_read(struct switch_frame *frame,
					  const struct channel_span *span, uint32_t length)
{
	uint64_t source;

	if (length < SWITCH_HEADER + SWITCH_FRAME_MIN || length > SWITCH_HEADER + SWITCH_FRAME_MAX)
		return SWITCH_FRAME_BROKEN;
	channel_span_read(span, 0, &frame->header, SWITCH_HEADER);
	frame->header.num_buffers = 0;
	frame->span = *span;
	frame->length = length - SWITCH_HEADER;
	if (!header_is_fine(&frame->header, frame->length))
		return SWITCH_FRAME_BROKEN;
	frame->head_length = frame->length < SWITCH_HEAD_SIZE ? frame->length :
								(uint32_t)SWITCH_HEAD_SIZE;
	channel_span_read(span, SWITCH_HEADER, frame->head, frame->head_length);
	frame->tagged = false;
	frame->vlan = frame->priority = 0;
	frame->type = big_endian_get16(frame->head + ADDRESSES);
	if (frame->type == ETH_P_8021Q && frame->length >= ETH_HLEN + SWITCH_TAG_SIZE)
		read_tag(frame);
	/* One that ends within its tag, too. */
	if (is_tag(frame->type))
		return SWITCH_FRAME_TAGS;
	if (!is_formed(frame))
		return SWITCH_FRAME_MALFORMED;
	source = switch_address(frame->head + ETH_ALEN);
	return source == 0 || switch_is_multicast(source) ? SWITCH_FRAME_SOURCE : SWITCH_FRAME_FINE;
}

static uint32_t tag_size(bool tagged)
{
	return tagged ? SWITCH_TAG_SIZE : 0;
}

uint32_t switch_frame_size(const struct switch_frame *frame, bool tagged)
{
	return SWITCH_HEADER + frame->length - tag_size(frame->tagged) + tag_size(tagged);
}

/* Positions in the frame move with its tag. A length of headers that is none stays 0. */
static struct virtio_net_hdr_v1 moved_header(const struct switch_frame *frame, bool tagged)
{
	struct virtio_net_hdr_v1 header = frame->header;
	int by = (int)tag_size(tagged) - (int)tag_size(frame->tagged);

	if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		header.csum_start = htole16((uint16_t)(le16toh(header.csum_start) + by));
	/* "MUST NOT rely on hdr_len": what it says of a frame that changes is nothing. */
	if (by)
		header.hdr_len = 0;
	return header;
}

void switch_frame_write(const struct switch_frame *frame, bool tagged,
			const struct channel_span *to)
{
	uint32_t from = ADDRESSES + tag_size(frame->tagged);
	uint32_t at = ADDRESSES + tag_size(tagged);
	uint32_t place = SWITCH_HEADER + frame->head_length, left = frame->length;
	uint8_t start[SWITCH_HEADER + SWITCH_HEAD_SIZE + SWITCH_TAG_SIZE];
	struct virtio_net_hdr_v1 header = moved_header(frame, tagged);

	memcpy(start, &header, SWITCH_HEADER);
	memcpy(start + SWITCH_HEADER, frame->head, ADDRESSES);
	if (tagged) {
		big_endian_put16(start + SWITCH_HEADER + ADDRESSES, ETH_P_8021Q);
		big_endian_put16(start + SWITCH_HEADER + ADDRESSES + 2,
				 (uint16_t)(frame->priority << 13 | frame->vlan));
	}
	memcpy(start + SWITCH_HEADER + at, frame->head + from, frame->head_length - from);
	at += SWITCH_HEADER + frame->head_length - from;
	channel_span_write(to, 0, start, at);

	/* The rest, in the pieces in which it came. */
	left -= frame->head_length;
	for (int i = 0; i < 2 && left > 0; i++) {
		uint32_t piece = frame->span.length[i];

		if (place >= piece) {
			place -= piece;
			continue;
		}
		piece -= place;
		piece = piece < left ? piece : left;
		channel_span_write(to, at, frame->span.base[i] + place, piece);
		at += piece;
		left -= piece;
		place = 0;
	}
}
