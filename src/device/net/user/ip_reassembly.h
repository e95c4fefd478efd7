// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reassembles IPv4 datagrams from fragments (RFC 791, 3.2) in fixed memory: a bounded number at a
 * time, each of any size. Freestanding.
 */
#ifndef AVP_DEVICE_NET_USER_IP_REASSEMBLY_H
#define AVP_DEVICE_NET_USER_IP_REASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/net/user/packet.h"

/* Incomplete datagrams at a time. One more replaces the oldest. */
#define IP_REASSEMBLY_SLOTS 8

/* The time limit for the fragments of a datagram, in ms. */
#define IP_REASSEMBLY_TIME  30000

#define IP_REASSEMBLY_UNIT  8
#define IP_REASSEMBLY_UNITS (65536 / IP_REASSEMBLY_UNIT)

struct ip_reassembly_slot {
	bool used;
	uint8_t key[11]; /* addresses, identification, protocol */
	int64_t started_ms;
	uint32_t total;	  /* bytes of the datagram's data; 0: not known yet */
	uint32_t highest; /* end of the data that came */
	uint32_t units;	  /* units received */
	uint8_t came[IP_REASSEMBLY_UNITS / 8];
	uint8_t data[IPV4_LENGTH_MAX];
};

/* Starts as zeroes. */
struct ip_reassembly {
	struct ip_reassembly_slot slots[IP_REASSEMBLY_SLOTS];
};

/*
 * Adds a fragment: a packet of *@total bytes whose header at @ip was checked and has no options.
 * Returns true when it was the last one missing: then the packet, of *total bytes, is at @ip, which
 * has room for IPV4_LENGTH_MAX bytes, and only the header's checksum is missing. Fragments that
 * overlap, or that contradict each other, discard their datagram (as in RFC 5722).
 */
bool ip_reassembly_add(struct ip_reassembly *reassembly, uint8_t *ip, size_t *total,
		       int64_t now_ms);

#endif
