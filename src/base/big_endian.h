// SPDX-License-Identifier: BSD-3-Clause
/* Numbers in network byte order, at any address. */
#ifndef AVP_BASE_BIG_ENDIAN_H
#define AVP_BASE_BIG_ENDIAN_H

#include <stdint.h>

static inline uint16_t big_endian_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t big_endian_get32(const uint8_t *at)
{
	return (uint32_t)big_endian_get16(at) << 16 | big_endian_get16(at + 2);
}

static inline void big_endian_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline void big_endian_put32(uint8_t *at, uint32_t value)
{
	big_endian_put16(at, (uint16_t)(value >> 16));
	big_endian_put16(at + 2, (uint16_t)value);
}

#endif
