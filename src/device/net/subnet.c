// SPDX-License-Identifier: BSD-3-Clause
/* IPv4 networks as text. */
#include "device/net/subnet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define PREFIX_MIN 8

/* 10.0.2.0/24, and the networks that follow. */
#define DEFAULT_ADDRESS 0x0a000200U
#define DEFAULT_PREFIX	24

static uint32_t prefix_mask(unsigned int prefix)
{
	return UINT32_MAX << (32 - prefix);
}

static bool read_subnet(const char *text, struct subnet *subnet)
{
	const char *slash = strchr(text, '/');
	char copy[INET_ADDRSTRLEN];
	struct in_addr address;
	unsigned int prefix = 0;

	if (!slash || (size_t)(slash - text) >= sizeof(copy))
		return false;
	memcpy(copy, text, slash - text);
	copy[slash - text] = 0;
	for (const char *digit = slash + 1; *digit; digit++) {
		if (*digit < '0' || *digit > '9' || digit > slash + 2)
			return false;
		prefix = prefix * 10 + (*digit - '0');
	}
	if (inet_pton(AF_INET, copy, &address) != 1 || prefix < PREFIX_MIN ||
	    prefix > SUBNET_PREFIX_MAX)
		return false;
	subnet->address = ntohl(address.s_addr);
	subnet->mask = prefix_mask(prefix);
	return true;
}

static bool is_usable(const struct subnet *subnet)
{
	return subnet_is_unicast(subnet->address) && !(subnet->address & ~subnet->mask);
}

int subnet_parse(const char *text, struct subnet *subnet, struct error *error)
{
	if (!read_subnet(text, subnet) || !is_usable(subnet))
		return error_set_usage(error,
				       "'%.80s' is not a network with a prefix of %d to %d bits; "
				       "write ADDRESS/PREFIX, such as 10.0.2.0/24",
				       text, PREFIX_MIN, SUBNET_PREFIX_MAX);
	return 0;
}

struct subnet subnet_default(unsigned int index)
{
	struct subnet subnet = {.mask = prefix_mask(DEFAULT_PREFIX)};

	subnet.address = DEFAULT_ADDRESS + index * (~subnet.mask + 1);
	return subnet;
}

void subnet_ipv6(const struct subnet *subnet, uint8_t prefix[SUBNET_IPV6_PREFIX])
{
	const uint32_t address = htonl(subnet->address);

	memcpy(prefix, (const uint8_t[]){0xfd, 'a', 'v', 'p'}, 4);
	memcpy(prefix + 4, &address, sizeof(address));
}

void subnet_print(const struct subnet *subnet, char text[SUBNET_TEXT])
{
	snprintf(text, SUBNET_TEXT, "%u.%u.%u.%u/%d", subnet->address >> 24,
		 subnet->address >> 16 & 0xff, subnet->address >> 8 & 0xff, subnet->address & 0xff,
		 __builtin_popcount(subnet->mask));
}

bool subnet_overlaps(const struct subnet *one, const struct subnet *other)
{
	uint32_t mask = one->mask & other->mask;

	return (one->address & mask) == (other->address & mask);
}
