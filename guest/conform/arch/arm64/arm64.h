// SPDX-License-Identifier: BSD-3-Clause
/* Shared by the parts of the arm64 code and the tests for arm64 only. */
#ifndef CONFORM_ARM64_H
#define CONFORM_ARM64_H

#include <stdbool.h>
#include <stdint.h>

#include "machine.h"

/* The state at the entry: see start.S. */
struct start_state {
	uint64_t x0, x1, x2, x3, level, daif, counter, sctlr;
	uint64_t by_efi; /* x0 is the address of a struct efi_start, not of a device tree */
};
extern struct start_state start_state;

struct frame {
	uint64_t x[31];
	uint64_t elr, spsr, padding[3];
};

enum conduit { CONDUIT_NONE, CONDUIT_HVC, CONDUIT_SMC };

struct arm64_platform {
	unsigned int gic_version; /* 0: none described */
	uint64_t distributor, cpu_interface, redistributors, redistributors_size;
	uint64_t its;		/* 0: none */
	uint64_t message_frame; /* GICv2m */
	uint64_t clock;		/* PL031 */
	struct interrupt_line clock_line;
	uint64_t watchdog_control, watchdog_refresh; /* Arm's generic watchdog */
	struct interrupt_line watchdog_line;
	uint64_t rom;	     /* memory that is described as read-only; 0: none */
	bool reserved_valid; /* /reserved-memory is well-formed, or absent */
	uint32_t message_first, message_count;
	uint32_t lines; /* interrupts of the distributor */
	uint32_t virtual_timer, physical_timer;
	enum conduit conduit;
	bool has_psci;
	const uint32_t *pci_map;
	uint32_t pci_map_cells, gic_address_cells;
	uint32_t pci_mask[4];
	uint32_t tree_size, highest_interrupt;
	uint32_t tree_sum; /* of all nodes and properties except seeds, which change at each boot */
	unsigned int cpu_nodes, cpu_nodes_with_psci, mmio_nodes, mmio_coherent, root_properties;
	bool tree_valid;
	char stdout_path[64];
};
extern struct arm64_platform arm64_platform;

void arm64_read_tree(uint64_t address);
/* The same from ACPI tables, if firmware passes no device tree. */
void arm64_read_acpi(uint64_t rsdp);
void arm64_start_gic(void);
void arm64_start_gic_cpu(void);
void arm64_gic_interrupt(void);

/* Disarms the alarm that arch_suspend() set. */
void arm64_clear_alarm(void);

int64_t arm64_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c);
#define PSCI_VERSION	    0x84000000u
#define PSCI_CPU_SUSPEND    0xc4000001u
#define PSCI_CPU_OFF	    0x84000002u
#define PSCI_CPU_ON	    0xc4000003u
#define PSCI_AFFINITY_INFO  0xc4000004u
#define PSCI_SYSTEM_OFF	    0x84000008u
#define PSCI_SYSTEM_RESET   0x84000009u
#define PSCI_FEATURES	    0x8400000au
#define PSCI_SYSTEM_SUSPEND 0xc400000eu

#define read_register(name)                                                \
	({                                                                 \
		uint64_t register_value;                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(register_value)); \
		register_value;                                            \
	})
#define write_register(name, value) \
	__asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(value)) : "memory")

#define SGI_IPI 1

#endif
