// SPDX-License-Identifier: BSD-3-Clause
/* Bounds the out-of-order segments of a guest's TCP connections. */
#include "device/net/user/tcp_order.h"

#include <stdbool.h>
#include <string.h>

#include "base/big_endian.h"

static size_t set_of(const struct tcp_order_flow *key)
{
	uint32_t mixed = 0;

	for (size_t i = 0; i < IPV6_ADDRESS; i += 4)
		mixed = (mixed ^ big_endian_get32(key->guest + i) ^
			 big_endian_get32(key->host + i)) *
			0x9e3779b1U;
	mixed = (mixed ^ ((uint32_t)key->guest_port << 16 | key->host_port)) * 0x85ebca6bU;
	return (mixed >> 16) % TCP_ORDER_SETS;
}

static struct tcp_order_flow *find(struct tcp_order *order, const struct tcp_order_flow *key)
{
	struct tcp_order_flow *flow = order->flows[set_of(key)];

	for (int i = 0; i < TCP_ORDER_WAYS; i++, flow++)
		if (flow->guest_port == key->guest_port && flow->host_port == key->host_port &&
		    !memcmp(flow->guest, key->guest, IPV6_ADDRESS) &&
		    !memcmp(flow->host, key->host, IPV6_ADDRESS))
			return flow;
	return NULL;
}

/* NULL: all entries of the set have segments that the library keeps, and must stay. */
static struct tcp_order_flow *find_or_add(struct tcp_order *order, const struct tcp_order_flow *key)
{
	struct tcp_order_flow *flow = find(order, key);
	size_t set = set_of(key);

	for (int i = 0; !flow && i < TCP_ORDER_WAYS; i++) {
		flow = &order->flows[set][order->victims[set]++ % TCP_ORDER_WAYS];
		if (!flow->early)
			*flow = *key;
		else
			flow = NULL;
	}
	return flow;
}

static bool comes_after(uint32_t sequence, uint32_t other)
{
	return (int32_t)(sequence - other) > 0;
}

static void forget_segment(struct tcp_order *order, size_t index)
{
	order->early[index].flow->early--;
	order->early[index].flow = NULL;
}

/* The library has released the early segments of @flow that end at or before @sequence. */
static void forget_early(struct tcp_order *order, struct tcp_order_flow *flow, uint32_t sequence)
{
	for (size_t i = 0; flow->early && i < TCP_ORDER_EARLY; i++)
		if (order->early[i].flow == flow && !comes_after(order->early[i].end, sequence))
			forget_segment(order, i);
}

/* The library has released all of them, with the connection. */
static void forget_all(struct tcp_order *order, struct tcp_order_flow *flow)
{
	flow->ended = false;
	for (size_t i = 0; flow->early && i < TCP_ORDER_EARLY; i++)
		if (order->early[i].flow == flow)
			forget_segment(order, i);
}

/*
 * Whether the library may get an early segment from @start to @end. Not one that it has already: it
 * keeps duplicates of a FIN without data.
 */
static bool add_early(struct tcp_order *order, struct tcp_order_flow *flow, uint32_t start,
		      uint32_t end)
{
	size_t room = TCP_ORDER_EARLY;

	for (size_t i = 0; i < TCP_ORDER_EARLY; i++) {
		if (!order->early[i].flow)
			room = i;
		else if (order->early[i].flow == flow && order->early[i].start == start)
			return false;
	}
	if (room == TCP_ORDER_EARLY)
		return false;
	order->early[room].flow = flow;
	order->early[room].start = start;
	order->early[room].end = end;
	flow->early++;
	return true;
}

/* Whether the library keeps segments of @flow beyond @end. */
static bool keeps_beyond(const struct tcp_order *order, const struct tcp_order_flow *flow,
			 uint32_t end)
{
	for (size_t i = 0; flow->early && i < TCP_ORDER_EARLY; i++)
		if (order->early[i].flow == flow && comes_after(order->early[i].end, end))
			return true;
	return false;
}

