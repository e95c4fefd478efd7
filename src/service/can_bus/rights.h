// SPDX-License-Identifier: BSD-3-Clause
/* What a client of the CAN bus may do, from its options. */
#ifndef AVP_SERVICE_CAN_BUS_RIGHTS_H
#define AVP_SERVICE_CAN_BUS_RIGHTS_H

#include "base/error.h"
#include "service/can_bus/bus.h"
#include "service/can_bus/options.h"

/* Returns 0, or a negative errno with a usage error that starts with the name of the option. */
int can_bus_rights_read(const struct can_bus_client_options *options, struct can_bus_rights *rights,
			struct error *error);

/* The filters in a list of that name. Returns as above. */
int can_filters_read(const struct option_list *list, const char *name,
		     struct can_bus_filters *filters, struct error *error);

#endif
