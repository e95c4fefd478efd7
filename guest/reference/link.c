// SPDX-License-Identifier: BSD-3-Clause
/*
 * The link between the network devices, and the gateway 10.0.2.2 on it: it answers ARP and echo
 * requests, and resets TCP connections whose segments have a right checksum.
 */
#include "port.h"

#define PORTS_MAX 2
#define IP_AT	  ETHERNET
#define IP_HEADER 20u
#define PAYLOAD	  (IP_AT + IP_HEADER)
#define TCP	  6
#define ICMP	  1
#define TCP_RESET 4
#define TCP_ACK	  16

static const uint8_t gateway_mac[6] = {0x52, 0x55, 10, 0, 2, 2};
static const uint8_t gateway_ip[4] = {10, 0, 2, 2};
static struct port *ports[PORTS_MAX];
static unsigned int port_count;

void link_add(struct port *port)
{
	if (port_count < PORTS_MAX)
		ports[port_count++] = port;
}

static void deliver(const struct port *from, const uint8_t *frame, uint32_t length)
{
	for (unsigned int i = 0; i < port_count; i++)
		if (ports[i] != from)
			port_receive(ports[i], frame, length);
}

static void answer_arp(const uint8_t *frame, uint32_t length)
{
	const uint8_t *arp = frame + ETHERNET;
	uint8_t reply[FRAME_MIN] = {0}, *out = reply + ETHERNET;

	if (length < ETHERNET + 28 || arp[7] != 1 || memcmp(arp + 24, gateway_ip, 4))
		return;
	memcpy(reply, arp + 8, 6);
	memcpy(reply + 6, gateway_mac, 6);
	put16(reply + 12, 0x0806);
	memcpy(out, arp, 8);
	out[7] = 2;
	memcpy(out + 8, gateway_mac, 6);
	memcpy(out + 14, gateway_ip, 4);
	memcpy(out + 18, arp + 8, 10);
	deliver(NULL, reply, FRAME_MIN);
}

static void finish_ip(uint8_t *reply, const uint8_t *frame, uint32_t payload, uint8_t protocol)
{
	uint8_t *ip = reply + IP_AT;

	memcpy(reply, frame + 6, 6);
	memcpy(reply + 6, gateway_mac, 6);
	put16(reply + 12, 0x0800);
	memset(ip, 0, IP_HEADER);
	ip[0] = 0x45;
	put16(ip + 2, IP_HEADER + payload);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, gateway_ip, 4);
	memcpy(ip + 16, frame + IP_AT + 12, 4);
	put16(ip + 10, net_sum(ip, IP_HEADER, 0));
}

static void answer_echo(const uint8_t *frame, uint32_t payload)
{
	static uint8_t reply[ETHERNET + MTU];
	uint8_t *icmp = reply + PAYLOAD;

	memcpy(icmp, frame + PAYLOAD, payload);
	if (payload < 8 || icmp[0] != 8 || net_sum(icmp, payload, 0))
		return;
	icmp[0] = 0;
	put16(icmp + 2, 0);
	put16(icmp + 2, net_sum(icmp, payload, 0));
	finish_ip(reply, frame, payload, ICMP);
	deliver(NULL, reply, PAYLOAD + payload);
}

static void reset_connection(const uint8_t *frame, uint32_t payload)
{
	uint8_t reply[FRAME_MIN] = {0}, *out = reply + PAYLOAD;
	const uint8_t *tcp = frame + PAYLOAD;
	uint32_t header = (tcp[12] >> 4) * 4u, next;

	if (payload < 20 || header < 20 || header > payload ||
	    net_sum(tcp, payload, net_pseudo_sum(frame + IP_AT, payload)))
		return;
	next = ((uint32_t)get16(tcp + 4) << 16 | get16(tcp + 6)) + payload - header;
	finish_ip(reply, frame, 20, TCP);
	memcpy(out, tcp + 2, 2);
	memcpy(out + 2, tcp, 2);
	put16(out + 8, next >> 16);
	put16(out + 10, next);
	out[12] = 5 << 4;
	out[13] = TCP_RESET | TCP_ACK;
	put16(out + 16, net_sum(out, 20, net_pseudo_sum(reply + IP_AT, 20)));
	deliver(NULL, reply, FRAME_MIN);
}

static void answer(const uint8_t *frame, uint32_t length)
{
	const uint8_t *ip = frame + IP_AT;
	uint32_t total;

	if (length < PAYLOAD)
		return;
	if (get16(frame + 12) == 0x0806)
		answer_arp(frame, length);
	total = get16(ip + 2);
	/* Fragments are lost. */
	if (get16(frame + 12) != 0x0800 || ip[0] != 0x45 || memcmp(ip + 16, gateway_ip, 4) ||
	    get16(ip + 6) & 0x3fff || total < IP_HEADER || total > length - IP_AT || total > MTU ||
	    net_sum(ip, IP_HEADER, 0))
		return;
	if (ip[9] == ICMP)
		answer_echo(frame, total - IP_HEADER);
	else if (ip[9] == TCP)
		reset_connection(frame, total - IP_HEADER);
}

void link_carry(const struct port *from, const uint8_t *frame, uint32_t length)
{
	deliver(from, frame, length);
	answer(frame, length);
}
