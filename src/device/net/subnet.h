// SPDX-License-Identifier: BSD-3-Clause
/* An IPv4 network, as text: 10.0.2.0/24. */
#ifndef AVP_DEVICE_NET_SUBNET_H
#define AVP_DEVICE_NET_SUBNET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* In host byte order. */
struct subnet {
	uint32_t address, mask;
};

/* Bytes of an IPv6 address that name its network, of 64 bits. */
#define SUBNET_IPV6_PREFIX 8

/* The longest prefix of a user-mode network: it has room for the guest's interfaces. */
#define SUBNET_PREFIX_MAX 27

/* The smallest MTU of one: DHCP needs packets of that size (RFC 2131, 2). */
#define SUBNET_MTU_MIN 576

/* The smallest one for IPv6 (RFC 8200, 5). */
#define SUBNET_IPV6_MTU_MIN 1280

/* Room for a network as text. */
#define SUBNET_TEXT 20

/*
 * Whether a router forwards packets to this address (RFC 1812, 5.3.7; RFC 6890): not "this
 * network", loopback, multicast or reserved ones.
 */
static inline bool subnet_is_unicast(uint32_t address)
{
	uint8_t first = address >> 24;

	return first != 0 && first != 127 && first < 224;
}

/*
 * Reads ADDRESS/PREFIX: a network of unicast addresses, with 8 to SUBNET_PREFIX_MAX bits. Errors
 * are usage errors and quote the text.
 */
int subnet_parse(const char *text, struct subnet *subnet, struct error *error);

/* The user-mode network of the interface that is @index among those of a guest. */
struct subnet subnet_default(unsigned int index);

/*
 * The IPv6 network beside an IPv4 one: a unique local one (RFC 4193) that contains the IPv4
 * network's address, so that two of them differ when the IPv4 networks do: 10.0.2.0/24 and
 * fd61:7670:a00:200::/64.
 */
void subnet_ipv6(const struct subnet *subnet, uint8_t prefix[SUBNET_IPV6_PREFIX]);

void subnet_print(const struct subnet *subnet, char text[SUBNET_TEXT]);

bool subnet_overlaps(const struct subnet *one, const struct subnet *other);

#endif
