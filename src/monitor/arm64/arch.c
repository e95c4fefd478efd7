// SPDX-License-Identifier: BSD-3-Clause
/*
 * Makes arm64 the architecture of this program's machines: implements monitor/boot.h and
 * monitor/platform.h with the parts that are testable on any host.
 */
#include "monitor/arm64/boot.h"
#include "monitor/arm64/layout.h"
#include "monitor/arm64/platform.h"

const unsigned int arch_virtio_slots = ARM64_VIRTIO_SLOTS;

const bool arch_has_tree = true, arch_has_firmware = true, arch_has_watchdogs = true;

struct virtio_slot arch_virtio_slot(unsigned int index)
{
	return arm64_virtio_slot(index);
}

size_t arch_memory_ranges(uint64_t size, const struct boot_source *source,
			  struct memory_range ranges[MONITOR_MEMORY_RANGES])
{
	return arm64_memory_ranges(size, source, ranges);
}

int arch_boot_load(struct monitor_memory *memory, const struct boot_source *source,
		   struct boot_entry *entry, struct error *error)
{
	return arm64_boot_load(memory, source, entry, error);
}

int arch_platform_open(struct platform **platform, const struct platform_setup *setup,
		       struct error *error)
{
	uint64_t frequency;

	/* Linux lets user space read it; guests see the same frequency. */
	__asm__("mrs %0, cntfrq_el0" : "=r"(frequency));
	return arm64_platform_open(platform, setup, frequency ? frequency : 1, error);
}
