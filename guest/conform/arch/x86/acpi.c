// SPDX-License-Identifier: BSD-3-Clause
/*
 * ACPI tables (ACPI 6.5, 5.2), as far as a guest without an AML interpreter can read them: in the
 * DSDT the bytes of _S5. Every length is checked, every loop has a bound.
 */
#include "acpi.h"
#include "arch/arch.h"
#include "arch/x86/x86.h"
#include "text.h"

#define TABLE_MAX   (1u << 20)
#define ENTRIES_MAX 64

struct x86_platform x86_platform = {.sleep_type = -1, .local_apic = 0xfee00000};

/* Tables lie below 4 GiB, which is mapped. */
static bool is_plausible(uint64_t address)
{
	return address != 0 && address < 0xfee00000;
}

static uint64_t find_rsdp(void)
{
	if (is_plausible(machine.description) &&
	    !memcmp((void *)machine.description, "RSD PTR ", 8))
		return machine.description;
	for (uint64_t address = 0xe0000; address < 0x100000; address += 16)
		if (!memcmp((void *)address, "RSD PTR ", 8) && acpi_sums_to_zero(address, 20))
			return address;
	return 0;
}

/* Adds a table to the list; 0 if it is not a valid table. */
static uint64_t add_table(uint64_t address)
{
	struct acpi_table *table;
	uint64_t length;

	if (!is_plausible(address) || x86_platform.table_count == TABLES_MAX)
		return 0;
	length = acpi_get(address + 4, 4);
	table = &x86_platform.tables[x86_platform.table_count++];
	table->address = address;
	table->length = (uint32_t)length;
	memcpy(table->signature, (void *)address, 4);
	if (length < ACPI_HEADER_SIZE || length > TABLE_MAX)
		return 0;
	table->valid = acpi_sums_to_zero(address, length);
	return address;
}

static struct acpi_register read_generic(uint64_t address)
{
	return (struct acpi_register){.space = (uint8_t)acpi_get(address, 1),
				      .width = (uint8_t)acpi_get(address + 1, 1),
				      .address = acpi_get(address + 4, 8)};
}

static struct acpi_register read_port(uint64_t address, uint8_t width)
{
	return (struct acpi_register){.space = 1, .width = width, .address = acpi_get(address, 4)};
}

static void read_fadt(uint64_t table)
{
	uint32_t length = (uint32_t)acpi_get(table + 4, 4);

	x86_platform.fadt = table;
	x86_platform.fadt_length = length;
	if (length < 116)
		return;
	x86_platform.fadt_flags = (uint32_t)acpi_get(table + 112, 4);
	x86_platform.pm1a_control = read_port(table + 64, 16);
	x86_platform.pm1b_control = read_port(table + 68, 16);
	x86_platform.timer = read_port(table + 76, 32);
	if (length >= 129) {
		x86_platform.reset = read_generic(table + 116);
		x86_platform.reset_value = (uint8_t)acpi_get(table + 128, 1);
	}
	if (length >= 268)
		x86_platform.sleep_control = read_generic(table + 244);
	x86_platform.dsdt = length >= 148 ? acpi_get(table + 140, 8) : 0;
	if (!x86_platform.dsdt)
		x86_platform.dsdt = acpi_get(table + 40, 4);
	x86_platform.dsdt = add_table(x86_platform.dsdt);
}

static void add_cpu(uint64_t id, uint32_t flags)
{
	if (!(flags & 1) || machine.cpu_count == CPUS_MAX)
		return;
	machine.cpu_ids[machine.cpu_count++] = id;
}

static void read_madt(uint64_t table)
{
	uint64_t end = table + acpi_get(table + 4, 4), at = table + 44;

	if (end - table < 44)
		return;
	x86_platform.local_apic = acpi_get(table + 36, 4);
	while (at + 2 <= end) {
		uint64_t length = acpi_get(at + 1, 1);

		if (length < 2 || length > end - at)
			return;
		switch (acpi_get(at, 1)) {
		case 0: /* local APIC */
			if (length >= 8)
				add_cpu(acpi_get(at + 3, 1), (uint32_t)acpi_get(at + 4, 4));
			break;
		case 1: /* I/O APIC */
			if (length >= 12 && x86_platform.io_apic_count < IO_APICS_MAX)
				x86_platform.io_apics[x86_platform.io_apic_count++] =
					(struct io_apic){acpi_get(at + 4, 4),
							 (uint32_t)acpi_get(at + 8, 4), 0};
			break;
		case 2: /* override of an ISA interrupt */
			if (length >= 10 && x86_platform.override_count < 16) {
				x86_platform.overrides[x86_platform.override_count].source =
					(uint8_t)acpi_get(at + 3, 1);
				x86_platform.overrides[x86_platform.override_count].interrupt =
					(uint32_t)acpi_get(at + 4, 4);
				x86_platform.overrides[x86_platform.override_count++].flags =
					(uint16_t)acpi_get(at + 8, 2);
			}
			break;
		case 9: /* local x2APIC */
			if (length >= 16)
				add_cpu(acpi_get(at + 4, 4), (uint32_t)acpi_get(at + 8, 4));
			break;
		default:
			break;
		}
		at += length;
	}
}

