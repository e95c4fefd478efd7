// SPDX-License-Identifier: BSD-3-Clause
/* The type of a source of random numbers: data only. */
#include <linux/virtio_ids.h>

#include "device/entropy/options.h"
#include "device/kit/device_type.h"

const struct option_row entropy_option_rows[] = {
	{.name = NULL},
};

/*
 * hw/virtio/vhost-user-rng.c came in October 2021. It needs its connection at the start, which
 * excludes reconnecting, and would not negotiate on a new one. It has always been modern, and has
 * no disable-legacy property.
 */
static const struct qemu_device entropy_qemu = {
	.name = "vhost-user-rng-pci",
	.since = {6, 2, 0},
};

const struct device_type device_type_entropy = {
	.name = "entropy",
	.summary = "a source of random numbers",
	.shape =
		{
			.virtio_id = VIRTIO_ID_RNG,
			.queues = 1,
			.queue_size_max = 64,
		},
	.options = entropy_option_rows,
	.options_size = sizeof(struct entropy_options),
	.run_row =
		{
			.argument = "OPTION…",
			.argument_optional = true,
			.help = "add a source of random numbers; may be repeated",
		},
	.example = "",
	.qemu = &entropy_qemu,
	.vhost_user_type = "rng",
	.program =
		{
			DEVICE_PROGRAM("entropy"),
			.summary = "serve a source of random numbers",
			.groups = DEVICE_PROGRAM_GROUPS(entropy),
			.examples =
				(const struct command_note[]){
					{"avp device entropy --socket-path entropy.sock",
					 "Serves the host kernel's random numbers."},
					{NULL, NULL},
				},
		},
	.conform = {.devices = (const char *const[]){"", NULL}},
};
