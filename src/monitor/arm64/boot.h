// SPDX-License-Identifier: BSD-3-Clause
/*
 * How an arm64 machine is laid out and started, for monitor/boot.h. It is separate from arch.c,
 * which makes it this program's architecture, so that it can be tested on any host.
 */
#ifndef AVP_MONITOR_ARM64_BOOT_H
#define AVP_MONITOR_ARM64_BOOT_H

#include "monitor/boot.h"

/* As arch_virtio_slot, arch_memory_ranges and arch_boot_load. */
struct virtio_slot arm64_virtio_slot(unsigned int index);
size_t arm64_memory_ranges(uint64_t size, const struct boot_source *source,
			   struct memory_range ranges[MONITOR_MEMORY_RANGES]);
int arm64_boot_load(struct monitor_memory *memory, const struct boot_source *source,
		    struct boot_entry *entry, struct error *error);

#endif
