// SPDX-License-Identifier: BSD-3-Clause
/*
 * Flat segments of an x86-64 vCPU (Intel SDM volume 3, 3.4.5): all of memory, from 0 on.
 */
#ifndef AVP_HOST_KVM_SEGMENTS_H
#define AVP_HOST_KVM_SEGMENTS_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* Their descriptors in memory. */
#define KVM_FLAT_CODE_64 UINT64_C(0x00af9b000000ffff)
#define KVM_FLAT_CODE_32 UINT64_C(0x00cf9b000000ffff)
#define KVM_FLAT_DATA	 UINT64_C(0x00cf93000000ffff)

/* Has *special use flat segments with these selectors; @wide: its code is of 64 bits. */
static inline void kvm_set_flat_segments(struct kvm_sregs *special, uint16_t code_selector,
					 uint16_t data_selector, bool wide)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = code_selector,
		.type = 11, /* execute, read, accessed */
		.present = 1,
		.s = 1,
		.l = wide,
		.db = !wide,
		.g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = data_selector,
		.type = 3, /* read, write, accessed */
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};

	special->cs = code;
	special->ds = special->es = special->fs = special->gs = special->ss = data;
}

#endif
