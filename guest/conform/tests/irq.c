// SPDX-License-Identifier: BSD-3-Clause
/* Chapter irq: interrupts of devices and between processors. */
#include "bus/pci.h"
#include "devices/dut.h"
#include "pages.h"
#include "report.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

static struct queue *open_connected(struct dut *dut)
{
	struct queue *queue = dut_open(dut, 0, 16);

	if (!dut->device->connected)
		skip("this guest cannot find the interrupt of %s", device_name(dut->device));
	return queue;
}

TEST(irq_deliver, "AVP-IRQ-001", .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, 0)
	{
		struct queue *queue = dut_open(&dut, 0, 16);
		uint32_t before = dut.device->queue_interrupts;

		if (!dut.device->connected)
			continue;
		any = true;
		dut_must_do(&dut, queue, "with its interrupt");
		check(wait_until(dut.device->queue_interrupts != before, 1000),
		      "%s: its interrupt does not arrive", device_name(dut.device));
	}
	if (!any)
		skip("this guest cannot find the interrupt of any device");
}

TEST(irq_edge_not_lost, "AVP-IRQ-002", .transport = TRANSPORT_MMIO, .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, 0)
	{
		struct device *device = dut.device;
		struct queue *queue = open_connected(&dut);

		for (int i = 0; i < 20; i++) {
			uint32_t before;

			interrupt_mask(device->interrupt, true);
			before = device->queue_interrupts;
			dut_must_do(&dut, queue, "while its interrupt is masked");
			sleep_ms(1);
			check(device->queue_interrupts == before, "%s: a masked interrupt arrived",
			      device_name(device));
			interrupt_mask(device->interrupt, false);
			/*
			 * An I/O APIC does not latch an edge at a masked pin (Intel 82093AA,
			 * 3.2.4).
			 */
			if (ARCH_X86 && !device->line.level) {
				mmio_write(device->base + 0x64, 3, 4);
				dut_must_do(&dut, queue, "after its interrupt was masked");
			}
			check(wait_until(device->queue_interrupts != before, 1000),
			      "%s: an interrupt raised while masked was lost (%s)",
			      device_name(device), device->line.level ? "level" : "edge");
		}
	}
}

TEST(irq_level_held, "AVP-IRQ-003", .transport = TRANSPORT_MMIO, .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_MMIO, 0)
	{
		struct device *device = dut.device;
		struct queue *queue = open_connected(&dut);
		uint64_t before, came;

		if (!device->line.level)
			continue;
		any = true;
		before = interrupt_count(device->interrupt);
		dut_must_do(&dut, queue, "with a level-triggered interrupt");
		sleep_ms(5);
		came = interrupt_count(device->interrupt) - before;
		check(came >= 1 && came < 10,
		      "%s: %lu interrupts for one buffer, acknowledged each time",
		      device_name(device), came);
		/* The same if the interrupt's cause is that the device needs a reset. */
		*(volatile uint16_t *)(queue->addresses[1] + 2) += 100;
		before = interrupt_count(device->interrupt);
		queue_kick(queue);
		wait_until(device->ops->status(device) & NEEDS_RESET, 500);
		sleep_ms(5);
		came = interrupt_count(device->interrupt) - before;
		check(came < 100,
		      "%s: %lu interrupts in 5 ms from a device that needs a reset: acknowledging does "
		      "not end them",
		      device_name(device), came);
	}
	if (!any)
		skip("no interrupt of a device is level-triggered");
}

TEST(irq_no_spurious, "AVP-IRQ-004", .limit_ms = 10000)
{
	uint64_t before = interrupts_unexpected;
	struct dut dut;

	if (!dut_get(0, TRANSPORT_ANY, 0, &dut))
		skip("no suitable device");
	for (unsigned int n = 0; n < 16 && dut_get(n, TRANSPORT_ANY, 0, &dut); n++)
		dut_open(&dut, 0, 16);
	sleep_ms(100);
	/* From the start of the device on. */
	for (unsigned int n = 0; n < 16 && dut_get(n, TRANSPORT_ANY, 0, &dut); n++)
		check(dut.device->queue_interrupts <= START_INTERRUPTS,
		      "%s: %u interrupts without a cause", device_name(dut.device),
		      dut.device->queue_interrupts);
	check(interrupts_unexpected == before, "unexpected interrupts arrived");
}

