// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend on a tap interface of the host.
 */
#ifndef AVP_DEVICE_NET_TAP_H
#define AVP_DEVICE_NET_TAP_H

#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/net/net.h"
#include "host/host_check.h"

struct tap_backend;

/*
 * Joins the existing tap interface @name with @pairs queues. Errors: usage errors for an interface
 * that is not there, is no tap, is in use, may not be used by this user or has no room for @pairs
 * queues.
 */
struct tap_backend *tap_backend_new(struct event_loop *loop, const char *name, uint16_t pairs,
				    struct error *error);

/* Leaves the interface. NULL is fine. */
void tap_backend_free(struct tap_backend *tap);

struct net_backend *tap_backend_net(struct tap_backend *tap);

/*
 * To be called once the network device stands on it: from now on the guest's link is up while the
 * interface is.
 */
void tap_backend_start(struct tap_backend *tap);

/* What `avp doctor` tells of networks. */
extern const struct host_check net_host_checks[]; /* host_check.c */

#endif
