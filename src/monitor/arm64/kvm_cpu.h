// SPDX-License-Identifier: BSD-3-Clause
/*
 * The vCPUs of an arm64 machine on KVM.
 */
#ifndef AVP_MONITOR_ARM64_KVM_CPU_H
#define AVP_MONITOR_ARM64_KVM_CPU_H

#include <stdint.h>

#include "monitor/kvm/kvm_private.h"

/*
 * Resets @vcpu to the state after power-on; it starts at @entry with @argument in x0. Returns 0 or
 * a negative errno.
 */
int kvm_cpu_reset(struct vcpu *vcpu, uint64_t entry, uint64_t argument);

#endif