TEST(irq_disabled, "AVP-IRQ-005", .transport = TRANSPORT_MMIO, .limit_ms = 10000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_MMIO, 0)
	{
		struct device *device = dut.device;
		struct queue *queue = open_connected(&dut);
		uint32_t before;

		interrupt_mask(device->interrupt, true);
		before = device->queue_interrupts;
		for (int i = 0; i < 10; i++)
			dut_must_do(&dut, queue, "while its interrupt is off");
		sleep_ms(5);
		check(device->queue_interrupts == before, "%s: a disabled interrupt arrived",
		      device_name(device));
		interrupt_mask(device->interrupt, false);
	}
}

static volatile bool ready;
static volatile uint64_t rounds; /* of a listener; stand still in an interrupt handler */

static void wait_for_interrupts(void *argument)
{
	(void)argument;
	arch_interrupts_on();
	ready = true;
	while (!cpus_stop) {
		rounds++;
		arch_relax();
	}
	arch_interrupts_off();
}

/* Starts a processor that takes interrupts until stop is set. */
static void start_listener(unsigned int cpu)
{
	int64_t code;

	cpus_stop = ready = false;
	check(cpu_start(cpu, wait_for_interrupts, NULL, &code), "processor %u does not start: %ld",
	      cpu, code);
	check(wait_until(ready, 1000), "processor %u does not arrive", cpu);
}

/*
 * Makes one request and waits for its interrupt. On return no processor has the interrupt active:
 * otherwise the next one would go to the same processor, whatever its route.
 */
static void await_moved(struct dut *dut, struct queue *queue, unsigned int target)
{
	struct device *device = dut->device;
	uint64_t before = interrupt_count(device->interrupt);

	dut_must_do(dut, queue, "whose interrupt is moved");
	check(wait_until(interrupt_count(device->interrupt) != before, 1000),
	      "the interrupt was lost when it was moved to processor %u", target);
	before = rounds;
	check(wait_until(rounds > before + 1, 1000),
	      "processor 1 does not finish its interrupt handlers");
}

#define MOVES 20

/*
 * Each request here waits for one interrupt. The interrupts without a cause that the start of a
 * device may bring are each taken for that of a request. So as many interrupts may have been raised
 * before the move and arrive after it at the old processor, however late the processor or the
 * device is scheduled. The interrupt after those was raised after the move. A hypervisor that
 * routes late does so each time.
 */
TEST(irq_affinity, "AVP-IRQ-006", .transport = TRANSPORT_MMIO, .cpus = 2, .limit_ms = 20000)
{
	struct dut dut;
	struct queue *queue;
	struct device *device;
	unsigned int at_once = 0;

	if (!dut_get(0, TRANSPORT_MMIO, 0, &dut))
		skip("no suitable device");
	device = dut.device;
	queue = open_connected(&dut);
	start_listener(1);
	for (int i = 0; i < MOVES; i++) {
		unsigned int target = (unsigned int)i % 2;

		interrupt_route(device->interrupt, target);
		for (int late = 0; late <= QUEUE_START_INTERRUPTS; late++) {
			await_moved(&dut, queue, target);
			if (interrupt_cpu(device->interrupt) != target)
				continue;
			at_once += late == 0;
			break;
		}
		check(interrupt_cpu(device->interrupt) == target,
		      "interrupt %d after a move arrived at processor %u, not %u",
		      QUEUE_START_INTERRUPTS + 1, interrupt_cpu(device->interrupt), target);
	}
	cpus_stop = true;
	check(at_once, "after each of %d moves the first interrupt arrived at the old processor",
	      MOVES);
}

static volatile unsigned int order[2], orders;

static void note_order(void *context)
{
	if (orders < 2)
		order[orders] = (unsigned int)(uintptr_t)context;
	orders++;
}

/* Both are pending while interrupts are off, raised in either order. */
static void raise_both(void (*raise)(unsigned int which))
{
	for (unsigned int i = 0; i < 20; i++) {
		arch_interrupts_off();
		orders = 0;
		raise(i % 2);
		raise(1 - i % 2);
		for (uint64_t until = arch_ticks() + ns_to_ticks(1000000); arch_ticks() < until;)
			arch_relax();
		arch_interrupts_on();
		check(wait_until(orders >= 2, 1000), "%u of two pending interrupts arrived",
		      orders);
		check(order[0] == 1 && order[1] == 0,
		      "the one of higher priority came second, raised %s",
		      i % 2 ? "first" : "last");
	}
}

