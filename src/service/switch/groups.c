// SPDX-License-Identifier: BSD-3-Clause
/* IGMP and MLD snooping. */
#include "service/switch/groups.h"

#include <linux/if_ether.h>
#include <stddef.h>

#include "base/big_endian.h"
#include "service/switch/frame.h"

#define IPV4_HEADER   20
#define IPV6_HEADER   40
#define PROTOCOL_IGMP 2
#define PROTOCOL_ICMP 58

/* RFC 3376, 4; RFC 2236; RFC 1112. */
enum { IGMP_QUERY = 0x11, IGMP_REPORT_1, IGMP_REPORT_2 = 0x16, IGMP_LEAVE, IGMP_REPORT_3 = 0x22 };
/* RFC 3810, 5; RFC 2710. */
enum { MLD_QUERY = 130, MLD_REPORT_1, MLD_DONE, MLD_REPORT_2 = 143 };
/* RFC 3376, 4.2.12: without sources the two of INCLUDE mean that nobody listens. */
enum { RECORD_IS_INCLUDE = 1, RECORD_TO_INCLUDE = 3, RECORD_BLOCK = 6 };

/* Records of one report that are looked at. */
#define RECORDS_MAX SWITCH_MEMBERSHIPS_MAX

/* The groups that are filtered are kept under their Ethernet addresses, routers under these. */
#define ROUTERS_IPV4 UINT64_C(0x01005e000000)
#define ROUTERS_IPV6 UINT64_C(0x333300000000)

/* The part of a packet that is a report or a query. */
struct report {
	const uint8_t *bytes;
	uint32_t length;
	bool ipv6;
};

static uint64_t key_of(uint64_t address, uint16_t vlan)
{
	return address << 16 | vlan;
}

static struct switch_group *find(struct switch_groups *groups, uint64_t key)
{
	for (int i = 0; i < SWITCH_GROUPS_MAX; i++)
		if (groups->keys[i] == key)
			return &groups->list[i];
	return NULL;
}

static bool is_member(const struct switch_group *group, uint8_t port, uint32_t now_s)
{
	return group && group->until_s[port] > now_s;
}

/* Ends what is over, once a second. */
static void sweep(struct switch_groups *groups, uint32_t now_s)
{
	if (groups->swept_s == now_s)
		return;
	groups->swept_s = now_s;
	for (int i = 0; i < SWITCH_GROUPS_MAX; i++) {
		struct switch_group *group = &groups->list[i];
		bool left = false;

		for (uint8_t port = 0; groups->keys[i] && port < SWITCH_PORTS_MAX; port++) {
			if (is_member(group, port, now_s))
				left = true;
			else if (group->until_s[port])
				groups->memberships[port]--;
			if (!is_member(group, port, now_s))
				group->until_s[port] = 0;
		}
		if (!left)
			groups->keys[i] = 0;
	}
}

/* Returns the group, which it adds if it is new; NULL when the table is full. */
static struct switch_group *find_or_make(struct switch_groups *groups, uint64_t key, uint32_t now_s)
{
	struct switch_group *group = find(groups, key);

	if (group)
		return group;
	if (!find(groups, 0))
		sweep(groups, now_s);
	group = find(groups, 0);
	if (group)
		groups->keys[group - groups->list] = key;
	return group;
}

static void join(struct switch_groups *groups, uint64_t address, uint16_t vlan, uint8_t port,
		 uint32_t now_s)
{
	struct switch_group *group = NULL;

	if (groups->memberships[port] >= SWITCH_MEMBERSHIPS_MAX)
		sweep(groups, now_s);
	if (groups->memberships[port] < SWITCH_MEMBERSHIPS_MAX)
		group = find_or_make(groups, key_of(address, vlan), now_s);
	else
		group = find(groups, key_of(address, vlan));
	if (!group ||
	    (!group->until_s[port] && groups->memberships[port] >= SWITCH_MEMBERSHIPS_MAX)) {
		groups->all_until_s[port] = now_s + SWITCH_MEMBER_S;
		return;
	}
	if (!group->until_s[port])
		groups->memberships[port]++;
	group->until_s[port] = now_s + SWITCH_MEMBER_S;
}

