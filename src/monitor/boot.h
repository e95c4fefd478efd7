// SPDX-License-Identifier: BSD-3-Clause
/*
 * What each processor architecture implements (x86/, arm64/): the layout of the guest's address
 * space, and loading a kernel with the description of the machine.
 */
#ifndef AVP_MONITOR_BOOT_H
#define AVP_MONITOR_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/kvm/hypervisor.h"
#include "monitor/memory.h"
#include "virtio/device_shape.h"

/* The address and interrupt of a virtio-mmio transport. */
struct virtio_slot {
	uint64_t address;
	uint32_t irq;
};

#define VIRTIO_SLOT_SIZE 0x1000

/* The number of slots on this architecture, and slot @index. */
extern const unsigned int arch_virtio_slots;
struct virtio_slot arch_virtio_slot(unsigned int index);

/*
 * Whether machines of this architecture have a device tree, boot firmware, and have watchdogs.
 */
extern const bool arch_has_tree, arch_has_firmware, arch_has_watchdogs;

/*
 * What is started: a kernel or, if the architecture supports it, firmware, which finds a kernel
 * itself. Descriptors are regular files, owned by the caller and read with pread.
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
	/* Of each of them; for the device tree, where there is one. */
	const struct device_shape *const *shapes;
	uint32_t variant; /* of hypervisor_setup */
	int tree_fd;	  /* the device tree is written to it; -1: not wanted */
};

/*
 * Lays out @size bytes of memory, and the memory that the source needs besides. Returns the number
 * of @ranges.
 */
size_t arch_memory_ranges(uint64_t size, const struct boot_source *source,
			  struct memory_range ranges[MONITOR_MEMORY_RANGES]);

/*
 * Loads kernel, initrd, command line and the description of the machine (x86: boot_params or
 * start_info, e820, ACPI tables; arm64: the device tree) into guest memory. Call it again after
 * each reset: it writes everything again. Errors about files are usage errors that name file and
 * remedy: not a kernel, truncated, wrong architecture, too large.
 */
int arch_boot_load(struct monitor_memory *memory, const struct boot_source *source,
		   struct boot_entry *entry, struct error *error);

#endif
