// SPDX-License-Identifier: BSD-3-Clause
/* The options of a CAN bus and its clients; the members' meaning is in the tables in type.c. */
#ifndef AVP_SERVICE_CAN_BUS_OPTIONS_H
#define AVP_SERVICE_CAN_BUS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"

struct can_bus_options {
	uint64_t bit_rate, data_bit_rate;
	bool classic;
	char *name, *log, *pcap;
};

struct can_bus_client_options {
	struct option_list send, receive; /* parsed by service/can_bus/rights.h */
	uint64_t frames_per_second, burst;
};

/* The verb `inject`. */
struct can_bus_inject {
	char *client;
	uint64_t errors;
};

struct service_type;
extern const struct service_type service_type_can_bus;

#endif
