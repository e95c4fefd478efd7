// SPDX-License-Identifier: BSD-3-Clause
/*
 * The address space and the interrupts of an x86 guest, as boot.h asks for them. An interrupt is a
 * pin of the one I/O APIC; there is no other interrupt controller and nothing at a fixed pin.
 */
#include "monitor/x86/layout.h"

#include "monitor/boot.h"

/* Those above the power registers' first, then those below the serial port's. */
const unsigned int arch_virtio_slots =
	X86_IOAPIC_PINS - X86_POWER_PIN - 1 + X86_SERIAL_PIN - X86_FIRST_PIN;

const bool arch_has_tree = false, arch_has_firmware = false, arch_has_watchdogs = false;

struct virtio_slot arch_virtio_slot(unsigned int index)
{
	const unsigned int above = X86_IOAPIC_PINS - X86_POWER_PIN - 1;

	return (struct virtio_slot){
		.address = X86_VIRTIO_ADDRESS + (uint64_t)index * VIRTIO_SLOT_SIZE,
		.irq = index < above ? X86_POWER_PIN + 1 + index : X86_FIRST_PIN + index - above,
	};
}

size_t arch_memory_ranges(uint64_t size, const struct boot_source *source,
			  struct memory_range ranges[MONITOR_MEMORY_RANGES])
{
	ranges[0] = (struct memory_range){0, size < X86_HOLE_START ? size : X86_HOLE_START};
	ranges[1] = (struct memory_range){X86_HOLE_END, size - ranges[0].size};
	return ranges[1].size ? 2 : 1;
}
