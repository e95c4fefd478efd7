// SPDX-License-Identifier: BSD-3-Clause
/*
 * Faults of the machine that every architecture has: start, memory, processors, interrupts, time,
 * power, description, watchdog.
 */
#include "machine_fault.h"

#include "arch/image.h"
#include "bus/pci.h"
#include "devices/watchdog.h"
#include "pages.h"
#include "reboot.h"

#define SUITE_SIZE (1 << 20) /* as in mem_no_residue */

static void leave_residue(void)
{
	uint64_t start, end;

	if (pages_part(0, &start, &end))
		fault_set((void *)(start + SUITE_SIZE), 8, 0x5a);
}

static void damage_image(void)
{
	fault_set(image_start, 1, *image_start ^ 1);
}

/* A character that the command line of a host does not have. */
static void damage_command_line(void)
{
	fault_set(&machine.command_line[0], 1, 7);
}

static void forget_command_line(void)
{
	fault_set(&machine.command_line[0], 1, 0);
}

/* The version's first digit: the first word is the console. */
static void change_version(void)
{
	static const char word[] = "avp.contract=";

	for (char *at = machine.command_line; *at; at++)
		if (text_starts(at, word))
			fault_set(at + sizeof(word) - 1, 1, '9');
}

static void hide_devices(void)
{
	for (unsigned int i = 0; i < device_count; i++)
		if (devices[i].id == VIRTIO_ID_RNG)
			fault_set(&devices[i].id, sizeof(devices[i].id), 63);
}

static void wake_devices(void)
{
	for (unsigned int i = 0; i < device_count; i++)
		fault_set(&devices[i].first_status, 1, STATUS_RUNNING);
}

static struct range *last_range(void)
{
	struct range *last = &machine.ranges[0];

	for (unsigned int i = 0; i < machine.range_count; i++)
		if (machine.ranges[i].usable && machine.ranges[i].end > last->end)
			last = &machine.ranges[i];
	return last;
}

static void shrink_memory(void)
{
	struct range *last = last_range();

	fault_set(&last->end, 8, last->end - (8 << 20));
}

static void cut_page(void)
{
	struct range *last = last_range();

	fault_set(&last->end, 8, last->end - 512);
}

static void overlap_ranges(void)
{
	struct range *last = last_range();

	fault_set(&machine.ranges[machine.range_count], sizeof(last->start), last->start);
	fault_set(&machine.ranges[machine.range_count].end, 8, last->end);
	fault_set(&machine.ranges[machine.range_count].usable, 1, true);
	fault_set(&machine.range_count, sizeof(machine.range_count), machine.range_count + 1);
}

static uint64_t ticks_back(uint64_t now)
{
	static unsigned int reads;

	return ++reads % 1000 ? now : now - 100000;
}

/* The other processors' counters are behind, or ahead. */
static uint64_t ticks_behind(uint64_t now)
{
	return cpu_self() ? now - arch_ticks_per_second() : now;
}

static uint64_t ticks_ahead(uint64_t now)
{
	return cpu_self() ? now + arch_ticks_per_second() : now;
}

static uint64_t first_timer_only(uint64_t deadline)
{
	return cpu_self() ? UINT64_MAX : deadline;
}

static bool never_caught(bool caught, struct fault *fault, void *argument)
{
	return false;
}

static bool always_caught(bool caught, struct fault *fault, void *argument)
{
	if (!caught)
		*fault = (struct fault){.kind = 99};
	return true;
}

static bool caught_elsewhere(bool caught, struct fault *fault, void *argument)
{
	fault->pc += 4;
	return caught;
}

static bool caught_otherwise(bool caught, struct fault *fault, void *argument)
{
	fault->kind = ARCH_X86 ? 13 : 0x3f;
	return caught;
}

static bool address_lost(bool caught, struct fault *fault, void *argument)
{
	fault->address = 0;
	return caught;
}

