// SPDX-License-Identifier: BSD-3-Clause
/* Chapter pci: administration virtqueues (VIRTIO 1.4, 2.12, 2.13 and 4.1.4.3.1). */
#include "bus/pci.h"
#include "tests/rings.h"

#define ADMIN		   FEATURE(VIRTIO_F_ADMIN_VQ)
#define COMMON_ADMIN_INDEX 60
#define COMMON_ADMIN_COUNT 62
#define LIST_QUERY	   0
#define LIST_USE	   1
#define LEGACY_READ	   3 /* offsets in the common configuration */
#define STATUS_OK	   0
#define STATUS_EINVAL	   22
#define QUALIFIER_OK	   0
#define QUALIFIER_OPCODE   2
#define QUALIFIER_GROUP	   4
#define QUALIFIER_MEMBER   5
#define GROUP_SELF	   0
#define GROUP_SR_IOV	   1

struct head {
	uint16_t opcode, group;
	uint8_t reserved[12];
	uint64_t member;
	uint64_t list; /* of LIST_USE */
};

#define HEAD_SIZE 24u /* without the list */

struct result {
	uint16_t status, qualifier;
	uint8_t reserved[4];
	uint8_t data[64];
};

static struct device *find_owner(unsigned int nth)
{
	for (unsigned int i = 0; i < device_count; i++)
		if (devices[i].transport == TRANSPORT_PCI && device_offered(&devices[i]) & ADMIN &&
		    devices[i].pci->common_size >= COMMON_ADMIN_COUNT + 2 && nth-- == 0)
			return &devices[i];
	return NULL;
}

TEST(pci_admin_index, "AVP-PCI-015", .transport = TRANSPORT_PCI)
{
	struct device *device;

	if (!find_owner(0))
		skip("no device offers VIRTIO_F_ADMIN_VQ");
	for (unsigned int n = 0; (device = find_owner(n)) != NULL; n++) {
		uint32_t queues, index, count;

		device_open(device, ADMIN);
		queues = common_read(device, COMMON_QUEUES, 2);
		index = common_read(device, COMMON_ADMIN_INDEX, 2);
		count = common_read(device, COMMON_ADMIN_COUNT, 2);
		check(index >= queues, "%s: admin_queue_index is %u, num_queues %u",
		      device_name(device), index, queues);
		check(count <= 0x10000 - index, "%s: admin_queue_num is %u, first queue %u",
		      device_name(device), count, index);
		for (uint32_t i = 0; i < count && i < 8; i++)
			check(device->ops->queue_size(device, index + i) > 0,
			      "%s: admin queue %u does not exist", device_name(device), index + i);
	}
}

/* Sends one command, with @head_size bytes for its header and @result_size for its result. */
static void command(struct queue *queue, const struct head *head, uint32_t head_size,
		    struct result *result, uint32_t result_size)
{
	static uint8_t out[256];
	static struct result in;
	struct driver_buffer buffers[2] = {buffer_of(out, head_size), buffer_of(&in, result_size)};
	uint32_t written;

	memset(out, 0, sizeof(out));
	memcpy(out, head, sizeof(*head));
	memset(&in, 0xa5, sizeof(in));
	check(queue_do(queue, buffers, 1, 1, &written, ANSWER_MS),
	      "a command of %u bytes with a result of %u was not used (status 0x%x)", head_size,
	      result_size, queue->device->ops->status(queue->device));
	check(written <= result_size, "used length %u of %u", written, result_size);
	for (uint32_t i = result_size; i < sizeof(in); i++)
		check(((uint8_t *)&in)[i] == 0xa5, "byte %u after a result of %u was written", i,
		      result_size);
	*result = in;
}

