// SPDX-License-Identifier: BSD-3-Clause
/* What the frame filter demands of TCP, over IPv4 and IPv6. Freestanding. */
#ifndef AVP_DEVICE_NET_USER_TCP_SEGMENT_H
#define AVP_DEVICE_NET_USER_TCP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * RFC 9293, 3.1 and 3.10.7: what a segment of @length bytes can look like: a header and options
 * that fit, ports, flags that belong together.
 */
bool tcp_segment_is_sane(const uint8_t *tcp, size_t length);

/*
 * Clears the urgent pointer of a sane segment: what it points at stays in the stream, where RFC
 * 6093 wants it. The checksum is adjusted.
 */
void tcp_segment_clear_urgent(uint8_t *tcp);

#endif