#ifdef __x86_64__
/* The priority is the upper half of the vector. */
#define PRIORITY_STEP 16

static uint32_t vectors[2];

static void raise_vector(unsigned int which)
{
	x86_send_self(vectors[which]);
}

static void check_priority(void)
{
	struct message message;

	for (uintptr_t i = 0; i <= PRIORITY_STEP; i++) {
		check(interrupt_attach_message(0, 0, note_order, (void *)(i / PRIORITY_STEP),
					       &message) != INTERRUPT_NONE,
		      "no vector is left");
		vectors[i / PRIORITY_STEP] = message.data;
	}
	/* The vectors between them are not raised. */
	vectors[0] = vectors[1] - PRIORITY_STEP;
	raise_both(raise_vector);
}
#else
#define DISTRIBUTOR_PENDING  0x200
#define DISTRIBUTOR_PRIORITY 0x400
#define URGENT		     0x40
#define USUAL		     0xa0

static uint32_t lines[2];

static void raise_line(unsigned int which)
{
	mmio_write(arm64_platform.distributor + DISTRIBUTOR_PENDING + lines[which] / 32 * 4,
		   1u << lines[which] % 32, 4);
}

static void check_priority(void)
{
	uint64_t priorities = arm64_platform.distributor + DISTRIBUTOR_PRIORITY;

	if (!arm64_platform.gic_version || arm64_platform.lines < 36)
		skip("no GIC with lines for it");
	/*
	 * Of two with the same priority the lower number would come first: each gets the higher
	 * priority once.
	 */
	for (unsigned int lower = 0; lower < 2; lower++) {
		lines[0] = arm64_platform.lines - 2 + lower;
		lines[1] = arm64_platform.lines - 1 - lower;
		for (uintptr_t i = 0; i < 2; i++) {
			struct interrupt_line line = {lines[i], false, true};

			check(interrupt_attach(line, note_order, (void *)i) != INTERRUPT_NONE,
			      "interrupt %u cannot be used", lines[i]);
		}
		mmio_write(priorities + lines[1], URGENT, 1);
		raise_both(raise_line);
		mmio_write(priorities + lines[1], USUAL, 1);
		interrupt_detach_all();
	}
}
#endif

TEST(irq_priority, "AVP-IRQ-007", .limit_ms = 20000)
{
	check_priority();
}

TEST(irq_eoi, "AVP-IRQ-008", .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, 0)
	{
		struct queue *queue = open_connected(&dut);

		for (int i = 0; i < 50; i++) {
			uint32_t before = dut.device->queue_interrupts;

			dut_must_do(&dut, queue, "after an end of interrupt");
			check(wait_until(dut.device->queue_interrupts != before, 1000),
			      "%s: interrupt %d does not arrive", device_name(dut.device), i + 1);
		}
	}
}

TEST(irq_ipi, "AVP-IRQ-009", .limit_ms = 20000)
{
	for (int i = 0; i < 20; i++) {
		uint64_t before = ipi_counts[0];

		ipi_send(0);
		check(wait_until(ipi_counts[0] != before, 1000),
		      "none arrives at the sender itself");
	}
	for (unsigned int cpu = 1; cpu < machine.cpu_count; cpu++) {
		start_listener(cpu);
		for (int i = 0; i < 20; i++) {
			uint64_t before = ipi_counts[cpu];

			ipi_send(cpu);
			check(wait_until(ipi_counts[cpu] != before, 1000),
			      "none arrives at processor %u", cpu);
		}
		cpus_stop = true;
		wait_until(cpu_is_off(cpu), 1000);
	}
}

