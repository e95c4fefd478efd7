// SPDX-License-Identifier: BSD-3-Clause
/* Checks the options of a network interface. */
#include <ctype.h>
#include <string.h>

#include "device/net/options.h"
#include "device/net/port_forward.h"
#include "device/net/subnet.h"

/* Whether the kernel accepts an interface's name. */
static bool is_interface_name(const char *name)
{
	return strcmp(name, ".") && strcmp(name, "..") && !strpbrk(name, "/: ");
}

/* RFC 1123, 2.1: letters, digits, hyphens in between. */
static bool is_host_name(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    (name[i] != '-' || i == 0 || i == length - 1))
			return false;
	return length > 0;
}

/* Refuses options of the user network with others: somebody else sets those up. */
static int refuse_user_options(const struct net_options *net, struct error *error)
{
	const struct {
		const char *name;
		bool given;
	} options[] = {
		{"forward", net->forwards.count > 0},  {"subnet", net->subnet},
		{"host-loopback", net->host_loopback}, {"host-name", net->host_name},
		{"ipv6", net->ipv6 != NET_IPV6_AUTO},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (options[i].given)
			return error_set_usage(error,
					       "%s: works with user only; omit it, a tap or a "
					       "switch is configured elsewhere",
					       options[i].name);
	return 0;
}

static int check_user_network(const struct net_options *net, struct error *error)
{
	struct subnet subnet;
	int result = 0;

	if (net->mtu && net->mtu < SUBNET_MTU_MIN)
		return error_set_usage(error,
				       "mtu: a user network needs at least %d bytes, for DHCP; "
				       "give that or more",
				       SUBNET_MTU_MIN);
	if (net->mtu && net->mtu < SUBNET_IPV6_MTU_MIN && net->ipv6 == NET_IPV6_ON)
		return error_set_usage(error,
				       "mtu: IPv6 needs at least %d bytes; give that or more, or "
				       "ipv6=off",
				       SUBNET_IPV6_MTU_MIN);
	if (net->host_name && !is_host_name(net->host_name))
		return error_set_usage(error,
				       "host-name: '%s' is not a host name; use letters, digits "
				       "and hyphens",
				       net->host_name);
	if (net->subnet)
		result = subnet_parse(net->subnet, &subnet, error);
	if (result < 0)
		error_prefix(error, "subnet");
	return result;
}

int net_options_check(const void *options, struct error *error)
{
	const struct net_options *net = options;
	int result;

	if (net->user && (net->tap || net->link))
		return error_set_usage(error, "user: excludes tap and link; give one of them");
	if (net->tap && net->link)
		return error_set_usage(error, "tap: excludes link; give one of them");
	if (!net->user && !net->tap && !net->link)
		return error_set_usage(
			error, "user: none of user, tap and link is given; add one of them");
	if (net->queue_pairs > 1 && !net->tap)
		return error_set_usage(error, "queue-pairs: works with tap only; omit it");
	if (net->client && !net->link)
		return error_set_usage(error, "client: works with link only; omit it");
	if (net->tap && !is_interface_name(net->tap))
		return error_set_usage(
			error,
			"tap: '%s' is not the name of an interface; give one that `ip link` shows",
			net->tap);
	result = net->user ? check_user_network(net, error) : refuse_user_options(net, error);
	if (result < 0)
		return result;
	for (size_t i = 0; i < net->forwards.count; i++) {
		struct port_forward forward;

		result = port_forward_parse(net->forwards.items[i], &forward, error);
		if (result < 0) {
			error_prefix(error, "forward");
			return result;
		}
	}
	return 0;
}
