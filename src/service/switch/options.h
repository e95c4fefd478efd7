// SPDX-License-Identifier: BSD-3-Clause
/* The options of a switch and its clients; the members' meaning is in the tables in type.c. */
#ifndef AVP_SERVICE_SWITCH_OPTIONS_H
#define AVP_SERVICE_SWITCH_OPTIONS_H

#include <stdint.h>

#include "base/option.h"

struct switch_options {
	char *uplink; /* a tap interface; NULL: none */
	char *pcap;   /* a capture; NULL: none */
};

struct switch_client_options {
	struct option_list to;
	uint64_t vlan;
	struct option_list trunk, addresses; /* parsed by service/switch/settings.h */
	uint64_t priority, priority_max;
	uint64_t frames_per_second, bytes_per_second, receive_bytes_per_second, burst;
};

/* The name of the uplink among clients. */
#define SWITCH_UPLINK "uplink"

/* What `to` has for everyone. */
#define SWITCH_TO_ALL "*"

struct service_type;
extern const struct service_type service_type_switch;

#endif