TEST(irq_ipi_broadcast, "AVP-IRQ-010", .cpus = 2, .limit_ms = 20000)
{
	int64_t code;

	cpus_stop = false;
	for (unsigned int cpu = 1; cpu < machine.cpu_count; cpu++) {
		ready = false;
		check(cpu_start(cpu, wait_for_interrupts, NULL, &code),
		      "processor %u does not start", cpu);
		check(wait_until(ready, 1000), "processor %u does not arrive", cpu);
	}
	for (int i = 0; i < 20; i++) {
		bool self = i % 2, good = true;
		uint64_t before[CPUS_MAX];
		unsigned int cpu;

		for (cpu = 0; cpu < machine.cpu_count; cpu++)
			before[cpu] = ipi_counts[cpu];
		ipi_send_all(self);
		for (cpu = self ? 0 : 1; cpu < machine.cpu_count && good; cpu++)
			good = wait_until(ipi_counts[cpu] != before[cpu], 1000);
		sleep_ms(1);
		for (cpu = 0; cpu < machine.cpu_count && good; cpu++)
			good = ipi_counts[cpu] - before[cpu] == (cpu || self);
		check(good, "one to all %s arrived %lu times at processor %u",
		      self ? "including the sender" : "but the sender",
		      ipi_counts[cpu - 1] - before[cpu - 1], cpu - 1);
	}
	cpus_stop = true;
}

static volatile uint64_t wakes;

static void sleep_and_wake(void *argument)
{
	(void)argument;
	arch_interrupts_on();
	ready = true;
	while (!cpus_stop) {
		arch_interrupts_off();
		/* It may arrive between this check and the wait. */
		if (ipi_counts[1] == wakes)
			arch_wait();
		arch_interrupts_on();
		wakes = ipi_counts[1];
	}
}

TEST(irq_wake, "AVP-IRQ-011", .cpus = 2, .limit_ms = 20000)
{
	int64_t code;
	bool good = true;
	int i;

	cpus_stop = ready = false;
	wakes = ipi_counts[1];
	check(cpu_start(1, sleep_and_wake, NULL, &code), "processor 1 does not start");
	check(wait_until(ready, 1000), "processor 1 does not arrive");
	for (i = 0; i < 1000 && good; i++) {
		uint64_t before = wakes;

		ipi_send(1);
		good = wait_until(wakes != before, 1000);
		for (uint64_t pause = random_number() % 300; pause > 0; pause--)
			arch_relax();
	}
	cpus_stop = true;
	ipi_send(1);
	check(good, "interrupt %d does not wake processor 1", i);
}

TEST(irq_storm, "AVP-IRQ-012", .limit_ms = 30000)
{
	struct dut loud, other;
	struct queue *noisy, *queue;
	struct request request;
	unsigned int count;

	if (!dut_get(0, TRANSPORT_ANY, 0, &loud) || !dut_get(1, TRANSPORT_ANY, 0, &other))
		skip("the test needs two devices");
	noisy = open_connected(&loud);
	dut_build(&loud, 0, &request);
	count = noisy->size / (request.readable + request.writable);
	count = count < 4 ? count : 4;
	queue = open_connected(&other);
	for (int i = 0; i < 20; i++) {
		uint32_t before = other.device->queue_interrupts, written;

		for (unsigned int n = 0; n < count; n++) {
			dut_build(&loud, n, &request);
			driver_queue_add(&noisy->ring, request.buffers, request.readable,
					 request.writable, noisy);
			queue_kick(noisy);
		}
		dut_must_do(&other, queue, "while another device raises interrupts");
		check(wait_until(other.device->queue_interrupts != before, 1000),
		      "%s: no interrupt within a second", device_name(other.device));
		for (unsigned int n = 0; n < count; n++)
			check(queue_wait(noisy, &written, ANSWER_MS), "a request was not used");
	}
}

TEST(irq_many, "AVP-IRQ-013")
{
	if (machine.slot_count < 2)
		skip("no two windows of virtio-mmio are described");
	for (unsigned int i = 0; i < machine.slot_count; i++)
		for (unsigned int j = 0; j < i; j++)
			check(!machine.slots[i].line.valid || !machine.slots[j].line.valid ||
				      machine.slots[i].line.number != machine.slots[j].line.number,
			      "the windows at 0x%lx and 0x%lx share interrupt %u",
			      machine.slots[i].address, machine.slots[j].address,
			      machine.slots[i].line.number);
}

#define MESSAGES 50

