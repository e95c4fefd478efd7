// SPDX-License-Identifier: BSD-3-Clause
/*
 * What each architecture does in its own way. Interrupts come to one processor, the first, unless a
 * test moves them; its handlers run with interrupts off.
 */
#ifndef CONFORM_ARCH_H
#define CONFORM_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

#ifdef __x86_64__
#define ARCH_NAME "x86-64"
#define ARCH_X86  1
#define ARCH_ARM  0
#else
#define ARCH_NAME "arm64"
#define ARCH_X86  0
#define ARCH_ARM  1
#endif

/* Called first: exceptions are caught from here on, and the start information is read. */
void arch_init(void);
/* Reads tables or tree; then interrupt controllers, clock and timer work. */
void arch_describe(void);
void arch_start_interrupts(void);
/*
 * Makes these addresses usable, as registers unless they are memory. Where that cannot be an access
 * to them is an exception.
 */
void arch_map(uint64_t start, uint64_t size);
/* Tries every way to power off. */
void arch_power_off(void);
/* Resets the machine by the way described, which there may not be. */
bool arch_can_reset(void);
void arch_reset(void);

/* Registers, by one access of exactly @width (1, 2, 4, 8) bytes. */
uint64_t mmio_read(uint64_t address, unsigned int width);
void mmio_write(uint64_t address, uint64_t value, unsigned int width);
/* Ports: on machines that have none reads give ones. */
uint32_t arch_port_read(uint16_t port, unsigned int width);
void arch_port_write(uint16_t port, uint32_t value, unsigned int width);

/* The counter: its value, and how many ticks a second it makes. */
uint64_t arch_ticks(void);
uint64_t arch_ticks_per_second(void);
const char *arch_clock_source(void);
/*
 * The time of day in milliseconds, which goes on over a reset, 0: there is none; by steps of
 * *step_ms.
 */
uint64_t arch_wall_ms(unsigned int *step_ms);

/* The timer's one interrupt at @deadline (ticks), at once if that is past; UINT64_MAX: none. */
void arch_timer_set(uint64_t deadline);

void arch_interrupts_on(void);
void arch_interrupts_off(void);
/* Waits for an interrupt, with interrupts on; a race with one that just came is none. */
void arch_wait(void);
static inline void arch_relax(void)
{
#ifdef __x86_64__
	__asm__ volatile("pause" ::: "memory");
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

/*
 * Calls function(argument) so that unwind() comes back: 0 it returned, else unwind's value. Calls
 * may nest; place is where the stack pointer is kept.
 */
int guarded_call(void **place, void (*function)(void *), void *argument);
_Noreturn void unwind(void **place, uint64_t value);

/* An exception that the guest caused. */
struct fault {
	uint64_t kind;	  /* x86: vector; arm64: exception class */
	uint64_t detail;  /* error code; the rest of the syndrome */
	uint64_t address; /* CR2, FAR_EL1 */
	uint64_t place;	  /* of the instruction */
};

enum fault_cause {
	FAULT_OTHER,
	FAULT_MEMORY,
	FAULT_UNDEFINED,
	FAULT_BREAKPOINT,
	FAULT_DIVIDE,
	FAULT_ALIGNMENT
};
enum fault_cause arch_fault_cause(const struct fault *fault);

/*
 * Interrupts: a number of ours for each that is attached, INTERRUPT_NONE when there is no place
 * left.
 */
#define INTERRUPTS_MAX 64
#define INTERRUPT_NONE (-1)
typedef void interrupt_handler(void *context);
struct message {
	uint64_t address;
	uint32_t data;
};

int interrupt_attach(struct interrupt_line line, interrupt_handler *handler, void *context);
/* @device: requester id of a PCI function. */
int interrupt_attach_message(uint32_t device, uint32_t vector, interrupt_handler *handler,
			     void *context, struct message *message);
void interrupt_mask(int number, bool masked);
void interrupt_route(int number, unsigned int cpu);
void interrupt_detach_all(void);
/*
 * What pin @pin (1 to 4) of the slot of a PCI function on the first bus is connected to, if that is
 * known.
 */
struct interrupt_line arch_pci_line(unsigned int slot, unsigned int pin);
/* How often one has come since it was attached, and on which processor the last time. */
uint64_t interrupt_count(int number);
unsigned int interrupt_cpu(int number);
/* Interrupts that nobody had attached, since the start. */
extern volatile uint64_t interrupts_unexpected;

/* Interrupts between processors: handler runs there, with a counter each. */
extern volatile uint64_t ipi_counts[CPUS_MAX];
extern volatile uint64_t ipi_ticks[CPUS_MAX]; /* when the last one came */
void ipi_send(unsigned int cpu);
/* To all, with or without the sender. */
void ipi_send_all(bool self);

/* Processors */
unsigned int cpu_self(void);
/* Why the machine cannot be suspended to memory by this guest, NULL: it can. */
const char *arch_no_suspend(void);
/*
 * Suspends it, with an alarm of its clock in @seconds as what wakes it up. Returns 0 when it is
 * awake, else the answer of a hypervisor that has not suspended it.
 */
int64_t arch_suspend(unsigned int seconds);
/*
 * Starts processor @cpu, which calls function(argument) on a stack of its own with interrupts off
 * and then is switched off. False: it was refused, *code has the answer.
 */
bool cpu_start(unsigned int cpu, void (*function)(void *), void *argument, int64_t *code);
/* Sets cpus_stop, waits until all but this are off, or switches them off. */
void cpu_stop_all(void);
/*
 * What another processor does without an end of its own, it does until this is set: by the test
 * that started it, or by cpu_stop_all behind a test that failed. Clear it before such a processor
 * is started.
 */
extern volatile bool cpus_stop;
bool cpu_is_off(unsigned int cpu);
/*
 * Before this guest has started one, did no other processor run? x86: none came to the entry, where
 * each that runs by itself would; arm64: PSCI says so of each.
 */
bool cpu_alone_at_start(void);
#define CPU_NOT_ALONE "another processor than the first runs, which nobody has started"

/* From the architecture's code into common code. */
/* An interrupt that comes again at once, without end, lets nothing else run: it is masked then. */
struct storm {
	uint64_t start, count;
};
bool storm_rages(struct storm *storm);
/* What a started processor does: the function, whose exceptions end it and are noted. */
void cpu_run(unsigned int cpu, void (*function)(void *), void *argument);
void timer_interrupt(void);
/* An exception nobody catches: ends the test, or all. Returns with the place to unwind to. */
struct unwinding {
	void **place;
	uint64_t value;
};
struct unwinding fault_taken(const struct fault *fault);
/* After the timer's interrupt: is the running test to be unwound? */
bool timer_wants_unwinding(struct unwinding *unwinding);

#endif
