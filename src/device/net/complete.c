// SPDX-License-Identifier: BSD-3-Clause
/* Subnets and host names of a guest's user-mode networks. */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "device/kit/device_type.h"
#include "device/net/options.h"
#include "device/net/subnet.h"

/* RFC 1035, 2.3.4: a label. */
#define HOST_NAME_MAX_BYTES 63

/* The first of the devices before @limit whose network overlaps @subnet, or @limit. */
static size_t find_overlap(const struct device_peer *peers, size_t limit,
			   const struct subnet *subnet)
{
	for (size_t i = 0; i < limit; i++) {
		const struct net_options *options = peers[i].options;
		struct subnet other;

		if (options->user && options->subnet &&
		    subnet_parse(options->subnet, &other, NULL) == 0 &&
		    subnet_overlaps(subnet, &other))
			return i;
	}
	return limit;
}

static int choose_subnet(const struct device_peer *peers, size_t count, struct net_options *options,
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
	while (find_overlap(peers, count, &subnet) < count && index < UINT8_MAX);
	subnet_print(&subnet, text);
	return text_replace(&options->subnet, text, strlen(text), error);
}

/* The guest's name as a host name (RFC 1123, 2.1): letters, digits, hyphens in between. */
static int choose_host_name(const char *guest, struct net_options *options, struct error *error)
{
	char name[HOST_NAME_MAX_BYTES + 1];
	size_t length = 0;

	if (options->host_name)
		return 0;
	for (const char *at = guest; *at && length < HOST_NAME_MAX_BYTES; at++) {
		if (isalnum((unsigned char)*at))
			name[length++] = *at;
		else if (length > 0)
			name[length++] = '-';
	}
	while (length > 0 && name[length - 1] == '-')
		length--;
	return length ? text_replace(&options->host_name, name, length, error) : 0;
}

static int refuse_overlap(const struct device_peer *peers, size_t index, struct error *error)
{
	const struct net_options *options = peers[index].options;
	struct subnet subnet;
	size_t other;
	int result = subnet_parse(options->subnet, &subnet, error);

	if (result < 0)
		return result;
	other = find_overlap(peers, index, &subnet);
	if (other == index)
		return 0;
	return error_set_usage(error,
			       "subnet: %s overlaps the network of %s; choose another, or omit it",
			       options->subnet, peers[other].name);
}

int net_options_complete(const struct device_peer *peers, size_t count, size_t index,
			 const char *guest, struct error *error)
{
	struct net_options *options = peers[index].options;
	int result;

	if (!options->user)
		return 0;
	result = choose_subnet(peers, count, options, error);
	if (result == 0)
		result = choose_host_name(guest, options, error);
	return result < 0 ? result : refuse_overlap(peers, index, error);
}
