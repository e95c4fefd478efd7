// SPDX-License-Identifier: BSD-3-Clause
/*
 * PSCI's SYSTEM_SUSPEND (Arm DEN0022, "Power State Coordination Interface", 5.20), the one call
 * that KVM leaves to who runs it: the last processor that is on says where it wants to go on,
 * sleeps, and begins there, as after CPU_ON, when an interrupt wakes it.
 */
#ifndef AVP_MONITOR_ARM64_SUSPEND_H
#define AVP_MONITOR_ARM64_SUSPEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "monitor/kvm/kvm_private.h"
#include "monitor/vcpus.h"

struct suspend {
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t answered;
	bool asked; /* one processor wants to know whether the others are off */
	uint32_t asker;
	bool known[VCPUS_MAX], off[VCPUS_MAX]; /* what they have answered */
	uint64_t entry, context_id;	       /* where the suspended processor goes on */
};

void suspend_init(struct suspend *suspend);
void suspend_destroy(struct suspend *suspend);

/*
 * In the thread of @vcpu: it has called SYSTEM_SUSPEND. It is put to sleep, or the call gets its
 * error code. @vcpus: all of the machine. Returns 0, or a negative errno where KVM failed.
 */
int suspend_enter(struct suspend *suspend, struct vcpu *vcpu, struct vcpu *const *vcpus);

/* In the thread of @vcpu, which slept: something woke it up. As suspend_enter. */
int suspend_leave(struct suspend *suspend, struct vcpu *vcpu);

/* In the thread of @vcpu, out of KVM_RUN: tells whether it is off, if somebody wants to know. */
void suspend_answer(struct suspend *suspend, struct vcpu *vcpu);

#endif
