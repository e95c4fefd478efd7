// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp monitor`: one guest on KVM, with device processes that someone else has started. `avp run`
 * starts it as its engine kvm; by hand it works with any vhost-user device process.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/avp.h"
#include "guest/config/config.h"
#include "guest/engine/kvm/monitor_device.h"
#include "guest/run/run.h"
#include "monitor/run/process.h"

struct monitor_options {
	char *kernel, *firmware, *initrd, *append, *dump_dtb;
	uint64_t cpus, memory, watchdog;
	bool huge_pages;
	struct option_list devices;
	uint64_t serial_fd, control_fd, broker_fd;
};

static const struct option_row monitor_option_rows[] = {
	{
		.name = "kernel",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, kernel),
		.help = "kernel of the guest: a bzImage, an arm64 Image, or an ELF file such as "
			"vmlinux; needed without --firmware",
	},
	{
		.name = "firmware",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, firmware),
		.help = "arm64: firmware that the guest starts with instead of a kernel, such as "
			"U-Boot for QEMU's machine virt",
	},
	{
		.name = "initrd",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, initrd),
		.help = "initial file system of the guest",
	},
	{
		.name = "append",
		.type = OPTION_STRING,
		.argument = "TEXT",
		.offset = offsetof(struct monitor_options, append),
		.help = "command line of the guest's kernel",
	},
	{
		.name = "cpus",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, cpus),
		.minimum = 1,
		.maximum = GUEST_CPUS_MAXIMUM,
		.default_text = "1",
		.help = "virtual CPUs",
	},
	{
		.name = "memory",
		.type = OPTION_SIZE,
		.argument = "SIZE",
		.offset = offsetof(struct monitor_options, memory),
		.minimum = GUEST_MEMORY_MINIMUM,
		.maximum = GUEST_MEMORY_MAXIMUM,
		.default_text = "512M",
		.help = "memory of the guest, such as 512M or 2G",
	},
	{
		.name = "huge-pages",
		.type = OPTION_FLAG,
		.offset = offsetof(struct monitor_options, huge_pages),
		.help = "take the guest's memory from the host's huge pages",
	},
	{
		.name = "watchdog",
		.type = OPTION_CHOICE,
		.argument = "POLICY",
		.offset = offsetof(struct monitor_options, watchdog),
		.choices = watchdog_policies,
		.default_text = "reset",
		.help = "what happens when a watchdog of the guest expires, where the machine has "
			"one (arm64)",
	},
	{
		.name = "dump-dtb",
		.type = OPTION_PATH,
		.argument = "FILE",
		.offset = offsetof(struct monitor_options, dump_dtb),
		.help = "arm64: write the device tree that the guest gets to FILE",
	},
	{
		.name = "device",
		.type = OPTION_LIST,
		.argument = "TYPE,socket=SOCKET[,KEY=VALUE…]",
		.offset = offsetof(struct monitor_options, devices),
		.help = "add a device that a process serves over vhost-user, see below; may be "
			"repeated",
	},
	{
		.name = "serial-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, serial_fd),
		.maximum = INT32_MAX,
		.help = "inherited descriptor of a socket for the serial port; without "
			"it the serial port is the terminal",
	},
	{
		.name = "control-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, control_fd),
		.maximum = INT32_MAX,
		.help = "inherited descriptor of a socket for commands and events, as `avp run` "
			"uses it",
	},
	{
		.name = "broker-fd",
		.type = OPTION_NUMBER,
		.argument = "N",
		.offset = offsetof(struct monitor_options, broker_fd),
		.maximum = INT32_MAX,
		.help = "inherited descriptor of a socket of packets through which `avp run` "
			"passes connections to new device processes; without it a child of the "
			"monitor makes them",
	},
	{.name = NULL},
};

/* The devices as parsed from --device, and as the monitor wants them. */
struct device_list {
	struct monitor_device *described;
	struct machine_device *devices;
	const char **sockets;
	size_t count;
};

static void free_devices(struct device_list *list)
{
	for (size_t i = 0; list->described && i < list->count; i++)
		monitor_device_clear(&list->described[i]);
	free(list->described);
	free(list->devices);
	free(list->sockets);
}

