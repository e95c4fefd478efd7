// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ports, registers, page tables beyond the first 4 GiB, other processors.
 */
#include "arch/arch.h"
#include "arch/x86/x86.h"
#include "pages.h"
#include "test.h"
#include "text.h"

#define LARGE	    0x200000u
#define PAGE_LEVELS 4
#define MAP_END	    (UINT64_C(1) << 47) /* addresses beyond it are not canonical */
#define STACK_SIZE  16384
#define START_MS    5000
#define STOP_MS	    5000

extern uint64_t tables[];
extern uint8_t trampoline[], trampoline_end[];
extern void x86_send_init(uint32_t id);
extern void x86_send_startup(uint32_t id, uint32_t page);
static uint8_t stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));
/* Of the processor that is being started: one after another. */
uint8_t *volatile x86_stack;
void x86_secondary(void);

uint32_t arch_port_read(uint16_t port, unsigned int width)
{
	uint32_t value = 0;

	if (width == 1)
		__asm__ volatile("inb %w1, %b0" : "+a"(value) : "d"(port));
	else if (width == 2)
		__asm__ volatile("inw %w1, %w0" : "+a"(value) : "d"(port));
	else
		__asm__ volatile("inl %w1, %0" : "=a"(value) : "d"(port));
	return value;
}

void arch_port_write(uint16_t port, uint32_t value, unsigned int width)
{
	if (width == 1)
		__asm__ volatile("outb %b0, %w1" : : "a"(value), "d"(port));
	else if (width == 2)
		__asm__ volatile("outw %w0, %w1" : : "a"(value), "d"(port));
	else
		__asm__ volatile("outl %0, %w1" : : "a"(value), "d"(port));
}

