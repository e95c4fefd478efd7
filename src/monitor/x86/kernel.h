// SPDX-License-Identifier: BSD-3-Clause
/*
 * Kernel files that an x86 machine boots: bzImage (Linux, Documentation/arch/x86/boot.rst) and
 * 64-bit ELF files, by PVH if they have its note (Xen, "x86/HVM direct boot ABI").
 */
#ifndef AVP_MONITOR_X86_KERNEL_H
#define AVP_MONITOR_X86_KERNEL_H

#include <asm/bootparam.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/boot.h"

/* A kernel in guest memory. */
struct x86_kernel {
	enum boot_protocol protocol;
	uint64_t entry;
	uint64_t end;		    /* end of the memory that it needs to start */
	uint64_t initrd_end;	    /* an initrd must be below this */
	struct setup_header header; /* the file's own, or one made for it */
};

/*
 * Loads source->kernel_fd into guest memory. Everything the file says is checked: its segments must
 * be in memory and in the file.
 */
int x86_kernel_load(struct monitor_memory *memory, const struct boot_source *source,
		    struct x86_kernel *kernel, struct error *error);

#endif
