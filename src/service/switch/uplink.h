// SPDX-License-Identifier: BSD-3-Clause
/* A tap interface of the host as a port of the switch. */
#ifndef AVP_SERVICE_SWITCH_UPLINK_H
#define AVP_SERVICE_SWITCH_UPLINK_H

#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "service/switch/net_switch.h"

struct switch_uplink {
	struct net_switch *net;
	struct event_loop *loop;
	struct event_watch watch; /* of the interface; fd -1: there is none, or not any more */
	struct switch_port *port; /* NULL: there is none */
	uint32_t length;	  /* of the message in @out */
	uint64_t dropped;	  /* frames that the interface did not take */
	uint8_t *in, *out;	  /* messages */
};

#define SWITCH_UPLINK_NONE ((struct switch_uplink){.watch.source.fd = -1})

/*
 * Joins the existing tap interface @name. Returns 0 or a negative errno with *error set, which is
 * a usage error where the interface is not there or not for this user.
 */
int switch_uplink_open(struct switch_uplink *uplink, struct net_switch *net,
		       const struct switch_port_settings *settings, struct event_loop *loop,
		       const char *name, struct error *error);

/* Does what is due. Returns the time at which to call again, UINT64_MAX: after the next frame. */
uint64_t switch_uplink_run(struct switch_uplink *uplink, uint64_t now_ns);

void switch_uplink_close(struct switch_uplink *uplink);

#endif
