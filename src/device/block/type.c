// SPDX-License-Identifier: BSD-3-Clause
/* The type of a disk: data only. */
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "device/block/options.h"
#include "device/kit/device_type.h"

static const char *const block_cache_choices[] = {
	[BLOCK_CACHE_WRITEBACK] = "writeback",
	[BLOCK_CACHE_WRITETHROUGH] = "writethrough",
	NULL,
};

static const char *const block_format_choices[] = {
	[BLOCK_FORMAT_AUTO] = "auto",
	[BLOCK_FORMAT_RAW] = "raw",
	NULL,
};

static const char *const block_on_full_choices[] = {
	[BLOCK_ON_FULL_STOP] = "stop",
	[BLOCK_ON_FULL_ERROR] = "error",
	NULL,
};

const struct option_row block_option_rows[] = {
	{
		.name = "file",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct block_options, file),
		.required = true,
		.vhost_user_name = "blk-file",
		.help = "raw disk image or block device that holds the disk",
	},
	{
		.name = "format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct block_options, format),
		.choices = block_format_choices,
		.default_text = "auto",
		.help = "format of the image; auto: raw, but refused if it looks like another "
			"format; raw: raw whatever it looks like",
	},
	{
		.name = "readonly",
		.type = OPTION_FLAG,
		.offset = offsetof(struct block_options, readonly),
		.vhost_user_name = "read-only",
		.help = "refuse the guest's writes",
	},
	{
		.name = "serial",
		.type = OPTION_STRING,
		.argument = "TEXT",
		.offset = offsetof(struct block_options, serial),
		.maximum = 20, /* VIRTIO_BLK_ID_BYTES */
		.ascii = true,
		.help = "serial number that the guest reads, at most 20 ASCII characters",
	},
	{
		.name = "queues",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct block_options, queues),
		.minimum = 1,
		.maximum = 16,
		.default_text = "1",
		.help = "number of request queues, best one for each CPU that does much I/O",
	},
	{
		.name = "queue-size",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct block_options, queue_size),
		.minimum = 2,
		.maximum = 1024,
		.power_of_two = true,
		.default_text = "256",
		.help = "largest number of entries in a queue, a power of two",
	},
	{
		.name = "cache",
		.type = OPTION_CHOICE,
		.argument = "MODE",
		.offset = offsetof(struct block_options, cache),
		.choices = block_cache_choices,
		.default_text = "writeback",
		.help = "when a write completes; writeback: once the host has it, durable after "
			"the guest's flush; writethrough: once it is on the medium",
	},
	{
		.name = "on-full",
		.type = OPTION_CHOICE,
		.argument = "WHAT",
		.offset = offsetof(struct block_options, on_full),
		.choices = block_on_full_choices,
		.default_text = "stop",
		.help = "when the host has no room for a write; stop: the write waits until there "
			"is room; error: it fails",
	},
	{
		.name = "logical-block-size",
		.type = OPTION_NUMBER,
		.argument = "BYTES",
		.offset = offsetof(struct block_options, logical_block_size),
		.minimum = 512,
		.maximum = 4096,
		.power_of_two = true,
		.default_text = "512",
		.help = "smallest unit that the guest may address, a power of two",
	},
	{
		.name = "physical-block-size",
		.type = OPTION_NUMBER,
		.argument = "BYTES",
		.offset = offsetof(struct block_options, physical_block_size),
		.minimum = 512,
		.maximum = 65536,
		.power_of_two = true,
		.help = "unit that the medium writes without reading first, a power of two; "
			"without it the logical block size",
	},
	{.name = NULL},
};

static const char *const engine_choices[] = {
	[FILE_ENGINE_AUTO] = "auto",
	[FILE_ENGINE_IO_URING] = "io_uring",
	[FILE_ENGINE_THREADS] = "threads",
	NULL,
};

static const struct option_row host_option_rows[] = {
	{
		.name = "io",
		.type = OPTION_CHOICE,
		.argument = "HOW",
		.offset = offsetof(struct block_host_options, engine),
		.choices = engine_choices,
		.default_text = "auto",
		.help = "how blocking transfers are made; auto: io_uring, or threads where the "
			"host forbids it or cannot restrict it to the image",
	},
	{.name = NULL},
};

/*
 * hw/virtio/vhost-user-blk.c came in January 2018. Packed rings are faster, and safe here: the
 * device process knows the requests in flight (INFLIGHT_SHMFD), and the ring's position, which QEMU
 * does not pass to the next process.
 */
static const struct qemu_device block_qemu = {
	.name = "vhost-user-blk-pci",
	.since = {2, 12, 0},
	.reconnects = true,
	.properties =
		(const struct qemu_property[]){
			{.name = "num-queues", .option = "queues"},
			{.name = "queue-size", .option = "queue-size"},
			{.name = "packed", .text = "on"},
			QEMU_MODERN,
			{.name = NULL},
		},
};

const struct device_type device_type_block = {
	.name = "block",
	.summary = "a disk in an image file or on a block device",
	.shape =
		{
			.virtio_id = VIRTIO_ID_BLOCK,
			.queues = 1,
			.queue_size_max = 256,
			.config_sizes =
				{
					sizeof(struct virtio_blk_config),
					offsetof(struct virtio_blk_config, max_secure_erase_sectors),
					offsetof(struct virtio_blk_config, max_discard_sectors),
					8,
				},
			.setting_offset = offsetof(struct virtio_blk_config, wce),
			.setting_length = 1,
		},
	.options = block_option_rows,
	.options_size = sizeof(struct block_options),
	.positional = "file",
	.check = block_options_check,
	.complete = block_options_complete,
	.vm_image = "file",
	.qemu = &block_qemu,
	.run_row =
		{
			.argument = "FILE[,OPTION…]",
			.help = "add a disk in an image file or on a block device; may be repeated",
		},
	.example_call = "--block FILE,readonly,serial=A1",
	.vhost_user_type = "block",
	.program =
		{
			DEVICE_PROGRAM("block"),
			.summary = "serve a disk in an image file or on a block device",
			.groups = DEVICE_PROGRAM_GROUPS(block,
							{"Host options", host_option_rows,
							 sizeof(struct block_host_options), false}),
			.examples =
				(const struct command_note[]){
					{"avp device block --file disk.img --socket-path disk.sock",
					 "Serves disk.img for a frontend that connects to "
					 "disk.sock."},
					{NULL, NULL},
				},
		},
	.conform = {.devices = (const char *const[]){"$AVP_DISK", "$AVP_READ_ONLY_DISK,readonly",
						     NULL}},
};
