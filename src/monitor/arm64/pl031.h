// SPDX-License-Identifier: BSD-3-Clause
/*
 * Arm's real-time clock PL031: the host's time in seconds plus an offset that the guest sets, and
 * an alarm.
 */
#ifndef AVP_MONITOR_ARM64_PL031_H
#define AVP_MONITOR_ARM64_PL031_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/timer.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

struct pl031 {
	struct bus_device registers;
	uint32_t irq;
	struct timer alarm;
	pthread_mutex_t lock; /* of all below */
	struct hypervisor *hypervisor;
	uint32_t offset;      /* guest's time minus host's; survives a reset */
	uint32_t match, load; /* as they were written */
	bool enabled;	      /* the alarm's interrupt is not masked */
	bool rang;
	bool level; /* of the interrupt */
	bool identified;
	/*
	 * Called in the thread of a vCPU, with the lock, when the identification is read again
	 * after the first time since the machine's reset. Linux reads it once
	 * (drivers/amba/bus.c), so another kernel has started.
	 */
	void (*identified_again)(void *context);
	void *context;
};

/* Prepares *pl031, which must not move. Returns 0 or a negative errno with *error set. */
int pl031_open(struct pl031 *pl031, struct event_loop *loop, uint64_t address, uint32_t irq,
	       void (*identified_again)(void *context), void *context, struct error *error);
void pl031_close(struct pl031 *pl031);

/* As pl011_attach and pl011_detach. */
void pl031_attach(struct pl031 *pl031, struct hypervisor *hypervisor);
void pl031_detach(struct pl031 *pl031);

#endif
