// SPDX-License-Identifier: BSD-3-Clause
/*
 * Exceptions, the local APIC (x2APIC where there is one), I/O APICs and message-signalled
 * interrupts.
 */
#include "arch/arch.h"
#include "arch/x86/x86.h"
#include "text.h"

#define MSR_APIC_BASE 0x1b
#define APIC_ENABLED  (1 << 11)
#define X2APIC	      (1 << 10)
#define MASKED	      (1u << 16)
#define LEVEL	      (1u << 15)
#define PIC1_DATA     0x21
#define PIC2_DATA     0xa1
#define NMI	      2

struct gate {
	uint16_t low, selector;
	uint8_t stack, type;
	uint16_t middle;
	uint32_t high, reserved;
};

extern uint8_t vector_stubs[];
void x86_vector(struct frame *frame);

static struct gate gates[256] __attribute__((aligned(16)));
static bool x2apic;
static uint64_t apic_base;

/* Attached interrupts: entry n has vector VECTOR_FIRST + n. */
static struct attached {
	interrupt_handler *handler;
	void *context;
	const struct io_apic *apic; /* NULL: by message */
	uint32_t pin;
	bool level;
	volatile uint64_t count;
	volatile unsigned int cpu;
	struct storm storm;
} attached[INTERRUPTS_MAX];

volatile uint64_t interrupts_unexpected;
volatile uint64_t ipi_counts[CPUS_MAX], ipi_ticks[CPUS_MAX];

void x86_load_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(gates) - 1, (uint64_t)gates};

	for (unsigned int i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)vector_stubs + i * 16;

		gates[i] = (struct gate){.low = (uint16_t)stub,
					 .selector = 0x18,
					 .type = 0x8e,
					 .middle = (uint16_t)(stub >> 16),
					 .high = (uint32_t)(stub >> 32)};
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

uint32_t x86_apic_read(unsigned int offset)
{
	if (x2apic)
		return (uint32_t)x86_read_msr(0x800 + offset / 16);
	return (uint32_t)mmio_read(apic_base + offset, 4);
}

void x86_apic_write(unsigned int offset, uint32_t value)
{
	if (x2apic)
		x86_write_msr(0x800 + offset / 16, value);
	else
		mmio_write(apic_base + offset, value, 4);
}

uint64_t x86_apic_id(void)
{
	return x2apic ? x86_apic_read(APIC_ID) : x86_apic_read(APIC_ID) >> 24;
}

bool x86_uses_x2apic(void)
{
	return x2apic;
}

void x86_enable_apic(void)
{
	uint64_t base = x86_read_msr(MSR_APIC_BASE);

	x2apic = x86_cpuid(1, 0).ecx & 1 << 21;
	apic_base = base & ~UINT64_C(0xfff) & UINT64_C(0xfffffffff000);
	x86_write_msr(MSR_APIC_BASE, base | APIC_ENABLED);
	if (x2apic)
		x86_write_msr(MSR_APIC_BASE, base | APIC_ENABLED | X2APIC);
	x86_apic_write(APIC_PRIORITY, 0);
	x86_apic_write(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	x86_apic_write(APIC_LINT0, MASKED);
	x86_apic_write(APIC_LINT1, 4 << 8); /* NMI */
	x86_apic_write(APIC_LVT_ERROR, MASKED);
	/* End what a loader may have left in service. */
	for (int i = 0; i < 8; i++)
		x86_apic_write(APIC_EOI, 0);
}

uint32_t x86_io_apic_read(const struct io_apic *apic, uint32_t index)
{
	mmio_write(apic->address, index, 4);
	return (uint32_t)mmio_read(apic->address + 0x10, 4);
}

void x86_io_apic_write(const struct io_apic *apic, uint32_t index, uint32_t value)
{
	mmio_write(apic->address, index, 4);
	mmio_write(apic->address + 0x10, value, 4);
}

/* With an edge trigger: the I/O APIC forgets a level that waits for its EOI. */
static void mask_pins(void)
{
	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++)
		for (uint32_t pin = 0; pin < x86_platform.io_apics[i].count; pin++)
			x86_io_apic_write(&x86_platform.io_apics[i], 0x10 + 2 * pin, MASKED);
}

