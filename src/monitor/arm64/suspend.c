// SPDX-License-Identifier: BSD-3-Clause
/*
 * PSCI's SYSTEM_SUSPEND. While a vCPU is in KVM_RUN, KVM does not tell whether it is off, so each
 * vCPU is interrupted to report its state.
 */
#include "monitor/arm64/suspend.h"

#include <errno.h>
#include <linux/psci.h>
#include <string.h>
#include <time.h>

#include "monitor/arm64/kvm_cpu.h"
#include "host/kvm_register.h"

/* How long the others may take to answer; a vCPU that does not counts as on. */
#define ANSWER_SECONDS 2

void suspend_init(struct suspend *suspend)
{
	pthread_condattr_t attributes;

	memset(suspend, 0, sizeof(*suspend));
	pthread_mutex_init(&suspend->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&suspend->answered, &attributes);
	pthread_condattr_destroy(&attributes);
}

void suspend_destroy(struct suspend *suspend)
{
	pthread_cond_destroy(&suspend->answered);
	pthread_mutex_destroy(&suspend->lock);
}

void suspend_answer(struct suspend *suspend, struct vcpu *vcpu)
{
	struct kvm_mp_state state = {0};

	pthread_mutex_lock(&suspend->lock);
	if (suspend->asked && suspend->asker != vcpu->index && !suspend->known[vcpu->index]) {
		suspend->known[vcpu->index] = true;
		suspend->off[vcpu->index] = ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
					    state.mp_state == KVM_MP_STATE_STOPPED;
		pthread_cond_signal(&suspend->answered);
	}
	pthread_mutex_unlock(&suspend->lock);
}

static bool all_known(const struct suspend *suspend, uint32_t cpus)
{
	for (uint32_t i = 0; i < cpus; i++)
		if (i != suspend->asker && !suspend->known[i])
			return false;
	return true;
}

/* Whether all vCPUs except the caller are off. */
static bool others_are_off(struct suspend *suspend, struct vcpu *vcpu, struct vcpu *const *vcpus)
{
	uint32_t cpus = vcpu->machine->cpus;
	struct timespec limit;
	bool off = true;

	clock_gettime(CLOCK_MONOTONIC, &limit);
	limit.tv_sec += ANSWER_SECONDS;
	pthread_mutex_lock(&suspend->lock);
	/* If two ask at once, both are on. */
	off = !suspend->asked;
	if (off) {
		suspend->asked = true;
		suspend->asker = vcpu->index;
		memset(suspend->known, 0, sizeof(suspend->known));
		for (uint32_t i = 0; i < cpus; i++)
			if (i != vcpu->index)
				kvm_interrupt(vcpus[i]);
		while (!all_known(suspend, cpus) &&
		       pthread_cond_timedwait(&suspend->answered, &suspend->lock, &limit) == 0)
			;
		for (uint32_t i = 0; i < cpus && off; i++)
			off = i == vcpu->index || (suspend->known[i] && suspend->off[i]);
		suspend->asked = false;
	}
	pthread_mutex_unlock(&suspend->lock);
	return off;
}

static int set_state(struct vcpu *vcpu, uint32_t to)
{
	struct kvm_mp_state state = {.mp_state = to};

	return ioctl(vcpu->fd, KVM_SET_MP_STATE, &state) < 0 ? -errno : 0;
}

static int fail_call(struct vcpu *vcpu, int64_t code)
{
	return kvm_set_register(vcpu->fd, KVM_X(0), (uint64_t)code) < 0 ? -errno : 0;
}

int suspend_enter(struct suspend *suspend, struct vcpu *vcpu, struct vcpu *const *vcpus)
{
	uint64_t function, entry, context_id;

	if (kvm_get_register(vcpu->fd, KVM_X(0), &function) < 0 ||
	    kvm_get_register(vcpu->fd, KVM_X(1), &entry) < 0 ||
	    kvm_get_register(vcpu->fd, KVM_X(2), &context_id) < 0)
		return -errno;
	/* The 32-bit call has arguments of 32 bits. */
	if ((uint32_t)function == PSCI_1_0_FN_SYSTEM_SUSPEND) {
		entry = (uint32_t)entry;
		context_id = (uint32_t)context_id;
	}
	/* 5.20.2: an entry point outside of memory; another CPU is on. */
	if (entry % 4 || !kvm_memory(vcpu->machine, entry, 4))
		return fail_call(vcpu, PSCI_RET_INVALID_ADDRESS);
	if (!others_are_off(suspend, vcpu, vcpus))
		return fail_call(vcpu, PSCI_RET_DENIED);
	suspend->entry = entry;
	suspend->context_id = context_id;
	return set_state(vcpu, KVM_MP_STATE_SUSPENDED);
}

int suspend_leave(struct suspend *suspend, struct vcpu *vcpu)
{
	int result = kvm_cpu_reset(vcpu, suspend->entry, suspend->context_id);

	/* KVM starts vCPUs that were created off in the off state again. */
	return result < 0 ? result : set_state(vcpu, KVM_MP_STATE_RUNNABLE);
}
