// SPDX-License-Identifier: BSD-3-Clause
/* Faults of x86-64 machines. */
#ifdef __x86_64__
#include "machine_fault.h"

#include "arch/image.h"
#include "pages.h"
#include "test.h"

#define LARGE	   0x200000u
#define PRESENT	   1u
#define MARK	   0x1234 /* of the trampoline's first instructions, at MARK_PLACE of its page */
#define MARK_AT	   0xff4
#define SEGMENT_AT 0xff0

extern uint64_t tables[];

/* What the linker replaces. */
uint32_t __real_x86_apic_read(unsigned int offset);
uint32_t __wrap_x86_apic_read(unsigned int offset);
uint32_t __real_x86_io_apic_read(const struct io_apic *apic, uint32_t index);
uint32_t __wrap_x86_io_apic_read(const struct io_apic *apic, uint32_t index);
void __real_x86_send_self(uint32_t vector);
void __wrap_x86_send_self(uint32_t vector);
void __real_x86_write_register(const struct acpi_register *where, uint32_t value);
void __wrap_x86_write_register(const struct acpi_register *where, uint32_t value);

struct cpuid fault_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid result = x86_cpuid(leaf, subleaf);
	uint32_t words[4] = {result.eax, result.ebx, result.ecx, result.edx};

	if (machine_fault && machine_fault->cpuid)
		machine_fault->cpuid(leaf, words);
	return (struct cpuid){words[0], words[1], words[2], words[3]};
}

static bool by_arrival, writes_raise;

static void order_by_arrival(void)
{
	by_arrival = true;
}

static void raise_by_writes(void)
{
	writes_raise = true;
}

uint32_t __wrap_x86_apic_read(unsigned int offset)
{
	uint32_t value = __real_x86_apic_read(offset);

	return machine_fault && machine_fault->apic ? machine_fault->apic(offset, value) : value;
}

uint32_t __wrap_x86_io_apic_read(const struct io_apic *apic, uint32_t index)
{
	uint32_t value = __real_x86_io_apic_read(apic, index);

	return machine_fault && machine_fault->apic ? machine_fault->apic(0x1000 + index, value) :
						      value;
}

void __wrap_x86_send_self(uint32_t vector)
{
	__real_x86_send_self(vector);
	if (!machine_fault || !by_arrival)
		return;
	arch_interrupts_on();
	for (uint64_t until = arch_ticks() + ns_to_ticks(100000); arch_ticks() < until;)
		arch_relax();
	arch_interrupts_off();
}

void __wrap_x86_write_register(const struct acpi_register *where, uint32_t value)
{
	if (machine_fault && writes_raise)
		*(volatile uint32_t *)UINT64_C(0x600000000000) = 0;
	__real_x86_write_register(where, value);
}

/* The entry of the large page at @address in the table of the fourth level. */
static uint64_t *entry_of(uint64_t address)
{
	uint64_t *table = tables;

	for (int level = 4; level > 2; level--)
		table = (uint64_t *)(table[address >> (3 + 9 * level) & 511] &
				     UINT64_C(0xffffffffff000));
	return &table[address >> 21 & 511];
}

static void map(uint64_t address, uint64_t entry)
{
	fault_set(entry_of(address), 8, entry);
	__asm__ volatile("mov %%cr3, %%rax\n mov %%rax, %%cr3" ::: "rax", "memory");
}

static uint64_t middle_of(unsigned int part)
{
	uint64_t start = 0, end = 0;

	if (!pages_part(part, &start, &end))
		return 0;
	return (start + (end - start) / 2) & ~(uint64_t)(LARGE - 1);
}

/* Two addresses of one page. */
static void alias_memory(void)
{
	uint64_t address = middle_of(0);

	map(address, *entry_of(address + LARGE));
}

static void lack_high_memory(uint64_t start, uint64_t size)
{
	if (start >= UINT64_C(1) << 32)
		map(start + size - 8, 0);
}

static void move_segment(void)
{
	for (uint64_t page = 0x8000; page < 0x90000; page += PAGE_SIZE)
		if (*(volatile uint32_t *)(page + MARK_AT) == MARK)
			*(volatile uint16_t *)(page + SEGMENT_AT) += 1;
}