void arch_start_interrupts(void)
{
	arch_port_write(PIC1_DATA, 0xff, 1);
	arch_port_write(PIC2_DATA, 0xff, 1);
	x86_enable_apic();
	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++) {
		struct io_apic *apic = &x86_platform.io_apics[i];

		apic->count = (x86_io_apic_read(apic, 1) >> 16 & 0xff) + 1;
	}
	mask_pins();
	x86_init_clock();
	arch_interrupts_on();
}

static uint32_t id_of_cpu(unsigned int cpu)
{
	return machine.cpu_count ? (uint32_t)machine.cpu_ids[cpu] : (uint32_t)x86_apic_id();
}

static void write_entry(const struct attached *entry, unsigned int vector, uint32_t id, bool masked)
{
	uint32_t low = vector | (entry->level ? LEVEL : 0) | (masked ? MASKED : 0);

	x86_io_apic_write(entry->apic, 0x11 + 2 * entry->pin, id << 24);
	x86_io_apic_write(entry->apic, 0x10 + 2 * entry->pin, low);
}

static int allocate_number(interrupt_handler *handler, void *context)
{
	for (int i = 0; i < INTERRUPTS_MAX; i++) {
		if (attached[i].handler)
			continue;
		attached[i] = (struct attached){.handler = handler, .context = context};
		return i;
	}
	return INTERRUPT_NONE;
}

int interrupt_attach(struct interrupt_line line, interrupt_handler *handler, void *context)
{
	int number;

	if (!line.valid)
		return INTERRUPT_NONE;
	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++) {
		const struct io_apic *apic = &x86_platform.io_apics[i];

		if (line.number < apic->base || line.number - apic->base >= apic->count)
			continue;
		number = allocate_number(handler, context);
		if (number == INTERRUPT_NONE)
			return number;
		attached[number].apic = apic;
		attached[number].pin = line.number - apic->base;
		attached[number].level = line.level;
		write_entry(&attached[number], VECTOR_FIRST + (unsigned int)number, id_of_cpu(0),
			    false);
		return number;
	}
	return INTERRUPT_NONE;
}

int interrupt_attach_message(uint32_t device, uint32_t vector, interrupt_handler *handler,
			     void *context, struct message *message)
{
	int number = allocate_number(handler, context);

	(void)device;
	(void)vector;
	if (number == INTERRUPT_NONE)
		return number;
	message->address = 0xfee00000 | (uint64_t)id_of_cpu(0) << 12;
	message->data = VECTOR_FIRST + (uint32_t)number;
	return number;
}

/* The routing is in _PRT, which needs an AML interpreter. */
struct interrupt_line arch_pci_line(unsigned int slot, unsigned int pin)
{
	(void)slot;
	(void)pin;
	return (struct interrupt_line){.valid = false};
}

void interrupt_mask(int number, bool masked)
{
	const struct attached *entry = &attached[number];
	uint32_t low;

	if (!entry->apic)
		return;
	low = x86_io_apic_read(entry->apic, 0x10 + 2 * entry->pin) & ~MASKED;
	x86_io_apic_write(entry->apic, 0x10 + 2 * entry->pin, low | (masked ? MASKED : 0));
}

void interrupt_route(int number, unsigned int cpu)
{
	if (attached[number].apic)
		x86_io_apic_write(attached[number].apic, 0x11 + 2 * attached[number].pin,
				  id_of_cpu(cpu) << 24);
}

void interrupt_detach_all(void)
{
	mask_pins();
	for (int i = 0; i < INTERRUPTS_MAX; i++)
		attached[i].handler = NULL;
	/* Also ends what is in service: a handler that an exception left did not. */
	x86_enable_apic();
}

