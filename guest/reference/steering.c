// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which frames a port accepts, and which of its receive queues gets them (VIRTIO 1.4, 5.1.9.4.3 to
 * 5.1.9.4.5 and 5.1.9.5.1 to 5.1.9.5.3).
 */
#include "port.h"

enum { REPORT_NONE, REPORT_IPV4, REPORT_TCPV4, REPORT_UDPV4 };

static bool has(const struct port *port, unsigned int feature)
{
	return virtio_has_feature(&port->reference.device, feature);
}

static bool in_table(const struct settings *settings, const uint8_t *address)
{
	for (uint32_t i = 0; i < settings->address_count; i++)
		if (!memcmp(settings->addresses[i], address, 6))
			return true;
	return false;
}

static bool address_accepted(const struct port *port, const uint8_t *to)
{
	const struct settings *settings = &port->settings;
	bool broadcast = true;

	for (int i = 0; i < 6; i++)
		broadcast &= to[i] == 0xff;
	if (broadcast)
		return !settings->no_broadcast;
	if (to[0] & 1 ? settings->no_multicast : settings->no_unicast)
		return false;
	if (settings->promiscuous || in_table(settings, to) || !memcmp(to, port->config.mac, 6))
		return true;
	return to[0] & 1 ? settings->all_multicast : settings->all_unicast;
}

bool port_accepts(const struct port *port, const uint8_t *frame, uint32_t length)
{
	uint16_t tag = get16(frame + 14) & 0xfff;

	if (length < FRAME_MIN / 2 || !port_has_link(port))
		return false;
	if (has(port, VIRTIO_NET_F_CTRL_VLAN) && get16(frame + 12) == 0x8100 &&
	    !(port->settings.vlans[tag / 8] & 1 << tag % 8))
		return false;
	if (get16(frame + 12) == 0x8100 && reference_fault(FAULT_VLAN_DROPPED))
		return false;
	return !has(port, VIRTIO_NET_F_CTRL_RX) || address_accepted(port, frame);
}

static uint32_t toeplitz(const uint8_t *key, const uint8_t *data, uint32_t size)
{
	uint32_t window = (uint32_t)get16(key) << 16 | get16(key + 2), hash = 0;

	for (uint32_t bit = 0; bit < 8 * size; bit++) {
		uint32_t next = bit + 32;

		if (data[bit / 8] & 0x80 >> bit % 8)
			hash ^= window;
		window = window << 1 |
			 (next / 8 < KEY_MAX ? key[next / 8] >> (7 - next % 8) & 1 : 0);
	}
	return hash;
}

static uint16_t find_hash(const struct steering *steering, const uint8_t *frame, uint32_t length,
			  uint32_t *hash)
{
	const uint8_t *ip = frame + ETHERNET;
	uint32_t header = (ip[0] & 15) * 4u, ports = header + 4 + ETHERNET;
	uint8_t data[12];
	bool whole;

	if (length < ETHERNET + 20 || get16(frame + 12) != 0x0800 || ip[0] >> 4 != 4 || header < 20)
		return REPORT_NONE;
	whole = !(get16(ip + 6) & 0x3fff) && length >= ports;
	memcpy(data, ip + 12, 8);
	if (whole)
		memcpy(data + 8, ip + header, 4);
	if (whole && ip[9] == 6 && steering->types & HASH_TCPV4) {
		*hash = toeplitz(steering->key, data, 12);
		return REPORT_TCPV4;
	}
	if (whole && ip[9] == 17 && steering->types & HASH_UDPV4) {
		*hash = toeplitz(steering->key, data, 12);
		return REPORT_UDPV4;
	}
	if (!(steering->types & HASH_IPV4))
		return REPORT_NONE;
	*hash = toeplitz(steering->key, data, 8);
	return REPORT_IPV4;
}

uint16_t port_choose_pair(const struct port *port, const uint8_t *frame, uint32_t length,
			  uint32_t *hash, uint16_t *report)
{
	const struct settings *settings = &port->settings;
	const struct steering *steering = &settings->steering;

	*report = steering->set ? find_hash(steering, frame, length, hash) : REPORT_NONE;
	if (has(port, NET_F_RSS) && steering->set) {
		if (*report == REPORT_NONE || reference_fault(FAULT_RSS_UNCLASSIFIED))
			return steering->unclassified;
		return steering->table[*hash & (steering->entries - 1u)];
	}
	if (reference_fault(FAULT_PAIR_LAST))
		return port->config.pairs - 1;
	return settings->last_pair % settings->pairs;
}
