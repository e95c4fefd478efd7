// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's CPUID: what KVM supports, with the topology of the guest's machine.
 */
#ifndef AVP_MONITOR_X86_CPUID_H
#define AVP_MONITOR_X86_CPUID_H

#include <linux/kvm.h>
#include <stdint.h>

#include "base/error.h"

/* The most entries of a table, including those added here. */
#define CPUID_ENTRIES_MAX 512

/*
 * The entries that KVM supports, without leaves that describe a topology. Allocated, owned by the
 * caller, with room for CPUID_ENTRIES_MAX entries. NULL with *error set on failure.
 */
struct kvm_cpuid2 *cpuid_supported(int kvm_fd, struct error *error);

/*
 * Sets the values of processor @index of @count in *cpuid, a copy of cpuid_supported's or one set
 * before: one package of @count cores with one thread each, whose APIC ids are their indices.
 */
void cpuid_set_processor(struct kvm_cpuid2 *cpuid, uint32_t index, uint32_t count);

/* How many bits a physical address of the guest has. */
unsigned int cpuid_address_bits(const struct kvm_cpuid2 *cpuid);

#endif
