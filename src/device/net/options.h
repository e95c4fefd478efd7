// SPDX-License-Identifier: BSD-3-Clause
/* The options of a network interface; the members' meaning is in the table in type.c. */
#ifndef AVP_DEVICE_NET_OPTIONS_H
#define AVP_DEVICE_NET_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"

struct net_options {
	bool user;	/* libslirp */
	char *tap;	/* interface name */
	char *link;	/* socket of a switch */
	char *client;	/* name there; NULL: GUEST.DEVICE */
	uint8_t mac[6]; /* all zero: see device_mac */
	uint64_t mtu;	/* 0: not offered */
	uint64_t queue_pairs;
	/* User mode: */
	struct option_list forwards; /* parsed by device/net/port_forward.h */
	char *subnet;		     /* parsed by device/net/subnet.h; NULL: the first default */
	bool host_loopback;	     /* the gateway leads to the host's 127.0.0.1 and ::1 */
	uint64_t ipv6;		     /* enum net_ipv6 */
	char *host_name;	     /* that DHCP sends to the guest; NULL: none */
};

/* Auto: on if the host has a route to the IPv6 internet when the device starts. */
enum net_ipv6 { NET_IPV6_AUTO, NET_IPV6_ON, NET_IPV6_OFF };

extern const struct option_row net_option_rows[];

/* Checks what the table cannot express. @options: struct net_options. As device_type.check. */
int net_options_check(const void *options, struct error *error);

struct device_peer;
/*
 * As device_type.complete: gives a user-mode network that has none a subnet of its own, and a host
 * name for DHCP, derived from the guest's name. Overlapping networks, of which a guest could use
 * only one, are a usage error.
 */
int net_options_complete(const struct device_peer *peers, size_t count, size_t index,
			 const char *guest, struct error *error);

struct device_type;
extern const struct device_type device_type_net;

#endif
