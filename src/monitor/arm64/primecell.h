// SPDX-License-Identifier: BSD-3-Clause
/*
 * Common to Arm's PrimeCell peripherals: a page of registers, the last of which identify it.
 */
#ifndef AVP_MONITOR_ARM64_PRIMECELL_H
#define AVP_MONITOR_ARM64_PRIMECELL_H

#include <stdint.h>

#define PRIMECELL_SIZE 0x1000
#define PRIMECELL_ID   0xfe0 /* the first of eight registers with a byte each */

/* Peripheral identification: part number in the low 12 bits, designer Arm, revision. */
#define PRIMECELL_PART(part, revision) ((part) | 0x41u << 12 | (uint32_t)(revision) << 20)

/* The identification register at @offset of the peripheral @id; 0 for other registers. */
static inline uint32_t primecell_read_id(uint64_t offset, uint32_t id)
{
	if (offset < PRIMECELL_ID || offset >= PRIMECELL_SIZE || offset % 4)
		return 0;
	if (offset < PRIMECELL_ID + 16)
		return id >> (offset - PRIMECELL_ID) * 2 & 0xff;
	/* "PrimeCell identification", the same for all. */
	return 0xb105f00du >> (offset - PRIMECELL_ID - 16) * 2 & 0xff;
}

#endif
