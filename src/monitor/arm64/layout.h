// SPDX-License-Identifier: BSD-3-Clause
/*
 * The memory map and the interrupts of an arm64 guest. It follows the map of QEMU's machine `virt`,
 * so that firmware made for that runs here unchanged: code at 0, memory with the device tree at its
 * start at 1 GiB. Interrupt numbers are those of shared peripheral interrupts (SPIs), as in the
 * device tree.
 */
#ifndef AVP_MONITOR_ARM64_LAYOUT_H
#define AVP_MONITOR_ARM64_LAYOUT_H

#include <stdint.h>

/*
 * Firmware, in its own memory. QEMU has two flash chips here: code is in the first; U-Boot looks
 * for its settings in the second, which is empty here, like a new one.
 */
#define ARM64_FIRMWARE_ADDRESS	     UINT64_C(0)
#define ARM64_FIRMWARE_SIZE	     UINT64_C(0x08000000)
#define ARM64_FIRMWARE_CODE_SIZE     UINT64_C(0x04000000)

#define ARM64_GIC_DISTRIBUTOR	     UINT64_C(0x08000000)
#define ARM64_GIC_DISTRIBUTOR_SIZE   UINT64_C(0x10000)
#define ARM64_GIC_CPU		     UINT64_C(0x08010000) /* GICv2 */
#define ARM64_GIC_CPU_SIZE	     UINT64_C(0x10000)
#define ARM64_GIC_REDISTRIBUTORS     UINT64_C(0x080a0000) /* GICv3, one a CPU */
#define ARM64_GIC_REDISTRIBUTOR_SIZE UINT64_C(0x20000)

#define ARM64_UART_ADDRESS	     UINT64_C(0x09000000)
#define ARM64_UART_SPI		     1
#define ARM64_RTC_ADDRESS	     UINT64_C(0x09010000)
#define ARM64_RTC_SPI		     2
#define ARM64_GPIO_ADDRESS	     UINT64_C(0x09030000)
#define ARM64_GPIO_SPI		     7
#define ARM64_GPIO_POWER_KEY	     3 /* the line of the power key */

/* Devices that QEMU lacks, at addresses that QEMU leaves free. */
#define ARM64_PANIC_ADDRESS    UINT64_C(0x09100000)
#define ARM64_WATCHDOG_CONTROL UINT64_C(0x09110000)
#define ARM64_WATCHDOG_REFRESH UINT64_C(0x09120000)
#define ARM64_WATCHDOG_SPI     8
#define ARM64_STALL_ADDRESS    UINT64_C(0x09130000)

#define ARM64_VIRTIO_ADDRESS   UINT64_C(0x0a000000)
#define ARM64_VIRTIO_SPI       16
#define ARM64_VIRTIO_SLOTS     32

/* SPIs 0 to 63, after the 32 private interrupts of each CPU. */
#define ARM64_FIRST_SPI	 32
#define ARM64_INTERRUPTS 96

_Static_assert(ARM64_FIRST_SPI + ARM64_VIRTIO_SPI + ARM64_VIRTIO_SLOTS <= ARM64_INTERRUPTS,
	       "each slot has an interrupt");

/* Memory: the device tree in the first 2 MiB, a kernel in the next. */
#define ARM64_MEMORY_ADDRESS UINT64_C(0x40000000)
#define ARM64_TREE_ADDRESS   ARM64_MEMORY_ADDRESS
#define ARM64_TREE_SIZE	     UINT64_C(0x10000)
#define ARM64_KERNEL_ADDRESS (ARM64_MEMORY_ADDRESS + UINT64_C(0x200000))
/*
 * Documentation/arch/arm64/booting.rst: kernel and initrd must be in one window of 32 GiB, aligned
 * to 1 GiB.
 */
#define ARM64_INITRD_END (ARM64_MEMORY_ADDRESS + UINT64_C(0x800000000))

/*
 * Private peripheral interrupts of the timers (Arm Base System Architecture, B.1 "PPI
 * assignments").
 */
#define ARM64_TIMER_SECURE_PPI	   13
#define ARM64_TIMER_PHYSICAL_PPI   14
#define ARM64_TIMER_VIRTUAL_PPI	   11
#define ARM64_TIMER_HYPERVISOR_PPI 10

/* The MPIDR that KVM gives a CPU: up to 16 in a cluster, MPIDR_EL1.Aff0. */
static inline uint32_t arm64_mpidr(uint32_t cpu)
{
	return (cpu & 0xf) | cpu >> 4 << 8;
}

#endif
