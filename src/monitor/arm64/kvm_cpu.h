// SPDX-License-Identifier: BSD-3-Clause
/*
 * The processors of an arm64 machine on KVM.
 */
#ifndef AVP_MONITOR_ARM64_KVM_CPU_H
#define AVP_MONITOR_ARM64_KVM_CPU_H

#include <stdint.h>

#include "monitor/kvm/kvm_private.h"

/*
 * Brings @vcpu into the state after power-on and has it start at @entry with @argument in x0. 0 or
 * a negative errno.
 */
int kvm_cpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t argument);

#endif
