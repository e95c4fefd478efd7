// SPDX-License-Identifier: BSD-3-Clause
/*
 * The commands of a device as rows of one table. Every command starts with the same header, which
 * holds its id, and most continue with a fixed layout. The fixed part is copied once, and handlers
 * see the copy. The rest of the command, and the reply, are streams.
 *
 * How and when the driver gets the result differs from device to device: the caller does that.
 */
#ifndef AVP_DEVICE_KIT_COMMAND_TABLE_H
#define AVP_DEVICE_KIT_COMMAND_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "virtio/device.h"

struct command_row {
	uint32_t id;
	uint8_t feature; /* without this feature bit the driver may not use the command */
	uint8_t size;	 /* bytes of fixed layout, with the header */
	/*
	 * Carries out the command. @message: the copy of its @size bytes, aligned to 8. @request:
	 * its readable part starts behind them; the answer goes to the writable part. Returns 0 or
	 * a negative errno.
	 */
	int (*run)(struct virtio_device *device, const void *message,
		   struct virtio_request *request);
};

struct command_table {
	const struct command_row *rows;
	size_t count;
	uint8_t header_size; /* bytes */
	uint32_t (*id_of)(const void *header);
};

/*
 * Runs the command in @request, which the caller returns to the driver. Returns what the command
 * returned. -EINVAL, without running it: it is shorter than its fixed layout; -EOPNOTSUPP: no
 * command has this id, or it needs a feature that was not negotiated.
 */
int command_table_run(const struct command_table *table, struct virtio_device *device,
		      struct virtio_request *request);

#endif