static bool stop_devices(bool caught, struct fault *fault, void *argument)
{
	fault_stop_devices();
	return caught;
}

/* The third processor would be called like the second. */
static uint64_t other_identity(uint64_t id)
{
	return id ^ 1;
}

static uint64_t magic_everywhere(enum space space, uint32_t offset, unsigned int width,
				 uint64_t value)
{
	return space != ELSEWHERE ? value : (offset & 0xfff) == 0 ? 0x74726976 : 2;
}

/* An exit changes a vector register. */
static uint64_t clear_vector(enum space space, uint32_t offset, unsigned int width, uint64_t value)
{
#ifdef __x86_64__
	__asm__ volatile("pxor %xmm15, %xmm15");
#else
	__asm__ volatile(".arch_extension fp\n fmov d31, xzr");
#endif
	return value;
}

static uint64_t minute_later(uint64_t ms)
{
	return ms ? ms + 60000 : 0;
}

/* Watchdogs */

static struct watchdog_ops watchdog_ops;
static const struct watchdog_ops *real_watchdog;

static void copy_watchdog(void)
{
	if (!watchdog.ops)
		return;
	real_watchdog = watchdog.ops;
	watchdog_ops = *watchdog.ops;
	fault_set(&watchdog.ops, sizeof(watchdog.ops), (uint64_t)&watchdog_ops);
}

static void do_nothing(void)
{
}

static bool is_running(void)
{
	return true;
}

static void stray_stop(void)
{
	real_watchdog->stop();
}

static void never_refresh(void)
{
	copy_watchdog();
	watchdog_ops.refresh = do_nothing;
}

static void never_stop(void)
{
	copy_watchdog();
	watchdog_ops.stop = do_nothing;
	watchdog_ops.running = is_running;
}

static void stop_at_stray(void)
{
	copy_watchdog();
	watchdog_ops.write_stray = stray_stop;
}

