// SPDX-License-Identifier: BSD-3-Clause
/* Subnets and host names of a guest's user-mode networks. */
#include "guest/config/user_networks.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "device/net/options.h"
#include "device/net/subnet.h"

/* RFC 1035, 2.3.4: a label. */
#define HOST_NAME_MAX_BYTES 63

/* The options of device @index when it is a user-mode network, else NULL. */
static struct net_options *user_network(const struct guest_config *config, size_t index)
{
	struct net_options *options = config->devices[index].options;

	if (config->devices[index].type->options != net_option_rows || !options->user)
		return NULL;
	return options;
}

/* The first device before @limit whose network overlaps @subnet, or @limit. */
static size_t find_overlap(const struct guest_config *config, size_t limit,
			   const struct subnet *subnet)
{
	for (size_t i = 0; i < limit; i++) {
		const struct net_options *options = user_network(config, i);
		struct subnet other;

		if (options && options->subnet &&
		    subnet_parse(options->subnet, &other, NULL) == 0 &&
		    subnet_overlaps(subnet, &other))
			return i;
	}
	return limit;
}

static int choose_subnet(const struct guest_config *config, struct net_options *options,
			 struct error *error)
{
	char text[SUBNET_TEXT];
	struct subnet subnet;
	unsigned int index = 0;

	if (options->subnet)
		return 0;
	/* Terminates: there are more default networks than devices. */
	do
		subnet = subnet_default(index++);
	while (find_overlap(config, config->device_count, &subnet) < config->device_count &&
	       index < UINT8_MAX);
	subnet_print(&subnet, text);
	return text_replace(&options->subnet, text, strlen(text), error);
}

/* The guest's name as a host name (RFC 1123, 2.1): letters, digits, hyphens in between. */
static int choose_host_name(const struct guest_config *config, struct net_options *options,
			    struct error *error)
{
	char name[HOST_NAME_MAX_BYTES + 1];
	size_t length = 0;

	if (options->host_name)
		return 0;
	for (const char *at = config->name; *at && length < HOST_NAME_MAX_BYTES; at++) {
		if (isalnum((unsigned char)*at))
			name[length++] = *at;
		else if (length > 0)
			name[length++] = '-';
	}
	while (length > 0 && name[length - 1] == '-')
		length--;
	return length ? text_replace(&options->host_name, name, length, error) : 0;
}

static int refuse_overlap(const struct guest_config *config, size_t index, struct error *error)
{
	const struct device_config *device = &config->devices[index];
	const struct net_options *options = user_network(config, index);
	struct subnet subnet;
	size_t other;
	int result = subnet_parse(options->subnet, &subnet, error);

	if (result < 0)
		return result;
	other = find_overlap(config, index, &subnet);
	if (other == index)
		return 0;
	result = error_set_usage(
		error, "subnet: %s overlaps the network of %s; choose another, or omit it",
		options->subnet, config->devices[other].name);
	error_add_origin(device->origin, error);
	return result;
}

int user_networks_complete(struct guest_config *config, struct error *error)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < config->device_count; i++) {
		struct net_options *options = user_network(config, i);

		if (!options)
			continue;
		result = choose_subnet(config, options, error);
		if (result == 0)
			result = choose_host_name(config, options, error);
		if (result == 0)
			result = refuse_overlap(config, i, error);
	}
	return result;
}
