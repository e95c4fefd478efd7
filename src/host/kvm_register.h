// SPDX-License-Identifier: BSD-3-Clause
/*
 * The registers of an arm64 vCPU that the monitor reads and writes.
 */
#ifndef AVP_HOST_KVM_REGISTER_H
#define AVP_HOST_KVM_REGISTER_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* A general register as KVM_GET_ONE_REG numbers it: X(0) to X(30), PC, PSTATE. */
#define KVM_CORE(member) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(member))
#define KVM_X(number) (KVM_CORE(regs.regs[0]) + (number)*2u)
#define KVM_PC	      KVM_CORE(regs.pc)

/* Like the ioctls, they return 0, or -1 with errno set. */
static inline int kvm_get_register(int vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

	return ioctl(vcpu, KVM_GET_ONE_REG, &reg);
}

static inline int kvm_set_register(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	return ioctl(vcpu, KVM_SET_ONE_REG, &reg);
}

#endif
