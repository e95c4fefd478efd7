// SPDX-License-Identifier: BSD-3-Clause
/* `avp device`: the device processes. */
#include "cli/avp.h"

#include "cli/device_types.h"

static const struct command *const subcommands[] = {
	&command_device_block,
	&command_device_net,
	&command_device_entropy,
	&command_device_console,
	NULL,
};

const struct command command_device = {
	.name = "device",
	.summary = "serve one virtual device",
	.description =
		"Serves one VIRTIO device over vhost-user, for any virtual machine monitor that "
		"uses such devices: AVP's own, QEMU, Cloud Hypervisor, crosvm.\n"
		"\n"
		"A device process runs in the foreground and ends on SIGTERM or SIGINT. `avp run` "
		"starts those of its guest itself.",
	.subcommands = subcommands,
};