TEST(irq_msi, "AVP-IRQ-024", .transport = TRANSPORT_PCI, .limit_ms = 20000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_PCI, 0)
	{
		struct device *device = dut.device;
		struct queue *queue = dut_open(&dut, 0, 16);
		int number;

		if (!device->connected || device->pci->by_line)
			continue;
		any = true;
		number = device->pci->interrupts[pci_queue_vector(device, queue->index)];
		for (int i = 0; i < MESSAGES; i++) {
			uint64_t before = interrupt_count(number);

			dut_must_do(&dut, queue, "with a message");
			check(wait_until(interrupt_count(number) != before, 1000), "%s: no message",
			      device_name(device));
		}
		sleep_ms(20);
		check(interrupt_count(number) <= MESSAGES + START_INTERRUPTS,
		      "%s: %lu messages for %d buffers", device_name(device),
		      interrupt_count(number), MESSAGES);
	}
	if (!any)
		skip("no device whose messages this guest can receive");
}

TEST(irq_latency, "AVP-IRQ-027", .limit_ms = 20000)
{
	static struct distribution distribution;

	distribution_start(&distribution);
	for (int i = 0; i < 200; i++) {
		uint64_t before = ipi_counts[0], from = arch_ticks();

		ipi_send(0);
		check(wait_until(ipi_counts[0] != before, 1000),
		      "none arrives at the sender itself");
		distribution_add(&distribution, ticks_to_ns(ipi_ticks[0] - from));
	}
	distribution_report(&distribution, "irq_to_self", "ns");
	if (machine.cpu_count < 2)
		return;
	start_listener(1);
	distribution_start(&distribution);
	for (int i = 0; i < 200; i++) {
		uint64_t before = ipi_counts[1], from = arch_ticks();

		ipi_send(1);
		check(wait_until(ipi_counts[1] != before, 1000), "none arrives at processor 1");
		if (ipi_ticks[1] > from)
			distribution_add(&distribution, ticks_to_ns(ipi_ticks[1] - from));
	}
	cpus_stop = true;
	distribution_report(&distribution, "irq_to_processor", "ns");
}

TEST(irq_kick_latency, "AVP-IRQ-028", .limit_ms = 20000)
{
	static struct distribution distribution;
	struct dut dut;
	struct queue *queue;

	if (!dut_get_simple(0, &dut))
		skip("no suitable device");
	queue = open_connected(&dut);
	distribution_start(&distribution);
	for (int i = 0; i < 200; i++) {
		struct request request;
		uint32_t before = dut.device->queue_interrupts, written;
		uint64_t from;

		dut_build(&dut, 0, &request);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
		from = arch_ticks();
		queue_kick(queue);
		check(wait_until(dut.device->queue_interrupts != before, ANSWER_MS),
		      "no interrupt");
		distribution_add(&distribution, ticks_to_ns(dut.device->interrupt_ticks - from));
		check(queue_wait(queue, &written, ANSWER_MS), "not used");
	}
	distribution_report(&distribution, "irq_kick_to_interrupt", "ns");
}

#ifdef __x86_64__
TEST(irq_x2apic, "AVP-IRQ-014", .profile = "x86-64")
{
	if (!(x86_cpuid(1, 0).ecx & 1 << 21) && machine_is_emulated())
		cannot_judge("the emulated processor has no x2APIC");
	check(x86_cpuid(1, 0).ecx & 1 << 21, "CPUID does not report x2APIC");
	check(x86_read_msr(0x1b) & 1 << 10, "x2APIC mode cannot be switched on");
}

TEST(irq_apic_version, "AVP-IRQ-015", .profile = "x86-64")
{
	uint32_t version = x86_apic_read(APIC_VERSION);

	check((version & 0xff) >= 0x10, "version 0x%x", version & 0xff);
	check(x86_platform.io_apic_count > 0, "no I/O APIC is described");
	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++)
		check(x86_platform.io_apics[i].count >= 16 && x86_platform.io_apics[i].count <= 240,
		      "I/O APIC %u has %u entries", i, x86_platform.io_apics[i].count);
}

TEST(irq_ioapic_readback, "AVP-IRQ-016", .profile = "x86-64")
{
	check(x86_platform.io_apic_count > 0, "no I/O APIC is described");
	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++) {
		const struct io_apic *apic = &x86_platform.io_apics[i];

		for (uint32_t pin = 0; pin < apic->count; pin++) {
			uint32_t low = 0x10000 | 0x40 | (pin & 7);

			x86_io_apic_write(apic, 0x11 + 2 * pin, 0x01000000);
			x86_io_apic_write(apic, 0x10 + 2 * pin, low);
			check((x86_io_apic_read(apic, 0x10 + 2 * pin) & ~0x5000u) == low &&
				      x86_io_apic_read(apic, 0x11 + 2 * pin) >> 24 == 1,
			      "entry %u reads 0x%x after 0x%x", pin,
			      x86_io_apic_read(apic, 0x10 + 2 * pin), low);
			x86_io_apic_write(apic, 0x10 + 2 * pin, 0x10000);
		}
	}
}