static void skip_real_mode(void)
{
	for (uint64_t page = 0x8000; page < 0x90000; page += PAGE_SIZE)
		if (*(volatile uint32_t *)(page + MARK_AT) == MARK)
			*(volatile uint32_t *)(page + MARK_AT) = 0;
}

static void hide_hypervisor(uint32_t leaf, uint32_t words[4])
{
	if (leaf == 1)
		words[2] &= ~(1u << 31);
}

/* The other processors lack SSE3. */
static void differ(uint32_t leaf, uint32_t words[4])
{
	if (leaf == 1 && cpu_self())
		words[2] &= ~1u;
}

static bool caught_undefined(bool caught, struct fault *fault, void *argument)
{
	fault->kind = 6;
	return true;
}

static bool accepted(bool caught, struct fault *fault, void *argument)
{
	*(uint64_t *)argument = 0;
	return false;
}

static uint32_t old_apic(uint32_t offset, uint32_t value)
{
	return offset == APIC_VERSION ? 0x04 : value;
}

static uint32_t other_entry(uint32_t offset, uint32_t value)
{
	return offset >= 0x1010 && offset % 2 == 0 ? value ^ 1 : value;
}

static uint32_t reserved_raises(uint32_t offset, uint32_t value)
{
	if (offset == 0x1003)
		*(volatile uint32_t *)UINT64_C(0x600000000000) = 0;
	return value;
}

static void reserve_nothing(void)
{
	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable)
			fault_set(&machine.description, 8, machine.ranges[i].start);
}

static void sort_otherwise(void)
{
	struct range first = machine.ranges[0];

	fault_set(&machine.ranges[0].start, 8, machine.ranges[1].start);
	fault_set(&machine.ranges[0].end, 8, machine.ranges[1].end);
	fault_set(&machine.ranges[1].start, 8, first.start);
	fault_set(&machine.ranges[1].end, 8, first.end);
}

/* Only what the devices need, and neither more windows nor slots. */
static void lack_room(void)
{
	fault_set(&machine.ecam, sizeof(machine.ecam), 0);
	fault_set(&machine.slot_count, sizeof(machine.slot_count), 0);
	for (unsigned int i = 0; i < device_count; i++)
		fault_set(&devices[i].transport, sizeof(devices[i].transport), TRANSPORT_MMIO);
}

/* A vector that no device has. */
static void raise_for_nothing(enum space space, uint32_t offset, uint64_t value)
{
	if (space == COMMON && offset == 20 && value == STATUS_RUNNING)
		__real_x86_send_self(VECTOR_FIRST + INTERRUPTS_MAX);
}