const struct machine_fault machine_faults[] = {
	/* Start */
	{"boot-residue", "free memory has data in it", "mem_no_residue", "AVP-MEM-006",
	 .begin = leave_residue},
	{"boot-image", "a byte of the image is wrong", "boot_image_intact", "AVP-BOOT-015",
	 .begin = damage_image},
	{"boot-bss", "memory behind the image's file is not zero", "boot_bss_zeroed",
	 "AVP-BOOT-016",
	 .patch = {PATCH(image_state.bss_nonzero, 3), PATCH(image_state.bss_promised, true)}},
	{"boot-line", "the command line has a control character", "boot_cmdline", "AVP-BOOT-017",
	 .begin = damage_command_line},
	{"boot-line-cut", "the command line is longer than allowed", "boot_cmdline", "AVP-BOOT-017",
	 .patch = {PATCH(machine.command_line_cut, true)}},
	{"boot-initrd", "the initial RAM disk is where there is no memory", "boot_initrd",
	 "AVP-BOOT-018",
	 .patch = {PATCH(machine.initrd_start, 0xfffff000), PATCH(machine.initrd_end, 0xfffff800)}},
	{"boot-initrd-overlap", "the initial RAM disk overlaps the image", "boot_initrd",
	 "AVP-BOOT-018",
	 .patch = {PATCH(machine.initrd_start, image_start), PATCH(machine.initrd_end, image_end)}},
	{"boot-cpus", "another processor runs at the start", "boot_one_cpu", "AVP-BOOT-019",
	 .cpus = CPU_STAYS_ON},
	{"boot-devices", "a device runs at the start", "boot_devices_quiet", "AVP-BOOT-020",
	 .begin = wake_devices},
	{"boot-again", "the command line is another one after a reset", "boot_repeat",
	 "AVP-BOOT-021", .after_reset = true, .begin = damage_command_line},
	{"boot-again-devices", "a device offers other features after a reset", "boot_repeat",
	 "AVP-BOOT-021", .after_reset = true, .read = {AT(OFFERED, 0), .flip = 1}},

	/* Memory */
	{"mem-page", "memory ends within a page", "mem_map_sorted", "AVP-MEM-004",
	 .begin = cut_page},
	{"mem-overlap", "memory is listed twice", "mem_map_sorted", "AVP-MEM-004",
	 .begin = overlap_ranges},
	{"mem-size", "8 MiB are missing", "mem_size", "AVP-MEM-003", .begin = shrink_memory},
	{"mem-hole-read", "a read of an address without memory stops devices", "mem_hole_read",
	 "AVP-MEM-008", .dies_reading = {AT(ELSEWHERE, 0), ANY_OFFSET}},
	{"mem-hole-write", "a write to an address without memory stops devices", "mem_hole_write",
	 "AVP-MEM-008", .dies = {AT(ELSEWHERE, 0), ANY_OFFSET}},
	{"mem-hole-end", "an access across the end of memory never completes", "mem_hole_end",
	 "AVP-MEM-009", .loops = {AT(ELSEWHERE, 0), ANY_OFFSET}},
	{"mem-wide", "a wide access to registers stops devices", "mem_wide_mmio", "AVP-MEM-011",
	 .caught = stop_devices},
	{"mem-large", "memory mapped by a large page raises an exception", "mem_large_pages",
	 "AVP-MEM-013", .caught = always_caught},
	{"mem-execute", "memory cannot be executed", "mem_execute", "AVP-MEM-014",
	 .caught = always_caught},
	{"mem-reach", "a device does not reach memory", "mem_device_reach", "AVP-MEM-016",
	 .drops = {AT(KICK, 0)}},
	{"mem-rom", "a ROM keeps what is written", "mem_rom", "AVP-MEM-018",
	 .sticks = {AT(ELSEWHERE, 0), ANY_OFFSET}},
	{"mem-dirty", "the command line is another one after a reset", "mem_dirty_reset",
	 "AVP-MEM-019", .after_reset = true, .begin = damage_command_line},

	/* Processors */
	{"cpu-refused", "a processor does not start", "cpu_start_all", "AVP-CPU-001",
	 .cpus = CPU_REFUSED},
	{"cpu-lost", "a processor starts elsewhere", "cpu_start_all", "AVP-CPU-002",
	 .cpus = CPU_IDLE},
	{"cpu-parallel", "a processor starts elsewhere", "cpu_start_parallel", "AVP-CPU-003",
	 .cpus = CPU_IDLE},
	{"cpu-again", "a processor starts nine times only", "cpu_off_on", "AVP-CPU-008",
	 .cpus = CPU_SOMETIMES},
	{"cpu-identity", "a processor has the identity of another", "cpu_ids", "AVP-CPU-011",
	 .identity = other_identity},
	{"cpu-vector", "an exit changes a vector register", "cpu_features_work", "AVP-CPU-013",
	 .reading = clear_vector},
	{"cpu-exception", "exceptions are lost", "cpu_exceptions", "AVP-CPU-018",
	 .caught = never_caught},
	{"cpu-exception-kind", "exceptions have another cause", "cpu_exceptions", "AVP-CPU-018",
	 .caught = caught_otherwise},
	{"cpu-exception-address", "the address of an exception is lost", "cpu_exceptions",
	 "AVP-CPU-018", .caught = address_lost},
	{"cpu-halt", "a halted processor is not woken", "cpu_halt_wakes", "AVP-CPU-023",
	 .timer = TIMER_NEVER},
	{"cpu-halt-early", "a halted processor is woken too early", "cpu_halt_wakes", "AVP-CPU-023",
	 .timer = TIMER_EARLY},
	{"cpu-spin", "a processor gets no time", "cpu_spin_progress", "AVP-CPU-026",
	 .cpus = CPU_STOPS},
	{"cpu-atomics", "a processor starts elsewhere", "cpu_atomics", "AVP-CPU-025",
	 .cpus = CPU_IDLE},
	{"cpu-breakpoint", "a breakpoint raises nothing", "cpu_debug", "AVP-CPU-028",
	 .caught = never_caught},
	{"cpu-breakpoint-place", "a breakpoint stops elsewhere", "cpu_debug", "AVP-CPU-028",
	 .caught = caught_elsewhere},
	{"cpu-loop", "devices stop while a processor loops", "cpu_exception_loop", "AVP-CPU-029",
	 .drops = {AT(KICK, 0)}},

	/* Interrupts */
	{"irq-lost", "interrupts of devices are lost", "irq_deliver", "AVP-IRQ-001",
	 .interrupts = INTERRUPT_LOST},
	{"irq-edge", "an edge is lost while the interrupt is masked", "irq_edge_not_lost",
	 "AVP-IRQ-002", .interrupts = INTERRUPT_LOST},
	{"irq-edge-mask", "masking an interrupt has no effect", "irq_edge_not_lost", "AVP-IRQ-002",
	 .interrupts = INTERRUPT_NOT_MASKED},
	{"irq-mask", "masking an interrupt has no effect", "irq_disabled", "AVP-IRQ-005",
	 .interrupts = INTERRUPT_NOT_MASKED},
	{"irq-route", "an interrupt stays at its processor", "irq_affinity", "AVP-IRQ-006",
	 .interrupts = INTERRUPT_NOT_ROUTED},
	{"irq-eoi", "an interrupt is lost now and then", "irq_eoi", "AVP-IRQ-008",
	 .interrupts = INTERRUPT_SOMETIMES_LOST},
	{"irq-ipi", "an interrupt between processors is lost", "irq_ipi", "AVP-IRQ-009",
	 .ipis = IPI_LOST},
	{"irq-ipi-all", "an interrupt to all others arrives at the sender", "irq_ipi_broadcast",
	 "AVP-IRQ-010", .ipis = IPI_TO_SELF},
	{"irq-ipi-none", "an interrupt to all is lost", "irq_ipi_broadcast", "AVP-IRQ-010",
	 .ipis = IPI_LOST},
	{"irq-wake", "an interrupt does not wake a processor", "irq_wake", "AVP-IRQ-011",
	 .ipis = IPI_SOMETIMES_LOST},
	{"irq-storm", "interrupts are lost in a storm", "irq_storm", "AVP-IRQ-012",
	 .interrupts = INTERRUPT_SOMETIMES_LOST},
	{"irq-shared", "two windows share an interrupt", "irq_many", "AVP-IRQ-013",
	 .patch = {PATCH(machine.slots[1].line.number, 5), PATCH(machine.slots[0].line.number, 5)}},
	{"irq-message", "a message is lost now and then", "irq_msi", "AVP-IRQ-024",
	 .interrupts = INTERRUPT_SOMETIMES_LOST},
	{"irq-message-twice", "a message arrives many times", "irq_msi", "AVP-IRQ-024",
	 .interrupts = INTERRUPT_TWICE},
	{"irq-latency", "an interrupt to the sender is lost", "irq_latency", "AVP-IRQ-027",
	 .ipis = IPI_SOMETIMES_LOST},

	/* Time */
	{"time-back", "the counter goes back", "time_monotonic", "AVP-TIME-001",
	 .ticks = ticks_back},
	{"time-behind", "a processor's counter is behind", "time_cpus_agree", "AVP-TIME-002",
	 .ticks = ticks_behind},
	{"time-ahead", "a processor's counter is ahead", "time_cpus_agree", "AVP-TIME-002",
	 .ticks = ticks_ahead},
	{"timer-never", "the timer does not fire", "time_timer_fires", "AVP-TIME-006",
	 .timer = TIMER_NEVER},
	{"timer-early", "the timer fires too early", "time_timer_fires", "AVP-TIME-006",
	 .timer = TIMER_EARLY},
	{"timer-past", "a timer in the past does not fire", "time_timer_past", "AVP-TIME-007",
	 .timer = TIMER_NEVER},
	{"timer-cancel", "a timer cannot be cancelled", "time_timer_cancel", "AVP-TIME-008",
	 .timer = TIMER_NOT_CANCELLED},
	{"timer-far", "a timer at the largest value fires at once", "time_timer_far",
	 "AVP-TIME-009", .timer = TIMER_EARLY},
	{"timer-drift", "every tenth timer does not fire", "time_periodic_drift", "AVP-TIME-014",
	 .timer = TIMER_SOMETIMES},
	{"timer-late", "every tenth timer does not fire", "time_lateness", "AVP-TIME-015",
	 .timer = TIMER_SOMETIMES},
	{"timer-first", "only the first processor has a timer", "time_all_timers", "AVP-TIME-013",
	 .deadline = first_timer_only},

	/* Description */
	{"disc-answer", "what is described does not answer", "disc_answers", "AVP-DISC-013",
	 .read = {AT(MMIO, 0), BECOMES(0)}},
	{"disc-hidden", "a device is not described", "disc_complete", "AVP-DISC-014",
	 .reading = magic_everywhere},
	{"disc-ecam", "the configuration space is not described", "disc_pci_mcfg", "AVP-DISC-006",
	 .patch = {PATCH(machine.ecam, 0)}},
	{"disc-buses", "the last bus is below the first", "disc_pci_mcfg", "AVP-DISC-006",
	 .patch = {PATCH(machine.first_bus, 200), PATCH(machine.last_bus, 100)}},
	{"disc-changed", "a device offers other features after a reset", "disc_stable",
	 "AVP-DISC-015", .after_reset = true, .read = {AT(OFFERED, 0), .flip = 1}},
	{"disc-console", "nothing names the console", "disc_console", "AVP-DISC-016",
	 .begin = forget_command_line},
	{"disc-base", "a configured device is missing", "disc_base_devices", "AVP-DISC-017",
	 .begin = hide_devices},
	{"disc-version", "another version of the contract is promised", "disc_contract_version",
	 "AVP-DISC-019", .begin = change_version},

	/* Power */
	{"pwr-reset", "the command line is another one after a reset", "pwr_reset", "AVP-PWR-003",
	 .after_reset = true, .begin = damage_command_line},
	{"pwr-reset-cpus", "another processor runs after a reset", "pwr_reset", "AVP-PWR-003",
	 .after_reset = true, .cpus = CPU_STAYS_ON},
	{"pwr-reset-devices", "a device still runs after a reset", "pwr_reset_devices",
	 "AVP-PWR-004", .after_reset = true, .begin = wake_devices},
	{"pwr-reset-slow", "a reset takes a minute", "pwr_reset_inflight", "AVP-PWR-005",
	 .after_reset = true, .wall = minute_later},

	/* Watchdog */
	{"wdt-running", "the watchdog runs at the start", "wdt_off_at_start", "AVP-WDT-002",
	 .patch = {PATCH(watchdog.first_running, true)}},
	{"wdt-refresh", "a refresh has no effect", "wdt_refresh", "AVP-WDT-004",
	 .begin = never_refresh},
	{"wdt-stop", "the watchdog cannot be stopped", "wdt_stop", "AVP-WDT-006",
	 .begin = never_stop},
	{"wdt-warm", "the command line is another one after its reset", "wdt_warm_reset",
	 "AVP-WDT-009", .after_reset = true, .begin = damage_command_line},
	{"wdt-stray", "a stray write stops the watchdog", "wdt_hostile", "AVP-WDT-011",
	 .begin = stop_at_stray},
	{"wdt-reason", "a reset by the watchdog is not reported", "wdt_reason", "AVP-WDT-012",
	 .after_reset = true, .patch = {PATCH(watchdog.first_expired, false)}},
	{.name = NULL},
};
