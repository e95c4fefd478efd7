// SPDX-License-Identifier: BSD-3-Clause
/*
 * From the entry to the common code, exceptions, registers, clock and timer of an arm64 machine.
 */
#include "arch/arch.h"
#include "arch/arm64/arm64.h"
#include "arch/efi.h"
#include "arch/image.h"
#include "pages.h"
#include "test.h"
#include "text.h"

#define NORMAL		UINT64_C(0x705)
#define GIB		UINT64_C(0x40000000)

#define ALIGNMENT_FAULT 0x21
#define CLASS_UNKNOWN	0x00
#define CLASS_FETCH	0x21
#define CLASS_PC	0x22
#define CLASS_DATA	0x25
#define CLASS_SP	0x26
#define CLASS_SYSTEM	0x18
#define CLASS_BRK	0x3c

#define DEVICE		UINT64_C(0x60000000000401)
#define ENTRIES		512
#define BLOCKS_MAX	(UINT64_C(1) << 18) /* 48 bits of address */

/* The upper level, then the table of the first 512 GiB. */
extern uint64_t tables[2][ENTRIES];
struct image_state image_state;
struct start_copy start_copy;

void arm64_start(void);
void arm64_vector(struct frame *frame, uint64_t kind);
void conform_main(void);

void arm64_start(void)
{
	uint64_t nonzero = 0;

	for (volatile uint64_t *word = (volatile uint64_t *)bss_start;
	     word < (volatile uint64_t *)bss_end; word++) {
		if (*word)
			nonzero++;
		*word = 0;
	}
	image_state.entry_ticks = start_state.counter;
	image_state.bss_nonzero = nonzero;
	conform_main();
}

/* Maps each block of 1 GiB with memory in it as memory; the others stay registers. */
static void map_memory(uint64_t start, uint64_t end)
{
	for (uint64_t block = start / GIB; block < ENTRIES && block * GIB < end; block++) {
		uint64_t entry = block * GIB | NORMAL;

		if (tables[1][block] == entry)
			continue;
		tables[1][block] = 0;
		__asm__ volatile("dsb ishst; tlbi vmalle1is; dsb ish; isb" ::: "memory");
		tables[1][block] = entry;
		__asm__ volatile("dsb ishst; isb" ::: "memory");
	}
}

static void map_ranges(void)
{
	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable)
			map_memory(machine.ranges[i].start, machine.ranges[i].end);
}

void arch_init(void)
{
	const struct efi_start *start = (const struct efi_start *)start_state.x0;

	machine.entry = "image";
	start_copy.address = 0;
	if (!start_state.by_efi) {
		arm64_read_tree(start_state.x0);
		map_ranges();
		return;
	}
	efi_read_start(start);
	map_ranges();
	if (start->tree)
		arm64_read_tree(start->tree);
	else
		arm64_read_acpi(start->rsdp);
}

/* Everything below 512 GiB is mapped from the start; beyond it there are only registers. */
void arch_map(uint64_t start, uint64_t size)
{
	uint64_t end = start + size;

	for (uint64_t block = start / GIB; block < BLOCKS_MAX && block * GIB < end; block++) {
		uint64_t *upper = &tables[0][block / ENTRIES];
		uint64_t *table;

		if (block < ENTRIES)
			continue;
		if (!*upper) {
			table = pages_keep();
			if (!table)
				return;
			*upper = (uint64_t)table | 3;
		}
		table = (uint64_t *)(*upper & ~UINT64_C(0xfff));
		table[block % ENTRIES] = block * GIB | DEVICE;
	}
	__asm__ volatile("dsb ishst; isb" ::: "memory");
}

static void find_hypervisor(void)
{
	/* The vendor's UID (SMC Calling Convention 1.1, 6.2), as four words. */
	register uint64_t x0 __asm__("x0") = 0x8600ff01;
	register uint64_t x1 __asm__("x1") = 0;
	register uint64_t x2 __asm__("x2") = 0;
	register uint64_t x3 __asm__("x3") = 0;

	if (arm64_platform.conduit == CONDUIT_NONE)
		return;
	if (arm64_platform.conduit == CONDUIT_HVC)
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	else
		__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	if ((uint32_t)x0 == 0xb66fb428 && (uint32_t)x1 == 0xe911c52e)
		text_format(machine.hypervisor, sizeof(machine.hypervisor), "KVM");
}

void arch_describe(void)
{
	uint64_t self = read_register(mpidr_el1) & UINT64_C(0xff00ffffff);

	find_hypervisor();
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		if (machine.cpu_ids[i] == self) {
			machine.cpu_ids[i] = machine.cpu_ids[0];
			machine.cpu_ids[0] = self;
		}
	if (machine.cpu_count == 0) {
		machine.cpu_ids[0] = self;
		machine.cpu_count = 1;
	}
}

void arch_start_interrupts(void)
{
	arm64_start_gic();
	arm64_start_gic_cpu();
	arch_interrupts_on();
}

