// SPDX-License-Identifier: BSD-3-Clause
/* Faults of arm64 machines. */
#ifndef __x86_64__
#include "machine_fault.h"

#include "arch/image.h"
#include "text.h"

#define GICD_PIDR2 0xffe8
#define GICD_ICFGR 0xc00
#define GICR_TYPER 0x008

int64_t __real_arm64_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c);
int64_t __wrap_arm64_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c);

int64_t __wrap_arm64_call(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	int64_t result = __real_arm64_call(function, a, b, c);

	return machine_fault && machine_fault->call ? machine_fault->call(function, result) :
						      result;
}

static int64_t always_fine(uint64_t function, int64_t result)
{
	return 0;
}

static int64_t always_on_pending(uint64_t function, int64_t result)
{
	return function == PSCI_AFFINITY_INFO ? 2 : result;
}

static int64_t old_version(uint64_t function, int64_t result)
{
	return function == PSCI_VERSION ? 2 : result;
}

static int64_t no_features(uint64_t function, int64_t result)
{
	return function == PSCI_FEATURES ? -1 : result;
}

static int64_t strange_error(uint64_t function, int64_t result)
{
	return function == PSCI_CPU_SUSPEND ? -9 : result;
}

static uint64_t slow_counter(const char *name, uint64_t value)
{
	return text_is(name, "cntfrq_el0") ? 1000 : value;
}

static uint64_t other_counter(const char *name, uint64_t value)
{
	return text_is(name, "cntfrq_el0") && cpu_self() ? value + 1 : value;
}

static uint64_t no_registers(const char *name, uint64_t value)
{
	return text_is(name, "s3_0_c12_c12_5") ? 0 : value;
}

static uint64_t other_features(const char *name, uint64_t value)
{
	return text_is(name, "id_aa64isar0_el1") && cpu_self() ? 0 : value;
}

static uint64_t standing_counter(const char *name, uint64_t value)
{
	return text_is(name, "pmccntr_el0") ? 5 : value;
}

static uint64_t never_expired(const char *name, uint64_t value)
{
	return text_is(name, "cntv_ctl_el0") ? value & ~UINT64_C(4) : value;
}

static bool nothing_raised(bool caught, struct fault *fault, void *argument)
{
	return false;
}

static void lose_windows(void)
{
	fault_set(&machine.window32.end, 8, machine.window32.start);
	fault_set(&machine.window64.end, 8, machine.window64.start);
}