static void must_fail(struct queue *queue, struct head head, uint16_t qualifier)
{
	struct result result;

	/* Also with buffers longer than the structures: the rest is ignored. */
	for (uint32_t more = 0; more <= 64; more += 64) {
		command(queue, &head, HEAD_SIZE + more, &result, 8 + more);
		check(result.status == STATUS_EINVAL && result.qualifier == qualifier,
		      "opcode 0x%x, group %u, member %lu: status %u and qualifier %u, not %u and %u",
		      head.opcode, head.group, head.member, result.status, result.qualifier,
		      STATUS_EINVAL, qualifier);
	}
}

/* Returns 0 if there is no such group. */
static uint64_t list_commands(struct queue *queue, uint16_t group)
{
	const struct head head = {.opcode = LIST_QUERY, .group = group};
	struct result result;
	uint64_t list;

	command(queue, &head, HEAD_SIZE, &result, sizeof(result));
	if (result.status != STATUS_OK) {
		check(result.status == STATUS_EINVAL && result.qualifier == QUALIFIER_GROUP,
		      "a query for the commands of group %u has status %u and qualifier %u", group,
		      result.status, result.qualifier);
		return 0;
	}
	check(result.qualifier == QUALIFIER_OK, "a successful command has the qualifier %u",
	      result.qualifier);
	memcpy(&list, result.data, sizeof(list));
	check((list & 3) == 3, "the list of commands is 0x%lx, without LIST_QUERY and LIST_USE",
	      list);
	return list;
}

static void check_group(struct queue *queue, uint16_t group)
{
	uint64_t list = list_commands(queue, group);
	struct head head = {.opcode = LIST_USE, .group = group, .list = list};
	struct result result;

	if (!list)
		return;
	must_fail(queue, (struct head){.opcode = 0xfff0, .group = group}, QUALIFIER_OPCODE);
	/* May exist, but LIST_USE did not enable it. */
	must_fail(queue, (struct head){.opcode = LEGACY_READ, .group = group}, QUALIFIER_OPCODE);
	if (!(list & 1u << LEGACY_READ) || group != GROUP_SR_IOV)
		return;
	command(queue, &head, sizeof(head), &result, 8);
	check(result.status == STATUS_OK, "LIST_USE with all listed commands has status %u",
	      result.status);
	must_fail(queue, (struct head){.opcode = LEGACY_READ, .group = group, .member = 0xfff0},
		  QUALIFIER_MEMBER);
}

TEST(pci_admin_commands, "AVP-PCI-016", .transport = TRANSPORT_PCI, .limit_ms = 15000)
{
	const struct head query = {.opcode = LIST_QUERY, .group = GROUP_SR_IOV};
	struct device *device;

	if (!find_owner(0))
		skip("no device offers VIRTIO_F_ADMIN_VQ");
	for (unsigned int n = 0; (device = find_owner(n)) != NULL; n++) {
		struct result result;
		struct queue *queue;
		uint64_t list;

		device_open(device, ADMIN);
		queue = device_queue(device, common_read(device, COMMON_ADMIN_INDEX, 2), 16);
		device_run(device);
		list = list_commands(queue, GROUP_SR_IOV);
		/* The device checks the group first, then the opcode, then the member. */
		must_fail(queue, (struct head){.opcode = 0xfff0, .group = 0xfff0}, QUALIFIER_GROUP);
		must_fail(queue, (struct head){.opcode = LIST_QUERY, .group = 2}, QUALIFIER_GROUP);
		check_group(queue, GROUP_SELF);
		check_group(queue, GROUP_SR_IOV);
		/* A truncated command, and a result buffer that is too small. */
		for (uint32_t size = 1; size < HEAD_SIZE; size += 7)
			command(queue, &query, size, &result, 8);
		for (uint32_t size = 1; size < 8; size++)
			command(queue, &query, HEAD_SIZE, &result, size);
		check(!(device->ops->status(device) & NEEDS_RESET),
		      "%s: an invalid command changes the device status", device_name(device));
		check(list_commands(queue, GROUP_SR_IOV) == list,
		      "%s: the list of commands changed", device_name(device));
	}
}