static void touch_apic(void *argument)
{
	uint32_t offset = *(const uint32_t *)argument;

	x86_apic_read(offset);
	x86_apic_write(offset, 0);
}

TEST(irq_apic_reserved, "AVP-IRQ-017", .profile = "x86-64")
{
	static const uint32_t offsets[] = {0x000, 0x010, 0x040, 0x070, 0x290, 0x3a0, 0x3f0};
	struct fault fault;

	for (unsigned int i = 0; i < 7; i++)
		fault_catch(touch_apic, (void *)&offsets[i], &fault);
	for (unsigned int i = 0; i < x86_platform.io_apic_count; i++)
		for (uint32_t index = 3; index < 256; index += index == 0xf ? 0xb0 : 1) {
			const struct io_apic *apic = &x86_platform.io_apics[i];

			if (index >= 0x10 && index < 0x10 + 2 * apic->count)
				continue;
			x86_io_apic_read(apic, index);
			x86_io_apic_write(apic, index, UINT32_MAX);
		}
	sleep_ms(2);
}

TEST(irq_no_pic, "AVP-IRQ-018", .profile = "x86-64")
{
	/* The 8259s are masked since the start, and the timer's interrupt arrives all the same. */
	check(timer_works(), "no interrupt without the 8259");
}

TEST(irq_wrong_vector, "AVP-IRQ-026")
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_MMIO, 0)
	{
		struct device *device = dut.device;
		struct queue *queue = open_connected(&dut);
		const struct io_apic *apic = NULL;
		uint32_t low, high, pin = 0, before;

		for (unsigned int i = 0; i < x86_platform.io_apic_count; i++)
			if (device->line.number >= x86_platform.io_apics[i].base &&
			    device->line.number - x86_platform.io_apics[i].base <
				    x86_platform.io_apics[i].count) {
				apic = &x86_platform.io_apics[i];
				pin = device->line.number - apic->base;
			}
		if (!apic)
			continue;
		any = true;
		low = x86_io_apic_read(apic, 0x10 + 2 * pin);
		high = x86_io_apic_read(apic, 0x11 + 2 * pin);
		/* To a processor that does not exist, then with a vector that is not allowed. */
		x86_io_apic_write(apic, 0x11 + 2 * pin, 0xf0000000);
		dut_must_do(&dut, queue, "whose interrupt goes nowhere");
		x86_io_apic_write(apic, 0x11 + 2 * pin, high);
		x86_io_apic_write(apic, 0x10 + 2 * pin, low & ~0xffu);
		dut_must_do(&dut, queue, "whose vector is 0");
		/* Clear what the device raised meanwhile. */
		mmio_write(device->base + 0x64, 3, 4);
		/*
		 * Edge-triggered for a moment, so that the I/O APIC forgets an interrupt that waits
		 * for its EOI.
		 */
		x86_io_apic_write(apic, 0x10 + 2 * pin, (low & ~0xd000u) | 0x10000);
		x86_io_apic_write(apic, 0x10 + 2 * pin, low & ~0x5000u);
		before = device->queue_interrupts;
		dut_must_do(&dut, queue, "whose route is valid again");
		check(wait_until(device->queue_interrupts != before, 1000),
		      "%s: no interrupt arrives once its route is valid again",
		      device_name(device));
	}
	if (!any)
		skip("no device is wired to an I/O APIC");
}
#else
TEST(irq_gic_version, "AVP-IRQ-019", .profile = "arm64")
{
	uint64_t base = arm64_platform.distributor;
	/* The peripheral id is at the end of a frame of 64 KiB (v3) or 4 KiB (v2). */
	uint32_t offset = arm64_platform.gic_version == 3 ? 0xffe8 : 0xfe8;
	uint32_t revision = (uint32_t)mmio_read(base + offset, 4) >> 4 & 0xf;

	check(arm64_platform.gic_version, "no GIC is described");
	check(revision == arm64_platform.gic_version ||
		      (arm64_platform.gic_version == 3 && revision == 4),
	      "GICD_PIDR2 says version %u, the description %u", revision,
	      arm64_platform.gic_version);
}

