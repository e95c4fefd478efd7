// SPDX-License-Identifier: BSD-3-Clause
/*
 * Builds the arguments of `avp monitor`. It inherits every file as a descriptor, except the one
 * that the device tree is written to.
 */
#include "guest/engine/kvm/monitor_arguments.h"

#include <inttypes.h>
#include <string.h>

#include "guest/engine/kvm/kvm.h"
#include "guest/engine/kvm/monitor_device.h"
#include "host/log_relay.h"

/* The type's shape, with the smaller rings that the device's options may ask for. */
static struct device_shape shape_of(const struct device_config *device)
{
	const struct option_row *row =
		option_find(device->type->options, "queue-size", strlen("queue-size"));
	struct device_shape shape = device->type->shape;

	if (row)
		shape.queue_size_max = (uint16_t)option_number(row, device->options);
	return shape;
}

void monitor_arguments(struct arguments *arguments, const struct engine_setup *setup,
		       const struct engine_launch *launch,
		       const struct monitor_descriptors *descriptors)
{
	static const char *const files[ENGINE_FILES] = {
		[ENGINE_KERNEL] = "kernel",
		[ENGINE_FIRMWARE] = "firmware",
		[ENGINE_INITRD] = "initrd",
	};
	const struct guest_config *config = setup->config;

	arguments_add(arguments, "avp");
	arguments_add(arguments, "monitor");
	log_relay_add_arguments(arguments);
	for (int i = 0; i < ENGINE_FILES; i++)
		if (launch->files[i] >= 0)
			arguments_add_format(arguments, "--%s=/dev/fd/%d", files[i],
					     launch->files[i]);
	if (config->dump_dtb)
		arguments_add_format(arguments, "--dump-dtb=%s", config->dump_dtb);
	if (engine_kvm.machines[ENGINE_HERE].watchdog)
		arguments_add_format(arguments, "--watchdog=%s", guest_config_watchdog(config));
	if (launch->command_line)
		arguments_add_format(arguments, "--append=%s", launch->command_line);
	arguments_add_format(arguments, "--cpus=%" PRIu64, config->cpus);
	arguments_add_format(arguments, "--memory=%" PRIu64, config->memory);
	if (config->huge_pages)
		arguments_add(arguments, "--huge-pages");
	arguments_add_format(arguments, "--serial-fd=%d", launch->console);
	arguments_add_format(arguments, "--control-fd=%d", launch->control);
	arguments_add_format(arguments, "--broker-fd=%d", descriptors->broker);
	for (size_t i = 0; i < setup->device_count; i++) {
		const struct device_config *device = setup->devices[i].config;
		const struct device_shape shape = shape_of(device);

		monitor_device_add(arguments, device->name, &shape, descriptors->devices[i],
				   descriptors->trees[i]);
	}
}
