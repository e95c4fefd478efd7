// SPDX-License-Identifier: BSD-3-Clause
/*
 * The platform of an x86 machine: serial port, power registers and pvpanic, all at ports.
 */
#include "monitor/platform.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "monitor/panic.h"
#include "monitor/power.h"
#include "monitor/serial.h"
#include "monitor/x86/layout.h"
#include "virtio/container_of.h"

struct x86_platform {
	struct platform platform;
	struct platform_setup setup;
	struct serial *serial;
	struct power power;
	struct panic panic;
};

static struct x86_platform *to_x86(struct platform *platform)
{
	return container_of(platform, struct x86_platform, platform);
}

static void attach(struct platform *platform, struct hypervisor *hypervisor)
{
	serial_attach(to_x86(platform)->serial, hypervisor);
	power_attach(&to_x86(platform)->power, hypervisor);
}

static void detach(struct platform *platform)
{
	serial_detach(to_x86(platform)->serial);
	power_attach(&to_x86(platform)->power, NULL);
}

static void press_power_button(struct platform *platform)
{
	power_press_button(&to_x86(platform)->power);
}

static void close_platform(struct platform *platform, int output_ms)
{
	serial_close(to_x86(platform)->serial, output_ms);
	power_close(&to_x86(platform)->power);
	free(platform);
}

static const struct platform_ops x86_platform_ops = {
	.attach = attach,
	.detach = detach,
	.press_power_button = press_power_button,
	.close = close_platform,
};

int arch_platform_open(struct platform **out, const struct platform_setup *setup,
		       struct error *error)
{
	struct x86_platform *x86 = calloc(1, sizeof(*x86));
	int serial_fd = setup->serial_fd, result;

	if (!x86) {
		close_fd(&serial_fd);
		return error_set(error, ENOMEM, "out of memory");
	}
	x86->platform.ops = &x86_platform_ops;
	x86->setup = *setup;
	result = serial_open(&x86->serial, setup->loop, serial_fd, serial_fd, X86_SERIAL_PORT,
			     X86_SERIAL_PIN, error);
	power_init(&x86->power, X86_POWER_PORT, X86_POWER_PIN, &x86->setup);
	panic_init(&x86->panic, X86_PANIC_PORT, &x86->setup, NULL);
	if (result == 0)
		result = bus_add(setup->ports, serial_registers(x86->serial), error);
	if (result == 0)
		result = bus_add(setup->ports, &x86->power.registers, error);
	if (result == 0)
		result = bus_add(setup->ports, &x86->panic.registers, error);
	if (result < 0)
		close_platform(&x86->platform, 0);
	else
		*out = &x86->platform;
	return result;
}
