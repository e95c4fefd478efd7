// SPDX-License-Identifier: BSD-3-Clause
/*
 * Kernel files that an arm64 machine boots: Image (Linux, Documentation/arch/arm64/booting.rst),
 * with or without an EFI stub, and 64-bit ELF files such as vmlinux.
 */
#ifndef AVP_MONITOR_ARM64_IMAGE_H
#define AVP_MONITOR_ARM64_IMAGE_H

#include <stdint.h>

#include "base/error.h"
#include "monitor/boot.h"
#include "monitor/memory.h"

/* A kernel in guest memory. */
struct arm64_image {
	uint64_t entry;
	uint64_t end; /* end of the memory that it needs to start */
};

/*
 * Loads source->kernel_fd into guest memory. Everything the file says is checked: its segments must
 * be in memory, above the device tree, and in the file.
 */
int arm64_image_load(struct monitor_memory *memory, const struct boot_source *source,
		     struct arm64_image *image, struct error *error);

#endif
