// SPDX-License-Identifier: BSD-3-Clause
/*
 * The table of device types and of the options each takes. `avp device TYPE`, `avp run --TYPE`,
 * the bundle's avp.devices and the tables in docs/ all come from here.
 */
#include "guest/config/config.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "guest/config/console_port.h"
#include "guest/config/device_check.h"

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

static const char *const net_ipv6_choices[] = {
	[NET_IPV6_AUTO] = "auto",
	[NET_IPV6_ON] = "on",
	[NET_IPV6_OFF] = "off",
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
		.help = "raw disk image or block device that holds the disk",
	},
	{
		.name = "format",
		.type = OPTION_CHOICE,
		.argument = "FORMAT",
		.offset = offsetof(struct block_options, format),
		.choices = block_format_choices,
		.default_text = "auto",
		.help = "what the image is: auto, raw, and refused if it begins like another "
			"format; raw, whatever it begins like",
	},
	{
		.name = "readonly",
		.type = OPTION_FLAG,
		.offset = offsetof(struct block_options, readonly),
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
		.help = "request queues, best one for each CPU that does much I/O",
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
		.help = "when a write is complete: writeback, once the host has it and safe after "
			"the guest's flush; writethrough, once it is on the medium",
	},
	{
		.name = "on-full",
		.type = OPTION_CHOICE,
		.argument = "WHAT",
		.offset = offsetof(struct block_options, on_full),
		.choices = block_on_full_choices,
		.default_text = "stop",
		.help = "when the host has no room for a write: stop, the write waits until there "
			"is; error, it fails",
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

const struct option_row net_option_rows[] = {
	{
		.name = "user",
		.type = OPTION_FLAG,
		.offset = offsetof(struct net_options, user),
		.help = "a network inside the device process, with DHCP and DNS and the way out "
			"through the host's own connections; needs no privileges",
	},
	{
		.name = "tap",
		.type = OPTION_STRING,
		.argument = "NAME",
		.offset = offsetof(struct net_options, tap),
		.minimum = 1,
		.maximum = 15, /* IFNAMSIZ less its end */
		.ascii = true,
		.help = "the host's tap interface to join",
	},
	{
		.name = "mac",
		.type = OPTION_MAC,
		.argument = "ADDRESS",
		.offset = offsetof(struct net_options, mac),
		.help = "MAC address of the guest; without it one made from the host's machine-id "
			"and the guest's and the device's name",
	},
	{
		.name = "mtu",
		.type = OPTION_NUMBER,
		.argument = "BYTES",
		.offset = offsetof(struct net_options, mtu),
		.minimum = 68,
		.maximum = 65535,
		.help = "largest packet that the guest is told to send; without it the guest "
			"decides",
	},
	{
		.name = "queue-pairs",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct net_options, queue_pairs),
		.minimum = 1,
		.maximum = 8,
		.default_text = "1",
		.help = "pairs of a receive and a transmit queue",
	},
	{
		.name = "forward",
		.type = OPTION_LIST,
		.argument = "FORWARD",
		.offset = offsetof(struct net_options, forwards),
		.help = "lead a port of the host to the guest, with user only: "
			"tcp:[ADDRESS:]PORT:GUESTPORT or udp:…, on 127.0.0.1 unless an address "
			"is given; may be repeated",
	},
	{
		.name = "subnet",
		.type = OPTION_STRING,
		.argument = "NETWORK",
		.offset = offsetof(struct net_options, subnet),
		.minimum = 1,
		.maximum = 18, /* of 255.255.255.255/27 */
		.ascii = true,
		.help = "the addresses of the network, with user only: ADDRESS/PREFIX, whose "
			"second host is the gateway, the third the name server and the 15th the "
			"guest; without it 10.0.2.0/24, then 10.0.3.0/24 and so on for further "
			"interfaces of a guest",
	},
	{
		.name = "host-loopback",
		.type = OPTION_FLAG,
		.offset = offsetof(struct net_options, host_loopback),
		.help = "let the guest reach the services on the host's 127.0.0.1 and ::1, at the "
			"addresses of the gateway; with user only",
	},
	{
		.name = "ipv6",
		.type = OPTION_CHOICE,
		.argument = "WHETHER",
		.offset = offsetof(struct net_options, ipv6),
		.choices = net_ipv6_choices,
		.default_text = "auto",
		.help = "IPv6, with user only: auto, when the host has a way to the IPv6 internet "
			"as the device starts",
	},
	{
		.name = "host-name",
		.type = OPTION_STRING,
		.argument = "NAME",
		.offset = offsetof(struct net_options, host_name),
		.minimum = 1,
		.maximum = 63, /* RFC 1035, 2.3.4 */
		.ascii = true,
		.help = "the name that DHCP tells the guest, with user only; without it the "
			"guest's own name",
	},
	{.name = NULL},
};

const struct option_row entropy_option_rows[] = {
	{.name = NULL},
};

const struct option_row console_option_rows[] = {
	{
		.name = "port",
		.type = OPTION_LIST,
		.argument = "PORT",
		.offset = offsetof(struct console_options, ports),
		.item_path = console_port_path,
		.help = "where a port leads: NAME:terminal, NAME:socket:PATH, NAME:file:PATH, "
			"NAME:echo or NAME:null; may be repeated, and the first one is the guest's "
			"console; without it one port, the terminal",
	},
	{.name = NULL},
};

const struct device_type device_types[] = {
	{
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
						offsetof(struct virtio_blk_config,
							 max_secure_erase_sectors),
						offsetof(struct virtio_blk_config,
							 max_discard_sectors),
						8,
					},
				.setting_offset = offsetof(struct virtio_blk_config, wce),
				.setting_length = 1,
			},
		.options = block_option_rows,
		.options_size = sizeof(struct block_options),
		.positional = "file",
		.check = block_options_check,
		.argument = "FILE[,OPTION…]",
	},
	{
		.name = "net",
		.summary = "a network interface",
		.shape =
			{
				.virtio_id = VIRTIO_ID_NET,
				.queues = 2,
				.queue_size_max = 256,
				.config_sizes =
					{
						offsetof(struct virtio_net_config, speed),
						offsetof(struct virtio_net_config, mtu),
						offsetof(struct virtio_net_config,
							 max_virtqueue_pairs),
					},
			},
		.options = net_option_rows,
		.options_size = sizeof(struct net_options),
		.check = net_options_check,
		.argument = "user|tap=NAME[,OPTION…]",
		.example = "user",
	},
	{
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
	},
	{
		.name = "console",
		.summary = "the guest's console, and channels to programs in it",
		.shape =
			{
				.virtio_id = VIRTIO_ID_CONSOLE,
				.queues = 2,
				.queue_size_max = 256,
				.config_sizes = {sizeof(struct virtio_console_config), 8},
			},
		.options = console_option_rows,
		.options_size = sizeof(struct console_options),
		.check = console_options_check,
		.uses_terminal = console_uses_terminal,
		.argument = "OPTION…",
	},
	{.name = NULL},
};

const struct device_type *device_type_find(const char *name)
{
	for (const struct device_type *type = device_types; type->name; type++)
		if (!strcmp(type->name, name))
			return type;
	return NULL;
}
