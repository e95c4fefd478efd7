// SPDX-License-Identifier: BSD-3-Clause
/* The type of a source of random numbers: data only. */
#include <linux/virtio_ids.h>

#include "device/entropy/options.h"
#include "device/kit/device_type.h"

const struct option_row entropy_option_rows[] = {
	{.name = NULL},
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
	.argument = "OPTION…",
	.example = "",
};
