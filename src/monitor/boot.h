// SPDX-License-Identifier: BSD-3-Clause
/*
 * What each processor architecture brings (x86/, arm64/): where things are in the guest's address
 * space, and how a kernel gets into memory with the description of the machine beside it.
 */
#ifndef AVP_MONITOR_BOOT_H
#define AVP_MONITOR_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/memory.h"

/* Where a virtio-mmio transport lies. */
struct virtio_slot {
	uint64_t address;
	uint32_t irq;
};

#define VIRTIO_SLOT_SIZE 0x1000

/* How many there are on this architecture, and the one at @index, below that. */
extern const unsigned int arch_virtio_slots;
struct virtio_slot arch_virtio_slot(unsigned int index);

/* Whether machines of this architecture are described by a device tree, boot firmware, and have
 * watchdogs. */
extern const bool arch_has_tree, arch_has_firmware, arch_has_watchdogs;

/*
 * What is to be started: a kernel or, where the architecture has it, firmware, which finds one
 * itself. Descriptors are regular files, the caller's, read with pread.
 */
struct boot_source {
	int kernel_fd;		 /* -1: firmware */
	const char *kernel_name; /* for errors */
	int firmware_fd;	 /* -1: a kernel */
	const char *firmware_name;
	int initrd_fd; /* -1: none */
	const char *initrd_name;
	const char *command_line; /* "" for none */
	uint32_t cpus;
	unsigned int virtio_devices; /* in the first slots */
	uint32_t variant;	     /* of the hypervisor's hardware: hypervisor_setup's */
	int tree_fd;		     /* gets the device tree, where there is one; -1: nobody asks */
};

/*
 * Lays out @size bytes of memory, and what the source takes besides. Returns how many of @ranges
 * there are.
 */
size_t arch_memory_ranges(uint64_t size, const struct boot_source *source,
			  struct memory_range ranges[MONITOR_MEMORY_RANGES]);

/*
 * Puts kernel, initrd, command line and the description of the machine (x86: boot_params or
 * start_info, e820, ACPI tables; arm64: the device tree) into guest memory. May be called again for
 * each reset: it writes all it needs again. Errors about files are usage errors that name file and
 * remedy: no kernel, truncated, of another architecture, does not fit.
 */
int arch_boot_load(struct monitor_memory *memory, const struct boot_source *source,
		   struct boot_entry *entry, struct error *error);

#endif
