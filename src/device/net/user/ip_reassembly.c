// SPDX-License-Identifier: BSD-3-Clause
/* Reassembly of IPv4 datagrams, in fixed memory. */
#include "device/net/user/ip_reassembly.h"

#include <string.h>

#include "base/big_endian.h"

static void make_key(uint8_t key[11], const uint8_t *ip)
{
	memcpy(key, ip + IPV4_SOURCE, 8);
	memcpy(key + 8, ip + IPV4_ID, 2);
	key[10] = ip[IPV4_PROTOCOL];
}

/* The slot of the datagram that the fragment at @ip belongs to, or a new one. */
static struct ip_reassembly_slot *find_slot(struct ip_reassembly *reassembly, const uint8_t *ip,
					    int64_t now_ms)
{
	struct ip_reassembly_slot *slot, *oldest = &reassembly->slots[0];
	uint8_t key[11];

	make_key(key, ip);
	for (size_t i = 0; i < IP_REASSEMBLY_SLOTS; i++) {
		slot = &reassembly->slots[i];
		if (slot->used && now_ms - slot->started_ms > IP_REASSEMBLY_TIME)
			slot->used = false;
		if (slot->used && !memcmp(slot->key, key, sizeof(key)))
			return slot;
		if (oldest->used && (!slot->used || slot->started_ms < oldest->started_ms))
			oldest = slot;
	}
	slot = oldest;
	slot->used = true;
	slot->started_ms = now_ms;
	slot->total = slot->highest = slot->units = 0;
	memcpy(slot->key, key, sizeof(key));
	memset(slot->came, 0, sizeof(slot->came));
	return slot;
}

/* Records that data from @offset to @end came. False when some of it came before. */
static bool note_units(struct ip_reassembly_slot *slot, uint32_t offset, uint32_t end)
{
	for (uint32_t unit = offset / IP_REASSEMBLY_UNIT; unit * IP_REASSEMBLY_UNIT < end; unit++) {
		uint8_t bit = (uint8_t)(1U << unit % 8);

		if (slot->came[unit / 8] & bit)
			return false;
		slot->came[unit / 8] |= bit;
		slot->units++;
	}
	return true;
}

/* Copies the fragment's data. False when it does not fit what came before, or any datagram. */
static bool take_data(struct ip_reassembly_slot *slot, const uint8_t *data, uint32_t offset,
		      uint32_t length, bool more)
{
	uint32_t end = offset + length;

	if (length == 0 || end > IPV4_LENGTH_MAX - IPV4_HEADER ||
	    (more && length % IP_REASSEMBLY_UNIT) || (slot->total && end > slot->total))
		return false;
	if (!more) {
		if (slot->total || end < slot->highest)
			return false;
		slot->total = end;
	}
	if (!note_units(slot, offset, end))
		return false;
	if (end > slot->highest)
		slot->highest = end;
	memcpy(slot->data + offset, data, length);
	return true;
}

bool ip_reassembly_add(struct ip_reassembly *reassembly, uint8_t *ip, size_t *total, int64_t now_ms)
{
	struct ip_reassembly_slot *slot = find_slot(reassembly, ip, now_ms);
	uint16_t field = big_endian_get16(ip + IPV4_FRAGMENT);
	uint32_t offset = (uint32_t)(field & IPV4_OFFSET_MASK) * IP_REASSEMBLY_UNIT;

	if (!take_data(slot, ip + IPV4_HEADER, offset, (uint32_t)(*total - IPV4_HEADER),
		       field & IPV4_MORE)) {
		slot->used = false;
		return false;
	}
	if (!slot->total || slot->units * IP_REASSEMBLY_UNIT < slot->total)
		return false;
	memcpy(ip + IPV4_HEADER, slot->data, slot->total);
	*total = IPV4_HEADER + slot->total;
	big_endian_put16(ip + IPV4_FRAGMENT, 0);
	big_endian_put16(ip + IPV4_TOTAL_LENGTH, (uint16_t)*total);
	slot->used = false;
	return true;
}