static void leave(struct switch_groups *groups, uint64_t address, uint16_t vlan, uint8_t port,
		  uint32_t now_s)
{
	struct switch_group *group = find(groups, key_of(address, vlan));

	if (group && group->until_s[port] > now_s + SWITCH_LEAVE_S)
		group->until_s[port] = now_s + SWITCH_LEAVE_S;
}

/* Whether a group does not leave its link: everybody hears it (RFC 4541, 2.1.2 and 3). */
static bool is_local(const uint8_t *group, bool ipv6)
{
	if (ipv6)
		return group[0] != 0xff || (group[1] & 0x0f) <= 2;
	return big_endian_get32(group) >> 8 == 0xe00000;
}

/* RFC 1112, 6.4; RFC 2464, 7. */
static uint64_t address_of(const uint8_t *group, bool ipv6)
{
	if (ipv6)
		return ROUTERS_IPV6 | big_endian_get32(group + 12);
	return ROUTERS_IPV4 | (big_endian_get32(group) & 0x7fffff);
}

static void take(struct switch_groups *groups, const struct switch_packet *packet,
		 const uint8_t *group, bool ipv6, bool joins, uint32_t now_s)
{
	if (is_local(group, ipv6))
		return;
	if (joins)
		join(groups, address_of(group, ipv6), packet->vlan, packet->port, now_s);
	else
		leave(groups, address_of(group, ipv6), packet->vlan, packet->port, now_s);
}

/* A report of IGMPv3 or MLDv2 (RFC 3376, 4.2; RFC 3810, 5.2). */
static void take_records(struct switch_groups *groups, const struct switch_packet *packet,
			 const struct report *report, uint32_t now_s)
{
	uint32_t size = report->ipv6 ? 16 : 4, at = 8;
	unsigned int count = big_endian_get16(report->bytes + 6);

	count = count < RECORDS_MAX ? count : RECORDS_MAX;
	for (; count > 0 && at + 4 + size <= report->length; count--) {
		const uint8_t *record = report->bytes + at;
		uint32_t sources = big_endian_get16(record + 2);
		bool leaves = !sources &&
			      (record[0] == RECORD_IS_INCLUDE || record[0] == RECORD_TO_INCLUDE);

		if (record[0] != RECORD_BLOCK)
			take(groups, packet, record + 4, report->ipv6, !leaves, now_s);
		at += 4 + size + sources * size + record[1] * 4u;
	}
}

/* A query to all on the link comes from a querier: routers are behind that port. */
static void take_query(struct switch_groups *groups, const struct switch_packet *packet, bool ipv6,
		       uint32_t now_s)
{
	uint64_t all_hosts = (ipv6 ? ROUTERS_IPV6 : ROUTERS_IPV4) | 1;

	if (packet->address == all_hosts)
		join(groups, ipv6 ? ROUTERS_IPV6 : ROUTERS_IPV4, packet->vlan, packet->port, now_s);
}

/* Finds the message of IGMP or MLD in a packet. False: it is something else. */
static bool find_report(const struct switch_packet *packet, struct report *report)
{
	const uint8_t *bytes = packet->bytes;
	uint32_t start, end;

	report->ipv6 = packet->type == ETH_P_IPV6;
	if (packet->type == ETH_P_IP) {
		if (packet->length < IPV4_HEADER || bytes[0] >> 4 != 4 || bytes[9] != PROTOCOL_IGMP)
			return false;
		start = (bytes[0] & 0x0fu) * 4;
		end = big_endian_get16(bytes + 2);
		if (start < IPV4_HEADER)
			return false;
	} else {
		/* RFC 3810, 5: behind a header of options with a router alert. */
		if (packet->type != ETH_P_IPV6 || packet->length < IPV6_HEADER + 8 ||
		    bytes[0] >> 4 != 6 || bytes[6] != 0 || bytes[IPV6_HEADER] != PROTOCOL_ICMP)
			return false;
		start = IPV6_HEADER + (bytes[IPV6_HEADER + 1] + 1u) * 8;
		end = IPV6_HEADER + big_endian_get16(bytes + 4);
	}
	if (end > packet->length || start + 8 > end)
		return false;
	report->bytes = bytes + start;
	report->length = end - start;
	return true;
}

