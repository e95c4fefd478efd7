// SPDX-License-Identifier: BSD-3-Clause
/* Parts of ACPI tables that do not depend on the architecture. Addresses must be mapped. */
#ifndef CONFORM_ACPI_H
#define CONFORM_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACPI_HEADER_SIZE 36

/* A little-endian number of @width bytes at any address. */
uint64_t acpi_get(uint64_t address, unsigned int width);
bool acpi_sums_to_zero(uint64_t address, size_t size);
/* Whether a table (0: none) has this signature of four characters. */
bool acpi_is(uint64_t table, const char *signature);
/* The configuration space of PCI. */
void acpi_read_mcfg(uint64_t table);
/* Adds the windows of virtio-mmio that a definition block describes; returns how many. */
unsigned int acpi_find_virtio(uint64_t start, uint64_t end);

#endif
