// SPDX-License-Identifier: BSD-3-Clause
/* The part of the frame filter that is for IPv6: see frame_filter.h. */
#ifndef AVP_DEVICE_NET_USER_FRAME_FILTER_IPV6_H
#define AVP_DEVICE_NET_USER_FRAME_FILTER_IPV6_H

#include "device/net/user/frame_filter.h"

/* Checks a frame whose type is IPv6, as frame_filter_check. */
enum frame_verdict frame_filter_check_ipv6(struct frame_filter *filter, uint8_t *frame,
					   size_t *length);

/* Makes the answer to a refused frame of that type, of @length bytes, as frame_filter_refuse. */
size_t frame_filter_refuse_ipv6(const struct frame_filter *filter, const uint8_t *frame,
				size_t length, uint8_t answer[FRAME_REFUSAL_MAX]);

#endif
