// SPDX-License-Identifier: BSD-3-Clause
/* The frame filter's checks of TCP, over IPv4 and IPv6. Freestanding. */
#ifndef AVP_DEVICE_NET_USER_TCP_SEGMENT_H
#define AVP_DEVICE_NET_USER_TCP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * RFC 9293, 3.1 and 3.10.7: whether a segment of @length bytes is valid: a header and options that
 * fit, ports, a valid combination of flags.
 */
bool tcp_segment_is_sane(const uint8_t *tcp, size_t length);

/*
 * Clears the urgent pointer of a sane segment: urgent data stays in the stream (RFC 6093). The
 * checksum is adjusted.
 */
void tcp_segment_clear_urgent(uint8_t *tcp);

#endif