/* Name _S5_, package, length, count, then the integer for the sleep register. */
static void find_sleep_type(uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at + 12 <= end; at++) {
		uint64_t package = at + 4;

		if (memcmp((void *)at, "_S5_", 4) || acpi_get(package, 1) != 0x12)
			continue;
		package += 2 + (acpi_get(package + 1, 1) >> 6) + 1;
		if (package + 2 > end)
			return;
		if (acpi_get(package, 1) == 0x0a)
			package++;
		x86_platform.sleep_type = (int)acpi_get(package, 1) & 7;
		return;
	}
}

static void read_table(uint64_t table)
{
	if (acpi_is(table, "FACP"))
		read_fadt(table);
	else if (acpi_is(table, "APIC"))
		read_madt(table);
	else if (acpi_is(table, "MCFG"))
		acpi_read_mcfg(table);
}

void x86_read_acpi(void)
{
	uint64_t rsdp = find_rsdp(), list = 0, length;
	unsigned int width = 8;

	machine.description = rsdp;
	if (!rsdp)
		return;
	if (acpi_get(rsdp + 15, 1) >= 2)
		list = acpi_get(rsdp + 24, 8);
	if (!is_plausible(list)) {
		list = acpi_get(rsdp + 16, 4);
		width = 4;
	}
	list = add_table(list);
	x86_platform.xsdt = list;
	if (!list)
		return;
	length = acpi_get(list + 4, 4);
	for (uint64_t at = list + ACPI_HEADER_SIZE, i = 0;
	     at + width <= list + length && i < ENTRIES_MAX; at += width, i++)
		read_table(add_table(acpi_get(at, width)));
	if (x86_platform.dsdt) {
		uint64_t end = x86_platform.dsdt + acpi_get(x86_platform.dsdt + 4, 4);

		find_sleep_type(x86_platform.dsdt + ACPI_HEADER_SIZE, end);
		x86_platform.described_slots +=
			acpi_find_virtio(x86_platform.dsdt + ACPI_HEADER_SIZE, end);
	}
	/* Other definition blocks may have devices too. */
	for (unsigned int i = 0; i < x86_platform.table_count; i++)
		if (text_is(x86_platform.tables[i].signature, "SSDT") &&
		    x86_platform.tables[i].valid)
			x86_platform.described_slots += acpi_find_virtio(
				x86_platform.tables[i].address + ACPI_HEADER_SIZE,
				x86_platform.tables[i].address + x86_platform.tables[i].length);
	if (x86_platform.fadt)
		text_format(machine.model, sizeof(machine.model), "%c%c%c%c%c%c %c%c%c%c%c%c%c%c",
			    (char)acpi_get(x86_platform.fadt + 10, 1),
			    (char)acpi_get(x86_platform.fadt + 11, 1),
			    (char)acpi_get(x86_platform.fadt + 12, 1),
			    (char)acpi_get(x86_platform.fadt + 13, 1),
			    (char)acpi_get(x86_platform.fadt + 14, 1),
			    (char)acpi_get(x86_platform.fadt + 15, 1),
			    (char)acpi_get(x86_platform.fadt + 16, 1),
			    (char)acpi_get(x86_platform.fadt + 17, 1),
			    (char)acpi_get(x86_platform.fadt + 18, 1),
			    (char)acpi_get(x86_platform.fadt + 19, 1),
			    (char)acpi_get(x86_platform.fadt + 20, 1),
			    (char)acpi_get(x86_platform.fadt + 21, 1),
			    (char)acpi_get(x86_platform.fadt + 22, 1),
			    (char)acpi_get(x86_platform.fadt + 23, 1));
}

void x86_write_register(const struct acpi_register *where, uint32_t value)
{
	unsigned int width = where->width >= 32 ? 4 : where->width >= 16 ? 2 : 1;

	if (!where->address)
		return;
	if (where->space == 1)
		arch_port_write((uint16_t)where->address, value, width);
	else
		mmio_write(where->address, value, width);
}

void arch_power_off(void)
{
	const uint32_t enable = 1 << 13;
	uint32_t type = x86_platform.sleep_type < 0 ? 0 : (uint32_t)x86_platform.sleep_type;

	if (x86_platform.sleep_control.address)
		x86_write_register(&x86_platform.sleep_control, type << 2 | 1 << 5);
	if (x86_platform.pm1a_control.address && x86_platform.sleep_type >= 0) {
		x86_write_register(&x86_platform.pm1a_control, type << 10 | enable);
		x86_write_register(&x86_platform.pm1b_control, type << 10 | enable);
	}
}

bool arch_can_reset(void)
{
	return x86_platform.fadt_flags & 1 << 10 && x86_platform.reset.address;
}

void arch_reset(void)
{
	x86_write_register(&x86_platform.reset, x86_platform.reset_value);
}

/* Firmware resumes from S3 and resets devices first: testing that needs another guest. */
const char *arch_no_suspend(void)
{
	return "this guest suspends only by PSCI, not to S3";
}

int64_t arch_suspend(unsigned int seconds)
{
	(void)seconds;
	return -1;
}
