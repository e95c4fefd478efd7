// SPDX-License-Identifier: BSD-3-Clause
/* CRC-32 as in IEEE 802.3. Freestanding: guests that checksum their console use it too. */
#ifndef AVP_BASE_CRC32_H
#define AVP_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continues @crc (0 at the start) over @length bytes. */
uint32_t crc32_add(uint32_t crc, const void *data, size_t length);

#endif
