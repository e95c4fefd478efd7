// SPDX-License-Identifier: BSD-3-Clause
/*
 * Writes the tables (ACPI 6.5, 5.2, and 5.6.9 for the generic event device).
 */
#include "monitor/x86/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "monitor/boot.h"
#include "monitor/panic.h"
#include "monitor/power.h"
#include "monitor/x86/aml.h"
#include "monitor/x86/layout.h"

#define RSDP_SIZE	36
#define RSDP_OLD_SIZE	20 /* what the first checksum covers */
#define HEADER_SIZE	36
#define HEADER_LENGTH	4 /* offsets in a table's header */
#define HEADER_CHECKSUM 9
#define ALIGNMENT	16

#define SPACE_SYSTEM_IO 1

/* FADT flags (ACPI 6.5, table 5.10). */
#define FADT_WBINVD	    (1u << 0)
#define FADT_PROC_C1	    (1u << 2)
#define FADT_POWER_BUTTON   (1u << 4) /* no fixed one */
#define FADT_SLEEP_BUTTON   (1u << 5)
#define FADT_NO_RTC_WAKE    (1u << 6)
#define FADT_RESET_REGISTER (1u << 10)
#define FADT_REDUCED	    (1u << 20)
/* IA-PC boot architecture flags (table 5.11). */
#define BOOT_NO_VGA	 (1u << 2)
#define BOOT_NO_CMOS_RTC (1u << 5)

/* AML opcodes that only _EVT needs. */
#define OP_STORE       0x70
#define OP_AND	       0x7b
#define OP_NOTIFY      0x86
#define OP_IF	       0xa0
#define OP_LOCAL0      0x60
#define OP_REGION      0x80 /* extended */
#define OP_FIELD       0x81 /* extended */
#define FIELD_DWORD    0x03
#define NOTIFY_PRESSED 0x80

static uint8_t checksum(const uint8_t *data, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	return -sum;
}

static size_t open_table(struct aml *aml, const char *signature, unsigned int revision)
{
	size_t start;

	aml_zeros(aml, -aml->used % ALIGNMENT);
	start = aml->used;
	aml_text(aml, signature);
	aml_number(aml, 0, 4); /* length */
	aml_number(aml, revision, 1);
	aml_number(aml, 0, 1); /* checksum */
	aml_text(aml, "AVP   ");
	aml_text(aml, "PLATFORM");
	aml_number(aml, 1, 4); /* OEM revision */
	aml_text(aml, "AVP ");
	aml_number(aml, 1, 4); /* creator revision */
	return start;
}

static void close_table(struct aml *aml, size_t start)
{
	size_t length = aml->used - start;

	if (aml->overflow)
		return;
	for (int i = 0; i < 4; i++)
		aml->data[start + HEADER_LENGTH + i] = (uint8_t)(length >> 8 * i);
	aml->data[start + HEADER_CHECKSUM] = checksum(aml->data + start, length);
}

static void add_identity(struct aml *aml, const char *hid, uint32_t uid)
{
	aml_name(aml, "_HID");
	aml_string(aml, hid);
	aml_name(aml, "_UID");
	aml_integer(aml, uid);
}

static void add_processors(struct aml *aml, uint32_t cpus)
{
	for (uint32_t i = 0; i < cpus; i++) {
		char name[16];
		size_t device;

		snprintf(name, sizeof(name), "C%03u", i % 1000);
		device = aml_open_device(aml, name);
		add_identity(aml, "ACPI0007", i);
		aml_close(aml, device);
	}
}

