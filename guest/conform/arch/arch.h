// SPDX-License-Identifier: BSD-3-Clause
/*
 * What each architecture implements. Interrupts go to the first processor unless a test moves them;
 * handlers run with interrupts off.
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

/* Called first: installs the exception handlers and reads the start information. */
void arch_init(void);
/* Reads ACPI tables or device tree; then interrupt controllers, clock and timer work. */
void arch_describe(void);
void arch_start_interrupts(void);
/*
 * Maps these addresses, as registers unless they are memory. If it cannot, an access to them raises
 * an exception.
 */
void arch_map(uint64_t start, uint64_t size);
/* Tries every described way to power off. */
void arch_power_off(void);
/* Resets the machine in the described way; false: none is described. */
bool arch_can_reset(void);
void arch_reset(void);

/* Switches off what a test may have left behind in this processor and in the machine's clock. */
void arch_restore(void);

/* Registers, by one access of exactly @width (1, 2, 4, 8) bytes. */
uint64_t mmio_read(uint64_t address, unsigned int width);
void mmio_write(uint64_t address, uint64_t value, unsigned int width);
/* Ports: on a machine without ports, reads return ones. */
uint32_t arch_port_read(uint16_t port, unsigned int width);
void arch_port_write(uint16_t port, uint32_t value, unsigned int width);

/* The counter: its value and its frequency. */
uint64_t arch_ticks(void);
uint64_t arch_ticks_per_second(void);
const char *arch_clock_source(void);
/*
 * The time of day in milliseconds, which survives a reset of the machine; 0: no clock. It advances
 * in steps of *step_ms.
 */
uint64_t arch_wall_ms(unsigned int *step_ms);

/* Sets the timer's only deadline (ticks; one in the past fires at once; UINT64_MAX: none). */
void arch_timer_set(uint64_t deadline);

void arch_interrupts_on(void);
void arch_interrupts_off(void);
/* Waits for an interrupt, with interrupts enabled; one that is pending already ends the wait. */
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
 * Calls function(argument). Returns 0 when it returned, or the value that unwind() was called with.
 * Calls may nest; the stack pointer is saved in *saved_sp.
 */
int guarded_call(void **saved_sp, void (*function)(void *), void *argument);
_Noreturn void unwind(void **saved_sp, uint64_t value);

/* An exception that the guest caused. */
struct fault {
	uint64_t kind;	  /* x86: vector; arm64: exception class */
	uint64_t detail;  /* error code; the rest of the syndrome */
	uint64_t address; /* CR2, FAR_EL1 */
	uint64_t pc;	  /* of the instruction */
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

/* Interrupts: returns a number for each attached interrupt, or INTERRUPT_NONE if none is free. */
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
/*
 * As before the first test: each line is masked, not pending and not in service, no handler is
 * attached, and this processor has ended what it had in service.
 */
void interrupt_detach_all(void);
/* The interrupt line of pin @pin (1 to 4) of slot @slot on the first PCI bus, if it is known. */
struct interrupt_line arch_pci_line(unsigned int slot, unsigned int pin);
/* How often it arrived since it was attached, and at which processor the last time. */
uint64_t interrupt_count(int number);
unsigned int interrupt_cpu(int number);
/* Interrupts that arrived without being attached, since the start. */
extern volatile uint64_t interrupts_unexpected;

/* Interrupts between processors: the counters of each receiver. */
extern volatile uint64_t ipi_counts[CPUS_MAX];
extern volatile uint64_t ipi_ticks[CPUS_MAX]; /* when the last one arrived */
void ipi_send(unsigned int cpu);
/* To all processors, with or without the sender. */
void ipi_send_all(bool self);

/* Processors */
unsigned int cpu_self(void);
/* Why this guest cannot suspend the machine to memory, or NULL. */
const char *arch_no_suspend(void);
/*
 * Suspends to memory and sets an alarm of the machine's clock to wake it in @seconds. Returns 0
 * after the wake-up, or the error of a hypervisor that did not suspend it.
 */
int64_t arch_suspend(unsigned int seconds);
/*
 * Starts processor @cpu, which calls function(argument) on its own stack with interrupts off and
 * then switches off. False: it did not start; *code is the error.
 */
bool cpu_start(unsigned int cpu, void (*function)(void *), void *argument, int64_t *code);
/*
 * Sets cpus_stop, and waits until all other processors are off, or switches them off. False: one
 * still runs, and only a reset of the machine would stop it.
 */
bool cpu_stop_all(void);
/*
 * Functions on other processors that have no end of their own run until this is set: by the test
 * that started them, or by cpu_stop_all after a test that failed. Clear it before starting one.
 */
extern volatile bool cpus_stop;
bool cpu_is_off(unsigned int cpu);
/*
 * Before this guest started any processor, did only the first one run? x86: no other arrived at the
 * entry point, where any that starts on its own would; arm64: PSCI reports the state of each.
 */
bool cpu_alone_at_start(void);
#define CPU_NOT_ALONE "another processor than the first runs, though the guest has not started any"

/* Called by the architecture's code, implemented in common code. */
/*
 * An interrupt storm: an interrupt that is raised again at once and endlessly would leave no time
 * for anything else, so it is masked.
 */
struct storm {
	uint64_t start, count;
};
bool storm_detected(struct storm *storm);
/* What a started processor does: it calls the function; an exception ends it and is noted. */
void cpu_run(unsigned int cpu, void (*function)(void *), void *argument);
void timer_interrupt(void);
/*
 * An exception that no fault_catch() catches ends the test, or the run. Returns where to unwind to.
 */
struct unwinding {
	void **saved_sp;
	uint64_t value;
};
struct unwinding fault_taken(const struct fault *fault);
/* After the timer interrupt: must the running test be unwound? */
bool timer_wants_unwinding(struct unwinding *unwinding);

#endif
