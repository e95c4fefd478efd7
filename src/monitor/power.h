// SPDX-License-Identifier: BSD-3-Clause
/*
 * The power registers: the guest powers off and resets through them, and reads that its power
 * button was pressed (ACPI 6.5, 4.8.3.7 "Sleep Control and Status", 4.8.3.6 "Reset Register",
 * 5.6.9 "Generic Event Device").
 *
 *   offset 0, 1 byte   sleep control: SLP_EN (bit 5) with SLP_TYP (bits 2 to 4) 5 powers off
 *   offset 1, 1 byte   sleep status: WAK_STS (bit 7), written back to clear; reads as 0
 *   offset 2, 1 byte   reset: the value POWER_RESET_VALUE resets
 *   offset 4, 4 bytes  events since the last read, which clears them: POWER_EVENT_*
 *
 * The interrupt is level-triggered, high while there are events, so that an event is not lost while
 * the guest masks it, as it does during its boot.
 */
#ifndef AVP_MONITOR_POWER_H
#define AVP_MONITOR_POWER_H

#include <pthread.h>
#include <stdint.h>

#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/platform.h"

#define POWER_SIZE	     8
#define POWER_SLEEP_CONTROL  0
#define POWER_SLEEP_STATUS   1
#define POWER_RESET	     2
#define POWER_EVENTS	     4

#define POWER_SLEEP_TYPE_OFF 5
#define POWER_RESET_VALUE    0x42
#define POWER_EVENT_BUTTON   0x1

struct power {
	struct bus_device registers;
	uint32_t irq;
	pthread_mutex_t lock;		    /* of the two below, and of the interrupt's level */
	struct hypervisor *hypervisor;	    /* NULL: detached */
	uint32_t events;		    /* POWER_EVENT_* that the guest has not read yet */
	const struct platform_setup *setup; /* its report gets events */
};

/* Prepares the registers. *setup must outlive them. */
void power_init(struct power *power, uint64_t address, uint32_t irq,
		const struct platform_setup *setup);
/* Frees what power_init made. */
void power_close(struct power *power);

/*
 * Call with the virtual machine before vCPUs run, and with NULL at its end: clears all events.
 */
void power_attach(struct power *power, struct hypervisor *hypervisor);

/* Presses the power button. Any thread. */
void power_press_button(struct power *power);

#endif
