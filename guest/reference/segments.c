// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frames that a driver sends, before the link gets them: checksums are completed, large frames are
 * cut, also within a tunnel (VIRTIO 1.4, 5.1.9.2).
 */
#include "port.h"

#define TUNNEL_IPV4 0x20
#define TUNNEL_IPV6 0x40
#define TUNNELS	    (TUNNEL_IPV4 | TUNNEL_IPV6)
#define UDP_HEADER  8u
#define TCP_FIN	    1
#define TCP_PUSH    8

/* Where the headers of a large frame are. */
struct layout {
	uint32_t network, transport, payload;	 /* of what is cut */
	uint32_t outer_network, outer_transport; /* of the tunnel around it; 0: none */
	bool is_tcp, is_ipv6;
};

static bool has(const struct port *port, unsigned int feature)
{
	return virtio_has_feature(&port->reference.device, feature);
}

/* Sums of a network header's addresses and of the payload's length and protocol. */
static uint32_t pseudo_sum(const uint8_t *network, bool is_ipv6, uint32_t size)
{
	uint32_t sum = size + network[6];

	if (!is_ipv6)
		return net_pseudo_sum(network, size);
	for (int i = 8; i < 40; i += 2)
		sum += get16(network + i);
	return sum;
}

static void set_length(uint8_t *network, bool is_ipv6, uint32_t payload, uint32_t number)
{
	uint32_t header = (network[0] & 15) * 4u;

	if (is_ipv6) {
		put16(network + 4, payload);
		return;
	}
	put16(network + 2, header + payload);
	put16(network + 4, get16(network + 4) + number);
	put16(network + 10, 0);
	put16(network + 10, net_sum(network, header, 0));
}

static bool find_network(const uint8_t *frame, uint32_t length, uint32_t at, uint32_t *transport,
			 bool *is_ipv6, uint8_t *protocol)
{
	uint32_t header;

	if (at + 40 > length)
		return false;
	*is_ipv6 = frame[at] >> 4 == 6;
	header = *is_ipv6 ? 40 : (frame[at] & 15) * 4u;
	*protocol = frame[at + (*is_ipv6 ? 6 : 9)];
	*transport = at + header;
	return (*is_ipv6 || (frame[at] >> 4 == 4 && header >= 20)) && *transport < length;
}

static uint32_t after_ethernet(const uint8_t *frame)
{
	return ETHERNET + (get16(frame + 12) == 0x8100 ? VLAN_TAG : 0);
}

/* False: what the header says does not fit the frame. */
static bool find_layout(const uint8_t *frame, uint32_t length, uint8_t kind, uint8_t tunnel,
			uint16_t outer, uint16_t inner, struct layout *layout)
{
	uint32_t size;
	uint8_t protocol;

	layout->network = after_ethernet(frame);
	if (tunnel) {
		bool outer_ipv6;

		layout->outer_network = layout->network;
		if (!find_network(frame, length, layout->outer_network, &layout->outer_transport,
				  &outer_ipv6, &protocol) ||
		    protocol != 17 || outer_ipv6 != (tunnel == TUNNEL_IPV6) ||
		    outer != layout->outer_transport || inner < outer + UDP_HEADER)
			return false;
		layout->network = inner;
	}
	if (!find_network(frame, length, layout->network, &layout->transport, &layout->is_ipv6,
			  &protocol))
		return false;
	layout->is_tcp = kind == VIRTIO_NET_HDR_GSO_TCPV4 || kind == VIRTIO_NET_HDR_GSO_TCPV6;
	if (protocol != (layout->is_tcp ? 6 : 17) ||
	    (kind == VIRTIO_NET_HDR_GSO_TCPV4 && layout->is_ipv6) ||
	    (kind == VIRTIO_NET_HDR_GSO_TCPV6 && !layout->is_ipv6))
		return false;
	size = UDP_HEADER;
	if (layout->is_tcp && layout->transport + 20 <= length)
		size = (frame[layout->transport + 12] >> 4) * 4u;
	layout->payload = layout->transport + size;
	return size >= UDP_HEADER && layout->payload < length;
}

