// SPDX-License-Identifier: BSD-3-Clause
/* Chapter power: what of it can be seen by a guest that goes on. The end of each run is an off by itself. */
#include "bus/bus.h"
#include "test.h"

#ifdef __x86_64__
#include "arch/x86/x86.h"

TEST(pwr_fadt_registers, "AVP-PWR-009", .profile = "x86-64")
{
	const struct x86_platform *platform = &x86_platform;

	check(platform->fadt, "no FADT");
	check(platform->fadt_flags & 1 << 10 && platform->reset.address, "no reset register");
	if (platform->fadt_flags & 1 << 20)
		check(platform->sleep_control.address,
		      "hardware-reduced, without a sleep control register");
	else
		check(platform->pm1a_control.address, "no PM1a control block");
	check(platform->sleep_type >= 0, "the DSDT has no _S5");
}

TEST(pwr_register_unknown, "AVP-PWR-010", .profile = "x86-64")
{
	const struct x86_platform *platform = &x86_platform;

	/* Sleep types that are not that of off, and values that do not reset. */
	if (platform->sleep_control.address)
		for (uint32_t type = 0; type < 8; type++)
			if (platform->sleep_type >= 0 && type != (uint32_t)platform->sleep_type)
				x86_write_register(&platform->sleep_control, type << 2);
	if (platform->reset.address && platform->fadt_flags & 1 << 20)
		for (uint32_t value = 0; value < 256; value += 17)
			if (value != platform->reset_value)
				x86_write_register(&platform->reset, value);
	sleep_ms(20);
}
#else
#include "arch/arm64/arm64.h"

TEST(pwr_conduit, "AVP-PWR-008", .profile = "arm64")
{
	check(arm64_platform.has_psci, "PSCI is not described");
	check(arm64_call(PSCI_VERSION, 0, 0, 0) >= 0x10000, "the conduit does not work");
}

#define PSCI_SYSTEM_SUSPEND 0xc400000eu

TEST(pwr_suspend_invalid, "AVP-PWR-014", .profile = "arm64")
{
	int64_t code;

	if (arm64_call(PSCI_FEATURES, PSCI_SYSTEM_SUSPEND, 0, 0) < 0)
		skip("SYSTEM_SUSPEND is not reported");
	/* An address at which there is no memory. */
	code = arm64_call(PSCI_SYSTEM_SUSPEND, UINT64_C(0xfffffffff000), 0, 0);
	check(code < 0, "SYSTEM_SUSPEND to where no memory is returns %ld", code);
}

static void nothing(void)
{
}

TEST(pwr_cpu_suspend, "AVP-PWR-015", .profile = "arm64")
{
	int64_t code;

	for (int i = 0; i < 10; i++) {
		timer_request(arch_ticks() + ns_to_ticks(2000000), nothing);
		code = arm64_call(PSCI_CPU_SUSPEND, 0, 0, 0);
		check(code == 0 || code == -2 || code == -3, "CPU_SUSPEND to standby returns %ld",
		      code);
	}
}
#endif

static void need_fatal(void)
{
	if (!option_number("fatal", 0))
		skip("it ends the guest: ask for it with fatal=1");
}

TEST(pwr_off, "AVP-PWR-001")
{
	need_fatal();
	arch_power_off();
	sleep_ms(1000);
	fail("the guest goes on");
}

static void off(void *argument)
{
	(void)argument;
	arch_power_off();
}

TEST(pwr_off_secondary, "AVP-PWR-002", .cpus = 2)
{
	int64_t code;

	need_fatal();
	check(cpu_start(1, off, NULL, &code), "processor 1 does not start");
	sleep_ms(1000);
	fail("the guest goes on");
}

TEST(pwr_reset, "AVP-PWR-003")
{
	if (!option_number("fatal", 0) || option_number("boot", 1) != 1)
		skip("it resets the guest: ask for it with fatal=1");
#ifdef __x86_64__
	x86_write_register(&x86_platform.reset, x86_platform.reset_value);
#else
	arm64_call(PSCI_SYSTEM_RESET, 0, 0, 0);
#endif
	sleep_ms(1000);
	fail("the guest goes on");
}
