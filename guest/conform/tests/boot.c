// SPDX-License-Identifier: BSD-3-Clause
/* Chapter boot: the state in which the guest gets control. */
#include "arch/image.h"
#include "bus/bus.h"
#include "machine.h"
#include "pages.h"
#include "snapshot.h"
#include "reboot.h"
#include "report.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"
#else
#include "arch/arm64/arm64.h"
#endif

/* guest/conform/build overwrites these words; they are not zero, so that they are in the file. */
const volatile uint32_t image_sum[4] __attribute__((section(".sum"), used)) = {1, 0, 0, 0};

#define SUITE_SIZE    (1 << 20)	 /* more than device discovery uses */
#define FIRMWARE_SIZE (32 << 20) /* at the end of a PC's memory, where its firmware has worked */
#define SAMPLED	      64	 /* one page in so many is checked */

/* The first test of all: others reset the machine or leave something in its memory. */
TEST(mem_no_residue, "AVP-MEM-006", .limit_ms = 60000)
{
	uint64_t start, end, found = 0, first = 0;

	if (option_number("start", 1) != 1 || option_number("boot", 1) + reboot_count() != 1)
		skip("not the first start");
	if (machine.has_firmware)
		cannot_judge("firmware has used the memory");
	for (unsigned int part = 0; pages_part(part, &start, &end); part++) {
		if (part == 0)
			start += SUITE_SIZE;
		if (part == 0 && machine_firmware_ran())
			end -= FIRMWARE_SIZE;
		for (uint64_t page = start; page < end; page += SAMPLED * PAGE_SIZE)
			for (unsigned int i = 0; i < PAGE_SIZE / 8; i++) {
				if (!((volatile uint64_t *)page)[i])
					continue;
				first = first ? first : page;
				found++;
				break;
			}
	}
	check(found == 0, "SHOULD: %lu pages, one of them at 0x%lx, were not zero", found, first);
}

#ifdef __x86_64__
#define BY_PVH	 (start_state.kind == 0)
#define BY_LINUX (start_state.kind == 1 || start_state.kind == 2)

static void check_map(void)
{
	check(machine.range_count > 0, "the memory map has no entry");
	for (unsigned int i = 0; i < machine.range_count; i++)
		for (unsigned int j = 0; j < i; j++) {
			const struct range *a = &machine.ranges[j], *b = &machine.ranges[i];

			check(a->start <= b->start,
			      "the memory map is not sorted: 0x%lx after 0x%lx", b->start,
			      a->start);
			check(a->end <= b->start, "0x%lx to 0x%lx overlaps 0x%lx", a->start, a->end,
			      b->start);
		}
	check(machine_has_memory((uint64_t)image_start, (size_t)(image_end - image_start)),
	      "the image is not in memory that the map lists");
}

TEST(boot_pvh_state, "AVP-BOOT-001", .profile = "x86-64")
{
	if (!BY_PVH)
		skip("not started by this protocol");
	check((start_state.cr0 & 0x80000001) == 1, "CR0 is 0x%lx", start_state.cr0);
	check(!(start_state.flags & 0x20200), "EFLAGS are 0x%lx", start_state.flags);
	check(!(start_state.cr4 & ~UINT64_C(0x40)), "CR4 is 0x%lx", start_state.cr4);
	check(start_copy.magic == 0x336ec578, "EBX, 0x%lx, does not lead to the start information",
	      start_state.information);
}

TEST(boot_pvh_start_info, "AVP-BOOT-002", .profile = "x86-64")
{
	if (!BY_PVH)
		skip("not started by this protocol");
	check(start_copy.magic == 0x336ec578, "the magic number is 0x%lx", start_copy.magic);
	check(start_copy.version >= 1, "the version is %lu", start_copy.version);
	check(start_copy.map && start_copy.map_count > 0,
	      "the start information has no memory map");
	check(start_copy.map < machine_memory_size() || start_copy.map < 0x100000,
	      "the memory map is at 0x%lx", start_copy.map);
}

TEST(boot_pvh_memmap, "AVP-BOOT-003", .profile = "x86-64")
{
	if (!BY_PVH)
		skip("not started by this protocol");
	check_map();
}