const struct machine_fault architecture_faults[] = {
	{"arm64-level", "the guest is entered at EL3", "boot_arm64_el", "AVP-BOOT-008",
	 .patch = {PATCH(start_state.level, 3 << 2)}},
	{"arm64-x1", "x1 is not 0", "boot_arm64_registers", "AVP-BOOT-009",
	 .patch = {PATCH(start_state.x1, 1)}},
	{"arm64-x0", "x0 does not lead to a device tree", "boot_arm64_registers", "AVP-BOOT-009",
	 .patch = {PATCH(start_copy.magic, 0)}},
	{"arm64-tree-large", "the device tree has more than 2 MiB", "boot_arm64_dtb",
	 "AVP-BOOT-010", .patch = {PATCH(arm64_platform.tree_size, 3 << 20)}},
	{"arm64-tree-overlap", "the device tree overlaps the image", "boot_arm64_dtb",
	 "AVP-BOOT-010", .patch = {PATCH(start_state.x0, image_start)}},
	{"arm64-masked", "interrupts are on", "boot_arm64_masked", "AVP-BOOT-011",
	 .patch = {PATCH(start_state.daif, 0)}},
	{"arm64-mmu", "the MMU is on", "boot_arm64_masked", "AVP-BOOT-011",
	 .patch = {PATCH(start_state.sctlr, 1)}},
	{"arm64-counter", "CNTFRQ_EL0 is too small", "boot_arm64_counter", "AVP-BOOT-013",
	 .system = slow_counter},
	{"arm64-counters", "CNTFRQ_EL0 differs between processors", "boot_arm64_counter",
	 "AVP-BOOT-013", .system = other_counter},
	{"arm64-gic-registers", "the GIC has no system registers", "boot_arm64_gic_sysregs",
	 "AVP-BOOT-014", .system = no_registers},
	{"arm64-reserved", "/reserved-memory cannot be read", "mem_reserved", "AVP-MEM-005",
	 .patch = {PATCH(arm64_platform.reserved_valid, false)}},
	{"arm64-context", "a processor starts elsewhere", "cpu_context", "AVP-CPU-004",
	 .cpus = CPU_IDLE},
	{"psci-on-again", "CPU_ON of a running processor succeeds", "cpu_on_already", "AVP-CPU-006",
	 .call = always_fine},
	{"psci-on-unknown", "CPU_ON of an unknown processor succeeds", "cpu_on_invalid",
	 "AVP-CPU-007", .call = always_fine},
	{"psci-affinity", "AFFINITY_INFO is always ON_PENDING", "cpu_affinity_info", "AVP-CPU-009",
	 .call = always_on_pending},
	{"psci-stays-on", "a processor never reports that it is off", "cpu_last_off", "AVP-CPU-010",
	 .cpus = CPU_STAYS_ON},
	{"arm64-features", "processors differ", "cpu_same_features", "AVP-CPU-012",
	 .system = other_features},
	{"arm64-register", "an unknown register can be read", "cpu_unknown_sysreg", "AVP-CPU-017",
	 .caught = nothing_raised},
	{"psci-unknown", "an unknown function succeeds", "cpu_unknown_hypercall", "AVP-CPU-019",
	 .call = always_fine},
	{"psci-version", "PSCI has version 0.2", "cpu_psci_version", "AVP-CPU-021",
	 .call = old_version},
	{"psci-features", "mandatory functions are not reported", "cpu_psci_features",
	 "AVP-CPU-022", .call = no_features},
	{"psci-features-all", "each function is reported", "cpu_psci_features", "AVP-CPU-022",
	 .call = always_fine},
	{"arm64-cycles", "the cycle counter stands still", "cpu_performance_counters",
	 "AVP-CPU-027", .system = standing_counter},
	{"gic-version", "the GIC is another version", "irq_gic_version", "AVP-IRQ-019",
	 .read = {AT(CONTROLLER, GICD_PIDR2), BECOMES(0x2b)}},
	{"gic-redistributor", "a redistributor belongs to no processor", "irq_gic_redistributors",
	 "AVP-IRQ-020", .read = {AT(REDISTRIBUTOR, GICR_TYPER), .flip = UINT64_C(0x70) << 32}},
	{"gic-last", "no redistributor is the last", "irq_gic_redistributors", "AVP-IRQ-020",
	 .read = {AT(REDISTRIBUTOR, GICR_TYPER), .clear = 0x10}},
	{"gic-lines", "the GIC has fewer lines than are described", "irq_gic_lines", "AVP-IRQ-021",
	 .patch = {PATCH(arm64_platform.lines, 32)}},
	{"gic-trigger", "the trigger type cannot be set", "irq_gic_config", "AVP-IRQ-022",
	 .drops = {AT(CONTROLLER, GICD_ICFGR), .end = GICD_ICFGR + 0x100}},
	{"gic-priority", "a priority does not read back", "irq_gic_config", "AVP-IRQ-022",
	 .read = {AT(CONTROLLER, 0x400), .end = 0x800, BECOMES(0)}},
	{"gic-reserved", "reserved registers stop interrupts", "irq_gic_reserved", "AVP-IRQ-023",
	 .timer = TIMER_NEVER},
	{"gic-no-messages", "nothing takes messages", "irq_its", "AVP-IRQ-025",
	 .patch = {PATCH(arm64_platform.its, 0), PATCH(arm64_platform.message_frame, 0)}},
	{"timer-status", "the timer's status does not change", "time_timer_mask", "AVP-TIME-010",
	 .system = never_expired},
	{"timer-interrupt", "the timer's interrupt is not a private one", "time_timer_ppi",
	 "AVP-TIME-011", .patch = {PATCH(arm64_platform.virtual_timer, 40)}},
	{"tree-version", "the device tree has an old version", "disc_dt_valid", "AVP-DISC-007",
	 .patch = {PATCH(start_copy.version, 16)}},
	{"tree-damaged", "the device tree is not well-formed", "disc_dt_valid", "AVP-DISC-007",
	 .patch = {PATCH(arm64_platform.tree_valid, false)}},
	{"tree-root", "the root lacks #size-cells", "disc_dt_root", "AVP-DISC-008",
	 .patch = {PATCH(arm64_platform.root_properties, 3)}},
	{"tree-cpus", "a processor has no enable-method", "disc_dt_cpus", "AVP-DISC-009",
	 .patch = {PATCH(arm64_platform.cpu_nodes_with_psci, 1)}},
	{"tree-timer", "the timer is not described", "disc_dt_core", "AVP-DISC-010",
	 .patch = {PATCH(arm64_platform.virtual_timer, 0)}},
	{"tree-coherent", "a window is not described as coherent", "disc_dt_mmio", "AVP-DISC-011",
	 .patch = {PATCH(arm64_platform.mmio_coherent, 0)}},
	{"tree-pci", "the host bridge has no window", "disc_dt_pci", "AVP-DISC-012",
	 .begin = lose_windows},
	{"pwr-conduit", "the conduit does not work", "pwr_conduit", "AVP-PWR-008",
	 .call = old_version},
	{"pwr-suspend", "CPU_SUSPEND returns an error that is not its", "pwr_cpu_suspend",
	 "AVP-PWR-015", .call = strange_error},
	{.name = NULL},
};
#endif
