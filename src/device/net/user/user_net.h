// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device's backend without privileges: a network inside this process, by libslirp. The
 * guest's connections become connections of this process. In the network, of 10.0.2.0/24 say, are
 *
 *	10.0.2.2	the gateway, and, if asked for, the host itself: its 127.0.0.1
 *	10.0.2.3	a name server, which asks those of the host: user_dns.h
 *	10.0.2.15	the guest, by DHCP
 *
 * With IPv6 the network also has a prefix of its own, of which the guest makes addresses:
 * subnet_ipv6. There ::2 and ::3 are the gateway, with the host's ::1 behind it, and the name
 * server: router.h.
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
	bool host_loopback;    /* the gateway stands for the host's 127.0.0.1 and ::1 */
	uint16_t mtu;	       /* 0: 1500, else at least SUBNET_MTU_MIN */
	const char *host_name; /* that DHCP tells the guest; NULL: none */
	/*
	 * The file that lists the host's name servers, read by a process of its own that is started
	 * here; NULL: there is none, and no name server. Stays the caller's.
	 */
	const char *name_servers;
	const struct port_forward *forwards;
	size_t forward_count;
};

/*
 * Makes the network, in a program that has no threads. Errors: libslirp is not installed (-ENOENT);
 * a usage error for a port that cannot be listened on.
 */
struct user_net *user_net_new(struct event_loop *loop, const struct user_net_settings *settings,
			      struct error *error);

/* Whether the host has a way to the IPv6 internet, as its routes are now. */
bool user_net_host_has_ipv6(void);

/* Ends all connections. NULL is fine. */
void user_net_free(struct user_net *user);

struct net_backend *user_net_net(struct user_net *user);

#endif