/* Finishes the headers of one segment with @size bytes of payload, number @number. */
static void finish_segment(uint8_t *segment, const struct layout *layout, uint32_t done,
			   uint32_t size, uint32_t number, bool last)
{
	uint32_t length = layout->payload + size, whole = length - layout->transport;
	uint8_t *transport = segment + layout->transport, *network = segment + layout->network;
	uint32_t at = layout->is_tcp ? 16 : 6;

	if (layout->is_tcp) {
		uint32_t sequence = (uint32_t)get16(transport + 4) << 16 | get16(transport + 6);

		put16(transport + 4, (sequence + done) >> 16);
		put16(transport + 6, sequence + done);
		if (!last)
			transport[13] &= (uint8_t) ~(TCP_FIN | TCP_PUSH);
	} else {
		put16(transport + 4, whole);
	}
	set_length(network, layout->is_ipv6, whole, number);
	put16(transport + at, 0);
	put16(transport + at,
	      net_sum(transport, whole, pseudo_sum(network, layout->is_ipv6, whole)));
	if (layout->outer_transport) {
		uint8_t *outer = segment + layout->outer_transport;

		/* Its checksum is 0, or as the driver computed it for segments of this size. */
		put16(outer + 4, length - layout->outer_transport);
		set_length(segment + layout->outer_network,
			   segment[layout->outer_network] >> 4 == 6,
			   length - layout->outer_transport, number);
	}
}

static bool offered_kind(const struct port *port, uint8_t kind)
{
	switch (kind) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(port, VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(port, VIRTIO_NET_F_HOST_TSO6);
	case NET_GSO_UDP_L4:
		return has(port, NET_F_HOST_USO);
	default:
		return false;
	}
}

/* VIRTIO 1.4, 5.1.9.2.2: which bits the device must not accept together. */
static bool header_allowed(const struct port *port, const struct virtio_net_hdr_v1 *header)
{
	uint8_t tunnel = header->gso_type & TUNNELS;

	if (reference_fault(FAULT_TUNNEL_ACCEPTED))
		return true;
	if (!tunnel)
		return true;
	return port_has_high(port, NET_HIGH_HOST_TUNNEL) && tunnel != TUNNELS &&
	       header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	       !(header->flags & VIRTIO_NET_HDR_F_DATA_VALID) &&
	       (header->gso_type & (uint8_t)~TUNNELS) != VIRTIO_NET_HDR_GSO_NONE;
}

static void send_large(const struct port *port, const struct virtio_net_hdr_v1 *header,
		       const uint8_t *frame, uint32_t length, uint16_t outer, uint16_t inner)
{
	static uint8_t segment[FRAME_MAX];
	uint8_t tunnel = header->gso_type & TUNNELS;
	uint8_t kind = header->gso_type & (uint8_t) ~(TUNNELS | VIRTIO_NET_HDR_GSO_ECN);
	struct layout layout = {0};
	uint32_t number = 0;

	if (!offered_kind(port, kind) || !header->gso_size ||
	    !(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
	    !find_layout(frame, length, kind, tunnel, outer, inner, &layout))
		return;
	if (reference_fault(FAULT_HDR_LEN) && header->hdr_len > layout.payload)
		layout.payload = header->hdr_len < length ? header->hdr_len : length;
	memcpy(segment, frame, layout.payload);
	for (uint32_t at = layout.payload; at < length; number++) {
		uint32_t size = length - at < header->gso_size ? length - at : header->gso_size;

		memcpy(segment, frame, layout.payload);
		memcpy(segment + layout.payload, frame + at, size);
		if (!reference_fault(FAULT_GSO_FIRST_ONLY) || number == 0) {
			finish_segment(segment, &layout, at - layout.payload, size, number,
				       at + size == length);
			link_carry(port, segment, layout.payload + size);
		}
		at += size;
	}
}

/* Whether this frame stops a device with that fault. */
static bool stops(const struct virtio_net_hdr_v1 *header, uint32_t length)
{
	return reference_fault(FAULT_HDR_LEN_STOPS) && header->hdr_len > length;
}

void port_send(struct port *port, const struct virtio_net_hdr_v1 *header, uint8_t *frame,
	       uint32_t length, uint16_t outer, uint16_t inner)
{
	uint32_t start = header->csum_start, at = start + header->csum_offset;

	port->reference.stopped |= stops(header, length);
	if (!header_allowed(port, header) || length < ETHERNET + 2)
		return;
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE &&
	    !reference_fault(FAULT_TUNNEL_ACCEPTED)) {
		send_large(port, header, frame, length, outer, inner);
		return;
	}
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && has(port, VIRTIO_NET_F_CSUM) &&
	    !reference_fault(FAULT_CHECKSUM_LEFT)) {
		uint16_t sum;

		if (start >= length || at + 2 > length)
			return;
		sum = net_sum(frame + start, length - start, 0);
		put16(frame + at, sum ? sum : 0xffff);
	}
	link_carry(port, frame, length);
}
