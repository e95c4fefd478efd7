// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp run`: runs a guest from its command line or from an OCI bundle, and returns its exit status.
 */
#include "cli/avp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/oci.h"
#include "guest/config/bundle.h"
#include "guest/config/config.h"
#include "guest/run/run.h"
#include "host/sandbox.h"

/* The devices in the order in which they were given, as TYPE=OPTIONS. */
struct run_devices {
	struct option_list devices;
};

static int add_devices(struct guest_config *config, const struct option_list *devices,
		       struct error *error)
{
	for (size_t i = 0; i < devices->count; i++) {
		const char *item = devices->items[i];
		size_t length = strcspn(item, "=");
		cleanup_free char *name = strndup(item, length);
		const struct device_type *type = name ? device_type_find(name) : NULL;
		int result =
			type ? guest_config_parse_device(config, type, item + length + 1, error) :
			       error_set(error, ENOMEM, "no memory for the devices");

		if (result < 0)
			return result;
	}
	return 0;
}

/* Reads the bundle; options of the command line override its values. */
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

		/* A repeated option was moved already. */
		if (!row || config->overridden & bit)
			continue;
		option_move(row, given_values, config);
		config->overridden |= bit;
	}
	return 0;
}

/* Makes the guest of the options or of the bundle, and checks it. */
static int make_config(const struct command_call *call, struct guest_config *config,
		       struct error *error)
{
	struct guest_config *values = call->options[0];
	const struct run_devices *devices = call->options[1];
	int result = 0;

	if (call->operand_count)
		result = load_bundle(config, call->operands[0], values, &call->given, error);
	else if (!values->kernel && !values->firmware)
		result = error_set_usage(
			error, "--kernel is missing; add --kernel FILE, or give a bundle");
	else
		for (const struct option_row *row = guest_option_rows; row->name; row++)
			option_move(row, values, config);
	if (result == 0)
		result = add_devices(config, &devices->devices, error);
	if (result == 0 && config->name)
		log_set_guest(config->name);
	if (result == 0)
		result = guest_config_check(config, error);
	if (result == 0)
		log_set_guest(config->name);
	return result;
}

static int run_run(const struct command_call *call, struct error *error)
{
	const struct oci_create_options *container = call->options[2];
	cleanup_guest_config struct guest_config config = {0};
	/* A container tool calls it. */
	bool tool = option_list_has(&call->given, "bundle");
	enum guest_end end;
	int result;

	if (tool && !call->operand_count)
		return error_set_usage(error, "the container's id is missing; call it as: avp run "
					      "--bundle DIR ID");
	if (tool)
		return oci_run(call, container, call->operands[0], error);
	result = make_config(call, &config, error);
	if (result == 0 && container->detach)
		return oci_run_detached(call, &config,
					call->operand_count ? call->operands[0] : ".", error);
	if (result == 0)
		result = sandbox_limit_supervisor(error);
	if (result == 0)
		result = guest_run(&config, NULL, &end, error);
	return result < 0 ? result : (int)end;
}

/* Filled from the list of types before main(). */
static struct option_row device_rows[DEVICE_TYPES_MAX + 1];
static struct option_group keys[DEVICE_TYPES_MAX + 2];
static char key_titles[DEVICE_TYPES_MAX][80];

static const struct option_group groups[] = {
	{"Guest options", guest_option_rows, sizeof(struct guest_config), true},
	{"Devices", device_rows, sizeof(struct run_devices), false},
	{"As a container", oci_create_rows, sizeof(struct oci_create_options), false},
	{NULL, NULL, 0, false},
};

__attribute__((constructor)) static void list_devices(void)
{
	size_t count = 0;

	keys[0] = (struct option_group){.title = "Of each device, as --TYPE=name=root",
					.rows = device_option_rows};
	for_each_device_type(type) {
		char *title = key_titles[count];

		device_rows[count] = type->run_row;
		device_rows[count].name = type->name;
		device_rows[count].type = OPTION_LIST;
		device_rows[count].offset = offsetof(struct run_devices, devices);
		device_rows[count].command_line_only = device_rows[count].tagged = true;
		snprintf(title, sizeof(key_titles[0]), "Of --%s%s%s", type->name,
			 type->example_call ? ", as " : "",
			 type->example_call ? type->example_call : "");
		keys[++count] = (struct option_group){.title = title, .rows = type->options};
	}
}

const struct command command_run = {
	.name = "run",
	.summary = "run a guest",
	.description =
		"Runs one guest until it ends, with its console in the terminal: from the options, "
		"or from the OCI bundle in the directory BUNDLE (`avp spec` writes one). Options "
		"that are given with a bundle override it; devices are added to those of the "
		"bundle.\n\n"
		"Each device is a process of its own. A mistake in options, bundle or files is "
		"reported in one line before anything is started, and when the guest has ended, "
		"nothing of it is left.",
	.groups = groups,
	.keys = keys,
	.operands = "[BUNDLE]",
	.operands_maximum = 1,
	.exit_statuses =
		(const struct command_note[]){
			{"0",
			 "the guest powered itself off, by itself or when it was asked to, or was "
			 "asked to before it ran"},
			{"1", "the engine or a device process failed for good"},
			{"3", "the guest's kernel panicked"},
			{"4", "the guest was killed, by signals or at the console"},
			{NULL, NULL},
		},
	.examples =
		(const struct command_note[]){
			{"avp run --kernel vmlinuz --initrd initrd.img --append console=ttyS0 "
			 "--net user",
			 "Boots Linux with access to the network."},
			{"avp run --kernel vmlinuz --block disk.img --block data.img,readonly "
			 "--append 'root=/dev/vda console=ttyS0'",
			 "Boots Linux from a disk, with a second disk that it can only read."},
			{"avp run --kernel vmlinuz --initrd initrd.img --console "
			 "--append 'console=ttyS0 console=hvc0'",
			 "Boots Linux with its console on this terminal, in the terminal's size."},
			{"avp run --engine qemu ./bundle",
			 "Runs a bundle on QEMU, whatever engine it names."},
			{"avp run -d --name car ./bundle",
			 "Has it in the background: see `avp list`, `avp logs car`, `avp stop car`."},
			{NULL, NULL},
		},
	.run = run_run,
};
