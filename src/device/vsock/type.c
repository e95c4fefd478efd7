// SPDX-License-Identifier: BSD-3-Clause
/* The type of a socket device: data only. */
#include <linux/virtio_ids.h>

#include "device/kit/device_type.h"
#include "device/vsock/options.h"
#include "device/vsock/vsock.h"

const struct option_row vsock_option_rows[] = {
	{
		.name = "cid",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct vsock_options, cid),
		.minimum = VSOCK_CID_MIN,
		.maximum = VSOCK_CID_MAX,
		.required = true,
		.help = "context id of the guest, its address; the host has 2",
	},
	{
		.name = "uds",
		.type = OPTION_PATH,
		.argument = "PATH",
		.offset = offsetof(struct vsock_options, uds),
		.object = OPTION_OBJECT_SOCKETS,
		.help = "make a socket there, whose clients get to a port of the guest with the "
			"line `CONNECT PORT`; when the guest connects to a port of the host, "
			"connect it to the socket PATH_PORT",
	},
	{
		.name = "echo",
		.type = OPTION_NUMBER,
		.argument = "PORT",
		.offset = offsetof(struct vsock_options, echo),
		.minimum = 1,
		.maximum = VSOCK_CID_ANY - 1,
		.help = "port of the host that sends back what it gets, for tests",
	},
	{.name = NULL},
};

static const struct qemu_device vsock_qemu = {
	.name = "vhost-user-vsock-pci",
	.since = {5, 1, 0},
};

const struct device_type device_type_vsock = {
	.name = "vsock",
	.summary = "sockets between the guest and the host",
	.shape =
		{
			.virtio_id = VIRTIO_ID_VSOCK,
			.queues = VSOCK_QUEUES,
			.queue_size_max = VSOCK_QUEUE_SIZE_MAX,
			.config_sizes = {sizeof(struct virtio_vsock_config)},
		},
	.options = vsock_option_rows,
	.options_size = sizeof(struct vsock_options),
	.positional = "cid",
	.run_row =
		{
			.argument = "CID[,OPTION…]",
			.help = "add sockets between the guest, which has this context id, and the "
				"host",
		},
	.example_call = "--vsock 3,uds=guest.sock",
	.qemu = &vsock_qemu,
	.vhost_user_type = "vsock",
	.program =
		{
			DEVICE_PROGRAM("vsock"),
			.summary = "serve sockets between a guest and the host",
			.groups = DEVICE_PROGRAM_GROUPS(vsock),
			.examples =
				(const struct command_note[]){
					{"avp device vsock --cid 3 --uds guest.sock --socket-path "
					 "vsock.sock",
					 "Connects the guest with programs that use guest.sock, "
					 "guest.sock_1234 and so on."},
					{NULL, NULL},
				},
		},
	.conform = {.devices = (const char *const[]){"42,echo=7", NULL}, .words = "vsock-echo=7"},
};
