// SPDX-License-Identifier: BSD-3-Clause
/* Computed bit by bit, without a table: a console carries little data. */
#include "base/crc32.h"

#define POLYNOMIAL 0xedb88320u

uint32_t crc32_add(uint32_t crc, const void *data, size_t length)
{
	const uint8_t *bytes = data;

	crc = ~crc;
	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	}
	return ~crc;
}
