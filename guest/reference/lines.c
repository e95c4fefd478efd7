// SPDX-License-Identifier: BSD-3-Clause
/*
 * Interrupts of the reference. They arrive through the real interrupt controller, so that masks,
 * routes and priorities are those of the machine: x86 sends the vector as an interrupt between
 * processors, arm64 sets a line pending that no device of the machine has.
 */
#include "reference.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#define LINE_FIRST 0x10000u /* no I/O APIC has such an input */
#else
#include "arch/arm64/arm64.h"
#define LINE_FIRST  220u /* a shared interrupt that QEMU's virt machine leaves free */
#define SET_PENDING 0x200u
#endif
#define LINES_MAX     8
#define STUCK_REPEATS 100 /* interrupts for one that a fault repeats */

static struct line {
	struct reference *reference;
	int number; /* of what the guest attached, or INTERRUPT_NONE */
	unsigned int cpu;
	bool masked;
	interrupt_handler *handler;
	void *context;
} lines[LINES_MAX];
static unsigned int line_count;

struct interrupt_line lines_add(struct reference *reference)
{
	if (line_count == LINES_MAX)
		return (struct interrupt_line){.valid = false};
	lines[line_count] = (struct line){.reference = reference, .number = INTERRUPT_NONE};
	return (struct interrupt_line){.number = LINE_FIRST + line_count++,
				       .level = ARCH_X86,
				       .valid = true};
}

int __real_interrupt_attach(struct interrupt_line line, interrupt_handler *handler, void *context);
void __real_mmio_write(uint64_t address, uint64_t value, unsigned int width);
void __real_interrupt_mask(int number, bool masked);
void __real_interrupt_route(int number, unsigned int cpu);
void __real_interrupt_detach_all(void);
void __wrap_interrupt_detach_all(void);
int __real_interrupt_attach_message(uint32_t device, uint32_t vector, interrupt_handler *handler,
				    void *context, struct message *message);

#ifdef __x86_64__
static void send(const struct line *line)
{
	if (line->number != INTERRUPT_NONE && !line->masked && line->reference->interrupts)
		x86_send(line->cpu, VECTOR_FIRST + (uint32_t)line->number);
}

/* A level: it is raised again as long as the device has something to report. */
static void deliver(void *context)
{
	static unsigned int repeats;
	struct line *line = context;

	line->handler(line->context);
	if (reference_fault(FAULT_LEVEL_STUCK) && line->number != INTERRUPT_NONE &&
	    ++repeats % STUCK_REPEATS)
		x86_send(line->cpu, VECTOR_FIRST + (uint32_t)line->number);
	send(line);
}

static struct line *find_line(int number)
{
	for (unsigned int i = 0; i < line_count; i++)
		if (lines[i].number == number)
			return &lines[i];
	return NULL;
}

int reference_interrupt_attach(struct interrupt_line line, interrupt_handler *handler,
			       void *context)
{
	struct message message;
	struct line *found;

	if (!line.valid || line.number - LINE_FIRST >= line_count)
		return __real_interrupt_attach(line, handler, context);
	found = &lines[line.number - LINE_FIRST];
	found->handler = handler;
	found->context = context;
	found->cpu = 0;
	found->masked = false;
	found->number = __real_interrupt_attach_message(0, 0, deliver, found, &message);
	send(found);
	return found->number;
}

void reference_interrupt_mask(int number, bool masked)
{
	struct line *line = find_line(number);

	if (!line) {
		__real_interrupt_mask(number, masked);
		return;
	}
	line->masked = masked;
	send(line);
}

void reference_interrupt_route(int number, unsigned int cpu)
{
	struct line *line = find_line(number);

	if (line)
		line->cpu = cpu;
	else
		__real_interrupt_route(number, cpu);
}

void __wrap_interrupt_detach_all(void)
{
	for (unsigned int i = 0; i < line_count; i++)
		lines[i].number = INTERRUPT_NONE;
	__real_interrupt_detach_all();
}

void lines_raise(struct reference *reference)
{
	for (unsigned int i = 0; i < line_count; i++)
		if (lines[i].reference == reference)
			send(&lines[i]);
}

void lines_send(uint64_t address, uint32_t data)
{
	uint32_t id = address >> 12 & 0xff;

	for (unsigned int cpu = 0; cpu < machine.cpu_count; cpu++)
		if (machine.cpu_ids[cpu] == id)
			x86_send(cpu, data & 0xff);
}
#else
int reference_interrupt_attach(struct interrupt_line line, interrupt_handler *handler,
			       void *context)
{
	return __real_interrupt_attach(line, handler, context);
}

void reference_interrupt_mask(int number, bool masked)
{
	__real_interrupt_mask(number, masked);
}

void reference_interrupt_route(int number, unsigned int cpu)
{
	__real_interrupt_route(number, cpu);
}

void __wrap_interrupt_detach_all(void)
{
	__real_interrupt_detach_all();
}

void lines_raise(struct reference *reference)
{
	for (uint32_t i = 0; i < line_count; i++)
		if (lines[i].reference == reference)
			__real_mmio_write(arm64_platform.distributor + SET_PENDING +
						  (LINE_FIRST + i) / 32 * 4,
					  1u << (LINE_FIRST + i) % 32, 4);
}

/* No function of PCI exists. */
void lines_send(uint64_t address, uint32_t data)
{
	(void)address;
	(void)data;
}
#endif