static void add_serial_port(struct aml *aml)
{
	size_t device = aml_open_device(aml, "COM1"), resources;

	add_identity(aml, "PNP0501", 0);
	resources = aml_open_resources(aml);
	aml_io_resource(aml, X86_SERIAL_PORT, 8);
	aml_interrupt_resource(aml, X86_SERIAL_PIN, AML_LEVEL);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static void add_panic_device(struct aml *aml)
{
	size_t device = aml_open_device(aml, "PEVT"), resources;

	add_identity(aml, "QEMU0001", 0);
	resources = aml_open_resources(aml);
	aml_io_resource(aml, X86_PANIC_PORT, PANIC_SIZE);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

/*
 *	OperationRegion (EVTR, SystemIO, power_address + POWER_EVENTS, 4)
 *	Field (EVTR, DWordAcc, NoLock, Preserve) { EVTS, 32 }
 *	Method (_EVT, 1, Serialized) {
 *		Local0 = EVTS
 *		If (Local0 & POWER_EVENT_BUTTON) { Notify (PWRB, 0x80) }
 *	}
 */
static void add_event_method(struct aml *aml)
{
	size_t field, method, condition;

	aml_number(aml, 0x5b, 1);
	aml_number(aml, OP_REGION, 1);
	aml_text(aml, "EVTR");
	aml_number(aml, SPACE_SYSTEM_IO, 1);
	aml_integer(aml, X86_POWER_PORT + POWER_EVENTS);
	aml_integer(aml, 4);

	field = aml_open(aml, OP_FIELD, true);
	aml_text(aml, "EVTR");
	aml_number(aml, FIELD_DWORD, 1);
	aml_text(aml, "EVTS");
	aml_number(aml, 32, 1); /* bits */
	aml_close(aml, field);

	method = aml_open_method(aml, "_EVT", 1);
	aml_number(aml, OP_STORE, 1);
	aml_text(aml, "EVTS");
	aml_number(aml, OP_LOCAL0, 1);
	condition = aml_open(aml, OP_IF, false);
	aml_number(aml, OP_AND, 1);
	aml_number(aml, OP_LOCAL0, 1);
	aml_integer(aml, POWER_EVENT_BUTTON);
	aml_number(aml, 0, 1); /* the result goes nowhere else */
	aml_number(aml, OP_NOTIFY, 1);
	aml_text(aml, "PWRB");
	aml_integer(aml, NOTIFY_PRESSED);
	aml_close(aml, condition);
	aml_close(aml, method);
}

static void add_power(struct aml *aml)
{
	size_t device, resources;

	device = aml_open_device(aml, "PWRB");
	add_identity(aml, "PNP0C0C", 0);
	aml_close(aml, device);

	device = aml_open_device(aml, "GED_");
	add_identity(aml, "ACPI0013", 0);
	resources = aml_open_resources(aml);
	aml_interrupt_resource(aml, X86_POWER_PIN, AML_LEVEL);
	aml_close_resources(aml, resources);
	add_event_method(aml);
	aml_close(aml, device);
}

static void add_virtio(struct aml *aml, unsigned int index)
{
	struct virtio_slot slot = arch_virtio_slot(index);
	size_t device, resources;
	char name[16];

	snprintf(name, sizeof(name), "VR%02u", index % 100);
	device = aml_open_device(aml, name);
	add_identity(aml, "LNRO0005", index);
	resources = aml_open_resources(aml);
	aml_memory_resource(aml, (uint32_t)slot.address, VIRTIO_SLOT_SIZE);
	aml_interrupt_resource(aml, slot.irq, AML_EDGE);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static size_t write_dsdt(struct aml *aml, uint32_t cpus, unsigned int virtio_devices)
{
	size_t table = open_table(aml, "DSDT", 2), package, scope;

	aml_name(aml, "_S5_");
	package = aml_open_package(aml, 4);
	aml_integer(aml, POWER_SLEEP_TYPE_OFF);
	for (int i = 0; i < 3; i++)
		aml_integer(aml, 0);
	aml_close(aml, package);

	scope = aml_open_scope(aml, "\\_SB_");
	add_processors(aml, cpus);
	add_serial_port(aml);
	add_panic_device(aml);
	add_power(aml);
	for (unsigned int i = 0; i < virtio_devices; i++)
		add_virtio(aml, i);
	aml_close(aml, scope);
	close_table(aml, table);
	return table;
}

/* A generic address (ACPI 6.5, 5.2.3.2) of a byte in the power registers. */
static void add_register(struct aml *aml, unsigned int offset)
{
	aml_number(aml, SPACE_SYSTEM_IO, 1);
	aml_number(aml, 8, 1); /* bits wide */
	aml_number(aml, 0, 1); /* from bit */
	aml_number(aml, 1, 1); /* byte accesses */
	aml_number(aml, X86_POWER_PORT + offset, 8);
}

/* Zeros up to byte @offset of the table. */
static void skip_to(struct aml *aml, size_t table, size_t offset)
{
	if (!aml->overflow)
		aml_zeros(aml, table + offset - aml->used);
}

static size_t write_fadt(struct aml *aml, uint64_t dsdt)
{
	size_t table = open_table(aml, "FACP", 6);

	skip_to(aml, table, 40);
	aml_number(aml, dsdt, 4);
	skip_to(aml, table, 109);
	aml_number(aml, BOOT_NO_VGA | BOOT_NO_CMOS_RTC, 2);
	skip_to(aml, table, 112);
	aml_number(aml,
		   FADT_WBINVD | FADT_PROC_C1 | FADT_POWER_BUTTON | FADT_SLEEP_BUTTON |
			   FADT_NO_RTC_WAKE | FADT_RESET_REGISTER | FADT_REDUCED,
		   4);
	add_register(aml, POWER_RESET);
	aml_number(aml, POWER_RESET_VALUE, 1);
	skip_to(aml, table, 131);
	aml_number(aml, 5, 1); /* minor revision: 6.5 */
	skip_to(aml, table, 140);
	aml_number(aml, dsdt, 8);
	skip_to(aml, table, 244);
	add_register(aml, POWER_SLEEP_CONTROL);
	add_register(aml, POWER_SLEEP_STATUS);
	aml_number(aml, 0, 8); /* hypervisor vendor */
	close_table(aml, table);
	return table;
}

static size_t write_madt(struct aml *aml, uint32_t cpus)
{
	size_t table = open_table(aml, "APIC", 5);

	aml_number(aml, X86_LAPIC_ADDRESS, 4);
	aml_number(aml, 0, 4); /* no PICs beside it */
	for (uint32_t i = 0; i < cpus; i++) {
		aml_number(aml, 0, 1); /* processor local APIC */
		aml_number(aml, 8, 1);
		aml_number(aml, i, 1); /* its _UID */
		aml_number(aml, i, 1); /* its APIC id */
		aml_number(aml, 1, 4); /* enabled */
	}
	aml_number(aml, 1, 1); /* I/O APIC */
	aml_number(aml, 12, 1);
	aml_number(aml, 0, 2); /* id */
	aml_number(aml, X86_IOAPIC_ADDRESS, 4);
	aml_number(aml, 0, 4); /* first interrupt */
	aml_number(aml, 4, 1); /* local APIC NMI */
	aml_number(aml, 6, 1);
	aml_number(aml, 0xff, 1); /* of all processors */
	aml_number(aml, 0, 2);
	aml_number(aml, 1, 1); /* LINT1 */
	close_table(aml, table);
	return table;
}

static void write_rsdp(struct aml *aml, uint64_t xsdt)
{
	size_t used = aml->used;

	if (aml->overflow)
		return;
	aml->used = 0;
	aml_text(aml, "RSD PTR ");
	aml_number(aml, 0, 1); /* checksum */
	aml_text(aml, "AVP   ");
	aml_number(aml, 2, 1); /* revision */
	aml_number(aml, 0, 4); /* no RSDT */
	aml_number(aml, RSDP_SIZE, 4);
	aml_number(aml, xsdt, 8);
	aml_number(aml, 0, 4); /* extended checksum and reserved bytes */
	aml->data[8] = checksum(aml->data, RSDP_OLD_SIZE);
	aml->data[32] = checksum(aml->data, RSDP_SIZE);
	aml->used = used;
}

int acpi_write_tables(uint8_t *buffer, size_t size, uint64_t address, uint32_t cpus,
		      unsigned int virtio_devices)
{
	struct aml aml = {.data = buffer, .size = size};
	size_t dsdt, fadt, madt, xsdt;

	aml_zeros(&aml, RSDP_SIZE);
	dsdt = write_dsdt(&aml, cpus, virtio_devices);
	fadt = write_fadt(&aml, address + dsdt);
	madt = write_madt(&aml, cpus);
	xsdt = open_table(&aml, "XSDT", 1);
	aml_number(&aml, address + fadt, 8);
	aml_number(&aml, address + madt, 8);
	close_table(&aml, xsdt);
	write_rsdp(&aml, address + xsdt);
	return aml.overflow ? -ENOSPC : (int)aml.used;
}
