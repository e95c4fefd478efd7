// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of the runner, in an image of their own (guest/conform/build --harmful): each harm_NAME
 * leaves something behind that its successor, harm_NAME_after, must not find. All must pass.
 */
#include "bus/pci.h"
#include "devices/dut.h"
#include "devices/watchdog.h"
#include "pages.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

#define NOTHING	 "AVP-NONE-001" /* no requirement of the contract */
#define SOON_NS	 UINT64_C(20000000)
#define LATER_MS 60

static volatile bool arrived[CPUS_MAX], late;
static volatile uint64_t spins;
static uint64_t unexpected, other_interrupts;

static void start(unsigned int cpu, void (*function)(void *))
{
	int64_t code;

	arrived[cpu] = false;
	check(cpu_start(cpu, function, (void *)(uintptr_t)cpu, &code),
	      "processor %u does not start: %ld", cpu, code);
	check(wait_until(arrived[cpu], 1000), "processor %u does not arrive", cpu);
}

/* A processor that nothing but a reset stops on arm64, and INIT on x86. */

static void spin(void *argument)
{
	arch_interrupts_off();
	arrived[(uintptr_t)argument] = true;
	for (;;)
		spins++;
}

TEST(harm_processor, NOTHING, .cpus = 2, .limit_ms = 20000)
{
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		start(i, spin);
}

static void arrive(void *argument)
{
	arrived[(uintptr_t)argument] = true;
}

TEST(harm_processor_after, NOTHING, .cpus = 2, .limit_ms = 20000)
{
	uint64_t before = spins;

	sleep_ms(LATER_MS);
	check(spins == before, "a processor of the test before still runs");
	for (unsigned int i = 1; i < machine.cpu_count; i++)
		start(i, arrive);
}

/* Interrupts between processors and of a device that are pending at another processor. */

static void take_none(void *argument)
{
	arch_interrupts_off();
	arrived[(uintptr_t)argument] = true;
	while (!cpus_stop)
		arch_relax();
}

static void take_all(void *argument)
{
	arch_interrupts_on();
	arrived[(uintptr_t)argument] = true;
	while (!cpus_stop)
		arch_relax();
	arch_interrupts_off();
}

TEST(harm_pending, NOTHING, .cpus = 2, .limit_ms = 20000)
{
	struct dut dut;

	cpus_stop = false;
	start(1, take_none);
	ipi_send(1);
	if (dut_get(0, TRANSPORT_MMIO, 0, &dut)) {
		struct queue *queue = dut_open(&dut, 0, 16);

		if (dut.device->connected)
			interrupt_route(dut.device->interrupt, 1);
		dut_must_do(&dut, queue, "whose interrupt stays pending");
	}
	unexpected = interrupts_unexpected;
	other_interrupts = ipi_counts[1];
}

TEST(harm_pending_after, NOTHING, .cpus = 2, .limit_ms = 20000)
{
	cpus_stop = false;
	start(1, take_all);
	sleep_ms(LATER_MS);
	cpus_stop = true;
	check(ipi_counts[1] == other_interrupts, "an interrupt of the test before arrived");
	check(interrupts_unexpected == unexpected, "a device's interrupt arrived");
}

/* A handler that an exception left: its interrupt is still in service. */

static void fault_in_handler(void)
{
	*(volatile uint32_t *)(ARCH_X86 ? UINT64_C(0x600000000000) : UINT64_C(0x8000000000)) = 1;
}

static void wait_for_fault(void *argument)
{
	(void)argument;
	timer_request(arch_ticks(), fault_in_handler);
	sleep_ms(1000);
}

TEST(harm_handler, NOTHING)
{
	struct fault fault;

	check(fault_catch(wait_for_fault, NULL, &fault), "the handler was not called");
}

static void note(void)
{
	late = true;
}

TEST(harm_handler_after, NOTHING)
{
	late = false;
	timer_request(arch_ticks(), note);
	check(wait_until(late, 1000), "no timer interrupt arrives");
}

/* A device that runs, of which the runner is not told, with rings in memory that is freed. */

static struct device *running;
static uint16_t running_queue;
static uint8_t *ring;

TEST(harm_device, NOTHING)
{
	struct dut dut;
	struct queue *queue;

	if (!dut_get_simple(0, &dut))
		skip("no suitable device");
	queue = dut_open(&dut, 0, 16);
	dut_must_do(&dut, queue, "of a device that keeps running");
	running = dut.device;
	running_queue = queue->index;
	ring = queue->memory;
	running->touched = false;
}

TEST(harm_device_after, NOTHING)
{
	uint8_t *memory = pages_get(1 << 20), status;

	if (!running)
		skip("no suitable device");
	check(ring >= memory && ring < memory + (1 << 20), "the memory was not freed");
	status = running->ops->status(running);
	/* A driver's available index that runs ahead: a device that runs would take it. */
	for (uint64_t i = 0; i < 1 << 20; i++)
		memory[i] = 1;
	running->ops->notify(running, running_queue, running_queue);
	sleep_ms(LATER_MS);
	for (uint64_t i = 0; i < 1 << 20; i++)
		check(memory[i] == 1, "the device wrote to freed memory");
	check(status == 0, "its status is 0x%x", status);
}

TEST(harm_function, NOTHING)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, 0)
	{
		pci_write(dut.device->pci, PCI_COMMAND, COMMAND_MEMORY, 2);
		pci_write(dut.device->pci, 0x10, 0, 4);
		pci_write(dut.device->pci, PCI_COMMAND, 0, 2);
	}
}

TEST(harm_function_after, NOTHING)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_PCI, 0)
		dut_must_do(&dut, dut_open(&dut, 0, 16), "of a function that was moved");
}

/* Timers, of the runner and of the processor. */

TEST(harm_timer, NOTHING)
{
	late = false;
	timer_request(arch_ticks() + ns_to_ticks(SOON_NS), note);
	arch_timer_set(arch_ticks() + ns_to_ticks(SOON_NS));
}

TEST(harm_timer_after, NOTHING)
{
	sleep_ms(LATER_MS);
	check(!late, "a timer of the test before fired");
}

TEST(harm_watchdog, NOTHING)
{
	if (!watchdog.ops)
		skip("no known watchdog is described");
	watchdog.ops->set(1000);
	watchdog.ops->start();
}

TEST(harm_watchdog_after, NOTHING)
{
	if (!watchdog.ops)
		skip("no known watchdog is described");
	sleep_ms(2000);
}

/* A breakpoint. */

static volatile uint64_t calls;

static __attribute__((noinline, noipa)) void stop_here(void)
{
	calls++;
}

TEST(harm_breakpoint, NOTHING)
{
#ifdef __x86_64__
	__asm__ volatile("mov %0, %%dr0\n mov %1, %%dr7"
			 :
			 : "r"((uint64_t)stop_here), "r"(UINT64_C(0x401)));
#else
	write_register(oslar_el1, 0);
	write_register(dbgbvr0_el1, (uint64_t)stop_here);
	write_register(dbgbcr0_el1, 0x1e3);
	write_register(mdscr_el1, 0xa000);
	__asm__ volatile("isb; msr daifclr, 8" ::: "memory");
#endif
}

TEST(harm_breakpoint_after, NOTHING)
{
	stop_here();
	check(calls == 1, "the function was called %lu times", calls);
}
