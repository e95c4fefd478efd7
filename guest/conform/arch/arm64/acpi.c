// SPDX-License-Identifier: BSD-3-Clause
/*
 * ACPI tables (ACPI 6.5, 5.2; SPCR by Microsoft's specification), for firmware that passes no
 * device tree: the same facts as in fdt.c. Every length is checked, every loop has a bound.
 */
#include "acpi.h"

#include "arch/arch.h"
#include "arch/arm64/arm64.h"
#include "text.h"

#define TABLE_MAX   (1u << 20)
#define ENTRIES_MAX 64
#define ADDRESS_MAX (UINT64_C(1) << 39) /* of memory that is mapped */

/* FADT, 5.2.9 */
#define FADT_DSDT   40
#define FADT_X_DSDT 140
#define FADT_ARM    129
#define ARM_PSCI    1
#define ARM_HVC	    2

/* MADT, 5.2.12 */
#define MADT_FIRST   44
#define GICC	     0x0b
#define GICD	     0x0c
#define GIC_MESSAGES 0x0d
#define GICR	     0x0e
#define GIC_ITS	     0x0f

/* GTDT, 5.2.25 */
#define GTDT_PHYSICAL 56
#define GTDT_VIRTUAL  64

/* SPCR */
#define SPCR_KIND      36
#define SPCR_REGISTER  40
#define KIND_16550     0
#define KIND_16450     1
#define KIND_PL011     3
#define KIND_SBSA      0x0e
#define KIND_16550_ANY 0x12

static uint64_t length_of(uint64_t table)
{
	uint64_t length = table && table < ADDRESS_MAX ? acpi_get(table + 4, 4) : 0;

	return length >= ACPI_HEADER_SIZE && length <= TABLE_MAX ? length : 0;
}

static void read_fadt(uint64_t table, uint64_t *dsdt)
{
	uint64_t length = length_of(table), flags;

	if (length < FADT_X_DSDT + 8)
		return;
	flags = acpi_get(table + FADT_ARM, 2);
	arm64_platform.has_psci = flags & ARM_PSCI;
	if (arm64_platform.has_psci)
		arm64_platform.conduit = flags & ARM_HVC ? CONDUIT_HVC : CONDUIT_SMC;
	*dsdt = acpi_get(table + FADT_X_DSDT, 8);
	if (!*dsdt)
		*dsdt = acpi_get(table + FADT_DSDT, 4);
}

/* A processor: version 2 of the controller has its interface there, version 3 a redistributor. */
static void read_cpu(uint64_t at, uint64_t length)
{
	if (length < 76 || !(acpi_get(at + 12, 4) & 1))
		return;
	if (machine.cpu_count < CPUS_MAX)
		machine.cpu_ids[machine.cpu_count++] = acpi_get(at + 68, 8);
	arm64_platform.cpu_interface = acpi_get(at + 32, 8);
}

static void read_madt(uint64_t table)
{
	uint64_t end = table + length_of(table);

	for (uint64_t at = table + MADT_FIRST; at + 2 <= end;) {
		uint64_t length = acpi_get(at + 1, 1);

		if (length < 2 || length > end - at)
			return;
		switch (acpi_get(at, 1)) {
		case GICC:
			read_cpu(at, length);
			break;
		case GICD:
			if (length >= 24) {
				arm64_platform.distributor = acpi_get(at + 8, 8);
				arm64_platform.gic_version = (unsigned int)acpi_get(at + 20, 1);
			}
			break;
		case GIC_MESSAGES:
			if (length >= 24)
				arm64_platform.message_frame = acpi_get(at + 8, 8);
			break;
		case GICR:
			if (length >= 16 && !arm64_platform.redistributors) {
				arm64_platform.redistributors = acpi_get(at + 4, 8);
				arm64_platform.redistributors_size = acpi_get(at + 12, 4);
			}
			break;
		case GIC_ITS:
			if (length >= 20)
				arm64_platform.its = acpi_get(at + 8, 8);
			break;
		default:
			break;
		}
		at += length;
	}
}

static void read_gtdt(uint64_t table)
{
	if (length_of(table) < GTDT_VIRTUAL + 4)
		return;
	arm64_platform.physical_timer = (uint32_t)acpi_get(table + GTDT_PHYSICAL, 4);
	arm64_platform.virtual_timer = (uint32_t)acpi_get(table + GTDT_VIRTUAL, 4);
}

static void read_spcr(uint64_t table)
{
	uint64_t kind, space, width;

	if (length_of(table) < SPCR_REGISTER + 12)
		return;
	kind = acpi_get(table + SPCR_KIND, 1);
	space = acpi_get(table + SPCR_REGISTER, 1);
	width = acpi_get(table + SPCR_REGISTER + 1, 1);
	if (space != 0)
		return;
	if (kind == KIND_PL011 || kind == KIND_SBSA)
		machine.serial = SERIAL_PL011;
	else if (kind == KIND_16550 || kind == KIND_16450 || kind == KIND_16550_ANY)
		machine.serial = SERIAL_16550;
	else
		return;
	machine.serial_address = acpi_get(table + SPCR_REGISTER + 4, 8);
	machine.serial_shift = width == 32 ? 2 : 0;
	text_format(arm64_platform.stdout_path, sizeof(arm64_platform.stdout_path), "SPCR");
}

static void read_table(uint64_t table, uint64_t *dsdt)
{
	if (acpi_is(table, "FACP"))
		read_fadt(table, dsdt);
	else if (acpi_is(table, "APIC"))
		read_madt(table);
	else if (acpi_is(table, "GTDT"))
		read_gtdt(table);
	else if (acpi_is(table, "SPCR"))
		read_spcr(table);
	else if (acpi_is(table, "MCFG"))
		acpi_read_mcfg(table);
	else if (acpi_is(table, "SSDT"))
		acpi_find_virtio(table + ACPI_HEADER_SIZE, table + length_of(table));
}

void arm64_read_acpi(uint64_t rsdp)
{
	uint64_t list =
		rsdp && rsdp < ADDRESS_MAX && acpi_is(rsdp, "RSD ") ? acpi_get(rsdp + 24, 8) : 0;
	uint64_t length = length_of(list), dsdt = 0;

	machine.description = rsdp;
	for (uint64_t at = list + ACPI_HEADER_SIZE, i = 0;
	     at + 8 <= list + length && i < ENTRIES_MAX; at += 8, i++) {
		uint64_t table = acpi_get(at, 8);

		if (length_of(table))
			read_table(table, &dsdt);
	}
	if (length_of(dsdt))
		acpi_find_virtio(dsdt + ACPI_HEADER_SIZE, dsdt + length_of(dsdt));
	if (length)
		for (unsigned int i = 0; i < 14; i++)
			machine.model[i] = (char)acpi_get(list + 10 + i, 1);
}
