// SPDX-License-Identifier: BSD-3-Clause
/* What the user-mode networks of one guest have to do with each other and with it. */
#ifndef AVP_GUEST_CONFIG_USER_NETWORKS_H
#define AVP_GUEST_CONFIG_USER_NETWORKS_H

#include "base/error.h"
#include "guest/config/config.h"

/*
 * Gives each user-mode network of the guest that has none a subnet of its own, and a host name for
 * DHCP: the guest's. The options of the devices must have been checked. Networks that overlap, of
 * which a guest could use one only, are a usage error.
 */
int user_networks_complete(struct guest_config *config, struct error *error);

#endif
