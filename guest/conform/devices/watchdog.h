// SPDX-License-Identifier: BSD-3-Clause
/*
 * The watchdog of the machine: Arm's generic watchdog (Base System Architecture 1.0), found by the
 * device tree, or an Intel 6300ESB, found on PCI. Its time is that from a refresh to the reset.
 */
#ifndef CONFORM_WATCHDOG_H
#define CONFORM_WATCHDOG_H

#include "bus/bus.h"

struct watchdog_ops {
	const char *name;
	void (*set)(uint64_t ms); /* also while it runs */
	uint64_t (*time)(void);	  /* as read back, in ms */
	void (*start)(void);
	void (*refresh)(void);
	void (*stop)(void);
	bool (*running)(void);
	/* Writes undefined values and widths to its registers and around them. */
	void (*write_stray)(void);
};

struct watchdog {
	const struct watchdog_ops *ops; /* NULL: no watchdog */
	struct interrupt_line line;	/* of the first of two stages of equal length */
	/* its state when the guest started */
	bool first_running, first_expired;
};

extern struct watchdog watchdog;

/* Looks for a watchdog and stores its state. */
void watchdog_discover(void);
/* Stops it, if it runs. */
void watchdog_clean_up(void);

#endif
