// SPDX-License-Identifier: BSD-3-Clause
/* The checksum of the Internet protocols (RFC 1071). */
#ifndef AVP_BASE_INTERNET_CHECKSUM_H
#define AVP_BASE_INTERNET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/*
 * The sum of @length bytes, folded to 16 bits. Sums of pieces may be added; all pieces but the last
 * one have an even length.
 */
uint16_t internet_sum(const uint8_t *data, size_t length);

/*
 * The checksum of @length bytes behind pieces with the sum @sum. Over data that contains its own
 * checksum the result is 0.
 */
uint16_t internet_checksum(const uint8_t *data, size_t length, uint32_t sum);

#endif
