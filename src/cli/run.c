// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp run`: runs a guest from its command line or from an OCI bundle, and ends with its verdict.
 */
#include "cli/avp.h"

#include <string.h>

#include "base/log.h"
#include "device/block/options.h"
#include "device/console/options.h"
#include "device/entropy/options.h"
#include "device/net/options.h"
#include "guest/config/bundle.h"
#include "guest/config/config.h"
#include "guest/run/run.h"
#include "host/sandbox.h"

/* The devices in the order in which they were given: block=FILE,…  net=user  entropy= */
struct run_devices {
	struct option_list devices;
};

#define DEVICE_ROW(device, text, optional, sentence)                                        \
	{                                                                                   \
		.name = device, .type = OPTION_LIST, .argument = text,                      \
		.offset = offsetof(struct run_devices, devices), .command_line_only = true, \
		.help = sentence, .tagged = true, .argument_optional = optional,            \
	}

/* A row for each of device_types[]; tests/unit/test_command.c compares them. */
static const struct option_row run_device_rows[] = {
	DEVICE_ROW("block", "FILE[,OPTION…]", false,
		   "add a disk in an image file or on a block device; may be repeated"),
	DEVICE_ROW("net", "user|tap=NAME[,OPTION…]", false,
		   "add a network interface; may be repeated"),
	DEVICE_ROW("entropy", "OPTION…", true, "add a source of random numbers; may be repeated"),
	DEVICE_ROW("console", "OPTION…", true,
		   "add a console and channels to programs in the guest; its first port is "
		   "/dev/hvc0 there; may be repeated"),
	{.name = NULL},
};

static int add_devices(struct guest_config *config, const struct option_list *devices,
		       struct error *error)
{
	for (size_t i = 0; i < devices->count; i++) {
		const char *item = devices->items[i];
		size_t length = strcspn(item, "=");
		const struct option_row *row = option_find(run_device_rows, item, length);
		int result = guest_config_parse_device(config, device_type_find(row->name),
						       item + length + 1, error);

		if (result < 0)
			return result;
	}
	return 0;
}

/* Reads the bundle; what was given on the command line takes the place of what it says. */
static int load_bundle(struct guest_config *config, const char *directory,
		       struct guest_config *given_values, const struct option_list *given,
		       struct error *error)
{
	int result = bundle_load(directory, config, error);

	if (result < 0)
		return result;
	for (size_t i = 0; i < given->count; i++) {
		const char *name = given->items[i];
		const struct option_row *row = option_find(guest_option_rows, name, strlen(name));
		uint32_t bit = row ? UINT32_C(1) << (row - guest_option_rows) : 0;

		/* An option that is given twice has moved already. */
		if (!row || config->overridden & bit)
			continue;
		option_move(row, given_values, config);
		config->overridden |= bit;
	}
	return 0;
}

static int run_run(const struct command_call *call, struct error *error)
{
	struct guest_config *values = call->options[0];
	const struct run_devices *devices = call->options[1];
	cleanup_guest_config struct guest_config config = {0};
	enum guest_end end;
	int result = 0;

	if (call->operand_count)
		result = load_bundle(&config, call->operands[0], values, &call->given, error);
	else if (!values->kernel && !values->firmware)
		result = error_set_usage(
			error, "--kernel is missing; add --kernel FILE, or give a bundle");
	else
		for (const struct option_row *row = guest_option_rows; row->name; row++)
			option_move(row, values, &config);
	if (result == 0)
		result = add_devices(&config, &devices->devices, error);
	if (result == 0 && config.name)
		log_set_guest(config.name);
	if (result == 0)
		result = guest_config_check(&config, error);
	if (result == 0)
		log_set_guest(config.name);
	if (result == 0)
		result = sandbox_limit_supervisor(error);
	if (result == 0)
		result = guest_run(&config, &end, error);
	return result < 0 ? result : (int)end;
}

const struct command command_run = {
	.name = "run",
	.summary = "run a guest",
	.description =
		"Runs one guest until it ends, with its console in the terminal: from the options, "
		"or from the OCI bundle in the directory BUNDLE (`avp spec` writes one). Options "
		"that are given with a bundle take the place of what it says; devices are added to "
		"its own.\n\n"
		"Each device is a process of its own. What is wrong with options, bundle or files "
		"is told in one line before anything is started, and when the guest has ended "
		"nothing of it is left.",
	.groups =
		(const struct option_group[]){
			{"Guest options", guest_option_rows, sizeof(struct guest_config), true},
			{"Devices", run_device_rows, sizeof(struct run_devices), false},
			{NULL, NULL, 0, false},
		},
	.keys =
		(const struct option_group[]){
			{"Of each device, as --block FILE,name=root", device_option_rows, 0, false},
			{"Of --block, as --block FILE,readonly,serial=A1", block_option_rows, 0,
			 false},
			{"Of --net, as --net user,mtu=1400", net_option_rows, 0, false},
			{"Of --entropy", entropy_option_rows, 0, false},
			{"Of --console, as --console=port=tty:terminal,port=agent:socket:agent.sock",
			 console_option_rows, 0, false},
			{NULL, NULL, 0, false},
		},
	.operands = "[BUNDLE]",
	.operands_maximum = 1,
	.exit_statuses =
		(const struct command_note[]){
			{"0",
			 "the guest switched itself off, by itself or when it was asked to, or was "
			 "asked to before it ran"},
			{"1", "the engine or a device process failed for good"},
			{"3", "the guest's kernel panicked"},
			{"4", "the guest was ended as it stood, by signals or at the console"},
			{NULL, NULL},
		},
	.examples =
		(const struct command_note[]){
			{"avp run --kernel vmlinuz --initrd initrd.img --append console=ttyS0 "
			 "--net user",
			 "Boots Linux with a way out to the network."},
			{"avp run --kernel vmlinuz --block disk.img --block data.img,readonly "
			 "--append 'root=/dev/vda console=ttyS0'",
			 "Boots Linux from a disk, with a second disk that it can only read."},
			{"avp run --kernel vmlinuz --initrd initrd.img --console "
			 "--append 'console=ttyS0 console=hvc0'",
			 "Boots Linux with its console on this terminal, in the terminal's size."},
			{"avp run --engine qemu ./bundle",
			 "Runs a bundle on QEMU, whatever it says."},
			{NULL, NULL},
		},
	.run = run_run,
};
