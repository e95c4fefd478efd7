// SPDX-License-Identifier: BSD-3-Clause
/*
 * The Ethernet addresses of a guest, learnt from its packets, and answers (RFC 826, RFC 4861) in
 * its name. The library behind the user-mode network keeps each packet for an address whose owner
 * it does not know until an answer comes or a second has passed: a guest that sends from addresses
 * for which it does not answer could fill its memory. Freestanding.
 */
#ifndef AVP_DEVICE_NET_USER_NEIGHBOURS_H
#define AVP_DEVICE_NET_USER_NEIGHBOURS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/user/packet.h"

/* Addresses known at a time; those of a network of 24 bits do not displace each other. */
#define NEIGHBOURS 256

/*
 * Answers that wait for neighbours_take_answer. The library repeats a request beyond that with its
 * next packet.
 */
#define NEIGHBOURS_ANSWERS 16

/* An answer: a neighbour advertisement with one option, which is longer than one of ARP. */
#define NEIGHBOURS_ANSWER_MAX (PACKET_IP + IPV6_HEADER + ND_LENGTH + ND_OPTION_UNIT)

/* Starts as zeroes. */
struct neighbours {
	struct {
		uint32_t address; /* 0: none */
		uint8_t mac[ETH_ALEN];
	} known[NEIGHBOURS];
	struct {
		uint8_t address[IPV6_ADDRESS]; /* all 0: none */
		uint8_t mac[ETH_ALEN];
	} known_ipv6[NEIGHBOURS];
	struct {
		size_t length;
		uint8_t frame[NEIGHBOURS_ANSWER_MAX];
	} answers[NEIGHBOURS_ANSWERS];
	unsigned int answer_count;
};

/* The guest has sent a packet from @address (in host byte order, not 0) and @mac. */
void neighbours_learn(struct neighbours *neighbours, uint32_t address, const uint8_t mac[ETH_ALEN]);
void neighbours_learn_ipv6(struct neighbours *neighbours, const uint8_t address[IPV6_ADDRESS],
			   const uint8_t mac[ETH_ALEN]);

/*
 * Checks a frame for the guest. Returns whether it asks for the owner of a known address: then the
 * answer is kept for neighbours_take_answer, and the guest does not get the frame.
 */
bool neighbours_answer(struct neighbours *neighbours, const uint8_t *frame, size_t length);

/* Takes an answer frame. Returns its length; 0: there is none. */
size_t neighbours_take_answer(struct neighbours *neighbours, uint8_t answer[NEIGHBOURS_ANSWER_MAX]);

#endif
