// SPDX-License-Identifier: BSD-3-Clause
/*
 * The ACPI tables of an x86 machine, hardware-reduced (ACPI 6.5, 4.1): RSDP, XSDT, FADT, MADT and a
 * DSDT that names the serial port, the power registers, pvpanic and the virtio-mmio transports.
 */
#ifndef AVP_MONITOR_X86_ACPI_H
#define AVP_MONITOR_X86_ACPI_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes the tables for a machine with @cpus processors and @virtio_devices transports into @size
 * bytes at @buffer, which will be at @address of the guest; the RSDP comes first. Returns the
 * number of bytes written, or -ENOSPC.
 */
int acpi_write_tables(uint8_t *buffer, size_t size, uint64_t address, uint32_t cpus,
		      unsigned int virtio_devices);

#endif
