// SPDX-License-Identifier: BSD-3-Clause
/* The addresses that a switch has learned. */
#include "service/switch/table.h"

#include <string.h>

static uint64_t key_of(uint64_t address, uint16_t vlan)
{
	return address << 16 | vlan;
}

/* The finalizer of MurmurHash3, over the key and the seed. */
static unsigned int bucket_of(const struct switch_table *table, uint64_t key)
{
	uint64_t hash = key ^ table->seed;

	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (unsigned int)(hash >> 33) % SWITCH_TABLE_BUCKETS;
}

static bool is_old(const struct switch_entry *entry, uint32_t now_s)
{
	return now_s - entry->seen_s > SWITCH_AGE_S;
}

int switch_table_find(const struct switch_table *table, uint64_t address, uint16_t vlan,
		      uint32_t now_s)
{
	uint64_t key = key_of(address, vlan);
	const struct switch_entry *bucket = table->entries[bucket_of(table, key)];

	for (int way = 0; way < SWITCH_TABLE_WAYS; way++)
		if (bucket[way].key == key)
			return is_old(&bucket[way], now_s) ? -1 : bucket[way].port;
	return -1;
}

static void drop(struct switch_table *table, struct switch_entry *entry)
{
	table->learned[entry->port]--;
	entry->key = 0;
}

/* Forgets what is old behind a port that has no room left, once a second. */
static void sweep(struct switch_table *table, uint8_t port, uint32_t now_s)
{
	if (table->swept_s[port] == now_s)
		return;
	table->swept_s[port] = now_s;
	for (int i = 0; i < SWITCH_TABLE_BUCKETS; i++)
		for (int way = 0; way < SWITCH_TABLE_WAYS; way++) {
			struct switch_entry *entry = &table->entries[i][way];

			if (entry->key && entry->port == port && is_old(entry, now_s))
				drop(table, entry);
		}
}

bool switch_table_learn(struct switch_table *table, uint64_t address, uint16_t vlan, uint8_t port,
			uint32_t now_s)
{
	uint64_t key = key_of(address, vlan);
	struct switch_entry *bucket = table->entries[bucket_of(table, key)], *place = NULL;
	bool moved = false;

	for (int way = 0; way < SWITCH_TABLE_WAYS; way++) {
		struct switch_entry *entry = &bucket[way];

		if (entry->key == key && entry->port == port) {
			entry->seen_s = now_s;
			return false;
		}
		if (entry->key == key)
			moved = !is_old(entry, now_s);
		if (entry->key && (entry->key == key || is_old(entry, now_s)))
			drop(table, entry);
		if (!entry->key)
			place = entry;
	}
	if (table->learned[port] == SWITCH_LEARNED_MAX)
		sweep(table, port, now_s);
	if (!place || table->learned[port] == SWITCH_LEARNED_MAX)
		return moved;
	*place = (struct switch_entry){key, now_s, port};
	table->learned[port]++;
	return moved;
}

void switch_table_forget(struct switch_table *table, uint8_t port)
{
	for (int i = 0; i < SWITCH_TABLE_BUCKETS && table->learned[port] > 0; i++)
		for (int way = 0; way < SWITCH_TABLE_WAYS; way++) {
			struct switch_entry *entry = &table->entries[i][way];

			if (entry->key && entry->port == port)
				drop(table, entry);
		}
}
