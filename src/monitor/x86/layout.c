// SPDX-License-Identifier: BSD-3-Clause
/*
 * The address space and the interrupts of an x86 guest, for boot.h. An interrupt is a pin of the
 * only I/O APIC; there is no other interrupt controller, and no pin is fixed.
 */
#include "monitor/x86/layout.h"

#include "monitor/boot.h"

/*
 * The pins of the slots. 0 is unused, because some kernels take it for the timer's; so is 2, where
 * an IBM PC has its second interrupt controller: Linux assigns no interrupt there
 * (arch/x86/kernel/apic/ io_apic.c, mp_map_pin_to_irq). 4 is the serial port's, 5 the power
 * registers'.
 */
static const uint8_t pins[] = {6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
			       16, 17, 18, 19, 20, 21, 22, 23, 1,  3};

const unsigned int arch_virtio_slots = sizeof(pins);

const bool arch_has_tree = false, arch_has_firmware = false, arch_has_watchdogs = false;

struct virtio_slot arch_virtio_slot(unsigned int index)
{
	return (struct virtio_slot){
		.address = X86_VIRTIO_ADDRESS + (uint64_t)index * VIRTIO_SLOT_SIZE,
		.irq = pins[index],
	};
}

size_t arch_memory_ranges(uint64_t size, const struct boot_source *source,
			  struct memory_range ranges[MONITOR_MEMORY_RANGES])
{
	ranges[0] = (struct memory_range){0, size < X86_HOLE_START ? size : X86_HOLE_START};
	ranges[1] = (struct memory_range){X86_HOLE_END, size - ranges[0].size};
	return ranges[1].size ? 2 : 1;
}