static int parse_devices(struct device_list *list, const struct option_list *given,
			 struct error *error)
{
	list->count = given->count;
	list->described = calloc(list->count + 1, sizeof(*list->described));
	list->devices = calloc(list->count + 1, sizeof(*list->devices));
	list->sockets = calloc(list->count + 1, sizeof(*list->sockets));
	if (!list->described || !list->devices || !list->sockets)
		return error_set(error, ENOMEM, "out of memory");
	for (size_t i = 0; i < list->count; i++) {
		struct monitor_device *described = &list->described[i];

		if (monitor_device_parse(described, given->items[i], error) < 0)
			return -error->code;
		list->devices[i].name = described->name ? described->name : described->type;
		list->devices[i].shape = described->shape;
		list->sockets[i] = described->socket;
	}
	return 0;
}

/* The number of a descriptor, or -1 when the option was not given. */
static int descriptor(const struct option_list *given, const char *option, uint64_t number)
{
	return option_list_has(given, option) ? (int)number : -1;
}

static int run_monitor(const struct command_call *call, struct error *error)
{
	static const enum guest_end statuses[] = {
		[MONITOR_POWERED_OFF] = GUEST_POWERED_OFF,
		[MONITOR_PANICKED] = GUEST_PANICKED,
		[MONITOR_FAILED] = GUEST_FAILED,
		[MONITOR_KILLED] = GUEST_KILLED,
	};
	__attribute__((cleanup(free_devices))) struct device_list list = {.count = 0};
	const struct monitor_options *options = call->options[0];
	const struct option_list *given = &call->given;
	struct monitor_setup setup = {
		.kernel = options->kernel,
		.firmware = options->firmware,
		.initrd = options->initrd,
		.append = options->append,
		.dump_dtb = options->dump_dtb,
		.memory = options->memory,
		.cpus = (uint32_t)options->cpus,
		.huge_pages = options->huge_pages,
		.watchdog_given = option_list_has(given, "watchdog"),
		.watchdog = (enum machine_watchdog)options->watchdog,
		.serial_fd = descriptor(given, "serial-fd", options->serial_fd),
		.control_fd = descriptor(given, "control-fd", options->control_fd),
		.broker_fd = descriptor(given, "broker-fd", options->broker_fd),
	};
	enum monitor_end end;
	int result;

	log_set_component("monitor");
	result = parse_devices(&list, &options->devices, error);
	setup.devices = list.devices;
	setup.sockets = list.sockets;
	setup.device_count = list.count;
	if (result == 0)
		result = monitor_process_run(&setup, &end, error);
	return result < 0 ? result : (int)statuses[end];
}

const struct command command_monitor = {
	.name = "monitor",
	.summary = "run a guest on KVM with device processes that already run",
	.description =
		"Runs one guest on KVM. Its devices are processes that serve vhost-user, `avp "
		"device` or others. The monitor connects to each when it starts the guest, and "
		"again when a process was replaced. `avp run` does all of it in one step; this "
		"command is for those who start and supervise the processes themselves.\n\n"
		"SIGTERM presses the guest's power button, a second one kills the guest.",
	.groups =
		(const struct option_group[]){
			{"Options", monitor_option_rows, sizeof(struct monitor_options), false},
			{NULL, NULL, 0, false},
		},
	.keys =
		(const struct option_group[]){
			{"Of --device, as --device block,socket=disk.sock", monitor_device_rows, 0,
			 false},
			{NULL, NULL, 0, false},
		},
	.exit_statuses =
		(const struct command_note[]){
			{"0", "the guest powered itself off, by itself or when it was asked to"},
			{"1", "KVM or a device failed"},
			{"3", "the guest's kernel panicked"},
			{"4", "the guest was killed, by a signal or at the console"},
			{NULL, NULL},
		},
	.examples =
		(const struct command_note[]){
			{"avp monitor --kernel vmlinuz --initrd initrd.img --append console=ttyS0 "
			 "--device block,socket=disk.sock",
			 "Boots Linux with the disk that `avp device block --socket-path "
			 "disk.sock` serves."},
			{"avp monitor --kernel vmlinuz --initrd initrd.img --append console=ttyS0 "
			 "--device 26,socket=fs.sock,queues=2,config=$config",
			 "Boots Linux with a device of a type that AVP lacks, a directory that "
			 "virtiofsd serves; docs/monitor.md explains $config."},
			{NULL, NULL},
		},
	.run = run_monitor,
};
