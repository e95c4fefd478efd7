// SPDX-License-Identifier: BSD-3-Clause
/* The Ethernet addresses of a guest, and answers of ARP and neighbour discovery in its name. */
#include "device/net/user/neighbours.h"

#include <string.h>

#include "base/big_endian.h"

static size_t index_of(uint32_t address)
{
	return address % NEIGHBOURS;
}

void neighbours_learn(struct neighbours *neighbours, uint32_t address, const uint8_t mac[ETH_ALEN])
{
	size_t index = index_of(address);

	neighbours->known[index].address = address;
	memcpy(neighbours->known[index].mac, mac, ETH_ALEN);
}

/* Multiplies to spread addresses that differ only in their last or middle bytes. */
static size_t index_of_ipv6(const uint8_t *address)
{
	uint32_t mixed = big_endian_get32(address + 8) * 0x9e3779b1U ^
			 big_endian_get32(address + 12);

	return (mixed ^ mixed >> 8 ^ mixed >> 16) % NEIGHBOURS;
}

void neighbours_learn_ipv6(struct neighbours *neighbours, const uint8_t address[IPV6_ADDRESS],
			   const uint8_t mac[ETH_ALEN])
{
	size_t index = index_of_ipv6(address);

	memcpy(neighbours->known_ipv6[index].address, address, IPV6_ADDRESS);
	memcpy(neighbours->known_ipv6[index].mac, mac, ETH_ALEN);
}

/* Room for an answer of @length bytes; NULL: no room. */
static uint8_t *add_answer(struct neighbours *neighbours, size_t length)
{
	if (neighbours->answer_count == NEIGHBOURS_ANSWERS)
		return NULL;
	neighbours->answers[neighbours->answer_count].length = length;
	return neighbours->answers[neighbours->answer_count++].frame;
}

static bool answer_arp(struct neighbours *neighbours, const uint8_t *frame, size_t length)
{
	const uint8_t *request = frame + ETH_HLEN, *mac;
	uint8_t *answer, *reply;
	uint32_t address;

	if (length < ARP_FRAME || big_endian_get16(request + ARP_OPERATION) != ARP_REQUEST)
		return false;
	address = big_endian_get32(request + ARP_TARGET);
	if (!address || neighbours->known[index_of(address)].address != address)
		return false;
	answer = add_answer(neighbours, ARP_FRAME);
	if (!answer)
		return true;
	mac = neighbours->known[index_of(address)].mac;
	reply = answer + ETH_HLEN;
	memcpy(answer, frame + ETH_ALEN, ETH_ALEN);
	memcpy(answer + ETH_ALEN, mac, ETH_ALEN);
	big_endian_put16(answer + 2 * ETH_ALEN, ETH_P_ARP);
	/* Hardware, protocol and their lengths are those of the request. */
	memcpy(reply, request, ARP_OPERATION);
	big_endian_put16(reply + ARP_OPERATION, ARP_REPLY);
	memcpy(reply + ARP_SENDER_MAC, mac, ETH_ALEN);
	big_endian_put32(reply + ARP_SENDER, address);
	memcpy(reply + ARP_TARGET_MAC, request + ARP_SENDER_MAC, ETH_ALEN + 4);
	return true;
}

static bool answer_solicitation(struct neighbours *neighbours, const uint8_t *frame, size_t length)
{
	const uint8_t *ip = frame + PACKET_IP, *target = ip + IPV6_HEADER + ND_TARGET, *mac;
	struct packet_route_ipv6 route = {.hop_limit = ND_HOP_LIMIT};
	uint8_t *answer, *message;
	size_t index;

	if (length < PACKET_IP + IPV6_HEADER + ND_LENGTH || ip[IPV6_NEXT] != PROTOCOL_ICMPV6 ||
	    ip[IPV6_HEADER] != ND_SOLICIT)
		return false;
	index = index_of_ipv6(target);
	if (memcmp(neighbours->known_ipv6[index].address, target, IPV6_ADDRESS))
		return false;
	answer = add_answer(neighbours, NEIGHBOURS_ANSWER_MAX);
	if (!answer)
		return true;
	mac = neighbours->known_ipv6[index].mac;
	message = answer + PACKET_IP + IPV6_HEADER;
	memset(message, 0, ND_LENGTH);
	message[0] = ND_ADVERTISE;
	message[ND_FLAGS] = ND_FLAG_SOLICITED | ND_FLAG_OVERRIDE;
	memcpy(message + ND_TARGET, target, IPV6_ADDRESS);
	message[ND_LENGTH] = ND_OPTION_TARGET;
	message[ND_LENGTH + 1] = 1;
	memcpy(message + ND_LENGTH + 2, mac, ETH_ALEN);
	memcpy(route.mac, frame + ETH_ALEN, ETH_ALEN);
	memcpy(route.source, target, IPV6_ADDRESS);
	memcpy(route.destination, ip + IPV6_SOURCE, IPV6_ADDRESS);
	packet_wrap_ipv6(message, &route, PROTOCOL_ICMPV6, ND_LENGTH + ND_OPTION_UNIT);
	/* The guest's address, not one of a service of the network. */
	memcpy(answer + ETH_ALEN, mac, ETH_ALEN);
	return true;
}

bool neighbours_answer(struct neighbours *neighbours, const uint8_t *frame, size_t length)
{
	switch (length < ETH_HLEN ? 0 : big_endian_get16(frame + 2 * ETH_ALEN)) {
	case ETH_P_ARP:
		return answer_arp(neighbours, frame, length);
	case ETH_P_IPV6:
		return answer_solicitation(neighbours, frame, length);
	}
	return false;
}

size_t neighbours_take_answer(struct neighbours *neighbours, uint8_t answer[NEIGHBOURS_ANSWER_MAX])
{
	size_t length;

	if (!neighbours->answer_count)
		return 0;
	neighbours->answer_count--;
	length = neighbours->answers[neighbours->answer_count].length;
	memcpy(answer, neighbours->answers[neighbours->answer_count].frame, length);
	return length;
}
