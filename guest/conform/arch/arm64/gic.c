// SPDX-License-Identifier: BSD-3-Clause
/*
 * Arm's generic interrupt controller, versions 2 and 3 (Arm IHI 0048 and IHI 0069), and messages by
 * GICv2m frames.
 */
#include "arch/arch.h"
#include "arch/arm64/arm64.h"
#include "text.h"

#define GICD_CTLR	0x000
#define GICD_TYPER	0x004
#define GICD_IGROUPR	0x080
#define GICD_ISENABLER	0x100
#define GICD_ICENABLER	0x180
#define GICD_ICPENDR	0x280
#define GICD_ICACTIVER	0x380
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR	0x800
#define GICD_ICFGR	0xc00
#define GICD_SGIR	0xf00
#define GICD_CPENDSGIR	0xf10
#define GICD_IROUTER	0x6000
#define GICC_CTLR	0x00
#define GICC_PMR	0x04
#define GICC_IAR	0x0c
#define GICC_EOIR	0x10
#define GICR_TYPER	0x08
#define GICR_WAKER	0x14
#define GICR_SGI	0x10000
#define V2M_TYPER	0x08
#define V2M_SET		0x40
#define NO_INTERRUPT	1020
#define PRIORITY	0xa0

static struct attached {
	interrupt_handler *handler;
	void *context;
	uint32_t number;
	volatile uint64_t count;
	volatile unsigned int cpu;
	struct storm storm;
} attached[INTERRUPTS_MAX];

volatile uint64_t interrupts_unexpected;
volatile uint64_t ipi_counts[CPUS_MAX], ipi_ticks[CPUS_MAX];
static uint32_t messages_given;
/* What a processor has acknowledged and not ended. */
static struct {
	volatile bool valid;
	uint32_t word;
} in_service[CPUS_MAX];

static uint32_t get(uint64_t base, uint32_t offset)
{
	return (uint32_t)mmio_read(base + offset, 4);
}

static void put(uint64_t base, uint32_t offset, uint32_t value)
{
	mmio_write(base + offset, value, 4);
}

/* A line that a stopped processor had in service would stay active, and never arrive again. */
static void clear_lines(void)
{
	static const uint32_t registers[] = {GICD_ICENABLER, GICD_ICACTIVER, GICD_ICPENDR};

	for (uint32_t i = 32; i < arm64_platform.lines; i += 32)
		for (unsigned int n = 0; n < 3; n++)
			put(arm64_platform.distributor, registers[n] + i / 8, UINT32_MAX);
}

void arm64_start_gic(void)
{
	uint64_t distributor = arm64_platform.distributor;

	if (!arm64_platform.gic_version)
		return;
	put(distributor, GICD_CTLR, 0);
	arm64_platform.lines = 32 * ((get(distributor, GICD_TYPER) & 31) + 1);
	if (arm64_platform.lines > NO_INTERRUPT)
		arm64_platform.lines = NO_INTERRUPT;
	clear_lines();
	for (uint32_t i = 32; i < arm64_platform.lines; i += 32)
		put(distributor, GICD_IGROUPR + i / 8,
		    arm64_platform.gic_version == 3 ? UINT32_MAX : 0);
	/* Version 3: affinity routing, group 1. */
	put(distributor, GICD_CTLR, arm64_platform.gic_version == 3 ? 0x12 : 1);
	if (arm64_platform.message_frame) {
		uint32_t type = get(arm64_platform.message_frame, V2M_TYPER);

		arm64_platform.message_first = type >> 16 & 0x3ff;
		arm64_platform.message_count = type & 0x3ff;
	}
}

/* The redistributor of this processor, by its affinity; 0: none. */
static uint64_t find_redistributor(void)
{
	uint64_t mpidr = read_register(mpidr_el1);
	uint32_t affinity = (uint32_t)((mpidr & 0xffffff) | (mpidr >> 8 & 0xff000000));

	for (uint64_t at = 0; at + 0x20000 <= arm64_platform.redistributors_size; at += 0x20000) {
		uint64_t type = mmio_read(arm64_platform.redistributors + at + GICR_TYPER, 8);

		if (type >> 32 == affinity)
			return arm64_platform.redistributors + at;
		if (type & 0x10) /* the last one */
			break;
		if (type & 2) /* VLPIS: two more frames */
			at += 0x20000;
	}
	return 0;
}