uint64_t interrupt_count(int number)
{
	return attached[number].count;
}

unsigned int interrupt_cpu(int number)
{
	return attached[number].cpu;
}

static void send_command(uint32_t id, uint32_t command)
{
	if (x2apic) {
		x86_write_msr(0x830, (uint64_t)id << 32 | command);
		return;
	}
	x86_apic_write(APIC_COMMAND_HIGH, id << 24);
	x86_apic_write(APIC_COMMAND, command);
	for (int i = 0; i < 100000 && x86_apic_read(APIC_COMMAND) & 1 << 12; i++)
		arch_relax();
}

void ipi_send(unsigned int cpu)
{
	send_command(id_of_cpu(cpu), 0x4000 | VECTOR_IPI);
}

void ipi_send_all(bool self)
{
	send_command(0, (self ? 0x80000 : 0xc0000) | 0x4000 | VECTOR_IPI);
}

void x86_send(unsigned int cpu, uint32_t vector)
{
	send_command(id_of_cpu(cpu), 0x4000 | vector);
}

void x86_send_self(uint32_t vector)
{
	x86_send(0, vector);
}

void x86_send_init(uint32_t id);
void x86_send_startup(uint32_t id, uint32_t page);

void x86_send_init(uint32_t id)
{
	send_command(id, 0x4500);
}

void x86_send_startup(uint32_t id, uint32_t page)
{
	send_command(id, 0x4600 | page);
}

/* The interrupted code continues in unwind(), on its own stack. */
static void redirect(struct frame *frame, struct unwinding unwinding)
{
	frame->rip = (uint64_t)unwind;
	frame->rdi = (uint64_t)unwinding.saved_sp;
	frame->rsi = unwinding.value;
	frame->flags |= 0x200;
}

static void take_exception(struct frame *frame)
{
	struct fault fault = {.kind = frame->vector, .detail = frame->error, .pc = frame->rip};

	if (frame->vector == 14)
		__asm__ volatile("mov %%cr2, %0" : "=r"(fault.address));
	redirect(frame, fault_taken(&fault));
}

void x86_vector(struct frame *frame)
{
	struct unwinding unwinding;
	unsigned int number = (unsigned int)frame->vector - VECTOR_FIRST;

	if (frame->vector == NMI)
		return;
	if (frame->vector < 32) {
		take_exception(frame);
		return;
	}
	if (frame->vector == VECTOR_SPURIOUS)
		return;
	if (frame->vector == VECTOR_IPI) {
		unsigned int cpu = cpu_self();

		ipi_ticks[cpu] = arch_ticks();
		ipi_counts[cpu]++;
	} else if (number < INTERRUPTS_MAX && attached[number].handler) {
		attached[number].cpu = cpu_self();
		attached[number].count++;
		attached[number].handler(attached[number].context);
		if (storm_detected(&attached[number].storm))
			interrupt_mask((int)number, true);
	} else if (frame->vector == VECTOR_TIMER) {
		if (cpu_self() == 0)
			timer_interrupt();
		else
			arch_timer_set(UINT64_MAX);
	} else {
		interrupts_unexpected++;
	}
	x86_apic_write(APIC_EOI, 0);
	if (frame->vector == VECTOR_TIMER && cpu_self() == 0 && timer_wants_unwinding(&unwinding))
		redirect(frame, unwinding);
}

enum fault_cause arch_fault_cause(const struct fault *fault)
{
	switch (fault->kind) {
	case 0:
		return FAULT_DIVIDE;
	case 3:
		return FAULT_BREAKPOINT;
	case 6:
		return FAULT_UNDEFINED;
	case 14:
		return FAULT_MEMORY;
	case 17:
		return FAULT_ALIGNMENT;
	default:
		return FAULT_OTHER;
	}
}
