// SPDX-License-Identifier: BSD-3-Clause
/*
 * IGMP and MLD snooping (RFC 4541): which ports want which multicast. It applies in a VLAN, and to
 * the version of IP, for which a querier was heard. Elsewhere nobody repeats memberships, and
 * multicast goes to all ports, as do groups that do not leave a link, and what is not IP.
 */
#ifndef AVP_SERVICE_SWITCH_GROUPS_H
#define AVP_SERVICE_SWITCH_GROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "service/switch/queue.h"

#define SWITCH_GROUPS_MAX 512
/* Memberships of a port. One that wants more gets all multicast for a while. */
#define SWITCH_MEMBERSHIPS_MAX 64
/* RFC 3376, 8.4 and 8.5: two queries of 125 s may get lost, and an answer takes 10 s. */
#define SWITCH_MEMBER_S 260
/* RFC 3376, 8.8: how long the members that remain have to say so. */
#define SWITCH_LEAVE_S 2

/* The most of a packet that is looked at: reports are not longer. */
#define SWITCH_REPORT_MAX 2048

struct switch_group {
	uint32_t until_s[SWITCH_PORTS_MAX]; /* 0: not a member */
};

struct switch_groups {
	uint64_t keys[SWITCH_GROUPS_MAX]; /* address and VLAN; 0: free */
	struct switch_group list[SWITCH_GROUPS_MAX];
	uint16_t memberships[SWITCH_PORTS_MAX];
	uint32_t all_until_s[SWITCH_PORTS_MAX]; /* it wants more than it can have */
	uint32_t swept_s;
};

/* A multicast frame, behind its tag and type. */
struct switch_packet {
	uint16_t type, vlan;
	uint8_t port;	      /* where it came from */
	uint64_t address;     /* where it goes */
	const uint8_t *bytes; /* of a report or query all of them, see below; else the headers */
	uint32_t length;      /* of those */
};

/* To whom it goes. */
struct switch_audience {
	bool all;
	const struct switch_group *members, *routers; /* NULL: there are none */
};

/* Whether it may be a report or a query: @packet has the headers. */
bool switch_groups_reads(const struct switch_packet *packet);

/* Notes what it tells, and says to whom it goes. */
struct switch_audience switch_groups_see(struct switch_groups *groups,
					 const struct switch_packet *packet, uint32_t now_s);

/* Whether the audience has that port. */
bool switch_groups_wants(const struct switch_groups *groups, const struct switch_audience *audience,
			 uint8_t port, uint32_t now_s);

/* The port is gone. */
void switch_groups_forget(struct switch_groups *groups, uint8_t port);

#endif
