// SPDX-License-Identifier: BSD-3-Clause
/*
 * The memory map of an x86 guest.
 */
#ifndef AVP_MONITOR_X86_LAYOUT_H
#define AVP_MONITOR_X86_LAYOUT_H

#include <stdint.h>

/* Low memory: what vCPU 0 starts with (kvm_cpu.c), then what the kernel gets. */
#define X86_GDT_ADDRESS	      0x500
#define X86_PAGE_TABLES	      0x9000  /* six pages: one, one, and four for 4 GiB in 2 MiB pages */
#define X86_BOOT_PARAMS	      0x10000 /* boot_params or hvm_start_info, with its tables */
#define X86_COMMAND_LINE      0x20000
#define X86_COMMAND_LINE_SIZE 0x1000
#define X86_LOW_MEMORY_END    0x9fc00
#define X86_ACPI_ADDRESS      0xe0000 /* the RSDP first, where kernels also search for it */
#define X86_ACPI_SIZE	      0x10000
#define X86_RESET_VECTOR      0xffff0 /* where firmware would start, in real mode */
#define X86_HIGH_MEMORY	      0x100000

/* Memory below the hole ends here at the latest; the rest is at 4 GiB. */
#define X86_HOLE_START	   UINT64_C(0xc0000000)
#define X86_HOLE_END	   UINT64_C(0x100000000)

#define X86_VIRTIO_ADDRESS 0xd0000000
#define X86_IOAPIC_ADDRESS 0xfec00000
#define X86_LAPIC_ADDRESS  0xfee00000
/* For KVM on Intel processors: a page, and three. */
#define X86_IDENTITY_MAP 0xfeffc000
#define X86_TSS		 0xfeffd000

#define X86_IOAPIC_PINS	 24

/* Ports and pins of the platform; layout.c has the pins of the devices. */
#define X86_SERIAL_PORT 0x3f8
#define X86_SERIAL_PIN	4
#define X86_POWER_PORT	0x600
#define X86_POWER_PIN	5
#define X86_PANIC_PORT	0x505

#endif
