// SPDX-License-Identifier: BSD-3-Clause
/*
 * Both drivers. An undefined access may fault in the guest; the fault is caught.
 */
#include "devices/watchdog.h"

#include "bus/pci.h"

#ifndef __x86_64__
#include "arch/arm64/arm64.h"
#endif

struct watchdog watchdog;

struct stray {
	uint64_t address, value;
	unsigned int width;
};

static void write_stray(void *argument)
{
	const struct stray *stray = argument;

	mmio_write(stray->address, stray->value, stray->width);
}

/* Writes zeros and ones in each width that divides the address, from @first to @limit bytes. */
static void write_stray_values(uint64_t address, unsigned int first, unsigned int limit)
{
	struct fault fault;

	for (unsigned int width = first; width <= limit; width *= 2)
		for (unsigned int ones = 0; ones < 2 && address % width == 0; ones++) {
			struct stray stray = {address, ones ? UINT64_MAX : 0, width};

			fault_catch(write_stray, &stray, &fault);
		}
}

#ifdef __x86_64__
/* 6300ESB (Intel 300641, 16) */

#define VENDOR_INTEL	  0x8086
#define PRODUCT_ESB	  0x25ab
#define ESB_CONFIG	  0x60
#define ESB_LOCK	  0x68
#define ESB_TIMER1	  0x0
#define ESB_TIMER2	  0x4
#define ESB_RELOAD	  0xc
#define CONFIG_NO_IRQ	  3u
#define LOCK_ENABLE	  2u
#define RELOAD		  0x100u
#define RELOAD_TIMEOUT	  0x200u
#define UNLOCK_FIRST	  0x80u
#define UNLOCK_SECOND	  0x86u
#define ESB_SIZE	  0x10
#define PCI_SLOTS	  32
#define PCI_BAR0	  0x10
#define PAGE_OF_REGISTERS 0x1000
/* It counts the PCI clock, 33 MHz, divided by 2^15. */
#define CLOCK_KHZ     33000
#define CLOCK_DIVISOR 32768

static struct pci_function esb;
static uint64_t esb_base;

static void esb_unlock(void)
{
	mmio_write(esb_base + ESB_RELOAD, UNLOCK_FIRST, 2);
	mmio_write(esb_base + ESB_RELOAD, UNLOCK_SECOND, 2);
}

static void esb_refresh(void)
{
	esb_unlock();
	mmio_write(esb_base + ESB_RELOAD, RELOAD, 2);
}

static void esb_set(uint64_t ms)
{
	uint64_t ticks = (ms * CLOCK_KHZ + CLOCK_DIVISOR - 1) / CLOCK_DIVISOR;

	esb_unlock();
	mmio_write(esb_base + ESB_TIMER1, ticks / 2, 4);
	esb_unlock();
	mmio_write(esb_base + ESB_TIMER2, ticks - ticks / 2, 4);
	esb_refresh();
}

static uint64_t esb_time(void)
{
	uint64_t ticks = mmio_read(esb_base + ESB_TIMER1, 4) + mmio_read(esb_base + ESB_TIMER2, 4);

	return ticks * CLOCK_DIVISOR / CLOCK_KHZ;
}

static bool esb_running(void)
{
	return pci_read(&esb, ESB_LOCK, 1) & LOCK_ENABLE;
}

static void esb_start(void)
{
	pci_write(&esb, ESB_CONFIG, CONFIG_NO_IRQ, 2);
	pci_write(&esb, ESB_LOCK, LOCK_ENABLE, 1);
	esb_refresh();
}

static void esb_stop(void)
{
	pci_write(&esb, ESB_LOCK, 0, 1);
}

/* Registers ignore writes that the two unlock words do not precede. */
static void esb_write_stray(void)
{
	for (uint64_t offset = 0; offset < ESB_SIZE; offset++)
		if (offset != ESB_RELOAD)
			write_stray_values(esb_base + offset, 1, 4);
	write_stray_values(esb_base + ESB_RELOAD, 1, 1);
	write_stray_values(esb_base + ESB_RELOAD, 4, 4);
}

static const struct watchdog_ops esb_ops = {
	.name = "6300ESB",
	.set = esb_set,
	.time = esb_time,
	.start = esb_start,
	.refresh = esb_refresh,
	.stop = esb_stop,
	.running = esb_running,
	.write_stray = esb_write_stray,
};

