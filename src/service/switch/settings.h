// SPDX-License-Identifier: BSD-3-Clause
/* What a client of the switch may do, from its options. */
#ifndef AVP_SERVICE_SWITCH_SETTINGS_H
#define AVP_SERVICE_SWITCH_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "service/switch/net_switch.h"
#include "service/switch/options.h"

/* Returns 0, or a negative errno with a usage error that starts with the name of the option. */
int switch_settings_read(const struct switch_client_options *options,
			 struct switch_port_settings *settings, struct error *error);

/* Reads a unicast address, as xx:xx:xx:xx:xx:xx. */
bool switch_address_read(const char *text, uint64_t *address);

/* Whether a client with these options may send to the one of that name. */
bool switch_client_may_send(const struct switch_client_options *options, const char *name);

#endif
