// SPDX-License-Identifier: BSD-3-Clause
/*
 * pvpanic: how the guest reports that its kernel panicked. One byte; reads return the supported
 * events, writes report an event (QEMU, docs/specs/pvpanic.rst).
 */
#ifndef AVP_MONITOR_PANIC_H
#define AVP_MONITOR_PANIC_H

#include "monitor/bus.h"
#include "monitor/platform.h"

#define PANIC_SIZE		 1
#define PANIC_EVENT_PANICKED	 0x1
#define PANIC_EVENT_CRASH_LOADED 0x2

struct panic {
	struct bus_device registers;
	const struct platform_setup *setup; /* its report gets a panic */
	/* In the thread of a vCPU: a crash kernel takes over. May be NULL. */
	void (*crash_loaded)(struct panic *panic);
};

/* Prepares the register at @address. *panic must not move, and *setup must outlive it. */
void panic_init(struct panic *panic, uint64_t address, const struct platform_setup *setup,
		void (*crash_loaded)(struct panic *panic));

#endif
