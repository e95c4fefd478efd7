// SPDX-License-Identifier: BSD-3-Clause
/*
 * The router of the user-mode network (RFC 4861, 6.2): announces the prefix of the guests'
 * addresses (RFC 4862), the router and the name server (RFC 8106). Freestanding.
 */
#ifndef AVP_DEVICE_NET_USER_ROUTER_H
#define AVP_DEVICE_NET_USER_ROUTER_H

#include <stddef.h>
#include <stdint.h>

#include "device/net/user/packet.h"

/* How long guests use the router after an advertisement, in s: the longest (RFC 8319). */
#define ROUTER_LIFETIME 65535

/* Advertised again well before that, also when the device process was restarted. */
#define ROUTER_INTERVAL_MS (6 * 3600 * INT64_C(1000))

#define ROUTER_FRAME_MAX   256

/*
 * Makes an advertisement to the guest whose @solicitation, a frame that the filter has passed, asks
 * for it; NULL: to all. @mtu 0: without an MTU. Returns the length of the frame.
 */
size_t router_advertise(uint8_t frame[ROUTER_FRAME_MAX], const uint8_t prefix[IPV6_PREFIX],
			uint16_t mtu, const uint8_t *solicitation);

#endif