TEST(irq_gic_redistributors, "AVP-IRQ-020", .profile = "arm64")
{
	unsigned int found = 0;
	bool last = false;

	if (arm64_platform.gic_version != 3)
		skip("no GICv3");
	for (uint64_t at = 0; at < arm64_platform.redistributors_size && !last; at += 0x20000) {
		uint64_t type = mmio_read(arm64_platform.redistributors + at + 8, 8);

		for (unsigned int i = 0; i < machine.cpu_count; i++) {
			uint64_t id = machine.cpu_ids[i];

			found += type >> 32 == ((id & 0xffffff) | (id >> 8 & 0xff000000));
		}
		last = type & 0x10;
	}
	check(last, "none is marked as the last");
	check(found == machine.cpu_count, "%u of %u processors have one", found, machine.cpu_count);
}

TEST(irq_gic_lines, "AVP-IRQ-021", .profile = "arm64")
{
	check(arm64_platform.lines > arm64_platform.highest_interrupt,
	      "%u lines, interrupt %u is described", arm64_platform.lines,
	      arm64_platform.highest_interrupt);
}

TEST(irq_gic_config, "AVP-IRQ-022", .profile = "arm64")
{
	uint64_t base = arm64_platform.distributor;
	bool any = false;

	for (unsigned int i = 0; i < machine.slot_count; i++) {
		uint32_t number = machine.slots[i].line.number, value;
		uint64_t reg = base + 0xc00 + number / 16 * 4;

		if (!machine.slots[i].line.valid)
			continue;
		any = true;
		for (int edge = 0; edge < 2; edge++) {
			uint32_t bit = 2u << number % 16 * 2;

			value = (uint32_t)mmio_read(reg, 4);
			mmio_write(reg, edge ? value | bit : value & ~bit, 4);
			check(!!(mmio_read(reg, 4) & bit) == edge,
			      "interrupt %u: the trigger type is not kept", number);
		}
		mmio_write(base + 0x400 + number, 0x50, 1);
		check(mmio_read(base + 0x400 + number, 1) == 0x50,
		      "interrupt %u: priority reads 0x%lx after 0x50", number,
		      mmio_read(base + 0x400 + number, 1));
		mmio_write(base + 0x400 + number, 0xa0, 1);
		mmio_write(base + 0x100 + number / 32 * 4, 1u << number % 32, 4);
		check(mmio_read(base + 0x100 + number / 32 * 4, 4) & 1u << number % 32,
		      "interrupt %u is not enabled", number);
		mmio_write(base + 0x180 + number / 32 * 4, 1u << number % 32, 4);
		check(!(mmio_read(base + 0x100 + number / 32 * 4, 4) & 1u << number % 32),
		      "interrupt %u is not disabled", number);
	}
	if (!any)
		skip("no window with an interrupt is described");
}

static void touch_gic(void *argument)
{
	const uint64_t *words = argument;

	if (words[2])
		mmio_write(words[0], 0, (unsigned int)words[1]);
	else
		mmio_read(words[0], (unsigned int)words[1]);
}

TEST(irq_gic_reserved, "AVP-IRQ-023", .profile = "arm64", .limit_ms = 20000)
{
	struct fault fault;

	for (uint64_t offset = 0x40; offset < 0x1000; offset += 36)
		for (uint64_t width = 1; width <= 8; width *= 2) {
			uint64_t words[3] = {arm64_platform.distributor + (offset & ~(width - 1)),
					     width, false};

			fault_catch(touch_gic, words, &fault);
		}
	for (uint64_t offset = 0x30; offset < 0x80; offset += 4)
		for (uint64_t width = 1; width <= 8; width *= 2) {
			uint64_t words[3] = {arm64_platform.distributor + (offset & ~(width - 1)),
					     width, true};

			/* Reserved and implementation-defined registers only. */
			if (offset < 0x60)
				fault_catch(touch_gic, words, &fault);
		}
	check(timer_works(), "no interrupt arrives");
}

TEST(irq_its, "AVP-IRQ-025", .profile = "arm64")
{
	if (!machine.ecam || arm64_platform.gic_version != 3)
		skip("no PCI with a GICv3");
	check(arm64_platform.its || arm64_platform.message_frame,
	      "neither an ITS nor message-based SPIs are described");
}
#endif
