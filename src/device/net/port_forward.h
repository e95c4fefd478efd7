// SPDX-License-Identifier: BSD-3-Clause
/* A forward from a port of the host to a port of the guest, as text: tcp:127.0.0.1:8080:80. */
#ifndef AVP_DEVICE_NET_PORT_FORWARD_H
#define AVP_DEVICE_NET_PORT_FORWARD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct port_forward {
	bool udp;		/* else TCP */
	struct in_addr address; /* of the host */
	uint16_t port;		/* of the host, in host byte order, like the guest's */
	uint16_t guest_port;
};

/*
 * Reads `tcp:[ADDRESS:]PORT:GUESTPORT` or `udp:…`. Without an address only programs on the host
 * itself reach the guest (127.0.0.1). Errors are usage errors and quote the text.
 */
int port_forward_parse(const char *text, struct port_forward *forward, struct error *error);

#endif
