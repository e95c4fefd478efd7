// SPDX-License-Identifier: BSD-3-Clause
/* The type of a network interface: data only. */
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#include "device/kit/device_type.h"
#include "device/net/options.h"

static const char *const net_ipv6_choices[] = {
	[NET_IPV6_AUTO] = "auto",
	[NET_IPV6_ON] = "on",
	[NET_IPV6_OFF] = "off",
	NULL,
};

const struct option_row net_option_rows[] = {
	{
		.name = "user",
		.type = OPTION_FLAG,
		.offset = offsetof(struct net_options, user),
		.object = OPTION_OBJECT_NETWORK,
		.help = "a network inside the device process, with DHCP and DNS, which reaches out "
			"through the host's own connections; needs no privileges",
	},
	{
		.name = "tap",
		.type = OPTION_STRING,
		.argument = "NAME",
		.offset = offsetof(struct net_options, tap),
		.object = OPTION_OBJECT_TAP,
		.minimum = 1,
		.maximum = 15, /* IFNAMSIZ less its end */
		.ascii = true,
		.help = "the host's tap interface to join",
	},
	{
		.name = "link",
		.type = OPTION_PATH,
		.argument = "PATH",
		.offset = offsetof(struct net_options, link),
		.object = OPTION_OBJECT_SERVICE,
		.help = "socket of the switch to join, which `avp service switch` serves",
	},
	{
		.name = OPTION_CLIENT,
		.type = OPTION_NAME,
		.argument = "NAME",
		.offset = offsetof(struct net_options, client),
		.help = "name under which it joins the switch; without it GUEST.DEVICE, or `net` "
			"for a device by hand",
	},
	{
		.name = "mac",
		.type = OPTION_MAC,
		.argument = "ADDRESS",
		.offset = offsetof(struct net_options, mac),
		.help = "MAC address of the guest; without it, one derived from the host's "
			"machine-id and the names of guest and device",
	},
	{
		.name = "mtu",
		.type = OPTION_NUMBER,
		.argument = "BYTES",
		.offset = offsetof(struct net_options, mtu),
		.minimum = 68,
		.maximum = 65535,
		.help = "largest packet that the guest should send; without it the guest decides",
	},
	{
		.name = "queue-pairs",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct net_options, queue_pairs),
		.minimum = 1,
		.maximum = 8,
		.default_text = "1",
		.help = "number of pairs of a receive and a transmit queue",
	},
	{
		.name = "forward",
		.type = OPTION_LIST,
		.argument = "FORWARD",
		.offset = offsetof(struct net_options, forwards),
		.object = OPTION_OBJECT_PORT,
		.help = "forward a port of the host to the guest, with user only: "
			"tcp:[ADDRESS:]PORT:GUESTPORT or udp:…, on 127.0.0.1 unless an address is "
			"given; may be repeated",
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
		.help = "IPv6, with user only; auto: on if the host has a route to the IPv6 "
			"internet when the device starts",
	},
	{
		.name = "host-name",
		.type = OPTION_STRING,
		.argument = "NAME",
		.offset = offsetof(struct net_options, host_name),
		.minimum = 1,
		.maximum = 63, /* RFC 1035, 2.3.4 */
		.ascii = true,
		.help = "the host name that DHCP sends to the guest, with user only; without it "
			"the name of the guest",
	},
	{.name = NULL},
};

/*
 * `queues` of -netdev vhost-user came in September 2015. Before version 8.0 the device sets up
 * KVM's interrupts even if the CPUs are emulated.
 */
static const struct qemu_device net_qemu = {
	.name = "virtio-net-pci",
	.since = {2, 5, 0},
	.reconnects = true,
	.emulated_vectors_since = {8, 0, 0},
	.netdev =
		(const struct qemu_property[]){
			{.name = "queues", .option = "queue-pairs"},
			{.name = NULL},
		},
	.properties =
		(const struct qemu_property[]){
			{.name = "mac", .option = "mac"},
			/* No boot ROM: it may not be installed and costs the firmware time. */
			{.name = "romfile", .text = ""},
			QEMU_MODERN,
			{.name = "mq", .text = "on", .option = "queue-pairs", .above = 1},
			/*
			 * One interrupt for each queue, the control queue and configuration
			 * changes.
			 */
			{.name = "vectors",
			 .option = "queue-pairs",
			 .above = 1,
			 .factor = 2,
			 .plus = 2},
			{.name = "host_mtu", .option = "mtu"},
			{.name = NULL},
		},
};

const struct device_type device_type_net = {
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
					offsetof(struct virtio_net_config, max_virtqueue_pairs),
				},
		},
	.options = net_option_rows,
	.options_size = sizeof(struct net_options),
	.check = net_options_check,
	.complete = net_options_complete,
	.vhost_user_type = "net",
	.program =
		{
			DEVICE_PROGRAM("net"),
			.summary = "serve a network interface",
			.groups = DEVICE_PROGRAM_GROUPS(net),
			.examples =
				(const struct command_note[]){
					{"avp device net --user --forward tcp:8080:80 "
					 "--socket-path net.sock",
					 "Serves an interface that reaches what this user reaches; "
					 "port 8080 of this host leads to port 80 of the guest."},
					{"avp device net --tap tap0 --socket-path net.sock",
					 "Serves an interface that is one end of tap0."},
					{"avp device net --link sw.sock --socket-path net.sock",
					 "Serves an interface that is a port of the switch at "
					 "sw.sock."},
					{NULL, NULL},
				},
		},
	.run_row =
		{
			.argument = "user|tap=NAME|link=PATH[,OPTION…]",
			.help = "add a network interface; may be repeated",
		},
	.example_call = "--net user,mtu=1400",
	.example = "user",
	.qemu = &net_qemu,
	/* This network has a gateway that answers. */
	.conform = {.devices = (const char *const[]){"user,host-loopback,mtu=1500", NULL},
		    .words = "gateway=1"},
};
