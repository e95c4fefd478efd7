// SPDX-License-Identifier: BSD-3-Clause
/* The commands of a device as rows of one table. */
#include "device/kit/command_table.h"

#include <errno.h>
#include <stdalign.h>

static const struct command_row *find(const struct command_table *table,
				      const struct virtio_device *device, uint32_t id)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].id == id && virtio_has_feature(device, table->rows[i].feature))
			return &table->rows[i];
	return NULL;
}

int command_table_run(const struct command_table *table, struct virtio_device *device,
		      struct virtio_request *request)
{
	/* Room for whatever a row can ask for. */
	alignas(uint64_t) uint8_t message[UINT8_MAX];
	const size_t header = table->header_size;
	const struct command_row *command;
	size_t rest;

	if (request_read(request, message, header) != header)
		return -EINVAL;
	command = find(table, device, table->id_of(message));
	if (!command)
		return -EOPNOTSUPP;
	if (command->size < header)
		return -EINVAL;
	rest = command->size - header;
	if (request_read(request, message + header, rest) != rest)
		return -EINVAL;
	return command->run(device, message, request);
}
