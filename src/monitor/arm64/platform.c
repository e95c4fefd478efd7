// SPDX-License-Identifier: BSD-3-Clause
/*
 * The platform of an arm64 machine: serial port, clock, power key, pvpanic and two watchdogs. The
 * hypervisor implements power off and reset (PSCI).
 */
#include "monitor/arm64/platform.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "monitor/arm64/layout.h"
#include "monitor/arm64/pl011.h"
#include "monitor/arm64/pl031.h"
#include "monitor/arm64/pl061.h"
#include "monitor/arm64/stall_detector.h"
#include "monitor/arm64/watchdog.h"
#include "monitor/panic.h"
#include "virtio/container_of.h"

struct arm64_platform {
	struct platform platform;
	struct platform_setup setup;
	struct pl011 *uart;
	struct pl031 clock;
	struct pl061 gpio;
	struct panic panic;
	struct watchdog watchdog;
	struct stall_detector stall_detector;
};

static struct arm64_platform *to_arm64(struct platform *platform)
{
	return container_of(platform, struct arm64_platform, platform);
}

static void attach(struct platform *platform, struct hypervisor *hypervisor)
{
	struct arm64_platform *arm64 = to_arm64(platform);

	pl011_attach(arm64->uart, hypervisor);
	pl031_attach(&arm64->clock, hypervisor);
	pl061_attach(&arm64->gpio, hypervisor);
	watchdog_attach(&arm64->watchdog, hypervisor);
	stall_detector_attach(&arm64->stall_detector);
}

static void detach(struct platform *platform)
{
	struct arm64_platform *arm64 = to_arm64(platform);

	pl011_detach(arm64->uart);
	pl031_detach(&arm64->clock);
	pl061_detach(&arm64->gpio);
	watchdog_detach(&arm64->watchdog);
	stall_detector_detach(&arm64->stall_detector);
}

static void pause_platform(struct platform *platform, bool paused)
{
	watchdog_pause(&to_arm64(platform)->watchdog, paused);
}

static void press_power_button(struct platform *platform)
{
	pl061_press_key(&to_arm64(platform)->gpio);
}

static void close_platform(struct platform *platform, int output_ms)
{
	struct arm64_platform *arm64 = to_arm64(platform);

	pl011_close(arm64->uart, output_ms);
	pl031_close(&arm64->clock);
	pl061_close(&arm64->gpio);
	watchdog_close(&arm64->watchdog);
	stall_detector_close(&arm64->stall_detector);
	free(arm64);
}

static const struct platform_ops arm64_platform_ops = {
	.attach = attach,
	.detach = detach,
	.pause = pause_platform,
	.press_power_button = press_power_button,
	.close = close_platform,
};

/*
 * The kernel that loaded the stall detectors is gone, and the next may lack their driver. A kexec
 * is not reported otherwise: KVM handles the PSCI calls by which a kernel stops its CPUs.
 */
static void handle_next_kernel(void *context)
{
	struct arm64_platform *arm64 = context;

	stall_detector_end(&arm64->stall_detector);
}

static void handle_crash_loaded(struct panic *panic)
{
	handle_next_kernel(container_of(panic, struct arm64_platform, panic));
}

/* Opens every part even after an error, so that all can be closed; returns the first error. */
static int open_parts(struct arm64_platform *arm64, uint64_t frequency, struct error *error)
{
	const struct platform_setup *setup = &arm64->setup;
	struct event_loop *loop = setup->loop;
	struct error errors[5];
	int results[] = {
		pl011_open(&arm64->uart, loop, setup->serial_fd, ARM64_UART_ADDRESS, ARM64_UART_SPI,
			   &errors[0]),
		pl031_open(&arm64->clock, loop, ARM64_RTC_ADDRESS, ARM64_RTC_SPI,
			   handle_next_kernel, arm64, &errors[1]),
		pl061_open(&arm64->gpio, loop, ARM64_GPIO_ADDRESS, ARM64_GPIO_SPI,
			   ARM64_GPIO_POWER_KEY, &errors[2]),
		watchdog_open(&arm64->watchdog, setup, ARM64_WATCHDOG_CONTROL,
			      ARM64_WATCHDOG_REFRESH, ARM64_WATCHDOG_SPI, frequency, &errors[3]),
		stall_detector_open(&arm64->stall_detector, setup, ARM64_STALL_ADDRESS, &errors[4]),
	};

	panic_init(&arm64->panic, ARM64_PANIC_ADDRESS, setup, handle_crash_loaded);
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (results[i] == 0)
			continue;
		if (error)
			*error = errors[i];
		return results[i];
	}
	return 0;
}

int arm64_platform_open(struct platform **out, const struct platform_setup *setup,
			uint64_t frequency, struct error *error)
{
	struct arm64_platform *arm64 = calloc(1, sizeof(*arm64));
	int serial_fd = setup->serial_fd, result;

	if (!arm64) {
		close_fd(&serial_fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	arm64->platform.ops = &arm64_platform_ops;
	arm64->setup = *setup;
	result = open_parts(arm64, frequency, error);
	if (result == 0) {
		const struct bus_device *const registers[] = {
			pl011_registers(arm64->uart),	  &arm64->clock.registers,
			&arm64->gpio.registers,		  &arm64->panic.registers,
			&arm64->watchdog.control,	  &arm64->watchdog.refresh,
			&arm64->stall_detector.registers,
		};

		for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]) && result == 0; i++)
			result = bus_add(setup->addresses, registers[i], error);
	}
	if (result < 0)
		close_platform(&arm64->platform, 0);
	else
		*out = &arm64->platform;
	return result;
}
