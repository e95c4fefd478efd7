// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the hypervisor reported about the machine. The architecture fills it once (from ACPI tables,
 * a device tree, the start information), everything else reads it. What does not fit is dropped.
 */
#ifndef CONFORM_MACHINE_H
#define CONFORM_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 64
#define CPUS_MAX   64
#define SLOTS_MAX  64

struct range {
	uint64_t start, end;
	bool usable;
};

struct interrupt_line {
	uint32_t number; /* x86: global system interrupt; arm64: interrupt id */
	bool level;	 /* otherwise edge */
	bool valid;
};

/* An address range where a virtio-mmio device may be. */
struct mmio_slot {
	uint64_t address, size;
	struct interrupt_line line;
};

/* A window of the PCI host bridge from which memory BARs are allocated. */
struct window {
	uint64_t start, end, next; /* addresses of the CPU; next: first unallocated one */
};

enum serial_kind { SERIAL_NONE, SERIAL_16550_PORT, SERIAL_16550, SERIAL_PL011 };

struct machine {
	const char *entry; /* boot protocol: "pvh", "linux64", "linux32", "image", "efi" */
	char command_line[2048];
	bool command_line_cut;
	struct range ranges[RANGES_MAX]; /* as the hypervisor listed them */
	unsigned int range_count;
	uint64_t initrd_start, initrd_end; /* equal: none */
	uint64_t description;		   /* RSDP or device tree; 0: none */
	char hypervisor[16], model[64];
	bool has_firmware; /* UEFI ran before this guest: memory and devices are as it left them */

	uint64_t cpu_ids[CPUS_MAX]; /* APIC id or MPIDR; the boot processor is first */
	unsigned int cpu_count;

	struct mmio_slot slots[SLOTS_MAX];
	unsigned int slot_count;

	uint64_t ecam; /* 0: none */
	unsigned int first_bus, last_bus;
	struct window window32,
		window64; /* start == end: firmware assigned the BARs, or there is no window */

	enum serial_kind serial;
	uint64_t serial_address;
	unsigned int serial_shift; /* registers are 1 << shift bytes apart */
};

extern struct machine machine;

/* Adds a range. / adds a slot unless one has this address. */
void machine_add_range(uint64_t start, uint64_t end, bool usable);
void machine_add_slot(uint64_t address, uint64_t size, struct interrupt_line line);
/* Does the description list the whole range as usable memory? */
bool machine_has_memory(uint64_t start, uint64_t size);
uint64_t machine_memory_size(void);
/*
 * Whether QEMU's emulator says (in CPUID) that it emulates the processor: what it lacks, the
 * hypervisor's own processors may have.
 */
bool machine_is_emulated(void);
/*
 * Whether firmware ran before this guest, and may have used memory and devices: UEFI that started
 * it, or PC firmware, which has a far jump at the reset vector.
 */
bool machine_firmware_ran(void);

/* Powers off as the platform describes, or halts forever. */
_Noreturn void machine_end(void);

#endif