uint32_t arch_port_read(uint16_t port, unsigned int width)
{
	(void)port;
	(void)width;
	return UINT32_MAX;
}

void arch_port_write(uint16_t port, uint32_t value, unsigned int width)
{
	(void)port;
	(void)value;
	(void)width;
}

/* Instructions whose exits have a valid syndrome, so that a hypervisor can emulate them. */
uint64_t mmio_read(uint64_t address, unsigned int width)
{
	uint64_t value;

	if (width == 1)
		__asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	else if (width == 2)
		__asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	else if (width == 4)
		__asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	else
		__asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
	/* Later accesses must not be reordered before the read. */
	__asm__ volatile("dmb ld" ::: "memory");
	return value;
}

void mmio_write(uint64_t address, uint64_t value, unsigned int width)
{
	__asm__ volatile("dmb sy" ::: "memory");
	if (width == 1)
		__asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(address) : "memory");
	else if (width == 2)
		__asm__ volatile("strh %w0, [%1]" : : "r"(value), "r"(address) : "memory");
	else if (width == 4)
		__asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(address) : "memory");
	else
		__asm__ volatile("str %0, [%1]" : : "r"(value), "r"(address) : "memory");
}

/* Clock and timer: the virtual counter and its timer */

uint64_t arch_ticks(void)
{
	__asm__ volatile("isb" ::: "memory");
	return read_register(cntvct_el0);
}

uint64_t arch_ticks_per_second(void)
{
	uint64_t frequency = read_register(cntfrq_el0);

	return frequency >= 1000 ? frequency : 62500000;
}

const char *arch_clock_source(void)
{
	return read_register(cntfrq_el0) >= 1000 ? "CNTFRQ_EL0" : "guess";
}

/* The first register of a PL031 counts seconds since 1970. */
uint64_t arch_wall_ms(unsigned int *step_ms)
{
	*step_ms = 1000;
	return arm64_platform.clock ? mmio_read(arm64_platform.clock, 4) * 1000 : 0;
}

void arch_timer_set(uint64_t deadline)
{
	if (deadline == UINT64_MAX) {
		write_register(cntv_ctl_el0, 0);
	} else {
		write_register(cntv_cval_el0, deadline);
		write_register(cntv_ctl_el0, 1);
	}
	__asm__ volatile("isb" ::: "memory");
}

void arch_restore(void)
{
	__asm__ volatile("msr daifset, 8" ::: "memory");
	arm64_clear_alarm();
	arch_timer_set(UINT64_MAX);
	write_register(dbgbcr0_el1, 0);
	write_register(mdscr_el1, 0);
	__asm__ volatile("isb" ::: "memory");
}

void arch_interrupts_on(void)
{
	__asm__ volatile("msr daifclr, 2" ::: "memory");
}

void arch_interrupts_off(void)
{
	__asm__ volatile("msr daifset, 2" ::: "memory");
}

/* WFI also wakes while interrupts are masked, so no interrupt is missed before it. */
void arch_wait(void)
{
	__asm__ volatile("msr daifset, 2; dsb sy; wfi; msr daifclr, 2" ::: "memory");
}

/* Exceptions */

static void redirect(struct frame *frame, struct unwinding unwinding)
{
	frame->elr = (uint64_t)unwind;
	frame->x[0] = (uint64_t)unwinding.saved_sp;
	frame->x[1] = unwinding.value;
	frame->spsr &= ~UINT64_C(0x80);
}

void arm64_vector(struct frame *frame, uint64_t kind)
{
	struct unwinding unwinding;

	if (kind == 1 || kind == 2) {
		arm64_gic_interrupt();
		if (cpu_self() == 0 && timer_wants_unwinding(&unwinding))
			redirect(frame, unwinding);
		return;
	}
	if (kind == 0 || kind == 3) {
		uint64_t syndrome = read_register(esr_el1);
		struct fault fault = {.kind = kind == 3 ? 0x2f : syndrome >> 26 & 0x3f,
				      .detail = syndrome & 0x1ffffff,
				      .address = read_register(far_el1),
				      .pc = frame->elr};

		redirect(frame, fault_taken(&fault));
	}
}

enum fault_cause arch_fault_cause(const struct fault *fault)
{
	switch (fault->kind) {
	case CLASS_UNKNOWN:
	case CLASS_SYSTEM:
		return FAULT_UNDEFINED;
	case CLASS_BRK:
		return FAULT_BREAKPOINT;
	case CLASS_PC:
	case CLASS_SP:
		return FAULT_ALIGNMENT;
	case CLASS_FETCH:
		return FAULT_MEMORY;
	case CLASS_DATA:
		return (fault->detail & 0x3f) == ALIGNMENT_FAULT ? FAULT_ALIGNMENT : FAULT_MEMORY;
	default:
		return FAULT_OTHER;
	}
}
