// SPDX-License-Identifier: BSD-3-Clause
/* A network namespace of a test's own, with only a loopback interface. */
#ifndef AVP_DEVICE_NET_TEST_NET_NAMESPACE_H
#define AVP_DEVICE_NET_TEST_NET_NAMESPACE_H

#include <stdbool.h>

/* An address of the loopback interface there, which is not one of the loopback network. */
#define NET_NAMESPACE_IPV6 "2001:db8::1"

/* Moves this process there. False, after a message, where that is not permitted. */
bool net_namespace_enter(void);

/* Whether IPv6 works there; the host may have none. */
bool net_namespace_has_ipv6(void);

#endif
