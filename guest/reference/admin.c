// SPDX-License-Identifier: BSD-3-Clause
/*
 * The administration queue (VIRTIO 1.4, 2.12 and 2.13) of a device that owns the groups of itself
 * and of its virtual functions, of which it has none.
 */
#include "reference.h"

#define HEADER	      24u
#define LIST_QUERY    0
#define LIST_USE      1
#define SUPPORTED     UINT64_C(3) /* both */
#define GROUP_SR_IOV  1
#define STATUS_EINVAL 22
enum { QUALIFIER_OK, QUALIFIER_COMMAND, QUALIFIER_OPCODE, QUALIFIER_FIELD, QUALIFIER_GROUP };

struct command {
	uint16_t opcode, group;
	uint8_t reserved[12];
	uint64_t member;
	uint64_t list;
};

/* VIRTIO 1.4, 2.13.1.1: the group first, then the opcode. Returns the qualifier. */
static uint16_t do_command(const struct command *command, size_t length, uint64_t *list)
{
	if (length < HEADER)
		return QUALIFIER_COMMAND;
	if (command->group > GROUP_SR_IOV)
		return reference_fault(FAULT_ADMIN_QUALIFIER) ? QUALIFIER_COMMAND : QUALIFIER_GROUP;
	switch (command->opcode) {
	case LIST_QUERY:
		*list = SUPPORTED;
		return QUALIFIER_OK;
	case LIST_USE:
		if (length < sizeof(*command))
			return QUALIFIER_COMMAND;
		return command->list & ~SUPPORTED ? QUALIFIER_FIELD : QUALIFIER_OK;
	default:
		return QUALIFIER_OPCODE;
	}
}

void reference_handle_admin(struct reference *reference, struct virtqueue *queue)
{
	struct virtio_request *request;

	if (!(reference->device.status & VIRTIO_CONFIG_S_DRIVER_OK) || !queue->started)
		return;
	for_each_request(request, queue) {
		struct command command = {0};
		size_t length = request_read(request, &command, sizeof(command));
		uint64_t list = 0;
		uint16_t result[4] = {0};

		result[1] = do_command(&command, length, &list);
		result[0] = result[1] == QUALIFIER_OK ? 0 : STATUS_EINVAL;
		request_write(request, result, sizeof(result));
		if (list)
			request_write(request, &list, sizeof(list));
		virtqueue_push(queue, request);
	}
}