const struct machine_fault architecture_faults[] = {
	{"pvh-cr4", "CR4 has other bits", "boot_pvh_state", "AVP-BOOT-001",
	 .patch = {PATCH(start_state.cr4, 0x20)}},
	{"pvh-flags", "interrupts are on", "boot_pvh_state", "AVP-BOOT-001",
	 .patch = {PATCH(start_state.flags, 0x202)}},
	{"pvh-version", "the start information has version 0", "boot_pvh_start_info",
	 "AVP-BOOT-002", .patch = {PATCH(start_copy.version, 0)}},
	{"pvh-no-map", "the start information has no memory map", "boot_pvh_start_info",
	 "AVP-BOOT-002", .patch = {PATCH(start_copy.map_count, 0)}},
	{"pvh-map-order", "the memory map is not sorted", "boot_pvh_memmap", "AVP-BOOT-003",
	 .begin = sort_otherwise},
	{"pvh-map-empty", "the memory map is empty", "boot_pvh_memmap", "AVP-BOOT-003",
	 .patch = {PATCH(machine.range_count, 0)}},
	{"bzimage-map-order", "the memory map is not sorted", "boot_params_e820", "AVP-BOOT-005",
	 .begin = sort_otherwise},
	{"bzimage-loader", "type_of_loader is 0", "boot_params_header", "AVP-BOOT-006",
	 .patch = {PATCH(start_copy.loader, 0)}},
	{"boot-no-rsdp", "the RSDP is nowhere", "boot_rsdp", "AVP-BOOT-007",
	 .patch = {PATCH(machine.description, 0)}},
	{"mem-alias", "a page is at two addresses", "mem_all_usable", "AVP-MEM-002",
	 .begin = alias_memory},
	{"mem-high", "memory above 4 GiB ends early", "mem_high", "AVP-MEM-012",
	 .mapped = lack_high_memory},
	{"mem-rsdp", "the RSDP is in memory that is listed as usable", "mem_reserved",
	 "AVP-MEM-005", .begin = reserve_nothing},
	{"cpu-segment", "a processor starts with another CS", "cpu_sipi_state", "AVP-CPU-005",
	 .started = move_segment},
	{"cpu-mode", "a processor does not start in real mode", "cpu_sipi_state", "AVP-CPU-005",
	 .started = skip_real_mode},
	{"cpu-features", "processors differ", "cpu_same_features", "AVP-CPU-012", .cpuid = differ},
	{"cpu-hidden", "CPUID does not report the hypervisor", "cpu_hypervisor_bit", "AVP-CPU-015",
	 .cpuid = hide_hypervisor},
	{"cpu-msr", "an unknown MSR raises another exception", "cpu_unknown_msr", "AVP-CPU-016",
	 .caught = caught_undefined},
	{"cpu-hypercall", "an unknown hypercall succeeds", "cpu_unknown_hypercall_x86",
	 "AVP-CPU-020", .caught = accepted},
	{"irq-order", "interrupts come in the order of their arrival", "irq_priority",
	 "AVP-IRQ-007", .begin = order_by_arrival},
	{"irq-spurious", "interrupts arrive without a cause", "irq_no_spurious", "AVP-IRQ-004",
	 .writing = raise_for_nothing},
	{"apic-version", "the local APIC is an old one", "irq_apic_version", "AVP-IRQ-015",
	 .apic = old_apic},
	{"ioapic-count", "the I/O APIC has eight entries", "irq_apic_version", "AVP-IRQ-015",
	 .patch = {PATCH(x86_platform.io_apics[0].count, 8)}},
	{"ioapic-entry", "an entry of the I/O APIC reads otherwise", "irq_ioapic_readback",
	 "AVP-IRQ-016", .apic = other_entry},
	{"ioapic-reserved", "a reserved register raises an exception", "irq_apic_reserved",
	 "AVP-IRQ-017", .apic = reserved_raises},
	{"irq-pic", "the timer's interrupt needs the 8259", "irq_no_pic", "AVP-IRQ-018",
	 .timer = TIMER_NEVER},
	{"ioapic-vector", "no interrupt arrives after a wrong route", "irq_wrong_vector",
	 "AVP-IRQ-026", .interrupts = INTERRUPT_LOST},
	{"acpi-sum", "a table has a wrong checksum", "disc_acpi_tables", "AVP-DISC-001",
	 .patch = {PATCH(x86_platform.tables[0].valid, false)}},
	{"acpi-fadt", "the FADT is too short", "disc_acpi_fadt", "AVP-DISC-002",
	 .patch = {PATCH(x86_platform.fadt_length, 100)}},
	{"acpi-madt", "no I/O APIC is listed", "disc_acpi_madt", "AVP-DISC-004",
	 .patch = {PATCH(x86_platform.io_apic_count, 0)}},
	{"acpi-window", "a window is too small", "disc_acpi_mmio", "AVP-DISC-005",
	 .patch = {PATCH(machine.slots[0].size, 0x100)}},
	{"acpi-interrupt", "a window has no interrupt", "disc_acpi_mmio", "AVP-DISC-005",
	 .patch = {PATCH(machine.slots[0].line.valid, false)}},
	{"acpi-room", "the machine has room for few devices", "disc_capacity", "AVP-DISC-018",
	 .begin = lack_room},
	{"acpi-s5", "the DSDT has no _S5", "pwr_fadt_registers", "AVP-PWR-009",
	 .patch = {PATCH(x86_platform.sleep_type, -1)}},
	{"acpi-reset", "there is no reset register", "pwr_fadt_registers", "AVP-PWR-009",
	 .patch = {PATCH(x86_platform.reset.address, 0)}},
	{"acpi-write", "an unknown value for a power register raises an exception",
	 "pwr_register_unknown", "AVP-PWR-010", .begin = raise_by_writes},
	{.name = NULL},
};
#endif
