// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of devices on a bus, and the dispatch of accesses.
 */
#include "monitor/bus.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

int bus_add(struct bus *bus, const struct bus_device *device, struct error *error)
{
	size_t place = 0;

	if (bus->count == BUS_DEVICES_MAX)
		return error_set(error, ENOSPC, "%s: more than %d devices on the bus", device->name,
				 BUS_DEVICES_MAX);
	while (place < bus->count && bus->devices[place]->start < device->start)
		place++;
	if ((place > 0 &&
	     device->start - bus->devices[place - 1]->start < bus->devices[place - 1]->size) ||
	    (place < bus->count && bus->devices[place]->start - device->start < device->size))
		return error_set(error, EEXIST, "%s: another device is at address 0x%llx",
				 device->name, (unsigned long long)device->start);
	memmove(&bus->devices[place + 1], &bus->devices[place],
		(bus->count - place) * sizeof(bus->devices[0]));
	bus->devices[place] = device;
	bus->count++;
	return 0;
}

/* The last device that starts at or before @address, or NULL. */
static const struct bus_device *find(const struct bus *bus, uint64_t address)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (bus->devices[middle]->start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? bus->devices[low - 1] : NULL;
}

void bus_access(struct bus *bus, const struct bus_access *access)
{
	const struct bus_device *device = find(bus, access->address);
	struct bus_access inside = *access;

	if (device && access->length <= device->size &&
	    access->address - device->start <= device->size - access->length) {
		inside.address -= device->start;
		if (!access->write)
			memset(access->data, 0, access->length);
		device->handle(device->context, &inside);
		return;
	}
	if (!access->write)
		memset(access->data, 0xff, access->length);
	if (__atomic_fetch_add(&bus->unanswered, 1, __ATOMIC_RELAXED) == 0)
		log_debug("no device at %s 0x%llx", bus->name, (unsigned long long)access->address);
}

uint64_t bus_value(const struct bus_access *access)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < access->length && i < sizeof(value); i++)
		value |= (uint64_t)access->data[i] << 8 * i;
	return value;
}

void bus_answer(const struct bus_access *access, uint64_t value)
{
	for (uint32_t i = 0; i < access->length && i < sizeof(value); i++)
		access->data[i] = (uint8_t)(value >> 8 * i);
}
