// SPDX-License-Identifier: BSD-3-Clause
/*
 * What CPUID tells a guest: what KVM supports, with the topology of the machine that the guest has.
 */
#ifndef AVP_MONITOR_X86_CPUID_H
#define AVP_MONITOR_X86_CPUID_H

#include <linux/kvm.h>
#include <stdint.h>

#include "base/error.h"

/* The most entries of a table, those that are added here included. */
#define CPUID_ENTRIES_MAX 512

/*
 * What KVM supports, without the entries of leaves that describe a topology. Allocated, the
 * caller's, with room for CPUID_ENTRIES_MAX entries. NULL with *error set on failure.
 */
struct kvm_cpuid2 *cpuid_supported(int kvm_fd, struct error *error);

/*
 * Sets in *cpuid, a copy of cpuid_supported's or one that this has been called on before, what is
 * particular to processor @index of @count: one package of @count cores with one thread each, whose
 * APIC ids are their indices.
 */
void cpuid_set_processor(struct kvm_cpuid2 *cpuid, uint32_t index, uint32_t count);

#endif
