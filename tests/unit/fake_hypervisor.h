// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hypervisor for unit tests: records its calls, and its vCPUs follow a test's script.
 */
#ifndef AVP_TESTS_UNIT_FAKE_HYPERVISOR_H
#define AVP_TESTS_UNIT_FAKE_HYPERVISOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "monitor/kvm/hypervisor.h"

#define FAKE_KICKS   64
#define FAKE_IRQS    64
#define FAKE_WINDOWS 8

struct fake_hypervisor {
	struct hypervisor hypervisor;
	pthread_mutex_t lock;
	struct hypervisor_kick kicks[FAKE_KICKS];
	struct fake_interrupt {
		uint32_t irq;
		int fd; /* may be signalled when it is added, which is then one edge */
	} interrupts[FAKE_KICKS];
	unsigned int kick_count, interrupt_count, memory_count;
	struct fake_window {
		uint64_t address, size;
		uint8_t *host;
	} windows[FAKE_WINDOWS];
	unsigned int window_count;
	atomic_uint edges[FAKE_IRQS]; /* by set_interrupt */
	bool levels[FAKE_IRQS];
	bool controllers; /* there are interrupt controllers */
	uint32_t vcpus;	  /* alive */
	struct boot_entry entry;
	/*
	 * What vCPU @index does next; called in its thread, @step counts from 0. NULL, or a script
	 * that leaves exit->kind VCPU_EXIT_NONE: the vCPU sleeps until it is interrupted.
	 */
	void (*script)(struct fake_hypervisor *fake, uint32_t index, unsigned int step,
		       struct vcpu_exit *exit);
	void *context;
};

/* Makes one that outlives `free`, so that tests can inspect it; release it with fake_close. */
void fake_open(struct fake_hypervisor *fake);
void fake_close(struct fake_hypervisor *fake);

/* Has interrupt @irq arrived through an eventfd since the last call? */
bool fake_take_interrupt(struct fake_hypervisor *fake, uint32_t irq);

/*
 * The guest writes @value of 32 bits to @address. Returns whether that was a kick, which is
 * delivered.
 */
bool fake_write(struct fake_hypervisor *fake, uint64_t address, uint32_t value);

#endif
