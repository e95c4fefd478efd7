// SPDX-License-Identifier: BSD-3-Clause
/* What a client of the switch may do, from its options. */
#include "service/switch/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define VLAN_MAX 4094 /* IEEE 802.1Q, table 9-2 */

bool switch_address_read(const char *text, uint64_t *address)
{
	uint8_t mac[ETH_ALEN];

	if (strlen(text) != 3 * ETH_ALEN - 1)
		return false;
	for (int i = 0; i < ETH_ALEN; i++) {
		int byte = text_hex_byte(text + (ptrdiff_t)3 * i);

		if (byte < 0 || (i > 0 && text[3 * i - 1] != ':'))
			return false;
		mac[i] = (uint8_t)byte;
	}
	*address = switch_address(mac);
	return *address && !switch_is_multicast(*address);
}

bool switch_client_may_send(const struct switch_client_options *options, const char *name)
{
	return option_list_has(&options->to, SWITCH_TO_ALL) || option_list_has(&options->to, name);
}

static bool read_vlan(const char *text, char **end, unsigned int *vlan)
{
	if (*text < '1' || *text > '9')
		return false;
	*vlan = (unsigned int)strtoul(text, end, 10);
	return *vlan <= VLAN_MAX && *end - text <= 4;
}

/* N or N-M. */
static bool read_vlans(const char *text, uint8_t *trunk)
{
	unsigned int first, last;
	char *end;

	if (!read_vlan(text, &end, &first))
		return false;
	last = first;
	if (*end == '-' && !read_vlan(end + 1, &end, &last))
		return false;
	for (unsigned int vlan = first; vlan <= last; vlan++)
		trunk[vlan / 8] |= (uint8_t)(1 << vlan % 8);
	return !*end && first <= last;
}

int switch_settings_read(const struct switch_client_options *options,
			 struct switch_port_settings *settings, struct error *error)
{
	uint64_t address;

	*settings = (struct switch_port_settings){
		.vlan = (uint16_t)options->vlan,
		.priority = (uint8_t)options->priority,
		.priority_max = (uint8_t)options->priority_max,
		.pinned = options->addresses.count > 0,
		.frames_per_second = options->frames_per_second,
		.bytes_per_second = options->bytes_per_second,
		.receive_bytes_per_second = options->receive_bytes_per_second,
		.burst = options->burst,
	};
	if (options->priority > options->priority_max)
		return error_set_usage(error, "priority: is higher than priority-max");
	for (size_t i = 0; i < options->trunk.count; i++)
		if (!read_vlans(options->trunk.items[i], settings->trunk))
			return error_set_usage(error,
					       "trunk: '%.40s' is not VLAN or VLAN-VLAN; give "
					       "numbers from 1 to %d",
					       options->trunk.items[i], VLAN_MAX);
	for (size_t i = 0; i < options->addresses.count; i++)
		if (!switch_address_read(options->addresses.items[i], &address))
			return error_set_usage(error,
					       "addresses: '%.40s' is not the address of an "
					       "interface; give one like 52:54:00:12:34:56",
					       options->addresses.items[i]);
	return 0;
}
