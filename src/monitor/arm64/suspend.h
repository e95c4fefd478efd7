// SPDX-License-Identifier: BSD-3-Clause
/*
 * PSCI's SYSTEM_SUSPEND (Arm DEN0022, "Power State Coordination Interface", 5.20), the one call
 * that KVM leaves to the monitor: the last CPU that is on gives a resume address and sleeps; when
 * an interrupt wakes it, it starts there as after CPU_ON.
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
	bool asked; /* a vCPU waits for the answers of the others */
	uint32_t asker;
	bool known[VCPUS_MAX], off[VCPUS_MAX]; /* the answers */
	uint64_t entry, context_id;	       /* where the suspended vCPU resumes */
};

void suspend_init(struct suspend *suspend);
void suspend_destroy(struct suspend *suspend);

/*
 * In the thread of @vcpu, which has called SYSTEM_SUSPEND: puts it to sleep, or sets the call's
 * error code. @vcpus: all of the machine. Returns 0, or a negative errno if KVM failed.
 */
int suspend_enter(struct suspend *suspend, struct vcpu *vcpu, struct vcpu *const *vcpus);

/* In the thread of @vcpu, after it woke up: resumes it. Returns as suspend_enter. */
int suspend_leave(struct suspend *suspend, struct vcpu *vcpu);

/* In the thread of @vcpu, outside KVM_RUN: answers whether it is off, if another vCPU asked. */
void suspend_answer(struct suspend *suspend, struct vcpu *vcpu);

#endif
