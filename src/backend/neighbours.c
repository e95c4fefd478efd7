// SPDX-License-Identifier: BSD-3-Clause
/* The Ethernet addresses of a guest, and ARP answers in its name. */
#include "backend/neighbours.h"

#include <string.h>

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

bool neighbours_answer(struct neighbours *neighbours, const uint8_t *frame, size_t length)
{
	const uint8_t *request = frame + ETH_HLEN, *mac;
	uint8_t *answer, *reply;
	uint32_t address;

	if (length < ARP_FRAME || packet_get16(frame + 2 * ETH_ALEN) != ETH_P_ARP ||
	    packet_get16(request + ARP_OPERATION) != ARP_REQUEST)
		return false;
	address = packet_get32(request + ARP_TARGET);
	if (!address || neighbours->known[index_of(address)].address != address)
		return false;
	if (neighbours->answer_count == NEIGHBOURS_ANSWERS)
		return true;
	mac = neighbours->known[index_of(address)].mac;
	answer = neighbours->answers[neighbours->answer_count++];
	reply = answer + ETH_HLEN;
	memcpy(answer, frame + ETH_ALEN, ETH_ALEN);
	memcpy(answer + ETH_ALEN, mac, ETH_ALEN);
	packet_put16(answer + 2 * ETH_ALEN, ETH_P_ARP);
	/* Hardware, protocol and their lengths are those of the request. */
	memcpy(reply, request, ARP_OPERATION);
	packet_put16(reply + ARP_OPERATION, ARP_REPLY);
	memcpy(reply + ARP_SENDER_MAC, mac, ETH_ALEN);
	packet_put32(reply + ARP_SENDER, address);
	memcpy(reply + ARP_TARGET_MAC, request + ARP_SENDER_MAC, ETH_ALEN + 4);
	return true;
}

bool neighbours_take_answer(struct neighbours *neighbours, uint8_t answer[ARP_FRAME])
{
	if (!neighbours->answer_count)
		return false;
	memcpy(answer, neighbours->answers[--neighbours->answer_count], ARP_FRAME);
	return true;
}