/* Returns whether it is for routers alone: a report or a leave. */
static bool take_report(struct switch_groups *groups, const struct switch_packet *packet,
			const struct report *report, uint32_t now_s)
{
	uint32_t group = report->ipv6 ? 8 : 4;
	uint8_t kind = report->bytes[0];

	if (kind == (report->ipv6 ? MLD_REPORT_2 : IGMP_REPORT_3)) {
		take_records(groups, packet, report, now_s);
		return true;
	}
	if (kind == (report->ipv6 ? MLD_QUERY : IGMP_QUERY)) {
		take_query(groups, packet, report->ipv6, now_s);
		return false;
	}
	if (report->length < group + (report->ipv6 ? 16 : 4))
		return false;
	if (kind == (report->ipv6 ? MLD_REPORT_1 : IGMP_REPORT_2) ||
	    (!report->ipv6 && kind == IGMP_REPORT_1))
		take(groups, packet, report->bytes + group, report->ipv6, true, now_s);
	else if (kind == (report->ipv6 ? MLD_DONE : IGMP_LEAVE))
		take(groups, packet, report->bytes + group, report->ipv6, false, now_s);
	else
		return false;
	return true;
}

bool switch_groups_reads(const struct switch_packet *packet)
{
	if (packet->type == ETH_P_IP)
		return packet->length >= IPV4_HEADER && packet->bytes[9] == PROTOCOL_IGMP;
	return packet->type == ETH_P_IPV6 && packet->length >= IPV6_HEADER && packet->bytes[6] == 0;
}

/* Whether its group is one that is filtered. */
static bool is_filtered(const struct switch_packet *packet)
{
	bool ipv6 = packet->type == ETH_P_IPV6;
	const uint8_t *group = packet->bytes + (ipv6 ? 24 : 16);

	if (packet->length < (ipv6 ? IPV6_HEADER : IPV4_HEADER))
		return false;
	/* Not a broadcast, or something else behind an address of its own. */
	return packet->address == address_of(group, ipv6) && !is_local(group, ipv6);
}

struct switch_audience switch_groups_see(struct switch_groups *groups,
					 const struct switch_packet *packet, uint32_t now_s)
{
	bool ipv6 = packet->type == ETH_P_IPV6, for_routers = false;
	struct switch_audience audience = {.all = true};
	const struct switch_group *routers;
	struct report report;
	bool heard = false;

	if (!ipv6 && packet->type != ETH_P_IP)
		return audience;
	if (find_report(packet, &report))
		for_routers = take_report(groups, packet, &report, now_s);
	routers = find(groups, key_of(ipv6 ? ROUTERS_IPV6 : ROUTERS_IPV4, packet->vlan));
	for (uint8_t port = 0; routers && port < SWITCH_PORTS_MAX && !heard; port++)
		heard = is_member(routers, port, now_s);
	if (!heard || (!for_routers && !is_filtered(packet)))
		return audience;
	audience.all = false;
	audience.routers = routers;
	if (!for_routers)
		audience.members = find(groups, key_of(packet->address, packet->vlan));
	return audience;
}

bool switch_groups_wants(const struct switch_groups *groups, const struct switch_audience *audience,
			 uint8_t port, uint32_t now_s)
{
	return audience->all || is_member(audience->members, port, now_s) ||
	       is_member(audience->routers, port, now_s) || groups->all_until_s[port] > now_s;
}

void switch_groups_forget(struct switch_groups *groups, uint8_t port)
{
	for (int i = 0; i < SWITCH_GROUPS_MAX; i++)
		groups->list[i].until_s[port] = 0;
	groups->memberships[port] = 0;
	groups->all_until_s[port] = 0;
}