/* Whether the library may get a segment from @start to @end; @is_last: it ends the stream. */
static bool may_pass(struct tcp_order *order, struct tcp_order_flow *flow, uint32_t start,
		     uint32_t end, bool is_last)
{
	bool early = comes_after(start, flow->expected);

	if (early && flow->ended && comes_after(end, flow->end))
		return false;
	if (is_last && keeps_beyond(order, flow, end))
		return false;
	if (early && !add_early(order, flow, start, end))
		return false;
	if (!early && comes_after(end, flow->expected))
		flow->expected = end;
	if (is_last) {
		flow->ended = true;
		flow->end = end;
	}
	return true;
}

/* Removes the data and makes the segment start at @sequence. */
static void cut(uint8_t *ip, size_t *total, uint32_t sequence)
{
	size_t header = packet_ip_header(ip);
	uint8_t *tcp = ip + header;
	uint16_t length = (uint16_t)packet_tcp_header(tcp);

	big_endian_put32(tcp + TCP_SEQUENCE, sequence);
	tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
	packet_finish_payload(ip, length);
	*total = header + length;
	if (packet_is_ipv6(ip))
		big_endian_put16(ip + IPV6_LENGTH, length);
	else
		packet_finish_ip(ip, (uint16_t)*total);
}

void tcp_order_send(struct tcp_order *order, uint8_t *ip, size_t *total)
{
	uint8_t *tcp = ip + packet_ip_header(ip), flags = tcp[TCP_FLAGS];
	struct tcp_order_flow key = {
		.guest_port = big_endian_get16(tcp + PORT_SOURCE),
		.host_port = big_endian_get16(tcp + PORT_DESTINATION),
	};
	size_t length = *total - packet_ip_header(ip) - packet_tcp_header(tcp);
	uint32_t sequence = big_endian_get32(tcp + TCP_SEQUENCE), end;
	struct tcp_order_flow *flow;

	packet_take_address(key.guest, ip, true);
	packet_take_address(key.host, ip, false);
	end = sequence + (uint32_t)length + !!(flags & TCP_FLAG_FIN);
	flow = find(order, &key);
	if (flags & TCP_FLAG_SYN) {
		/*
		 * It begins a connection, or the library drops it: its acknowledgement shows which.
		 */
		if (flow)
			flow->known = false;
	} else if (flags & TCP_FLAG_RST) {
		if (!flow || !flow->early)
			return;
		/* At a number that the library accepts without an answer. */
		cut(ip, total, flow->acknowledged);
		forget_all(order, flow);
	} else if (end == sequence || !(flags & TCP_FLAG_ACK)) {
		/*
		 * The library keeps no data of it: a connection accepts none without ACK (RFC 9293,
		 * 3.10.7).
		 */
		return;
	} else if (!flow || !flow->known) {
		cut(ip, total, sequence - 1);
	} else if (!may_pass(order, flow, sequence, end, flags & TCP_FLAG_FIN)) {
		/* An old byte makes the library acknowledge. */
		cut(ip, total, flow->expected - 1);
	}
}

void tcp_order_forget(struct tcp_order *order)
{
	for (size_t i = 0; i < TCP_ORDER_EARLY; i++)
		if (order->early[i].flow)
			forget_segment(order, i);
}

void tcp_order_receive(struct tcp_order *order, const uint8_t *ip, size_t total)
{
	const uint8_t *tcp = ip + packet_ip_header(ip);
	struct tcp_order_flow key, *flow;
	uint8_t flags;
	bool tells;

	if (total < packet_ip_header(ip) + TCP_HEADER)
		return;
	flags = tcp[TCP_FLAGS];
	key = (struct tcp_order_flow){
		.guest_port = big_endian_get16(tcp + PORT_DESTINATION),
		.host_port = big_endian_get16(tcp + PORT_SOURCE),
	};
	packet_take_address(key.guest, ip, false);
	packet_take_address(key.host, ip, true);
	tells = (flags & (TCP_FLAG_RST | TCP_FLAG_ACK)) == TCP_FLAG_ACK;
	flow = tells ? find_or_add(order, &key) : find(order, &key);
	if (!flow)
		return;
	/* A connection ends, or another one begins. */
	if (flags & (TCP_FLAG_RST | TCP_FLAG_SYN))
		forget_all(order, flow);
	if (flags & TCP_FLAG_SYN)
		flow->known = false;
	if (!tells)
		return;
	flow->known = true;
	flow->expected = flow->acknowledged = big_endian_get32(tcp + TCP_ACKNOWLEDGED);
	forget_early(order, flow, flow->acknowledged);
}