TEST(boot_bzimage_state, "AVP-BOOT-004", .profile = "x86-64")
{
	if (start_state.kind != 2)
		skip("not started by the 64-bit boot protocol");
	check((start_state.cr0 & 0x80000001) == 0x80000001, "CR0 is 0x%lx", start_state.cr0);
	check(start_state.cr4 & 0x20, "CR4 is 0x%lx, without PAE", start_state.cr4);
	check(!(start_state.flags & 0x20200), "RFLAGS are 0x%lx", start_state.flags);
	check(start_state.cs == 0x10 && start_state.ds == 0x18,
	      "CS is 0x%lx and DS 0x%lx, not 0x10 and 0x18", start_state.cs, start_state.ds);
}

TEST(boot_params_e820, "AVP-BOOT-005", .profile = "x86-64")
{
	if (!BY_LINUX)
		skip("not started by this protocol");
	check_map();
}

TEST(boot_params_header, "AVP-BOOT-006", .profile = "x86-64")
{
	if (!BY_LINUX)
		skip("not started by this protocol");
	check(start_copy.magic == 0x53726448 && start_copy.boot_flag == 0xaa55,
	      "header 0x%lx, boot_flag 0x%lx", start_copy.magic, start_copy.boot_flag);
	check(start_copy.loader != 0, "type_of_loader is 0");
	check(start_copy.version >= 0x20c, "version 0x%lx", start_copy.version);
}

TEST(boot_rsdp, "AVP-BOOT-007", .profile = "x86-64")
{
	check(machine.description, "no RSDP: neither passed nor between 0xe0000 and 0xfffff");
}
#else
static void skip_after_firmware(void)
{
	if (machine.has_firmware)
		skip("not started by this protocol");
}

TEST(boot_arm64_el, "AVP-BOOT-008", .profile = "arm64")
{
	check(start_state.level >> 2 == 1 || start_state.level >> 2 == 2, "entered at EL%lu",
	      start_state.level >> 2);
}

TEST(boot_arm64_registers, "AVP-BOOT-009", .profile = "arm64")
{
	skip_after_firmware();
	check(start_copy.magic == 0xd00dfeed, "x0 is 0x%lx, where there is no device tree",
	      start_state.x0);
	check(!start_state.x1 && !start_state.x2 && !start_state.x3,
	      "x1 to x3 are 0x%lx, 0x%lx, 0x%lx", start_state.x1, start_state.x2, start_state.x3);
}

TEST(boot_arm64_dtb, "AVP-BOOT-010", .profile = "arm64")
{
	uint64_t start = start_state.x0, end = start + arm64_platform.tree_size;

	skip_after_firmware();
	check(!(start & 7), "the device tree is at 0x%lx", start);
	check(arm64_platform.tree_size <= 2 << 20, "the device tree has %u bytes",
	      arm64_platform.tree_size);
	check(machine_has_memory(start, arm64_platform.tree_size),
	      "the device tree is not in memory");
	check(end <= (uint64_t)image_start || start >= (uint64_t)image_end,
	      "it overlaps the image");
	check(end <= machine.initrd_start || start >= machine.initrd_end,
	      "the device tree overlaps the initial RAM disk");
}

TEST(boot_arm64_masked, "AVP-BOOT-011", .profile = "arm64")
{
	skip_after_firmware();
	check((start_state.daif & 0x3c0) == 0x3c0, "DAIF is 0x%lx", start_state.daif);
	check(!(start_state.sctlr & 1), "the MMU is on");
}

TEST(boot_arm64_placement, "AVP-BOOT-012", .profile = "arm64")
{
	skip_after_firmware();
	check(((uint64_t)image_start & 0x1fffff) == 0, "the image is at 0x%lx",
	      (uint64_t)image_start);
}

static void read_frequency(void *argument)
{
	*(volatile uint64_t *)argument = read_register(cntfrq_el0);
}

TEST(boot_arm64_counter, "AVP-BOOT-013", .profile = "arm64")
{
	static volatile uint64_t frequency;
	uint64_t here = read_register(cntfrq_el0);
	int64_t code;

	check(here >= 1000000 && here <= 10000000000, "CNTFRQ_EL0 is %lu", here);
	for (unsigned int i = 1; i < machine.cpu_count; i++) {
		frequency = 0;
		check(cpu_start(i, read_frequency, (void *)&frequency, &code),
		      "processor %u does not start: %ld", i, code);
		check(wait_until(frequency != 0, 1000) && frequency == here,
		      "CNTFRQ_EL0 is %lu on processor %u, %lu on the first", frequency, i, here);
	}
}

