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
 * that does not exist, is not a tap, is in use, is not permitted for this user or does not have
 * @pairs queues.
 */
struct tap_backend *tap_backend_new(struct event_loop *loop, const char *name, uint16_t pairs,
				    struct error *error);

/* Leaves the interface. NULL is allowed. */
void tap_backend_free(struct tap_backend *tap);

/* How an interface that was deleted and made again is opened from inside the sandbox. */
struct tap_reopener {
	/*
	 * Asks for the queue of pair @pair; tap_backend_reopened follows. Returns 0 or a negative
	 * errno when that is not possible now.
	 */
	int (*ask)(void *context, uint16_t pair);
	void *context;
};

/* Without one, an interface that is gone is gone for good. */
void tap_backend_set_reopener(struct tap_backend *tap, const struct tap_reopener *reopener);

/* The answer: a descriptor, owned from now on, or -1 and the reason. */
void tap_backend_reopened(struct tap_backend *tap, int fd, const char *why);

struct net_backend *tap_backend_net(struct tap_backend *tap);

/*
 * Call it once the network device uses it: from now on the guest's link is up while the interface
 * is.
 */
void tap_backend_start(struct tap_backend *tap);

/* The checks of `avp doctor` for networks. */
extern const struct host_check net_host_checks[]; /* host_check.c */

#endif