static void start_private(uint64_t base)
{
	uint32_t timers = 1u << arm64_platform.virtual_timer % 32;

	put(base, GICD_ICENABLER, UINT32_MAX);
	put(base, GICD_ICACTIVER, UINT32_MAX);
	put(base, GICD_ICPENDR, UINT32_MAX);
	/* Version 2 has registers of its own for what another processor has sent. */
	for (uint32_t i = 0; i < 16 && arm64_platform.gic_version == 2; i += 4)
		put(base, GICD_CPENDSGIR + i, UINT32_MAX);
	put(base, GICD_IGROUPR, arm64_platform.gic_version == 3 ? UINT32_MAX : 0);
	for (uint32_t i = 0; i < 32; i += 4)
		put(base, GICD_IPRIORITYR + i, PRIORITY * 0x01010101u);
	put(base, GICD_ISENABLER, timers | 1u << SGI_IPI);
}

static void end_interrupt(uint32_t word)
{
	if (arm64_platform.gic_version == 3) {
		write_register(s3_0_c12_c12_1, word); /* ICC_EOIR1_EL1 */
		__asm__ volatile("isb" ::: "memory");
	} else {
		put(arm64_platform.cpu_interface, GICC_EOIR, word);
	}
}

void arm64_start_gic_cpu(void)
{
	unsigned int self = cpu_self();

	if (arm64_platform.gic_version == 2) {
		start_private(arm64_platform.distributor);
		put(arm64_platform.cpu_interface, GICC_PMR, 0xff);
		put(arm64_platform.cpu_interface, GICC_CTLR, 1);
	} else if (arm64_platform.gic_version == 3) {
		uint64_t redistributor = find_redistributor();

		if (redistributor) {
			put(redistributor, GICR_WAKER, get(redistributor, GICR_WAKER) & ~2u);
			for (int i = 0; i < 100000 && get(redistributor, GICR_WAKER) & 4; i++)
				arch_relax();
			start_private(redistributor + GICR_SGI);
		}
		write_register(s3_0_c12_c12_5, read_register(s3_0_c12_c12_5) | 1); /* ICC_SRE_EL1 */
		__asm__ volatile("isb" ::: "memory");
		write_register(s3_0_c4_c6_0, 0xff); /* ICC_PMR_EL1 */
		write_register(s3_0_c12_c12_3, 0);  /* ICC_BPR1_EL1 */
		write_register(s3_0_c12_c12_7, 1);  /* ICC_IGRPEN1_EL1 */
		__asm__ volatile("isb" ::: "memory");
	}
	/* An exception has left its handler. */
	if (in_service[self].valid)
		end_interrupt(in_service[self].word);
	in_service[self].valid = false;
}

static void dispatch(uint32_t number)
{
	unsigned int self = cpu_self();

	if (number == SGI_IPI) {
		ipi_ticks[self] = arch_ticks();
		ipi_counts[self]++;
		return;
	}
	if (number == arm64_platform.virtual_timer) {
		if (self == 0)
			timer_interrupt();
		else
			arch_timer_set(UINT64_MAX);
		return;
	}
	for (int i = 0; i < INTERRUPTS_MAX; i++)
		if (attached[i].handler && attached[i].number == number) {
			attached[i].cpu = self;
			attached[i].count++;
			attached[i].handler(attached[i].context);
			if (storm_detected(&attached[i].storm))
				interrupt_mask(i, true);
			return;
		}
	interrupts_unexpected++;
}

void arm64_gic_interrupt(void)
{
	unsigned int self = cpu_self();
	uint32_t word, number;

	if (arm64_platform.gic_version == 3) {
		word = (uint32_t)read_register(s3_0_c12_c12_0); /* ICC_IAR1_EL1 */
		__asm__ volatile("dsb sy" ::: "memory");
		number = word & 0xffffff;
	} else {
		word = get(arm64_platform.cpu_interface, GICC_IAR);
		number = word & 0x3ff;
	}
	if (number >= NO_INTERRUPT && number < 8192)
		return;
	in_service[self].word = word;
	in_service[self].valid = true;
	dispatch(number);
	in_service[self].valid = false;
	end_interrupt(word);
}

static void set_level(uint32_t number, bool level)
{
	uint64_t reg = arm64_platform.distributor + GICD_ICFGR + number / 16 * 4;
	uint32_t bit = 2u << number % 16 * 2, value = (uint32_t)mmio_read(reg, 4);

	mmio_write(reg, level ? value & ~bit : value | bit, 4);
}

static void route(uint32_t number, unsigned int cpu)
{
	uint64_t distributor = arm64_platform.distributor;

	if (arm64_platform.gic_version == 3)
		mmio_write(distributor + GICD_IROUTER + 8 * (uint64_t)number,
			   machine.cpu_ids[cpu] & UINT64_C(0xff00ffffff), 8);
	else
		mmio_write(distributor + GICD_ITARGETSR + number, 1u << (machine.cpu_ids[cpu] & 7),
			   1);
}