static void look(void *argument)
{
	(void)argument;
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		struct pci_function function = {.bus = (uint8_t)machine.first_bus,
						.slot = (uint8_t)slot};

		if (!device_find(0, TRANSPORT_PCI) && !machine.ecam)
			return;
		if (pci_read(&function, 0, 2) != VENDOR_INTEL ||
		    pci_read(&function, 2, 2) != PRODUCT_ESB)
			continue;
		esb = function;
		esb_base = pci_read(&esb, PCI_BAR0, 4) & ~15u;
		if (!esb_base) {
			esb_base = pci_allocate_address(PAGE_OF_REGISTERS);
			pci_write(&esb, PCI_BAR0, (uint32_t)esb_base, 4);
		}
		if (!esb_base)
			return;
		pci_write(&esb, PCI_COMMAND, pci_read(&esb, PCI_COMMAND, 2) | COMMAND_MEMORY, 2);
		watchdog.ops = &esb_ops;
		watchdog.first_running = esb_running();
		watchdog.first_expired = mmio_read(esb_base + ESB_RELOAD, 2) & RELOAD_TIMEOUT;
		/* The flag is cleared by writing 1. */
		esb_unlock();
		mmio_write(esb_base + ESB_RELOAD, RELOAD_TIMEOUT, 2);
		return;
	}
}
#else
#define WRR	       0x000 /* refresh frame */
#define WCS	       0x000 /* control frame, like the following */
#define WOR	       0x008
#define WOR_HIGH       0x00c
#define WCV	       0x010
#define W_IIDR	       0xfcc
#define FRAME_SIZE     0x1000
#define STATUS_ENABLED 1u
#define STATUS_EXPIRED 4u

static uint64_t control, refresh;

/* The first revision has an offset of 32 bits. */
static bool has_high(void)
{
	return mmio_read(control + W_IIDR, 4) >> 16 & 0xf;
}

static void generic_set(uint64_t ms)
{
	uint64_t offset = ns_to_ticks(ms * 500000);

	mmio_write(control + WOR, (uint32_t)offset, 4);
	if (has_high())
		mmio_write(control + WOR_HIGH, offset >> 32, 4);
}

static uint64_t generic_time(void)
{
	uint64_t offset = mmio_read(control + WOR, 4);

	if (has_high())
		offset |= mmio_read(control + WOR_HIGH, 4) << 32;
	return (ticks_to_ns(offset) + 250000) / 500000;
}

static void generic_start(void)
{
	mmio_write(control + WCS, STATUS_ENABLED, 4);
}

static void generic_refresh(void)
{
	mmio_write(refresh + WRR, 1, 4);
}

static void generic_stop(void)
{
	mmio_write(control + WCS, 0, 4);
}

static bool generic_running(void)
{
	return mmio_read(control + WCS, 4) & STATUS_ENABLED;
}

static void generic_write_stray(void)
{
	/* Parts of a 32-bit register, and accesses that span two registers. */
	for (uint64_t offset = WCS; offset < 4; offset++)
		write_stray_values(control + offset, 1, 2);
	write_stray_values(control + WCS, 8, 8);
	for (uint64_t offset = WOR; offset < WCV + 8; offset++)
		write_stray_values(control + offset, 1, 2);
	write_stray_values(control + 4, 1, 4);
	/* Each access is an exit, so sample the frames. */
	for (uint64_t offset = WCV + 8; offset < FRAME_SIZE; offset += offset < 0x40 ? 8 : offset) {
		write_stray_values(control + offset, 1, 8);
		write_stray_values(refresh + offset, 1, 8);
	}
	write_stray_values(control + W_IIDR, 1, 4);
	write_stray_values(refresh + WRR, 8, 8);
}

static const struct watchdog_ops generic_ops = {
	.name = "generic watchdog",
	.set = generic_set,
	.time = generic_time,
	.start = generic_start,
	.refresh = generic_refresh,
	.stop = generic_stop,
	.running = generic_running,
	.write_stray = generic_write_stray,
};

static void look(void *argument)
{
	uint64_t status;

	(void)argument;
	control = arm64_platform.watchdog_control;
	refresh = arm64_platform.watchdog_refresh;
	if (!control || !refresh)
		return;
	watchdog.ops = &generic_ops;
	watchdog.line = arm64_platform.watchdog_line;
	status = mmio_read(control + WCS, 4);
	watchdog.first_running = status & STATUS_ENABLED;
	watchdog.first_expired = status & STATUS_EXPIRED;
}
#endif

void watchdog_discover(void)
{
	if (!device_probe(look, NULL))
		watchdog.ops = NULL;
}

void watchdog_clean_up(void)
{
	if (watchdog.ops && watchdog.ops->running())
		watchdog.ops->stop();
}
