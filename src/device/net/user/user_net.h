// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend without privileges: a network inside this process, by libslirp. The
 * guest's connections become connections of this process. In a network such as 10.0.2.0/24 are
 *
 * 	10.0.2.2 the gateway, and, with host_loopback, the host's 127.0.0.1
 * 	10.0.2.3	a name server, which asks those of the host: user_dns.h
 * 	10.0.2.15	the guest, by DHCP
 *
 * With IPv6 the network also has a prefix of its own, from which the guest makes addresses:
 * subnet_ipv6. There ::2 is the gateway, and the host's ::1, and ::3 the name server: router.h.
 */
#ifndef AVP_DEVICE_NET_USER_USER_NET_H
#define AVP_DEVICE_NET_USER_USER_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "device/net/net.h"
#include "device/net/port_forward.h"
#include "device/net/subnet.h"

struct user_net;

struct user_net_settings {
	struct subnet subnet;
	bool ipv6;	       /* needs an mtu of at least SUBNET_IPV6_MTU_MIN */
	bool host_loopback;    /* the gateway maps to the host's 127.0.0.1 and ::1 */
	uint16_t mtu;	       /* 0: 1500, else at least SUBNET_MTU_MIN */
	const char *host_name; /* that DHCP sends to the guest; NULL: none */
	/*
	 * The file that lists the host's name servers, read by a separate process that is started
	 * here; NULL: no file and no name servers. The caller keeps it.
	 */
	const char *name_servers;
	const struct port_forward *forwards;
	size_t forward_count;
};

/*
 * Makes the network; the program must have no threads yet. Errors: libslirp is not installed
 * (-ENOENT); a usage error for a port that cannot be listened on.
 */
struct user_net *user_net_new(struct event_loop *loop, const struct user_net_settings *settings,
			      struct error *error);

/* Whether the host has a route to the IPv6 internet now. */
bool user_net_host_has_ipv6(void);

/* Ends all connections. NULL is allowed. */
void user_net_free(struct user_net *user);

struct net_backend *user_net_net(struct user_net *user);

#endif
