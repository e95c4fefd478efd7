// SPDX-License-Identifier: BSD-3-Clause
/*
 * Processors and power, by PSCI (Arm DEN 0022).
 */
#include "arch/arch.h"
#include "arch/arm64/arm64.h"
#include "test.h"

#define STACK_SIZE 16384
#define START_MS   5000
#define STOP_MS	   5000

extern uint8_t secondary_start[];

/* The argument of secondary_start: a stack, where the exception level is stored, a number. */
struct context {
	uint8_t *stack;
	uint64_t level;
	uint64_t cpu;
};

static uint8_t stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));
static struct {
	struct context context;
	void (*function)(void *argument);
	void *argument;
	volatile bool entered;
} processors[CPUS_MAX];

/* Where the first processor continues when it wakes up. */
static void *suspended;
static uint64_t alarm;

void arm64_secondary(struct context *context);

int64_t arm64_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	if (arm64_platform.conduit == CONDUIT_SMC)
		__asm__ volatile("smc #0"
				 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
				 :
				 : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
				   "x12", "x13", "x14", "x15", "x16", "x17");
	else
		__asm__ volatile("hvc #0"
				 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
				 :
				 : "memory", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
				   "x12", "x13", "x14", "x15", "x16", "x17");
	/* 32-bit functions return errors in the lower half only. */
	return (int64_t)(int32_t)x0;
}

void arch_power_off(void)
{
	if (arm64_platform.conduit != CONDUIT_NONE)
		arm64_call(PSCI_SYSTEM_OFF, 0, 0, 0);
}

bool arch_can_reset(void)
{
	return arm64_platform.conduit != CONDUIT_NONE;
}

void arch_reset(void)
{
	arm64_call(PSCI_SYSTEM_RESET, 0, 0, 0);
}

unsigned int cpu_self(void)
{
	uint64_t id = read_register(mpidr_el1) & UINT64_C(0xff00ffffff);

	for (unsigned int i = 0; i < machine.cpu_count; i++)
		if (machine.cpu_ids[i] == id)
			return i;
	return 0;
}

void arm64_secondary(struct context *context)
{
	unsigned int cpu = (unsigned int)context->cpu;

	arm64_start_gic_cpu();
	/* The first processor comes here only when it wakes up from a suspend. */
	if (cpu == 0)
		unwind(&suspended, 1);
	processors[cpu].entered = true;
	cpu_run(cpu, processors[cpu].function, processors[cpu].argument);
	arch_timer_set(UINT64_MAX);
	arch_interrupts_off();
	arm64_call(PSCI_CPU_OFF, 0, 0, 0);
}

bool cpu_start(unsigned int cpu, void (*function)(void *), void *argument, int64_t *code)
{
	*code = -1;
	if (!arm64_platform.has_psci)
		return false;
	processors[cpu].context = (struct context){.stack = stacks[cpu] + STACK_SIZE, .cpu = cpu};
	processors[cpu].function = function;
	processors[cpu].argument = argument;
	processors[cpu].entered = false;
	/* The other processor reads it with its caches off. */
	__asm__ volatile("dc cvac, %0; dsb sy" : : "r"(&processors[cpu].context) : "memory");
	*code = arm64_call(PSCI_CPU_ON, machine.cpu_ids[cpu], (uint64_t)secondary_start,
			   (uint64_t)&processors[cpu].context);
	if (*code != 0)
		return false;
	return wait_until(processors[cpu].entered, START_MS);
}

bool cpu_is_off(unsigned int cpu)
{
	return arm64_call(PSCI_AFFINITY_INFO, machine.cpu_ids[cpu], 0, 0) == 1;
}

bool cpu_alone_at_start(void)
{
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		if (!cpu_is_off(i))
			return false;
	return true;
}

/*
 * Nothing forces a processor off (PSCI has no function for it): it ends what it does when it sees
 * cpus_stop, or never.
 */
bool cpu_stop_all(void)
{
	bool stopped = true;

	cpus_stop = true;
	for (unsigned int i = 1; i < machine.cpu_count && arm64_platform.has_psci; i++) {
		struct deadline deadline = deadline_after_ms(STOP_MS);
		bool off = cpu_is_off(i);

		/* It may be waiting for an interrupt. */
		if (!off)
			ipi_send(i);
		while (!off && !deadline_passed(&deadline))
			off = cpu_is_off(i);
		stopped &= off;
	}
	return stopped;
}

/* Suspend */

#define CLOCK_NOW    0x00 /* PL031 */
#define CLOCK_ALARM  0x04
#define CLOCK_ENABLE 0x10
#define CLOCK_CLEAR  0x1c

static void take_alarm(void *context)
{
	(void)context;
	mmio_write(arm64_platform.clock + CLOCK_ENABLE, 0, 4);
	mmio_write(arm64_platform.clock + CLOCK_CLEAR, 1, 4);
}

void arm64_clear_alarm(void)
{
	if (alarm)
		take_alarm(NULL);
	alarm = 0;
}

static void call_suspend(void *argument)
{
	struct context *context = &processors[0].context;

	*context = (struct context){.stack = stacks[0] + STACK_SIZE};
	__asm__ volatile("dc cvac, %0; dsb sy" : : "r"(context) : "memory");
	arch_timer_set(UINT64_MAX);
	mmio_write(arm64_platform.clock + CLOCK_ALARM, alarm, 4);
	mmio_write(arm64_platform.clock + CLOCK_ENABLE, 1, 4);
	*(int64_t *)argument =
		arm64_call(PSCI_SYSTEM_SUSPEND, (uint64_t)secondary_start, (uint64_t)context, 0);
}

const char *arch_no_suspend(void)
{
	if (!arm64_platform.has_psci || arm64_call(PSCI_FEATURES, PSCI_SYSTEM_SUSPEND, 0, 0) < 0)
		return "SYSTEM_SUSPEND is not reported";
	if (!arm64_platform.clock || !arm64_platform.clock_line.valid)
		return "no clock with an alarm is described that could wake the machine";
	return NULL;
}

int64_t arch_suspend(unsigned int seconds)
{
	int64_t code = 0;
	int awake;

	if (interrupt_attach(arm64_platform.clock_line, take_alarm, NULL) == INTERRUPT_NONE)
		fail("the interrupt of the clock cannot be used");
	arch_interrupts_off();
	alarm = mmio_read(arm64_platform.clock + CLOCK_NOW, 4) + seconds;
	awake = guarded_call(&suspended, call_suspend, &code);
	arch_interrupts_on();
	return awake ? 0 : code;
}
