// SPDX-License-Identifier: BSD-3-Clause
/*
 * Arm's GPIO controller PL061: eight lines, one of which is the power key. The others are not
 * connected; what the guest drives on them can only be read back.
 */
#ifndef AVP_MONITOR_ARM64_PL061_H
#define AVP_MONITOR_ARM64_PL061_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/timer.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"

struct pl061 {
	struct bus_device registers;
	uint32_t irq;
	uint8_t key;	      /* the bit of the power key's line */
	struct timer release; /* of the key */
	pthread_mutex_t lock; /* of all below */
	struct hypervisor *hypervisor;
	uint8_t in, out, direction; /* 1: the guest drives the line */
	uint8_t level_sense, both_edges, rising, mask, function;
	uint8_t edges; /* detected and not cleared */
	bool level;    /* of the interrupt */
};

/* Prepares *pl061, which must not move, with the power key on line @key. */
int pl061_open(struct pl061 *pl061, struct event_loop *loop, uint64_t address, uint32_t irq,
	       unsigned int key, struct error *error);
void pl061_close(struct pl061 *pl061);

/* As pl011_attach and pl011_detach. */
void pl061_attach(struct pl061 *pl061, struct hypervisor *hypervisor);
void pl061_detach(struct pl061 *pl061);

/* Presses the key for PRESS_NS. Does nothing while detached. */
void pl061_press_key(struct pl061 *pl061);

#endif
