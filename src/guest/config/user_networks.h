// SPDX-License-Identifier: BSD-3-Clause
/* Subnets and host names of a guest's user-mode networks. */
#ifndef AVP_GUEST_CONFIG_USER_NETWORKS_H
#define AVP_GUEST_CONFIG_USER_NETWORKS_H

#include "base/error.h"
#include "guest/config/config.h"

/*
 * Gives each user-mode network that has none a subnet of its own and a host name for DHCP, derived
 * from the guest's name. The options of the devices must have been checked. Overlapping networks,
 * of which a guest could use only one, are a usage error.
 */
int user_networks_complete(struct guest_config *config, struct error *error);

#endif
