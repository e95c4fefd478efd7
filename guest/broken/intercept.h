// SPDX-License-Identifier: BSD-3-Clause
/*
 * Included before each file with tests: what the guest reads by one instruction, in inline
 * functions that the linker cannot replace, passes through the running fault.
 */
#ifndef AVP_BROKEN_INTERCEPT_H
#define AVP_BROKEN_INTERCEPT_H

#include "machine_fault.h"

#ifdef __x86_64__
#define x86_cpuid(leaf, subleaf) fault_cpuid(leaf, subleaf)
#define x86_read_msr(number)	 fault_system("msr", (x86_read_msr)(number))
#define x86_apic_id()		 fault_identity((x86_apic_id)())
#else
#undef read_register
#define read_register(name)                                                \
	({                                                                 \
		uint64_t register_value;                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(register_value)); \
		fault_system(#name, register_value);                       \
	})
#endif

#endif
