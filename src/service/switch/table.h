// SPDX-License-Identifier: BSD-3-Clause
/*
 * The addresses that a switch has learned, for each VLAN (IEEE 802.1Q, 8.8): a bounded table, of
 * which a port may hold a bounded part, so that one that makes addresses up cannot displace those
 * of others.
 */
#ifndef AVP_SERVICE_SWITCH_TABLE_H
#define AVP_SERVICE_SWITCH_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "service/switch/queue.h"

#define SWITCH_TABLE_BUCKETS 2048
#define SWITCH_TABLE_WAYS    4
/* Addresses of a port. */
#define SWITCH_LEARNED_MAX 256
/* IEEE 802.1Q, 8.8.3: an address that sends nothing for so long is forgotten. */
#define SWITCH_AGE_S 300

struct switch_entry {
	uint64_t key; /* address and VLAN; 0: free */
	uint32_t seen_s;
	uint8_t port;
};

struct switch_table {
	uint64_t seed; /* nobody else knows it, so that nobody can fill a bucket on purpose */
	uint16_t learned[SWITCH_PORTS_MAX];
	uint32_t swept_s[SWITCH_PORTS_MAX]; /* when it was looked through for what is old */
	struct switch_entry entries[SWITCH_TABLE_BUCKETS][SWITCH_TABLE_WAYS];
};

/* The table is zeroed but for its seed. The port of an address, or -1. */
int switch_table_find(const struct switch_table *table, uint64_t address, uint16_t vlan,
		      uint32_t now_s);

/* The address is behind the port. Returns whether it was behind another. */
bool switch_table_learn(struct switch_table *table, uint64_t address, uint16_t vlan, uint8_t port,
			uint32_t now_s);

/* Forgets what is behind a port. */
void switch_table_forget(struct switch_table *table, uint8_t port);

#endif
