// SPDX-License-Identifier: BSD-3-Clause
/* Reads and writes the keys of `avp monitor --device`. */
#include "guest/engine/kvm/monitor_device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file_check.h"
#include "base/text.h"
#include "guest/config/config.h"
#include "virtio/virtqueue.h"

#define WHERE		"--device"
#define QUEUE_SIZE	256
#define QUEUE_SIZE_TEXT "256"

static const char *const replay_choices[] = {
	"auto",
	[DEVICE_REPLAY_ALL + 1] = "all",
	[DEVICE_REPLAY_NOTHING + 1] = "nothing",
	NULL,
};

const struct option_row monitor_device_rows[] = {
	{
		.name = "type",
		.type = OPTION_STRING,
		.argument = "TYPE",
		.offset = offsetof(struct monitor_device, type),
		.required = true,
		.help = "a type of `avp device`, which sets the defaults of the keys below; or a "
			"number of VIRTIO 1.4, chapter 5",
	},
	{
		.name = "socket",
		.type = OPTION_PATH,
		.argument = "SOCKET",
		.offset = offsetof(struct monitor_device, socket),
		.required = true,
		.help = "the Unix socket at which the process serves it, or /dev/fd/N for a "
			"connection that was inherited",
	},
	{
		.name = "name",
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct monitor_device, name),
		.help = "name in the log; without it the type",
	},
	{
		.name = "queues",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_device, queues),
		.minimum = 1,
		.maximum = DEVICE_SHAPE_QUEUES_MAX,
		.help = "number of queues, if the process does not report it; without it 1",
	},
	{
		.name = "queue-size",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_device, queue_size),
		.minimum = 2,
		.maximum = VIRTQUEUE_SIZE_MAX,
		.power_of_two = true,
		.help = "the largest ring that the process supports; without it " QUEUE_SIZE_TEXT,
	},
	{
		.name = "config-size",
		.type = OPTION_LIST,
		.argument = "BYTES",
		.offset = offsetof(struct monitor_device, config_sizes),
		.help = "length of configuration space; may be repeated, the longest first: the "
			"first that the process supports is used; without it there is no such space",
	},
	{
		.name = "config",
		.type = OPTION_STRING,
		.argument = "HEX",
		.offset = offsetof(struct monitor_device, config),
		.minimum = 2,
		.maximum = 2 * DEVICE_SHAPE_CONFIG_MAX,
		.help = "configuration space in hexadecimal, if the process does not provide it",
	},
	{
		.name = "setting-offset",
		.type = OPTION_NUMBER,
		.argument = "BYTES",
		.offset = offsetof(struct monitor_device, setting_offset),
		.maximum = DEVICE_SHAPE_CONFIG_MAX - 1,
		.help = "offset in configuration space of what the driver sets; it is sent again to "
			"a restarted process",
	},
	{
		.name = "setting-length",
		.type = OPTION_NUMBER,
		.argument = "BYTES",
		.offset = offsetof(struct monitor_device, setting_length),
		.maximum = DEVICE_SHAPE_CONFIG_MAX,
		.help = "length of what the driver sets; without it, 0",
	},
	{
		.name = "replay",
		.type = OPTION_CHOICE,
		.argument = "WHAT",
		.offset = offsetof(struct monitor_device, replay),
		.choices = replay_choices,
		.default_text = "auto",
		.help = "which requests the next process gets when one dies without a record of those "
			"in flight: all, so that some may be done twice; nothing, and the device "
			"needs a reset by its driver; auto, as the type says, and all for a number",
	},
	{
		.name = "device-tree",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_device, tree_path),
		.help = "flattened device tree (dtc -o FILE) whose root goes into the device's node, for "
			"what in the guest uses the device; machines of arm64 alone have one",
	},
	{.name = NULL},
};

/* A whole decimal number from 1 to @maximum; 0: not such a number. */
static uint32_t parse_number(const char *text, uint32_t maximum)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	return text[0] >= '0' && text[0] <= '9' && !*end && number <= maximum ? (uint32_t)number :
										0;
}

static int read_sizes(struct monitor_device *device, struct error *error)
{
	const struct option_list *list = &device->config_sizes;
	struct device_shape *shape = &device->shape;

	if (list->count > DEVICE_SHAPE_SIZES)
		return error_set_usage(error, WHERE ": config-size: is given more than %d times",
				       DEVICE_SHAPE_SIZES);
	if (list->count)
		memset(shape->config_sizes, 0, sizeof(shape->config_sizes));
	for (size_t i = 0; i < list->count; i++) {
		shape->config_sizes[i] = parse_number(list->items[i], DEVICE_SHAPE_CONFIG_MAX);
		if (!shape->config_sizes[i])
			return error_set_usage(error,
					       WHERE
					       ": config-size: '%s' is not a number from 1 to %d",
					       list->items[i], DEVICE_SHAPE_CONFIG_MAX);
		if (i > 0 && shape->config_sizes[i] >= shape->config_sizes[i - 1])
			return error_set_usage(error,
					       WHERE ": config-size: give the longest first; %s "
						     "comes after %s",
					       list->items[i], list->items[i - 1]);
	}
	return 0;
}

