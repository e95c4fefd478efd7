// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the tables of both architectures have in common (ACPI 6.5, 5.2). Devices are found without
 * an AML interpreter: the _CRS that follows the name LNRO0005. Every length is checked, every loop
 * has a bound.
 */
#include "acpi.h"

#include "machine.h"
#include "text.h"

#define DEVICE_SPAN 256 /* bytes after a device's name in which its resources must be */

uint64_t acpi_get(uint64_t address, unsigned int width)
{
	const uint8_t *bytes = (const uint8_t *)address;
	uint64_t value = 0;

	for (unsigned int i = 0; i < width; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

bool acpi_sums_to_zero(uint64_t address, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += (uint8_t)acpi_get(address + i, 1);
	return sum == 0;
}

bool acpi_is(uint64_t table, const char *signature)
{
	return table && !memcmp((void *)table, signature, 4);
}

void acpi_read_mcfg(uint64_t table)
{
	if (acpi_get(table + 4, 4) < 60)
		return;
	machine.ecam = acpi_get(table + 44, 8);
	machine.first_bus = (unsigned int)acpi_get(table + 54, 1);
	machine.last_bus = (unsigned int)acpi_get(table + 55, 1);
}

/* The descriptors of a _CRS (ACPI 6.5, 6.4): a range of memory and an interrupt. */
static bool read_resources(uint64_t at, uint64_t end)
{
	uint64_t address = 0, size = 0;
	struct interrupt_line line = {.valid = false};

	for (int i = 0; i < 16 && at + 3 <= end; i++) {
		uint64_t tag = acpi_get(at, 1);
		uint64_t length = tag & 0x80 ? 3 + acpi_get(at + 1, 2) : 1 + (tag & 7);

		if (length > end - at || (tag & 0xf8) == 0x78)
			break;
		if (tag == 0x86 && length >= 12) {
			address = acpi_get(at + 4, 4);
			size = acpi_get(at + 8, 4);
		} else if (tag == 0x8a && length >= 46) {
			address = acpi_get(at + 14, 8);
			size = acpi_get(at + 38, 8);
		} else if (tag == 0x89 && length >= 9) {
			line = (struct interrupt_line){(uint32_t)acpi_get(at + 5, 4),
						       !(acpi_get(at + 3, 1) & 2), true};
		} else if ((tag & 0xf8) == 0x20 && length >= 3) {
			uint32_t mask = (uint32_t)acpi_get(at + 1, 2);

			if (mask)
				line = (struct interrupt_line){
					(uint32_t)__builtin_ctz(mask),
					length >= 4 && !(acpi_get(at + 3, 1) & 1), true};
		}
		at += length;
	}
	if (!address || !size)
		return false;
	machine_add_slot(address, size, line);
	return true;
}

unsigned int acpi_find_virtio(uint64_t start, uint64_t end)
{
	unsigned int found = 0;

	for (uint64_t at = start; at + 8 <= end; at++) {
		uint64_t limit = at + DEVICE_SPAN < end ? at + DEVICE_SPAN : end;

		if (memcmp((void *)at, "LNRO0005", 8))
			continue;
		for (uint64_t name = at + 8; name + 8 < limit; name++) {
			uint64_t data;

			if (!memcmp((void *)name, "LNRO0005", 8))
				break;
			if (memcmp((void *)name, "_CRS", 4) || acpi_get(name + 4, 1) != 0x11)
				continue;
			/* Buffer: length in 1 to 4 bytes, then its size as an integer. */
			data = name + 6 + (acpi_get(name + 5, 1) >> 6);
			data += acpi_get(data, 1) == 0x0a ? 2 : acpi_get(data, 1) == 0x0b ? 3 : 1;
			found += read_resources(data, limit);
			break;
		}
	}
	return found;
}