static void enable(uint32_t number, bool enabled)
{
	put(arm64_platform.distributor,
	    (enabled ? GICD_ISENABLER : GICD_ICENABLER) + number / 32 * 4, 1u << number % 32);
}

int interrupt_attach(struct interrupt_line line, interrupt_handler *handler, void *context)
{
	if (!line.valid || line.number < 32 || line.number >= arm64_platform.lines)
		return INTERRUPT_NONE;
	for (int i = 0; i < INTERRUPTS_MAX; i++) {
		if (attached[i].handler)
			continue;
		attached[i] = (struct attached){.handler = handler,
						.context = context,
						.number = line.number};
		enable(line.number, false);
		mmio_write(arm64_platform.distributor + GICD_IPRIORITYR + line.number, PRIORITY, 1);
		set_level(line.number, line.level);
		route(line.number, 0);
		put(arm64_platform.distributor, GICD_ICPENDR + line.number / 32 * 4,
		    1u << line.number % 32);
		enable(line.number, true);
		return i;
	}
	return INTERRUPT_NONE;
}

int interrupt_attach_message(uint32_t device, uint32_t vector, interrupt_handler *handler,
			     void *context, struct message *message)
{
	uint32_t number = arm64_platform.message_first + messages_given;

	(void)device;
	(void)vector;
	if (messages_given >= arm64_platform.message_count)
		return INTERRUPT_NONE;
	messages_given++;
	message->address = arm64_platform.message_frame + V2M_SET;
	message->data = number;
	return interrupt_attach((struct interrupt_line){number, false, true}, handler, context);
}

struct interrupt_line arch_pci_line(unsigned int slot, unsigned int pin)
{
	const uint8_t *map = (const uint8_t *)arm64_platform.pci_map;
	/* Unit address, pin, controller, its unit address, its three cells. */
	uint32_t width = 4 + 1 + arm64_platform.gic_address_cells + 3;
	struct interrupt_line line = {.valid = false};

	if (arm64_platform.gic_address_cells > 4)
		return line;
	for (uint32_t i = 0; map && pin && (i + 1) * width <= arm64_platform.pci_map_cells; i++) {
		const uint8_t *entry = map + i * width * 4;
		uint32_t words[16];

		for (uint32_t w = 0; w < width && w < 16; w++)
			words[w] = (uint32_t)entry[4 * w] << 24 | entry[4 * w + 1] << 16 |
				   entry[4 * w + 2] << 8 | entry[4 * w + 3];
		if ((words[0] & arm64_platform.pci_mask[0]) !=
			    (slot << 11 & arm64_platform.pci_mask[0]) ||
		    (words[3] & arm64_platform.pci_mask[3]) != (pin & arm64_platform.pci_mask[3]))
			continue;
		line.number = words[width - 2] + (words[width - 3] ? 16 : 32);
		line.level = words[width - 1] & 0xc;
		line.valid = true;
		return line;
	}
	return line;
}

void interrupt_mask(int number, bool masked)
{
	enable(attached[number].number, !masked);
}

void interrupt_route(int number, unsigned int cpu)
{
	route(attached[number].number, cpu);
}

void interrupt_detach_all(void)
{
	clear_lines();
	for (int i = 0; i < INTERRUPTS_MAX; i++)
		attached[i].handler = NULL;
	messages_given = 0;
	arm64_start_gic_cpu();
}

uint64_t interrupt_count(int number)
{
	return attached[number].count;
}

unsigned int interrupt_cpu(int number)
{
	return attached[number].cpu;
}

void ipi_send(unsigned int cpu)
{
	uint64_t id = machine.cpu_ids[cpu];

	__asm__ volatile("dsb sy" ::: "memory");
	if (arm64_platform.gic_version == 3) {
		write_register(s3_0_c12_c11_5, /* ICC_SGI1R_EL1 */
			       (id >> 32 & 0xff) << 48 | (id >> 16 & 0xff) << 32 |
				       (uint64_t)SGI_IPI << 24 | (id >> 8 & 0xff) << 16 |
				       UINT64_C(1) << (id & 0xf));
		__asm__ volatile("isb" ::: "memory");
	} else {
		put(arm64_platform.distributor, GICD_SGIR, (1u << (id & 7)) << 16 | SGI_IPI);
	}
}

void ipi_send_all(bool self)
{
	__asm__ volatile("dsb sy" ::: "memory");
	if (arm64_platform.gic_version == 3) {
		write_register(s3_0_c12_c11_5, UINT64_C(1) << 40 | (uint64_t)SGI_IPI << 24);
		__asm__ volatile("isb" ::: "memory");
	} else {
		put(arm64_platform.distributor, GICD_SGIR, 1u << 24 | SGI_IPI);
	}
	if (self)
		ipi_send(cpu_self());
}