TEST(boot_arm64_gic_sysregs, "AVP-BOOT-014", .profile = "arm64")
{
	if (arm64_platform.gic_version != 3)
		skip("no GICv3");
	/* The timer's interrupt arrived through them. */
	check(read_register(s3_0_c12_c12_5) & 1, "ICC_SRE_EL1.SRE stays 0");
	check(timer_works(), "no interrupt arrives");
}
#endif

TEST(boot_image_intact, "AVP-BOOT-015")
{
	uint32_t sum = text_sum(0, image_start, (size_t)(image_checked_end - image_start));

	check(sum == image_sum[0], "code and constants have the sum 0x%x, not 0x%x", sum,
	      image_sum[0]);
}

TEST(boot_bss_zeroed, "AVP-BOOT-016")
{
	volatile uint8_t *last = (volatile uint8_t *)((uint64_t)image_end - 1);

	*last = 0x5a;
	check(*last == 0x5a, "the last byte of the image is not in memory");
	*last = 0;
	check(!image_state.bss_promised || image_state.bss_nonzero == 0,
	      "%lu words beyond the file were not zero", image_state.bss_nonzero);
}

TEST(boot_cmdline, "AVP-BOOT-017")
{
	check(!machine.command_line_cut, "the command line is longer than %u characters",
	      (unsigned int)sizeof(machine.command_line) - 1);
	for (const char *c = machine.command_line; *c; c++)
		check(*c >= ' ' && *c <= '~', "the command line contains character 0x%x",
		      (uint8_t)*c);
}

TEST(boot_initrd, "AVP-BOOT-018")
{
	if (machine.initrd_start == machine.initrd_end)
		skip("no initial RAM disk was passed");
	check(machine.initrd_start < machine.initrd_end &&
		      machine_has_memory(machine.initrd_start,
					 machine.initrd_end - machine.initrd_start),
	      "the initial RAM disk is at 0x%lx to 0x%lx, which is not memory",
	      machine.initrd_start, machine.initrd_end);
	check(machine.initrd_end <= (uint64_t)image_start ||
		      machine.initrd_start >= (uint64_t)image_end,
	      "it overlaps the image");
}

TEST(boot_one_cpu, "AVP-BOOT-019", .cpus = 2)
{
	check(cpu_alone_at_start(), CPU_NOT_ALONE);
}

TEST(boot_devices_quiet, "AVP-BOOT-020")
{
	for (unsigned int i = 0; i < device_count; i++) {
		if (devices[i].first_status && machine_firmware_ran())
			cannot_judge("firmware has used %s", device_name(&devices[i]));
		check(devices[i].first_status == 0, "%s: status was 0x%x", device_name(&devices[i]),
		      devices[i].first_status);
	}
	check(interrupts_unexpected == 0, "%lu unexpected interrupts arrived",
	      interrupts_unexpected);
}

TEST(boot_repeat, "AVP-BOOT-021", .limit_ms = 60000)
{
	static struct snapshot before, now;

	snapshot_take(&now);
	if (!reboot_resume(&before, sizeof(before)))
		reboot_now(&now, sizeof(now));
	snapshot_check_start(&before, &now);
	snapshot_check_devices(&before, &now);
}

TEST(boot_early_output, "AVP-BOOT-022", .limit_ms = 600000)
{
	uint64_t lines = option_number("lines", 20);

	/* The reader counts and sums what it gets: a lost line damages the log. */
	for (uint64_t i = 0; i < lines; i++)
		report_line("note: line %lu of %lu: 0123456789 abcdefghijklmnopqrstuvwxyz", i + 1,
			    lines);
}

TEST(boot_entry_time, "AVP-BOOT-023")
{
	static struct distribution distribution;

	distribution_start(&distribution);
	distribution_add(&distribution, ticks_to_ns(image_state.entry_ticks) / 1000);
	distribution_report(&distribution, "boot_entry_time", "us");
}
