// SPDX-License-Identifier: BSD-3-Clause
/* `avp device`: executes the program of a device. */
#include "cli/avp.h"
#include "device/kit/device_type.h"

const struct command command_device = {
	.name = "device",
	.summary = "serve one virtual device",
	.description =
		"Serves one VIRTIO device over vhost-user, for any virtual machine monitor that "
		"supports vhost-user: AVP's own, QEMU, Cloud Hypervisor, crosvm.\n"
		"\n"
		"A device process runs in the foreground and exits on SIGTERM or SIGINT. `avp run` "
		"starts the device processes of its guest itself.",
	.subcommands = device_programs,
};
