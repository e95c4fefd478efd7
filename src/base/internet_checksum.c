// SPDX-License-Identifier: BSD-3-Clause
/* The checksum of the Internet protocols (RFC 1071). */
#include "base/internet_checksum.h"

#include <string.h>

#include "base/big_endian.h"

static uint16_t fold(uint64_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

/* It can be computed in any byte order, and is then in that order (RFC 1071, 2 (B)). */
uint16_t internet_sum(const uint8_t *data, size_t length)
{
	uint64_t total = 0;
	uint32_t word;
	uint16_t folded;

	for (; length >= sizeof(word); data += sizeof(word), length -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		total += word;
	}
	word = 0;
	memcpy(&word, data, length);
	folded = fold(total + word);
	return big_endian_get16((const uint8_t *)&folded);
}

uint16_t internet_checksum(const uint8_t *data, size_t length, uint32_t sum)
{
	return (uint16_t)~fold((uint64_t)sum + internet_sum(data, length));
}