static int read_config(struct monitor_device *device, struct error *error)
{
	size_t length = device->config ? strlen(device->config) : 0;

	for (size_t i = 0; i < length; i += 2) {
		int byte = text_hex_byte(device->config + i);

		if (byte < 0)
			return error_set_usage(error,
					       WHERE
					       ": config: '%.2s' at digit %zu is not a byte in "
					       "hexadecimal",
					       device->config + i, i + 1);
		device->config_bytes[i / 2] = (uint8_t)byte;
	}
	device->shape.config = device->config_bytes;
	device->shape.config_length = (uint32_t)(length / 2);
	return 0;
}

/* Reads the part of the device tree, which the monitor checks. */
static int read_tree(struct monitor_device *device, struct error *error)
{
	uint64_t size = 0;
	cleanup_fd int fd = -1;

	if (!device->tree_path)
		return 0;
	fd = file_open_checked(WHERE ": device-tree", device->tree_path, O_RDONLY, false, &size,
			       error);
	if (fd < 0)
		return fd;
	/* One byte more than allowed is enough to be refused. */
	if (size > DEVICE_SHAPE_TREE_MAX)
		size = DEVICE_SHAPE_TREE_MAX + 1;
	device->tree = malloc(size + 1);
	if (!device->tree)
		return error_set(error, ENOMEM, "out of memory");
	if (pread(fd, device->tree, size, 0) != (ssize_t)size)
		return error_set_usage(error, WHERE ": device-tree: %s: cannot be read",
				       device->tree_path);
	device->shape.tree = device->tree;
	device->shape.tree_length = (uint32_t)size;
	return 0;
}

/* Makes the shape from the given keys, and the rest from the type. */
static int make_shape(struct monitor_device *device, struct error *error)
{
	const struct device_type *type = device_type_find(device->type);
	struct device_shape *shape = &device->shape;
	int result;

	*shape = (struct device_shape){.queues = 1, .queue_size_max = QUEUE_SIZE};
	if (type)
		*shape = type->shape;
	else
		shape->virtio_id = parse_number(device->type, UINT16_MAX);
	if (!shape->virtio_id)
		return error_set_usage(error,
				       WHERE
				       ": type: there is no device type '%s'; name one of "
				       "`avp device`, or give its number in VIRTIO 1.4, chapter 5",
				       device->type);
	if (device->queues)
		shape->queues = (uint16_t)device->queues;
	if (device->queue_size)
		shape->queue_size_max = (uint16_t)device->queue_size;
	if (device->setting_length) {
		shape->setting_offset = (uint32_t)device->setting_offset;
		shape->setting_length = (uint32_t)device->setting_length;
	}
	if (device->replay)
		shape->replay = (enum device_replay)(device->replay - 1);
	if (shape->setting_offset + shape->setting_length > DEVICE_SHAPE_CONFIG_MAX)
		return error_set_usage(error,
				       WHERE ": setting-length: the setting ends beyond byte %d",
				       DEVICE_SHAPE_CONFIG_MAX);
	result = read_config(device, error);
	if (result == 0)
		result = read_tree(device, error);
	return result < 0 ? result : read_sizes(device, error);
}

int monitor_device_parse(struct monitor_device *device, const char *text, struct error *error)
{
	int result;

	*device = (struct monitor_device){0};
	result = option_set_defaults(monitor_device_rows, device, error);
	if (result == 0)
		result = option_parse_list(monitor_device_rows, device, text, "type", WHERE, error);
	if (result == 0)
		result = option_check_required(monitor_device_rows, device, WHERE, error);
	if (result == 0)
		result = make_shape(device, error);
	if (result < 0)
		monitor_device_clear(device);
	return result;
}

void monitor_device_clear(struct monitor_device *device)
{
	option_clear(monitor_device_rows, device);
	free(device->tree);
	device->tree = NULL;
}

void monitor_device_add(struct arguments *arguments, const char *name,
			const struct device_shape *shape, int fd, int tree_fd)
{
	arguments_add_format(arguments,
			     "--device=%" PRIu32
			     ",name=%s,socket=/dev/fd/%d,queues=%d,queue-size=%d",
			     shape->virtio_id, name, fd, shape->queues, shape->queue_size_max);
	for (int i = 0; i < DEVICE_SHAPE_SIZES && shape->config_sizes[i]; i++)
		arguments_extend(arguments, ",config-size=%" PRIu32, shape->config_sizes[i]);
	if (shape->config)
		arguments_extend(arguments, ",config=");
	for (uint32_t i = 0; shape->config && i < shape->config_length; i++)
		arguments_extend(arguments, "%02x", shape->config[i]);
	if (shape->setting_length)
		arguments_extend(arguments, ",setting-offset=%" PRIu32 ",setting-length=%" PRIu32,
				 shape->setting_offset, shape->setting_length);
	if (tree_fd >= 0)
		arguments_extend(arguments, ",device-tree=/dev/fd/%d", tree_fd);
	if (shape->replay == DEVICE_REPLAY_NOTHING)
		arguments_extend(arguments, ",replay=nothing");
}
