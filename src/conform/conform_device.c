// SPDX-License-Identifier: BSD-3-Clause
/* Parses the line of a device in the log, which comes from the tested hypervisor. */
#include "conform/conform_device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "none" or "256,256,64"; returns what follows. */
static const char *take_sizes(struct conform_device *device, const char *text)
{
	char *end = (char *)text;

	if (!strncmp(text, "none", 4))
		return text + 4;
	while (device->size_count < CONFORM_SIZES_MAX) {
		unsigned long size = strtoul(text, &end, 10);

		if (end == text)
			return NULL;
		device->sizes[device->size_count++] = size > UINT32_MAX ? UINT32_MAX :
									  (uint32_t)size;
		if (*end != ',')
			break;
		text = end + 1;
	}
	return end;
}

bool conform_device_parse(struct conform_device *device, const char *line)
{
	const char *rest = strstr(line, " features 0x");
	int at = 0;

	*device = (struct conform_device){.limits = ""};
	if (sscanf(line, "%u id %u transport %7[a-z]", &device->number, &device->id,
		   device->transport) != 3)
		return false;
	if (!rest || sscanf(rest, " features 0x%16" SCNx64 "%16" SCNx64 " queues %u sizes %n",
			    &device->features[1], &device->features[0], &device->queues, &at) != 3)
		return true;
	rest = at ? take_sizes(device, rest + at) : NULL;
	device->complete = rest && (!*rest || *rest == ' ');
	if (device->complete)
		device->limits = rest;
	return true;
}

bool conform_device_offers(const struct conform_device *device, unsigned int bit)
{
	return bit < 128 && device->features[bit / 64] >> (bit % 64) & 1;
}

bool conform_device_limit(const struct conform_device *device, const char *name, uint64_t *value)
{
	size_t length = strlen(name);

	for (const char *at = device->limits; (at = strchr(at, ' '));) {
		at++;
		if (!strncmp(at, name, length) && at[length] == ' ')
			return sscanf(at + length, " %" SCNu64, value) == 1;
	}
	return false;
}
