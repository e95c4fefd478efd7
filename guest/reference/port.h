// SPDX-License-Identifier: BSD-3-Clause
/* A network device with all features, on a link with the others and a gateway (VIRTIO 1.4, 5.1). */
#ifndef AVP_REFERENCE_PORT_H
#define AVP_REFERENCE_PORT_H

#include "devices/net.h"
#include "reference.h"

#define PAIRS_MAX     4u
#define QUEUES	      (2 * PAIRS_MAX + 1)
#define FRAME_MAX     65600u /* of a large frame that the driver sends */
#define MTU	      1500u
#define ETHERNET      14u
#define VLAN_TAG      4u
#define KEY_MAX	      40u
#define TABLE_MAX     128u
#define ADDRESSES_MAX 32u
#define CONTEXTS_MAX  4u
#define WAITING_MAX   64u
#define HASH_IPV4     1u
#define HASH_TCPV4    2u
#define HASH_UDPV4    4u

/* VIRTIO 1.4, 5.1.4 */
struct port_config {
	uint8_t mac[6];
	uint16_t status, pairs, mtu;
	uint32_t speed;
	uint8_t duplex, key_max;
	uint16_t table_max;
	uint32_t hash_types, tunnel_types;
} __attribute__((packed));

struct coalescing {
	uint32_t microseconds, packets;
};

/* VIRTIO 1.4, 5.1.9.5.7.1, checked. */
struct steering {
	bool set;
	uint32_t types;
	uint16_t entries, unclassified;
	uint16_t table[TABLE_MAX];
	uint8_t key[KEY_MAX];
};

/* The driver's settings: gone after a reset. */
struct settings {
	uint16_t pairs; /* in use */
	bool promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
	uint8_t addresses[ADDRESSES_MAX][6];
	uint32_t address_count;
	uint8_t vlans[4096 / 8];
	struct steering steering; /* and the hash to report */
	bool contexts[CONTEXTS_MAX];
	struct coalescing all[2], queues[2 * PAIRS_MAX]; /* receive, transmit */
	uint64_t commands, commands_ok;
	struct {
		uint64_t kicks, packets, bytes, drops;
	} counts[2 * PAIRS_MAX];
	uint16_t last_pair; /* that sent a frame */
};

/* Frames for which the driver had no buffers. */
struct waiting {
	uint8_t frames[WAITING_MAX][ETHERNET + VLAN_TAG + MTU];
	uint32_t lengths[WAITING_MAX], first, count;
};

struct port {
	struct reference reference;
	struct waiting waiting;
	struct port_config config;
	uint8_t address[6]; /* after a reset */
	struct settings settings;
};

/* The queue for commands: after those pairs that the driver may use. */
uint16_t port_control_queue(const struct port *port);
bool port_has_link(const struct port *port);
bool port_has_high(const struct port *port, uint32_t features);
/* Bytes before a frame (VIRTIO 1.4, 5.1.9.3). */
uint32_t port_header_size(const struct port *port);
/* Delivers a frame of the link. */
void port_receive(struct port *port, const uint8_t *frame, uint32_t length);
/* steering.c: the receive pair of a frame, and its hash with the report's type; 0: none. */
uint16_t port_choose_pair(const struct port *port, const uint8_t *frame, uint32_t length,
			  uint32_t *hash, uint16_t *report);
bool port_accepts(const struct port *port, const uint8_t *frame, uint32_t length);
/* port_control.c: carries out the commands in the queue. */
void port_control(struct port *port, struct virtqueue *queue);
/* segments.c: completes the checksum and cuts the frame to what the link carries. */
void port_send(struct port *port, const struct virtio_net_hdr_v1 *header, uint8_t *frame,
	       uint32_t length, uint16_t outer, uint16_t inner);
/* link.c: carries a frame of a port to all others, and to the gateway. */
void link_carry(const struct port *from, const uint8_t *frame, uint32_t length);
void link_add(struct port *port);

static inline uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline void put16(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

#endif