uint64_t mmio_read(uint64_t address, unsigned int width)
{
	uint64_t value = 0;

	if (width == 1)
		__asm__ volatile("movb (%1), %b0" : "+q"(value) : "r"(address) : "memory");
	else if (width == 2)
		__asm__ volatile("movw (%1), %w0" : "+r"(value) : "r"(address) : "memory");
	else if (width == 4)
		__asm__ volatile("movl (%1), %k0" : "=r"(value) : "r"(address) : "memory");
	else
		__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

void mmio_write(uint64_t address, uint64_t value, unsigned int width)
{
	if (width == 1)
		__asm__ volatile("movb %b0, (%1)" : : "q"(value), "r"(address) : "memory");
	else if (width == 2)
		__asm__ volatile("movw %w0, (%1)" : : "r"(value), "r"(address) : "memory");
	else if (width == 4)
		__asm__ volatile("movl %k0, (%1)" : : "r"(value), "r"(address) : "memory");
	else
		__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

static void map_large(uint64_t address)
{
	uint64_t *table = tables;

	for (int level = PAGE_LEVELS; level > 2; level--) {
		uint64_t *entry = &table[address >> (3 + 9 * level) & 511];

		if (!(*entry & 1))
			*entry = (uint64_t)pages_keep() | 3;
		if (*entry == 3) {
			*entry = 0;
			return;
		}
		table = (uint64_t *)(*entry & UINT64_C(0xffffffffff000));
	}
	/* Writable 2 MiB page, uncached unless it is memory. */
	table[address >> 21 & 511] = address | 0x83 |
				     (machine_has_memory(address, LARGE) ? 0 : 0x18);
}

void arch_map(uint64_t start, uint64_t size)
{
	uint64_t end = start + size;

	if (end < start || end > MAP_END)
		return;
	for (uint64_t at = start & ~(uint64_t)(LARGE - 1); at < end && at >= 0x100000000;
	     at += LARGE)
		map_large(at);
	for (uint64_t at = 0x100000000; start < at && at < end; at += LARGE)
		map_large(at);
}

void arch_restore(void)
{
	x86_apic_write(APIC_DIVIDE, 3);
	arch_timer_set(UINT64_MAX);
	__asm__ volatile("mov %0, %%dr7" : : "r"(UINT64_C(0x400))); /* no breakpoints */
}

void arch_interrupts_on(void)
{
	__asm__ volatile("sti" ::: "memory");
}

void arch_interrupts_off(void)
{
	__asm__ volatile("cli" ::: "memory");
}

void arch_wait(void)
{
	__asm__ volatile("sti; hlt" ::: "memory");
}

void arch_describe(void)
{
	uint64_t self = x86_cpuid(1, 0).ebx >> 24;
	struct cpuid leaf;

	if (x86_cpuid(0, 0).eax >= 0xb && x86_cpuid(0xb, 0).ebx)
		self = x86_cpuid(0xb, 0).edx;
	if (x86_cpuid(1, 0).ecx >> 31) {
		leaf = x86_cpuid(0x40000000, 0);
		memcpy(machine.hypervisor, &leaf.ebx, 12);
	}
	x86_read_acpi();
	/* Put the boot processor first. */
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

unsigned int cpu_self(void)
{
	uint64_t id = x86_apic_id();

	for (unsigned int i = 0; i < machine.cpu_count; i++)
		if (machine.cpu_ids[i] == id)
			return i;
	return 0;
}

/* Other processors */

static struct {
	void (*function)(void *argument);
	void *argument;
	volatile bool entered, running;
} processors[CPUS_MAX];

void x86_secondary(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer;
	unsigned int self;

	__asm__ volatile("sidt %0" : "=m"(pointer));
	x86_load_idt();
	x86_enable_apic();
	x86_apic_write(APIC_DIVIDE, 3);
	self = cpu_self();
	processors[self].running = true;
	processors[self].entered = true;
	cpu_run(self, processors[self].function, processors[self].argument);
	processors[self].running = false;
	/* Disable its APIC: what is pending there must not wake it. */
	x86_apic_write(APIC_SPURIOUS, VECTOR_SPURIOUS);
}

/* A page below 640 KiB for the trampoline, away from its ends, where loaders put data. */
static uint64_t trampoline_page(void)
{
	for (uint64_t page = 0x8000; page < 0x90000; page += PAGE_SIZE)
		if (machine_has_memory(page, PAGE_SIZE))
			return page;
	return 0;
}

bool cpu_start(unsigned int cpu, void (*function)(void *), void *argument, int64_t *code)
{
	uint64_t page = trampoline_page();
	uint32_t id = (uint32_t)machine.cpu_ids[cpu];
	struct deadline deadline;

	*code = 0;
	if (!page)
		return false;
	processors[cpu].function = function;
	processors[cpu].argument = argument;
	processors[cpu].entered = processors[cpu].running = false;
	memcpy((void *)page, trampoline, (size_t)(trampoline_end - trampoline));
	*(volatile uint32_t *)(page + 0xff4) = 0;
	x86_stack = stacks[cpu] + STACK_SIZE;
	x86_send_init(id);
	deadline = deadline_after_ms(10);
	while (arch_ticks() < deadline.end)
		arch_relax();
	/* It has its stack when it has entered: the next one may start. */
	for (int attempt = 0; attempt < 2; attempt++) {
		x86_send_startup(id, (uint32_t)(page >> 12));
		if (wait_until(processors[cpu].entered, attempt ? START_MS : 100))
			return true;
	}
	return false;
}

static void park(void *argument)
{
	(void)argument;
}

/*
 * INIT stops a processor whatever it does, but not at once, and nothing tells when. So each is
 * started again, which shows that it left what it did, and halts itself.
 */
bool cpu_stop_all(void)
{
	bool stopped = true;
	int64_t code;

	cpus_stop = true;
	for (unsigned int i = 1; i < machine.cpu_count; i++) {
		if (!processors[i].function)
			continue;
		stopped &= cpu_start(i, park, NULL, &code) && wait_until(cpu_is_off(i), STOP_MS);
		processors[i].function = NULL;
	}
	return stopped;
}

bool cpu_alone_at_start(void)
{
	return start_entries == 1;
}

bool cpu_is_off(unsigned int cpu)
{
	return !processors[cpu].running;
}
